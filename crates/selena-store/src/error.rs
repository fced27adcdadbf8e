//! From SQLite's errors to the store's.

use rusqlite::ErrorCode;
use selena_core::ports::StoreError;

/// What was attempted, for the error; disk full is an error of its own.
pub(crate) fn failed(attempted: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        _ => StoreError::Failed { attempted, source: Box::new(error) },
    }
}

/// A stored value that does not read back.
pub(crate) fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
