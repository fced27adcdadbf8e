//! The maintenance file: the signed word that some files are being changed, by whom, and until when.

use serde::{Deserialize, Serialize};

use crate::{SignatureError, SigningKey, VerificationKey, WatchedPath};

/// Longest time a notice may hold, in seconds: a day.
pub const MAX_NOTICE_SECS: u64 = 86_400;
/// Most paths in one notice.
const MAX_PATHS: usize = 1000;
/// What begins the signed text, so that no other signature of the key can be taken for one of a notice.
const CONTEXT: &str = "selena-maintenance-v1";

/// Who changes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An update in progress.
    Update,
    /// A person at work.
    Operator,
}

impl NoticeKind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Operator => "operator",
        }
    }
}

/// A time that no wrong clock moves: seconds since a boot, and which boot that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As `/proc/sys/kernel/random/boot_id` has it.
    pub boot_id: String,
    /// By `CLOCK_BOOTTIME`.
    pub boot_secs: u64,
}

/// That changes of some files are meant (protocol, section 8.2: the maintenance file).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Who changes them.
    pub kind: NoticeKind,
    /// Which files, or directories with all that is in them.
    pub paths: Vec<WatchedPath>,
    /// The boot it was given in; it ends with it.
    pub boot_id: String,
    /// Until when it holds, in seconds since that boot.
    pub not_after_boot_secs: u64,
}

/// A notice with its signature, as it lies in the file.
#[derive(Deserialize, Serialize)]
struct SignedNotice {
    notice: Notice,
    signature: String,
}

/// Why a notice does not count.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// It is no notice.
    #[error("the maintenance file is not as it should be")]
    Malformed(#[source] serde_json::Error),
    /// Nobody who may has signed it.
    #[error("the maintenance file is not signed by this hub's key")]
    Signature(#[source] SignatureError),
    /// It is too large a promise.
    #[error(
        "the maintenance file names {paths} paths for {secs} s: at most {MAX_PATHS} and {MAX_NOTICE_SECS} are taken"
    )]
    TooMuch {
        /// How many paths.
        paths: usize,
        /// For how long from now on.
        secs: u64,
    },
}

impl Notice {
    /// As it is stored: JSON with the signature beside it.
    ///
    /// # Errors
    /// [`NoticeError::TooMuch`].
    pub fn sign(self, now: &Moment, key: &SigningKey) -> Result<Vec<u8>, NoticeError> {
        self.check_size(now)?;
        let signature = key.sign(self.signed_text().as_bytes()).trim_end().to_owned();
        let mut bytes =
            serde_json::to_vec(&SignedNotice { notice: self, signature }).map_err(NoticeError::Malformed)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The notice in these bytes, if it holds now; `None` if its time is over.
    ///
    /// # Errors
    /// [`NoticeError`] if it counts for nothing at all.
    pub fn verify(bytes: &[u8], now: &Moment, key: &VerificationKey) -> Result<Option<Self>, NoticeError> {
        let signed: SignedNotice = serde_json::from_slice(bytes).map_err(NoticeError::Malformed)?;
        let notice = signed.notice;
        key.verify(notice.signed_text().as_bytes(), signed.signature.as_bytes()).map_err(NoticeError::Signature)?;
        if notice.boot_id != now.boot_id || notice.not_after_boot_secs < now.boot_secs {
            return Ok(None);
        }
        notice.check_size(now)?;
        Ok(Some(notice))
    }

    /// Whether a change of this path is meant.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        WatchedPath::new(path).is_ok_and(|path| self.paths.iter().any(|named| path.is_within(named)))
    }

    fn check_size(&self, now: &Moment) -> Result<(), NoticeError> {
        let secs = self.not_after_boot_secs.saturating_sub(now.boot_secs);
        if self.paths.len() > MAX_PATHS || secs > MAX_NOTICE_SECS {
            return Err(NoticeError::TooMuch { paths: self.paths.len(), secs });
        }
        Ok(())
    }

    /// One field on a line; no path has a line break.
    fn signed_text(&self) -> String {
        let mut text = format!("{CONTEXT}\n{}\n{:?}\n", self.kind.as_str(), self.boot_id);
        text.push_str(&format!("{}\n", self.not_after_boot_secs));
        for path in &self.paths {
            text.push_str(path.as_str());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::key;

    fn at(boot_id: &str, boot_secs: u64) -> Moment {
        Moment { boot_id: boot_id.to_owned(), boot_secs }
    }

    fn notice(not_after_boot_secs: u64) -> Notice {
        let paths = vec![WatchedPath::new("/usr/lib/selena").expect("a path")];
        Notice { kind: NoticeKind::Update, paths, boot_id: "b1".to_owned(), not_after_boot_secs }
    }

    #[test]
    fn it_holds_in_its_boot_and_for_its_time_whatever_the_clock_says() {
        let bytes = notice(100).sign(&at("b1", 10), &key(1)).expect("small");
        let verify = |now: &Moment| Notice::verify(&bytes, now, &key(1).verification_key()).expect("signed");
        assert_eq!(verify(&at("b1", 100)), Some(notice(100)));
        assert_eq!(verify(&at("b1", 101)), None);
        assert_eq!(verify(&at("b2", 11)), None, "another boot");
    }

    #[test]
    fn nobody_else_can_give_it_and_none_is_altered() {
        let bytes = notice(100).sign(&at("b1", 10), &key(2)).expect("small");
        let verify = |bytes: &[u8]| Notice::verify(bytes, &at("b1", 11), &key(1).verification_key());
        assert!(matches!(verify(&bytes), Err(NoticeError::Signature(_))));
        let own = String::from_utf8(notice(100).sign(&at("b1", 10), &key(1)).expect("small")).expect("text");
        assert!(verify(own.as_bytes()).is_ok());
        for (from, to) in [("100", "101"), ("update", "operator"), ("/usr/lib/selena", "/usr/lib"), ("b1", "b2")] {
            assert!(matches!(verify(own.replace(from, to).as_bytes()), Err(NoticeError::Signature(_))), "{from}");
        }
        for bad in ["", "{}", "[]"] {
            assert!(matches!(verify(bad.as_bytes()), Err(NoticeError::Malformed(_))), "{bad}");
        }
        let other = key(1).sign(b"{}");
        let borrowed = own
            .replace(own.split("\"signature\":\"").nth(1).expect("one").split('"').next().expect("one"), other.trim());
        assert!(matches!(verify(borrowed.as_bytes()), Err(NoticeError::Signature(_))), "of a manifest");
    }

    #[test]
    fn it_promises_no_more_than_a_day() {
        assert!(matches!(notice(86_411).sign(&at("b1", 10), &key(1)), Err(NoticeError::TooMuch { .. })));
        assert!(notice(86_410).sign(&at("b1", 10), &key(1)).is_ok());
    }

    #[test]
    fn it_covers_what_it_names_and_what_lies_in_that() {
        let notice = notice(1);
        assert!(notice.covers("/usr/lib/selena") && notice.covers("/usr/lib/selena/x/y"));
        assert!(!notice.covers("/usr/lib/selena-other") && !notice.covers("/usr/lib/selena/../x"));
    }
}
