//! The name a hub's data bears for the container engine.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    ApiError,
    ports::Store,
    transact::{read, write},
};

pub(crate) const KEY: &str = "hub_id";

/// The hub's id: made once, and kept as long as its data. What the engine holds of this hub is marked with it.
///
/// # Errors
/// The store's.
pub async fn hub_id(store: &Arc<dyn Store>) -> Result<String, ApiError> {
    if let Some(id) = read(store, |rows| rows.setting(KEY)).await? {
        return Ok(id);
    }
    let id = Uuid::new_v4().to_string();
    let made = id.clone();
    write(store, move |tx| Ok(tx.put_setting(KEY, &made)?)).await?;
    Ok(id)
}
