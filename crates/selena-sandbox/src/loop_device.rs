//! Loop devices: a data image as a block device that the engine can mount.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::loop_ioctl;

const CONTROL: &str = "/dev/loop-control";
const BLOCK_DEVICES: &str = "/sys/block";
/// How often another process may be faster in taking the device that was free.
const ATTEMPTS: usize = 32;

/// A loop device with an image; it lets go of the image when this is dropped and nothing has it mounted.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// Attaches the image to a free device.
    pub(crate) fn attach(image: &File) -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
        for _ in 0..ATTEMPTS {
            let path = PathBuf::from(format!("/dev/loop{}", loop_ioctl::free_number(&control)?));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match loop_ioctl::configure(&device, image) {
                Ok(()) => return Ok(Self { path, _open: device }),
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::ResourceBusy, "others took every loop device that was free"))
    }

    /// The device's node.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The device that an image is attached to, if there is one: attaching it twice would destroy it.
pub(crate) fn device_of(image: &Path) -> io::Result<Option<PathBuf>> {
    let image = match image.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        resolved => resolved?,
    };
    for device in fs::read_dir(BLOCK_DEVICES)? {
        let device = device?;
        // Devices without a file have no such entry, and any may go away meanwhile.
        let Ok(backing) = fs::read_to_string(device.path().join("loop/backing_file")) else { continue };
        if Path::new(backing.trim_end_matches('\n')) == image {
            return Ok(Some(Path::new("/dev").join(device.file_name())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_shows_the_image_and_lets_go_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let mut content = b"selena".to_vec();
        content.resize(1024 * 1024, 0);
        fs::write(&path, &content).unwrap();
        let image = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let device = LoopDevice::attach(&image).expect("this test needs root and loop devices");
        assert_eq!(fs::read(device.path()).unwrap(), content);
        assert_eq!(device_of(&path).unwrap().as_deref(), Some(device.path()));
        drop(device);
        assert_eq!(device_of(&path).unwrap(), None);
    }

    #[test]
    fn an_image_that_is_not_there_is_not_attached() {
        assert_eq!(device_of(Path::new("/absent")).unwrap(), None);
    }
}
