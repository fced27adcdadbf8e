//! What a device really is: by the kernel's own word in sysfs, not by the name of its node.

use std::{fs, path::Path};

use selena_core::ports::{DeviceNumber, HostDeviceKind};

/// The kernel's name for what makes devices of this kind.
pub(crate) fn subsystem(kind: HostDeviceKind) -> &'static str {
    match kind {
        HostDeviceKind::Serial => "tty",
        HostDeviceKind::Camera => "video4linux",
        HostDeviceKind::I2c => "i2c-dev",
        HostDeviceKind::Spi => "spidev",
        HostDeviceKind::Gpio => "gpio",
        HostDeviceKind::Sound => "sound",
    }
}

/// The group that distributions give devices of this kind to.
pub(crate) fn usual_group(kind: HostDeviceKind) -> &'static str {
    match kind {
        HostDeviceKind::Serial => "dialout",
        HostDeviceKind::Camera => "video",
        HostDeviceKind::I2c => "i2c",
        HostDeviceKind::Spi => "spi",
        HostDeviceKind::Gpio => "gpio",
        HostDeviceKind::Sound => "audio",
    }
}

/// Refuses a device that is of another kind than its path is for; tells why.
///
/// An allow-list by the driver's number would miss the many drivers whose number is given out at boot, and a list of
/// what is dangerous is never complete; the kernel says by itself what each device is.
pub(crate) fn check(sysfs: &Path, kind: HostDeviceKind, number: DeviceNumber) -> Result<(), String> {
    let expected = subsystem(kind);
    let device = sysfs.join("dev/char").join(number.to_string());
    let known = fs::read_link(device.join("subsystem")).ok();
    let is = known.as_ref().and_then(|link| link.file_name()?.to_str()).unwrap_or("unknown to the kernel");
    if is != expected {
        return Err(format!("device {number} is `{is}` to the kernel, not `{expected}`"));
    }
    // Consoles, their keyboards, and the terminals of people are `tty` too, but have no hardware of their own.
    let place = device.canonicalize().unwrap_or_default();
    if kind == HostDeviceKind::Serial && place.starts_with(sysfs.join("devices/virtual")) {
        return Err(format!("device {number} is a terminal, not a serial port"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_consoles_and_terminals_are_no_serial_ports() {
        for (major, minor) in [(1, 1), (1, 3), (4, 0), (4, 1), (5, 0), (5, 1), (5, 2), (10, 200), (10, 229), (136, 0)] {
            let number = DeviceNumber { major, minor };
            let refused = check(Path::new("/sys"), HostDeviceKind::Serial, number);
            assert!(refused.is_err(), "{number} was taken for a serial port");
        }
    }
}
