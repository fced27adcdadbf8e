//! Another reader of archives: Python's `zipfile`, in one process for all.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// What a reader sees in an archive: SHA-256 in hex of each file by its name; or why it refuses.
pub type Seen = Result<BTreeMap<String, String>, String>;

/// The running reader; ends with this value.
#[derive(Debug)]
pub struct Reader {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts Python.
    ///
    /// # Panics
    /// If there is no `python3`.
    #[must_use]
    pub fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-I", "-c", include_str!("reader.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs `python3`");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("its output is piped"));
        Self { child, input, output: BufReader::new(output) }
    }

    /// What Python sees in an archive. A name that stands twice is an error of the reader's, since we refuse it.
    ///
    /// # Panics
    /// If Python ended.
    pub fn read(&mut self, archive: &[u8]) -> Seen {
        let input = self.input.as_mut().expect("it is open until the end");
        let len = u32::try_from(archive.len()).expect("archives are small");
        let sent = input.write_all(&len.to_le_bytes()).and_then(|()| input.write_all(archive));
        sent.and_then(|()| input.flush()).expect("Python listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("Python answers");
        let answer: Value = serde_json::from_str(&line).expect("Python answers a line of JSON");
        if let Some(why) = answer["refused"].as_str() {
            return Err(why.to_owned());
        }
        let mut files = BTreeMap::new();
        for file in answer["files"].as_array().expect("it lists files") {
            let (name, hash) = (file[0].as_str().unwrap_or_default(), file[1].as_str().unwrap_or_default());
            if files.insert(name.to_owned(), hash.to_owned()).is_some() {
                return Err(format!("it lists {name:?} twice"));
            }
        }
        Ok(files)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.input.take());
        let _ended_already = self.child.wait();
    }
}
