//! Asking the store from async code.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::{
    ApiError,
    ports::{Job, Rows, Store, StoreError, Tx},
};

/// Runs `work` in one transaction; what it returns is answered once it is durable. An error rolls its changes back.
///
/// # Errors
/// The work's own error, or [`StoreError`].
pub(crate) async fn write<T, F>(store: &Arc<dyn Store>, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&mut dyn Tx) -> Result<T, ApiError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let outcome = Arc::new(Mutex::new(None));
    let kept = outcome.clone();
    store.write(Job {
        run: Box::new(move |tx| {
            let result = work(tx);
            let verdict = if result.is_ok() { Ok(()) } else { Err(StoreError::RolledBack) };
            *kept.lock().expect("only this job holds it") = Some(result);
            verdict
        }),
        done: Box::new(move |committed| {
            let result = outcome.lock().expect("the job is over").take();
            let _caller_gone = answer.send(match (result, committed) {
                (Some(Err(error)), _) => Err(error),
                (Some(Ok(value)), Ok(())) => Ok(value),
                (_, Err(error)) => Err(error.into()),
                (None, Ok(())) => Err(StoreError::Stopped.into()),
            });
        }),
    });
    answered.await.unwrap_or_else(|_| Err(StoreError::Stopped.into()))
}

/// Runs `work` on a reader.
///
/// # Errors
/// [`StoreError`] as an [`ApiError`].
pub(crate) async fn read<T, F>(store: &Arc<dyn Store>, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&dyn Rows) -> Result<T, StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    store.read(Box::new(move |rows| {
        let _caller_gone = answer.send(rows.and_then(work));
    }));
    Ok(answered.await.unwrap_or(Err(StoreError::Stopped))?)
}
