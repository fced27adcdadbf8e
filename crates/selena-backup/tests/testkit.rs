//! The vectors of the format's authors: what must be read is read, and what must not be is refused for its reason.

use std::{collections::BTreeMap, fs, io::Read};

use selena_backup::age::{AgeError, Decrypting, Identity, Key};
use sha2::{Digest, Sha256};

struct Vector {
    fields: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

fn vector(text: &[u8]) -> Vector {
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a line");
        let line = std::str::from_utf8(&rest[..end]).expect("the fields are text");
        rest = &rest[end + 1..];
        let Some((key, value)) = line.split_once(": ") else { break };
        fields.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    let mut file = Vec::new();
    if fields.contains_key("compressed") {
        flate2::read::ZlibDecoder::new(rest).read_to_end(&mut file).expect("zlib");
    } else {
        file.extend_from_slice(rest);
    }
    Vector { fields, file }
}

impl Vector {
    fn one(&self, field: &str) -> &str {
        self.fields.get(field).and_then(|values| values.first()).map_or("", String::as_str)
    }

    fn keys(&self) -> Vec<Key> {
        let all = |field: &str| self.fields.get(field).cloned().unwrap_or_default();
        let identity = |text: String| Key::Identity(text.parse::<Identity>().expect("an identity"));
        let passphrase = |text: String| Key::passphrase(&text).expect("a passphrase");
        all("identity").into_iter().map(identity).chain(all("passphrase").into_iter().map(passphrase)).collect()
    }
}

/// How a file is read: the vectors' word for it, and what was given out.
fn read(file: &[u8], key: &Key) -> (&'static str, Vec<u8>) {
    let mut given = Vec::new();
    let word = match Decrypting::new(file, key) {
        Ok(mut content) => match content.read_to_end(&mut given) {
            Ok(_) => "success",
            Err(_) => "payload failure",
        },
        Err(AgeError::WrongKey(_)) => "no match",
        Err(AgeError::HeaderChanged) => "HMAC failure",
        Err(AgeError::Io(error)) => panic!("{error}"),
        Err(_) => "header failure",
    };
    (word, given)
}

#[test]
fn the_vectors_of_the_format_are_read_or_refused_as_they_say() {
    let mut tried = 0;
    for entry in fs::read_dir("tests/testkit").expect("the vectors are there") {
        let path = entry.expect("an entry").path();
        let text = fs::read(&path).expect("readable");
        if !text.starts_with(b"expect: ") {
            continue;
        }
        let vector = vector(&text);
        let expected = vector.one("expect");
        let mut keys = vector.keys();
        if keys.is_empty() {
            keys.push(Key::passphrase("none is named").expect("a passphrase"));
        }
        let outcomes: Vec<_> = keys.iter().map(|key| read(&vector.file, key)).collect();
        // Of several keys one opens it; a file without a key of ours is not for us.
        let (word, given) = outcomes.iter().find(|(word, _)| *word != "no match").unwrap_or(&outcomes[0]);
        assert_eq!(*word, expected, "{}: {}", path.display(), vector.one("comment"));
        // What fails gives out no more than others do; here a file with a tail gives out less.
        if let Some(hash) = vector.fields.get("payload").filter(|_| *word == "success") {
            assert_eq!(hex::encode(Sha256::digest(given)), hash[0], "{}", path.display());
        }
        tried += 1;
    }
    assert!(tried > 85, "only {tried} vectors were there");
}
