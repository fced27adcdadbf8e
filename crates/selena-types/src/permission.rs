//! The catalogue of permissions (protocol, section 3).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ModuleType;

macro_rules! permissions {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A right a module asks for in its manifest (protocol, section 3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Permission {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl Permission {
            /// Every permission of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The permission as it stands in a manifest.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

permissions! {
    DeviceRead = "device.read",
    DeviceWrite = "device.write",
    EventsSubscribe = "events.subscribe",
    EventsPublish = "events.publish",
    SecretsOauth = "secrets.oauth",
    SecretsProxy = "secrets.proxy",
    ModulesRead = "modules.read",
    ModulesManage = "modules.manage",
    SystemRead = "system.read",
    IntegrityRead = "integrity.read",
    StorageRead = "storage.read",
    StorageWrite = "storage.write",
    StorageManage = "storage.manage",
    FilesRead = "files.read",
    FilesWrite = "files.write",
    FilesManage = "files.manage",
    MessagesSend = "messages.send",
    MessagesReceive = "messages.receive",
    ModulesCall = "modules.call",
    ModulesProvide = "modules.provide",
    ModulesDiscover = "modules.discover",
    RpcProvide = "rpc.provide",
    TimersManage = "timers.manage",
    MetricsReport = "metrics.report",
    MetricsRead = "metrics.read",
    StoresRead = "stores.read",
    StoresWrite = "stores.write",
    StoresManage = "stores.manage",
    NetworkEgress = "network.egress",
}

/// A text that is no permission of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such permission; the catalogue is in section 3 of the protocol")]
pub struct UnknownPermission;

impl Permission {
    /// Whether a module of this type may hold the permission at all.
    #[must_use]
    pub fn allowed_for(self, module_type: ModuleType) -> bool {
        use ModuleType::{Automation, Integration, System, Ui};
        match self {
            Self::SecretsOauth | Self::SecretsProxy => module_type == Integration,
            Self::ModulesRead | Self::ModulesManage | Self::SystemRead | Self::IntegrityRead => module_type == System,
            Self::DeviceWrite => !matches!(module_type, Automation | Ui),
            _ => true,
        }
    }

    /// Whether only a person can grant it, after it was shown (protocol, section 2, "Consent").
    #[must_use]
    pub fn needs_consent(self) -> bool {
        matches!(self, Self::NetworkEgress | Self::SecretsOauth | Self::SecretsProxy)
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == text).ok_or(UnknownPermission)
    }
}

impl TryFrom<String> for Permission {
    type Error = UnknownPermission;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> Self {
        permission.as_str().to_owned()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_reads_back_from_its_text() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
    }

    #[test]
    fn m08_no_wildcard_and_no_unknown_permission() {
        for bad in ["*", "device.*", "", "Device.read", "device.read ", "core.all"] {
            assert_eq!(bad.parse::<Permission>(), Err(UnknownPermission), "{bad:?}");
        }
    }
}
