//! Devices, as the API offers them (protocol, section 5).

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use selena_types::{Device, DeviceId, DeviceKind, ModuleName, NewDevice, Problems, StateAt};
use serde_json::{Map, Value, json};

use super::{Api, MAX_PAGE, append};
use crate::{
    ApiError,
    devices::{MAX_DESCRIPTION_BYTES, MAX_DEVICES, MAX_MODULE_BYTES, MAX_STATE_BYTES},
    identity::Caller,
    transact::{read, write},
};

impl Api {
    /// `GET /devices`, as JSON.
    #[must_use]
    pub fn devices_json(&self) -> Bytes {
        self.devices.list_json()
    }

    /// `GET /devices/{id}`, as JSON.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn device_json(&self, id: DeviceId) -> Result<Bytes, ApiError> {
        self.devices.json(id).ok_or(ApiError::NotFound("device"))
    }

    /// `POST /devices`: event `device.registered`.
    ///
    /// # Errors
    /// `limit_devices`, or the store's.
    pub async fn register_device(&self, caller: &Caller, new: NewDevice) -> Result<Arc<Device>, ApiError> {
        let weight = |value: &Value| value.to_string().len();
        if weight(&json!(new.capabilities)) + weight(&json!(new.meta)) > MAX_DESCRIPTION_BYTES {
            let msg = format!("capabilities and meta together are at most {MAX_DESCRIPTION_BYTES} bytes of JSON");
            return Err(Problems::one(["body".into(), "meta".into()], "too_long", msg).into());
        }
        let module_id = caller.module();
        write(&self.store, move |tx| {
            if let Some(module) = &module_id
                && tx.device_count(module)? >= MAX_DEVICES
            {
                let detail = format!("a module has at most {MAX_DEVICES} devices: delete one first");
                return Err(ApiError::limit("limit_devices", detail));
            }
            let device = tx.put_device(Device {
                device_id: DeviceId::random(),
                name: new.name,
                kind: new.kind,
                protocol: new.protocol,
                state: Map::new(),
                capabilities: new.capabilities,
                last_seen: None,
                module_id,
                meta: new.meta,
            })?;
            let payload = json!({ "device_id": device.device_id, "name": device.name });
            append(tx, "device.registered", "core", payload)?;
            Ok(device)
        })
        .await
    }

    /// `PATCH /devices/{id}/state`: replaces the state; event `device.state_changed`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], `not_your_device`, too large a state, or the store's.
    pub async fn set_state(
        &self,
        caller: &Caller,
        id: DeviceId,
        state: Map<String, Value>,
    ) -> Result<Arc<Device>, ApiError> {
        if serde_json::to_string(&state).map_or(usize::MAX, |text| text.len()) > MAX_STATE_BYTES {
            let msg = format!("a state is at most {MAX_STATE_BYTES} bytes of JSON");
            return Err(Problems::one(["body".into(), "state".into()], "too_long", msg).into());
        }
        let new_bytes = json!(state).to_string().len();
        let owner = Owner::of(caller);
        let changed_by = caller.source().to_owned();
        let devices = self.devices.clone();
        write(&self.store, move |tx| {
            let device = tx.device(id)?.ok_or(ApiError::NotFound("device"))?;
            if device.kind == DeviceKind::Sensor {
                owner.check(&device)?;
            }
            // A module's devices are kept in memory; a state that does not grow is always taken.
            let grows_by = new_bytes.saturating_sub(json!(device.state).to_string().len());
            let weight = device.module_id.as_ref().map_or(0, |owner| devices.bytes_of(owner));
            if grows_by > 0 && weight + grows_by > MAX_MODULE_BYTES {
                let detail = format!("a module's devices are at most {MAX_MODULE_BYTES} bytes of JSON together");
                return Err(ApiError::limit("limit_device_bytes", detail));
            }
            let old_state = device.state.clone();
            let device = tx.set_state(device, state, now_secs())?;
            let payload = json!({
                "device_id": id, "old_state": old_state, "new_state": device.state, "changed_by": changed_by,
            });
            append(tx, "device.state_changed", "core", payload)?;
            Ok(device)
        })
        .await
    }

    /// `DELETE /devices/{id}`: event `device.removed`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], `not_your_device`, or the store's.
    pub async fn delete_device(&self, caller: &Caller, id: DeviceId) -> Result<(), ApiError> {
        let owner = Owner::of(caller);
        write(&self.store, move |tx| {
            let device = tx.device(id)?.ok_or(ApiError::NotFound("device"))?;
            owner.check(&device)?;
            tx.delete_device(id)?;
            let payload = json!({ "device_id": id, "name": device.name });
            append(tx, "device.removed", "core", payload).map(|_| ())
        })
        .await
    }

    /// `GET /devices/{id}/history`: newest first.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or the store's.
    pub async fn history(&self, id: DeviceId, since: Option<f64>, limit: usize) -> Result<Vec<StateAt>, ApiError> {
        if !self.devices.contains(id) {
            return Err(ApiError::NotFound("device"));
        }
        read(&self.store, move |rows| rows.history(id, since, limit.min(MAX_PAGE))).await
    }
}

/// Who may change a device that has an owner.
#[derive(Debug)]
enum Owner {
    Anyone,
    Only(Option<ModuleName>),
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Person { .. } => Self::Anyone,
            caller if caller.is_system() => Self::Anyone,
            caller => Self::Only(caller.module()),
        }
    }

    fn check(&self, device: &Device) -> Result<(), ApiError> {
        match self {
            Self::Only(module) if module.is_none() || *module != device.module_id => {
                let detail = "only the module that registered this device may do that".to_owned();
                Err(ApiError::Forbidden { code: "not_your_device", detail })
            }
            _ => Ok(()),
        }
    }
}

/// Now in Unix seconds.
fn now_secs() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}
