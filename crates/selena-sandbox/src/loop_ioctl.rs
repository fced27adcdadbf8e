//! The two ioctls of loop devices that this crate needs; the only unsafe code of it.
#![expect(
    unsafe_code,
    reason = "JUSTIFICATION: neither the standard library nor nix offers loop devices in a safe form; two calls, kept alone in this file"
)]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd},
};

const LOOP_CTL_GET_FREE: u16 = 0x4C82;
const LOOP_CONFIGURE: u16 = 0x4C0A;
/// The device lets go of its file when the last user closes it.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

nix::ioctl_none_bad!(loop_ctl_get_free, LOOP_CTL_GET_FREE);
nix::ioctl_write_ptr_bad!(loop_configure, LOOP_CONFIGURE, LoopConfig);

/// Number of a loop device that is free at this moment; the kernel makes a new one if there is none.
pub(crate) fn free_number(control: &File) -> io::Result<u32> {
    // SAFETY: the request takes no argument; `control` is open for the time of the call, and a file that is no loop
    // control device answers ENOTTY.
    let number = unsafe { loop_ctl_get_free(control.as_raw_fd()) }?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Makes `device` show `backing`; EBUSY if somebody was faster.
pub(crate) fn configure(device: &File, backing: impl AsFd) -> io::Result<()> {
    let config = LoopConfig {
        fd: u32::try_from(backing.as_fd().as_raw_fd()).map_err(io::Error::other)?,
        block_size: 0,
        info: LoopInfo64 {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_AUTOCLEAR,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the kernel reads one `struct loop_config` from the pointer; `LoopConfig` has its layout and size (checked
    // above), is fully initialised, and lives until the call returns. Both descriptors are open for that time.
    unsafe { loop_configure(device.as_raw_fd(), &raw const config) }?;
    Ok(())
}
