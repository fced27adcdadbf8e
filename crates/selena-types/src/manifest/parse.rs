//! From text to [`Manifest`].
use semver::Version;
use super::{Manifest, ParsedManifest, ResourceLimits};
use crate::Problems;

pub(super) fn manifest(_text: &[u8], _core: &Version, _limits: &ResourceLimits) -> Result<ParsedManifest, Problems> {
    todo!()
}
