//! Ports of modules.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Port a module listens on inside its own namespace: 8100 to 8200, unique on the hub (protocol, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ModulePort(u16);

/// A number that is no module port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a module's port is a whole number from 8100 to 8200")]
pub struct ModulePortError;

impl ModulePort {
    /// Checks a port number.
    ///
    /// # Errors
    /// [`ModulePortError`] outside 8100 to 8200.
    pub fn new(port: u16) -> Result<Self, ModulePortError> {
        if (8100..=8200).contains(&port) { Ok(Self(port)) } else { Err(ModulePortError) }
    }

    /// The port as a number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for ModulePort {
    type Error = ModulePortError;
    fn try_from(port: u16) -> Result<Self, Self::Error> {
        Self::new(port)
    }
}

impl From<ModulePort> for u16 {
    fn from(port: ModulePort) -> Self {
        port.0
    }
}

impl fmt::Display for ModulePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_8100_to_8200() {
        for (port, good) in [(0, false), (8099, false), (8100, true), (8200, true), (8201, false), (65535, false)] {
            assert_eq!(ModulePort::new(port).is_ok(), good, "{port}");
        }
    }
}
