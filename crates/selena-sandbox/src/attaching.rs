//! One lock for each data image: what is done to one module's data never waits for another one's.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::OwnedMutexGuard;

/// The locks of the images that are looked for among the loop devices, and attached to one.
#[derive(Debug, Default)]
pub(crate) struct ImageLocks(Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>);

impl ImageLocks {
    /// Waits until nobody else looks for this image or attaches it.
    pub(crate) async fn of(&self, image: &Path) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().expect("nothing panics while it holds the locks");
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(image).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::default();
                locks.insert(image.to_owned(), Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_image_is_locked_for_itself_alone() {
        let locks = ImageLocks::default();
        let held = locks.of(Path::new("/a")).await;
        let _other = locks.of(Path::new("/b")).now_or_never().expect("another image is free");
        let waits = locks.of(Path::new("/a"));
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none(), "this one is not");
        drop(held);
        let _mine = waits.await;
        assert_eq!(locks.0.lock().expect("free").len(), 2);
    }
}
