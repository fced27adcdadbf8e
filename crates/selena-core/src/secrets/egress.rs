//! That something left the house is written down, whatever became of it (protocol, section 7).

use crate::{audit::Audit, identity::ModuleRun};

/// One request outside. Its record is written when this is dropped: also if the module did not wait for the answer.
#[derive(Debug)]
pub(super) struct Egress<'a> {
    audit: &'a Audit,
    run: &'a ModuleRun,
    /// Provider and host.
    place: String,
    /// A status, or the code of what went wrong.
    pub(super) outcome: String,
}

impl<'a> Egress<'a> {
    pub(super) fn begin(audit: &'a Audit, run: &'a ModuleRun, place: String) -> Self {
        Self { audit, run, place, outcome: "abandoned".to_owned() }
    }

    /// Records that the host repeated the token it was sent.
    pub(super) fn token_came_back(&self) {
        let detail = format!("{} sent the token back", self.place);
        self.audit.record("token_redacted", self.run.name.as_str(), &detail);
    }
}

impl Drop for Egress<'_> {
    fn drop(&mut self) {
        self.audit.record("egress", self.run.name.as_str(), &format!("{} {}", self.place, self.outcome));
    }
}
