//! Devices that fall silent: one whose `meta.heartbeat_s` passes three times without a state is offline
//! (protocol, section 5). Counted by the monotonic clock, so that a jump of the time of day changes nothing.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use selena_types::{Device, DeviceId};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

/// How many heartbeats may be missed.
const MISSED: u32 = 3;
/// How often deadlines are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest heartbeat, in seconds: a day.
const MAX_HEARTBEAT_SECS: f64 = 86_400.0;

/// A device that went or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) device: DeviceId,
    pub(crate) online: bool,
}

#[derive(Debug)]
struct Watched {
    period: Duration,
    last_seen: Option<f64>,
    deadline: Instant,
    online: bool,
}

/// The devices that have a heartbeat.
#[derive(Debug)]
pub(crate) struct Presence {
    watched: Mutex<HashMap<DeviceId, Watched>>,
    changes: mpsc::UnboundedSender<Change>,
}

impl Presence {
    /// Gives also where the changes come out.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        (Self { watched: Mutex::default(), changes }, receiver)
    }

    /// Takes a device as it is now. A state that was set since is a sign of life.
    pub(crate) fn seen(&self, device: &Device) {
        let mut watched = self.watched.lock().expect("nothing panics while it holds the heartbeats");
        let Some(period) = heartbeat(device) else {
            watched.remove(&device.device_id);
            return;
        };
        let deadline = Instant::now() + period * MISSED;
        let entry = watched.entry(device.device_id).or_insert_with(|| Watched {
            period,
            last_seen: device.last_seen,
            deadline,
            online: true,
        });
        if entry.last_seen == device.last_seen && entry.period == period {
            return;
        }
        let was_online = std::mem::replace(&mut entry.online, true);
        entry.period = period;
        entry.last_seen = device.last_seen;
        entry.deadline = deadline;
        if !was_online {
            self.tell(device.device_id, true);
        }
    }

    /// Forgets a device that was deleted.
    pub(crate) fn forget(&self, id: DeviceId) {
        self.watched.lock().expect("nothing panics while it holds the heartbeats").remove(&id);
    }

    /// Looks at the deadlines, until the hub ends.
    pub(crate) async fn watch(&self) {
        let mut tick = interval(PERIOD);
        loop {
            tick.tick().await;
            let now = Instant::now();
            let mut watched = self.watched.lock().expect("nothing panics while it holds the heartbeats");
            for (id, device) in watched.iter_mut().filter(|(_, device)| device.online && device.deadline <= now) {
                device.online = false;
                self.tell(*id, false);
            }
        }
    }

    fn tell(&self, device: DeviceId, online: bool) {
        // Nobody listens in a trial, and none has to.
        let _nobody_listens = self.changes.send(Change { device, online });
    }
}

fn heartbeat(device: &Device) -> Option<Duration> {
    let secs = device.meta.get("heartbeat_s")?.as_f64()?;
    (secs > 0.0 && secs <= MAX_HEARTBEAT_SECS).then(|| Duration::from_secs_f64(secs))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;

    fn device(last_seen: Option<f64>) -> Device {
        Device {
            device_id: DeviceId(uuid::Uuid::nil()),
            name: "d".to_owned(),
            kind: selena_types::DeviceKind::Sensor,
            protocol: "test".to_owned(),
            state: Map::new(),
            capabilities: vec![],
            last_seen,
            module_id: None,
            meta: Map::from_iter([("heartbeat_s".to_owned(), json!(10))]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_is_offline_after_three_missed_heartbeats_and_online_with_its_next_state() {
        let (presence, mut changes) = Presence::new();
        let presence = Arc::new(presence);
        let watcher = presence.clone();
        tokio::spawn(async move { watcher.watch().await });
        presence.seen(&device(Some(1.0)));
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(changes.try_recv().is_err(), "three were not missed yet");
        presence.seen(&device(Some(2.0)));
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(changes.try_recv().is_err(), "the state was a sign of life");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let id = device(None).device_id;
        assert_eq!(changes.try_recv(), Ok(Change { device: id, online: false }));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(changes.try_recv().is_err(), "told once");
        presence.seen(&device(Some(2.0)));
        assert!(changes.try_recv().is_err(), "a change of another kind is no sign of life");
        presence.seen(&device(Some(3.0)));
        assert_eq!(changes.try_recv(), Ok(Change { device: id, online: true }));
    }
}
