//! Pages of a module with a UI (protocol, section 7). They are public: the hub's front decides who sees them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hyper::StatusCode;

use super::Answer;
use crate::RunError;

/// Longest page the hub reads (protocol, section 1).
const MAX_PAGE_BYTES: u64 = 5 * 1024 * 1024;

/// The pages.
#[derive(Debug)]
pub(crate) struct Pages {
    fixed: Vec<(String, Bytes)>,
    /// Without symbolic links, so that what is found in it can be compared with it.
    directory: Option<PathBuf>,
}

impl Pages {
    pub(crate) fn new(fixed: Vec<(String, Bytes)>, directory: Option<PathBuf>) -> Result<Self, RunError> {
        let missing = |path: PathBuf, source| RunError::Pages { path: path.display().to_string(), source };
        let directory = match directory {
            Some(path) => Some(path.canonicalize().map_err(|source| missing(path, source))?),
            None => None,
        };
        Ok(Self { fixed, directory })
    }

    /// The page of a request's path, as it came: nothing of it is decoded.
    pub(crate) fn answer(&self, path: &str) -> Answer {
        let fixed = self.fixed.iter().find(|(known, _)| known == path).map(|(_, body)| body.clone());
        match fixed.or_else(|| self.file(path)) {
            Some(body) => Answer { status: StatusCode::OK, content_type: content_type(path), body },
            None => Answer::refusal(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }

    fn file(&self, path: &str) -> Option<Bytes> {
        let directory = self.directory.as_ref()?;
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        if !segments.iter().all(|segment| is_plain(segment)) {
            return None;
        }
        // A link may lead anywhere; the file it means must lie in the directory too.
        let file = directory.join(segments.join("/")).canonicalize().ok()?;
        let meta = fs::metadata(&file).ok()?;
        let shown = file.starts_with(directory) && meta.is_file() && meta.len() <= MAX_PAGE_BYTES;
        shown.then(|| fs::read(&file).ok().map(Bytes::from)).flatten()
    }
}

/// Whether a segment is a visible file's name and nothing else.
fn is_plain(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain)
}

fn content_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn pages(root: &Path) -> Pages {
        let ui = root.join("ui");
        fs::create_dir_all(ui.join("sub")).expect("a temporary directory");
        for (path, text) in
            [("ui/widget.html", "widget"), ("ui/sub/a.js", "script"), ("ui/.hidden", "no"), ("manifest.json", "no")]
        {
            fs::write(root.join(path), text).expect("a temporary directory");
        }
        symlink(root.join("manifest.json"), ui.join("link.json")).expect("a link");
        Pages::new(vec![("/icon.svg".to_owned(), Bytes::from_static(b"<svg/>"))], Some(ui)).expect("it is there")
    }

    #[test]
    fn shows_what_lies_in_the_directory() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let pages = pages(root.path());
        for (path, content_type, body) in [
            ("/widget.html", "text/html; charset=utf-8", "widget"),
            ("/sub/a.js", "text/javascript; charset=utf-8", "script"),
            ("/icon.svg", "image/svg+xml", "<svg/>"),
        ] {
            let answer = pages.answer(path);
            assert_eq!(
                (answer.status, answer.content_type, &answer.body[..]),
                (StatusCode::OK, content_type, body.as_bytes())
            );
        }
    }

    #[test]
    fn shows_nothing_else() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let pages = pages(root.path());
        for path in [
            "/",
            "",
            "/sub",
            "/sub/",
            "/missing.html",
            "/../manifest.json",
            "/sub/../../manifest.json",
            "/%2e%2e/manifest.json",
            "/..%2fmanifest.json",
            "//etc/passwd",
            "/./widget.html",
            "/.hidden",
            "/link.json",
            "/sub\\..\\..\\manifest.json",
            "/widget.html\0",
            "/widget.html/",
        ] {
            assert_eq!(pages.answer(path).status, StatusCode::NOT_FOUND, "{path:?}");
        }
    }

    #[test]
    fn a_missing_directory_is_told_at_the_start() {
        let missing = Pages::new(Vec::new(), Some(PathBuf::from("no/such/directory")));
        assert!(matches!(missing, Err(RunError::Pages { .. })));
    }
}
