//! The disk as a file for a loop device: a file system in user space that holds this one file.

use std::{
    ffi::OsStr,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyWrite, Request, WriteFlags,
};

use crate::log::Log;

/// Name of the file.
pub(crate) const FILE: &str = "disk";
const FILE_INODE: INodeNo = INodeNo(2);
/// Nothing but the content ever changes.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Serves the disk, and writes down what is done to it.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Arc<Mutex<Log>>);

impl Served {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().expect("nothing panics while it holds the log")
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE_INODE;
        let size = if is_file { self.log().now().bytes() } else { 0 };
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == FILE {
            reply.entry(&FOR_EVER, &self.attributes(FILE_INODE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let data = self.log().now().read(offset, usize::try_from(size).unwrap_or(usize::MAX));
        reply.data(&data);
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.log().write(offset, data);
        reply.written(u32::try_from(data.len()).expect("the kernel writes less at once"));
    }

    fn fsync(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        self.log().flush();
        reply.ok();
    }
}
