//! Names of modules.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Names that belong to the hub itself and are never a module's (protocol, section 3).
const RESERVED: [&str; 8] = ["core", "user", "ui", "agent", "cloud", "platform", "system", "dev-module"];

/// Name of an installed module: 2 to 64 of `a-z`, `0-9`, `-`, no `-` at either end (protocol, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

/// Why a text is no module name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleNameError {
    /// It does not match `^[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$`.
    #[error("a module name is 2 to 64 of a-z, 0-9 and '-', and begins and ends with a letter or digit")]
    Malformed,
    /// It is one of the hub's own names.
    #[error("this name is reserved for the hub itself; choose another one")]
    Reserved,
}

impl ModuleName {
    /// Parses a module's name.
    ///
    /// # Errors
    /// [`ModuleNameError`] if it is malformed or reserved.
    pub fn new(text: &str) -> Result<Self, ModuleNameError> {
        let bytes = text.as_bytes();
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let at_end = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
        if !(2..=64).contains(&bytes.len())
            || !bytes.iter().all(allowed)
            || !at_end(bytes.first())
            || !at_end(bytes.last())
        {
            return Err(ModuleNameError::Malformed);
        }
        if RESERVED.contains(&text) || text.starts_with("selena-") {
            return Err(ModuleNameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The source name of the development token's requests (protocol, section 12).
    /// It is reserved, so no package can bear it.
    #[must_use]
    pub fn development() -> Self {
        Self("dev-module".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModuleName {
    type Err = ModuleNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ModuleName {
    type Error = ModuleNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_rule_are_taken() {
        for good in ["ab", "a1", "01", "my-module", "a--b", "self-ena", &"a".repeat(64)] {
            assert_eq!(ModuleName::new(good).map(String::from).as_deref(), Ok(good));
        }
    }

    #[test]
    fn m03_bad_names_are_refused() {
        for bad in
            ["", "a", "-a", "a-", "A1", "../x", "a/b", "a.b", "a_b", "a b", "аb", "ab\n", "ab\0", &"a".repeat(65)]
        {
            assert_eq!(ModuleName::new(bad), Err(ModuleNameError::Malformed), "{bad:?}");
        }
        for reserved in RESERVED.iter().chain(&["selena-x", "selena-core"]) {
            assert_eq!(ModuleName::new(reserved), Err(ModuleNameError::Reserved), "{reserved:?}");
        }
    }
}
