//! Devices of the machine that a module can be given (protocol, section 3, row `devices`).

use std::{collections::BTreeMap, fmt};

/// What the kernel knows a character device by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u64,
    /// The driver's own number for the device.
    pub minor: u64,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// What sort of device a path of a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDeviceKind {
    /// A serial port.
    Serial,
    /// A camera.
    Camera,
    /// An I²C bus.
    I2c,
    /// A device on an SPI bus.
    Spi,
    /// Pins.
    Gpio,
    /// All sound cards.
    Sound,
}

impl HostDeviceKind {
    /// What a path is for; `None` if no manifest may name it.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let kinds = [
            ("/dev/serial/", Self::Serial),
            ("/dev/v4l/", Self::Camera),
            ("/dev/i2c-", Self::I2c),
            ("/dev/spidev", Self::Spi),
            ("/dev/gpiochip", Self::Gpio),
            ("/dev/snd", Self::Sound),
        ];
        let may_be_named = selena_types::is_device_path(path);
        kinds.into_iter().find(|(start, _)| may_be_named && path.starts_with(start)).map(|(_, kind)| kind)
    }

    /// The word for it in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Camera => "camera",
            Self::I2c => "i2c",
            Self::Spi => "spi",
            Self::Gpio => "gpio",
            Self::Sound => "sound",
        }
    }
}

/// Why something at a device's path is given to no module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRefusal {
    /// `manifest_device` if it can never be a module's; `device_access` if only root may use it so far.
    pub code: &'static str,
    /// Why, and what to do, for people.
    pub detail: String,
}

/// Something that lies at a path a manifest may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDevice {
    /// What sort of device the path is for.
    pub kind: HostDeviceKind,
    /// Its device numbers, in order: one, but for `/dev/snd`, which is a directory.
    pub numbers: Result<Vec<DeviceNumber>, DeviceRefusal>,
}

/// What is plugged in, by the path a manifest may name.
pub type HostDevices = BTreeMap<String, HostDevice>;

/// A device that a container is given: what lies at the path has to be just this when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The path of the manifest, where the module finds it too.
    pub path: String,
    /// Its device numbers, in order.
    pub numbers: Vec<DeviceNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_protocol_has_a_kind_and_others_have_none() {
        for (path, kind) in [
            ("/dev/serial/by-id/usb-0658_0200-if00", HostDeviceKind::Serial),
            ("/dev/serial/by-path/platform-pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0", HostDeviceKind::Serial),
            ("/dev/v4l/by-id/usb-046d_HD_Webcam-video-index0", HostDeviceKind::Camera),
            ("/dev/i2c-1", HostDeviceKind::I2c),
            ("/dev/spidev0.1", HostDeviceKind::Spi),
            ("/dev/gpiochip0", HostDeviceKind::Gpio),
            ("/dev/snd", HostDeviceKind::Sound),
        ] {
            assert_eq!(HostDeviceKind::of_path(path), Some(kind), "{path}");
        }
        for path in ["/dev/mem", "/dev/serial/by-id/../../mem", "/dev/ttyUSB0", "/dev/snd/../mem", "/dev/input/event0"]
        {
            assert_eq!(HostDeviceKind::of_path(path), None, "{path}");
        }
    }
}
