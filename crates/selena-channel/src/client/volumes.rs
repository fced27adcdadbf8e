//! The port `DataVolumes`: what is in a module's data goes to and comes from a file that is passed.

use std::{os::fd::OwnedFd, path::Path};

use futures_util::future::BoxFuture;
use selena_core::ports::{DataVolumes, VolumeError};

use super::{
    RemoteSandbox,
    port::{START_LIMIT, foreign, path},
};
use crate::message::{Answer, Call};

impl RemoteSandbox {
    /// A volume has some GiB at most, as an image has.
    async fn data(&self, attempted: &'static str, call: Call, file: OwnedFd) -> Result<(), VolumeError> {
        match self.shared.ask(attempted, START_LIMIT, call, vec![file]).await? {
            (Answer::Nothing, _) => Ok(()),
            (Answer::DataRefused(why), _) => Err(VolumeError::Refused(why)),
            (Answer::DataTooLarge { mib }, _) => Err(VolumeError::TooLarge { mib }),
            _ => Err(foreign(attempted).into()),
        }
    }
}

impl DataVolumes for RemoteSandbox {
    fn read_out<'a>(&'a self, image: &'a Path, into: OwnedFd) -> BoxFuture<'a, Result<(), VolumeError>> {
        const ATTEMPTED: &str = "asking the sandbox for the data of a module";
        Box::pin(async move {
            let image = path(ATTEMPTED, image)?;
            self.data(ATTEMPTED, Call::ReadOut { image }, into).await
        })
    }

    fn fill<'a>(
        &'a self,
        image: &'a Path,
        mib: u32,
        owner: u32,
        from: OwnedFd,
    ) -> BoxFuture<'a, Result<(), VolumeError>> {
        const ATTEMPTED: &str = "asking the sandbox to put back the data of a module";
        Box::pin(async move {
            let image = path(ATTEMPTED, image)?;
            self.data(ATTEMPTED, Call::Fill { image, mib, owner }, from).await
        })
    }
}
