//! Devices: what they are now, in memory, and what becomes of them, in the store (protocol, section 5).

use std::{collections::HashMap, sync::RwLock};

use bytes::{BufMut, Bytes, BytesMut};
use selena_types::{Device, DeviceId, ModuleName};

use crate::ports::DeviceChange;

/// Most devices of one module.
pub(crate) const MAX_DEVICES: usize = 500;
/// Largest state in bytes of JSON.
pub(crate) const MAX_STATE_BYTES: usize = 64 * 1024;

/// Most bytes of capabilities and meta together, as JSON.
pub(crate) const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;
/// Most bytes of all devices of one module, as JSON.
pub(crate) const MAX_MODULE_BYTES: usize = 16 * 1024 * 1024;

/// A device as JSON, rendered once for each change; the device itself is not kept.
#[derive(Debug)]
struct Rendered {
    id: DeviceId,
    module: Option<ModuleName>,
    json: Bytes,
}

/// All devices as they were last committed, in the order they were registered.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    list: Vec<Rendered>,
    place: HashMap<DeviceId, usize>,
    bytes: HashMap<ModuleName, usize>,
    /// The whole list, until something changes: all who ask meanwhile share it.
    whole: Option<Bytes>,
}

impl Devices {
    /// Takes a committed change.
    pub(crate) fn apply(&self, change: &DeviceChange) {
        let mut inner = self.inner.write().expect("nothing panics while it holds the devices");
        inner.whole = None;
        match change {
            DeviceChange::Put(device) => inner.put(device),
            DeviceChange::Deleted(id) => inner.delete(*id),
        }
    }

    /// Whether there is such a device.
    pub(crate) fn contains(&self, id: DeviceId) -> bool {
        self.inner.read().expect("nothing panics while it holds the devices").place.contains_key(&id)
    }

    /// How many bytes the devices of a module weigh, as JSON.
    pub(crate) fn bytes_of(&self, module: &ModuleName) -> usize {
        let inner = self.inner.read().expect("nothing panics while it holds the devices");
        inner.bytes.get(module).copied().unwrap_or_default()
    }

    /// One device as JSON.
    pub(crate) fn json(&self, id: DeviceId) -> Option<Bytes> {
        let inner = self.inner.read().expect("nothing panics while it holds the devices");
        inner.place.get(&id).map(|place| inner.list[*place].json.clone())
    }

    /// `{"devices":[…]}`, put together from the rendered devices.
    pub(crate) fn list_json(&self) -> Bytes {
        if let Some(whole) = &self.inner.read().expect("nothing panics while it holds the devices").whole {
            return whole.clone();
        }
        let mut inner = self.inner.write().expect("nothing panics while it holds the devices");
        let whole = inner.render();
        inner.whole = Some(whole.clone());
        whole
    }
}

impl Inner {
    fn render(&self) -> Bytes {
        let length = self.list.iter().map(|rendered| rendered.json.len() + 1).sum::<usize>();
        let mut out = BytesMut::with_capacity(length + 16);
        out.put_slice(b"{\"devices\":[");
        for (place, rendered) in self.list.iter().enumerate() {
            if place > 0 {
                out.put_u8(b',');
            }
            out.put_slice(&rendered.json);
        }
        out.put_slice(b"]}");
        out.freeze()
    }

    fn put(&mut self, device: &Device) {
        let json: Bytes = serde_json::to_vec(device).expect("a device is JSON: its keys are texts").into();
        let rendered = Rendered { id: device.device_id, module: device.module_id.clone(), json };
        self.count(&rendered, true);
        match self.place.get(&rendered.id) {
            Some(place) => {
                let before = std::mem::replace(&mut self.list[*place], rendered);
                self.count(&before, false);
            }
            None => {
                self.place.insert(rendered.id, self.list.len());
                self.list.push(rendered);
            }
        }
    }

    fn delete(&mut self, id: DeviceId) {
        if let Some(place) = self.place.remove(&id) {
            let before = self.list.remove(place);
            self.count(&before, false);
            for later in self.place.values_mut().filter(|later| **later > place) {
                *later -= 1;
            }
        }
    }

    fn count(&mut self, rendered: &Rendered, comes: bool) {
        let Some(module) = &rendered.module else { return };
        let bytes = self.bytes.entry(module.clone()).or_default();
        *bytes = if comes { *bytes + rendered.json.len() } else { *bytes - rendered.json.len() };
        if *bytes == 0 {
            self.bytes.remove(module);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, Value};

    use super::*;

    fn device(name: &str) -> Arc<Device> {
        Arc::new(Device {
            device_id: DeviceId::random(),
            name: name.to_owned(),
            kind: selena_types::DeviceKind::Sensor,
            protocol: "test".to_owned(),
            state: Map::new(),
            capabilities: vec![],
            last_seen: None,
            module_id: None,
            meta: Map::new(),
        })
    }

    #[test]
    fn the_list_keeps_its_order_through_changes() {
        let devices = Devices::default();
        let all: Vec<_> = ["a", "b", "c"].map(device).into();
        for one in &all {
            devices.apply(&DeviceChange::Put(one.clone()));
        }
        devices.apply(&DeviceChange::Deleted(all[0].device_id));
        let renamed = Arc::new(Device { name: "C".to_owned(), ..(*all[2]).clone() });
        devices.apply(&DeviceChange::Put(renamed.clone()));
        let list: Value = serde_json::from_slice(&devices.list_json()).expect("JSON");
        let names: Vec<_> = list["devices"].as_array().expect("a list").iter().map(|d| d["name"].clone()).collect();
        assert_eq!(names, ["b", "C"]);
        assert!(devices.contains(renamed.device_id) && !devices.contains(all[0].device_id));
        assert_eq!(devices.bytes_of(&"m1".parse().expect("a name")), 0, "they have no owner");
    }
}
