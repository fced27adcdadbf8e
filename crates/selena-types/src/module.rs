//! The closed lists a module is described with.

/// Defines an enum that is written as one of a few fixed words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ::serde::Deserialize, ::serde::Serialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the protocol's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the protocol.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::module::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err($crate::module::UnknownWord) }
            }
        }
    };
}
pub(crate) use words;

/// A text that is not in the closed list asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the allowed words")]
pub struct UnknownWord;

words! {
    /// What a module is for; decides which permissions it may hold (protocol, section 3).
    ModuleType {
        /// A part of the hub itself.
        System = "SYSTEM",
        /// Pages and widgets.
        Ui = "UI",
        /// A bridge to a service outside.
        Integration = "INTEGRATION",
        /// Devices on a wire or radio.
        Driver = "DRIVER",
        /// Rules.
        Automation = "AUTOMATION",
        /// Brings devices from another system.
        ImportSource = "IMPORT_SOURCE",
    }
}

words! {
    /// When a module runs (protocol, section 3).
    RuntimeMode {
        /// From boot to shutdown.
        AlwaysOn = "always_on",
        /// When called, until 5 minutes without a call.
        OnDemand = "on_demand",
        /// By its `schedule`.
        Scheduled = "scheduled",
    }
}

words! {
    /// What the container is made of (protocol, section 4).
    Runtime {
        /// A self-contained executable in an empty root.
        Static = "static",
        /// The hub's Python base.
        Python3 = "python3",
        /// An image the package brings.
        Oci = "oci",
    }
}

words! {
    /// Which wire a module speaks (protocol, sections 5 and 9).
    Transport {
        /// HTTP on localhost.
        Http = "http",
        /// The native wire.
        Ipc = "ipc",
    }
}

words! {
    /// Which pages a module has (protocol, section 3).
    UiProfile {
        /// None.
        Headless = "HEADLESS",
        /// Only a settings page.
        SettingsOnly = "SETTINGS_ONLY",
        /// An icon that opens the settings page.
        IconSettings = "ICON_SETTINGS",
        /// Icon, widget and settings page.
        Full = "FULL",
    }
}

words! {
    /// Where a module stands in its life (protocol, section 2).
    ModuleState {
        /// The package has arrived.
        Uploaded = "UPLOADED",
        /// It is being checked and tried.
        Validating = "VALIDATING",
        /// A person has to grant what it asks for.
        AwaitingConsent = "AWAITING_CONSENT",
        /// Installed and not running: on demand, scheduled, or waiting for Docker.
        Ready = "READY",
        /// Its container runs and is healthy.
        Running = "RUNNING",
        /// Stopped by a person or a command.
        Stopped = "STOPPED",
        /// It cannot run; `error` says why.
        Error = "ERROR",
        /// It crashed too often; a person has to start it.
        Quarantined = "QUARANTINED",
        /// It is gone.
        Removed = "REMOVED",
    }
}
