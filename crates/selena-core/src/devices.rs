//! Devices: what they are now, in memory, and what becomes of them, in the store (protocol, section 5).

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use bytes::{BufMut, Bytes, BytesMut};
use selena_types::{Device, DeviceId};

use crate::ports::DeviceChange;

/// Most devices of one module.
pub(crate) const MAX_DEVICES: usize = 500;
/// Largest state in bytes of JSON.
pub(crate) const MAX_STATE_BYTES: usize = 64 * 1024;

/// A device and its JSON, rendered once for each change.
#[derive(Debug)]
struct Rendered {
    device: Arc<Device>,
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
}

impl Devices {
    /// Takes a committed change.
    pub(crate) fn apply(&self, change: &DeviceChange) {
        let mut inner = self.inner.write().expect("nothing panics while it holds the devices");
        match change {
            DeviceChange::Put(device) => inner.put(device.clone()),
            DeviceChange::Deleted(id) => inner.delete(*id),
        }
    }

    /// One device.
    pub(crate) fn get(&self, id: DeviceId) -> Option<Arc<Device>> {
        let inner = self.inner.read().expect("nothing panics while it holds the devices");
        inner.place.get(&id).map(|place| inner.list[*place].device.clone())
    }

    /// One device as JSON.
    pub(crate) fn json(&self, id: DeviceId) -> Option<Bytes> {
        let inner = self.inner.read().expect("nothing panics while it holds the devices");
        inner.place.get(&id).map(|place| inner.list[*place].json.clone())
    }

    /// `{"devices":[…]}`, put together from the rendered devices.
    pub(crate) fn list_json(&self) -> Bytes {
        let inner = self.inner.read().expect("nothing panics while it holds the devices");
        let length = inner.list.iter().map(|rendered| rendered.json.len() + 1).sum::<usize>();
        let mut out = BytesMut::with_capacity(length + 16);
        out.put_slice(b"{\"devices\":[");
        for (place, rendered) in inner.list.iter().enumerate() {
            if place > 0 {
                out.put_u8(b',');
            }
            out.put_slice(&rendered.json);
        }
        out.put_slice(b"]}");
        out.freeze()
    }
}

impl Inner {
    fn put(&mut self, device: Arc<Device>) {
        let json = serde_json::to_vec(&*device).expect("a device is JSON: its keys are texts").into();
        let rendered = Rendered { device, json };
        match self.place.get(&rendered.device.device_id) {
            Some(place) => self.list[*place] = rendered,
            None => {
                self.place.insert(rendered.device.device_id, self.list.len());
                self.list.push(rendered);
            }
        }
    }

    fn delete(&mut self, id: DeviceId) {
        if let Some(place) = self.place.remove(&id) {
            self.list.remove(place);
            for later in self.place.values_mut().filter(|later| **later > place) {
                *later -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(devices.get(renamed.device_id), Some(renamed));
        assert_eq!(devices.get(all[0].device_id), None);
    }
}
