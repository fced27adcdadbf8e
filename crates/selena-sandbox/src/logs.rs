//! The last output of a module's container.

use std::collections::VecDeque;

use bollard::{Docker, query_parameters::LogsOptions};
use futures_util::TryStreamExt;
use selena_core::ports::{ContainerPurpose, SandboxError};
use selena_types::ModuleName;

use crate::sandbox::Shared;

const READING: &str = "reading the module's log";

impl Shared {
    /// At most the last `max_bytes` of what the newest container wrote; empty if there is none.
    pub(crate) async fn logs(
        &self,
        module: &ModuleName,
        purpose: ContainerPurpose,
        max_bytes: usize,
    ) -> Result<String, SandboxError> {
        let name = self.config.container_name(purpose, module);
        // The engine counts lines and keeps at most 2 MiB, so all of it is read, and only the end is held.
        let options = LogsOptions { stdout: true, stderr: true, tail: "all".to_owned(), ..LogsOptions::default() };
        let read = |docker: Docker| async move {
            let keep_end = |mut end: VecDeque<u8>, output: bollard::container::LogOutput| async move {
                end.extend(output.into_bytes());
                end.drain(..end.len().saturating_sub(max_bytes));
                Ok(end)
            };
            docker.logs(&name, Some(options)).try_fold(VecDeque::new(), keep_end).await
        };
        let end = self.engine.ask_if_there(READING, read).await?.unwrap_or_default();
        Ok(text_of(end.into()))
    }
}

/// As text; a character that was cut at the front is dropped.
fn text_of(bytes: Vec<u8>) -> String {
    let cut = bytes.iter().take(3).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
    String::from_utf8_lossy(bytes.get(cut..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn a_character_that_was_cut_is_dropped() {
        assert_eq!(text_of("é!".as_bytes().get(1..).unwrap().to_vec()), "!");
        assert_eq!(text_of(b"ok \xff".to_vec()), "ok \u{fffd}");
        assert_eq!(text_of(vec![]), "");
    }
}
