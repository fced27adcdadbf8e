//! Waiting for what a module does. What has happened already counts; after 10 seconds a test fails with what did happen.

use std::{sync::atomic::Ordering, time::Duration};

use selena_core::identity::Caller;
use selena_types::{Device, Event, EventPattern};
use tokio::time::timeout;

use crate::{FakeHub, SeenRequest};

/// How long anything is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

impl FakeHub {
    /// All devices.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let list: serde_json::Value = serde_json::from_slice(&self.parts.api.devices_json()).expect("the hub's JSON");
        serde_json::from_value(list["devices"].clone()).expect("the hub's devices")
    }

    /// Waits for a device of that name which `is` right.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn expect_device(&self, name: &str, is: impl Fn(&Device) -> bool) -> Device {
        let mut newest = self.parts.api.newest_event();
        let found = timeout(DEADLINE, async {
            loop {
                if let Some(device) = self.devices().into_iter().find(|device| device.name == name && is(device)) {
                    return device;
                }
                newest.changed().await.expect("the hub lives");
            }
        });
        found.await.unwrap_or_else(|_| panic!("no such device `{name}`; there are {:#?}", self.devices()))
    }

    /// Waits for the next event that matches a pattern: the first one after the last that this returned.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn expect_event(&self, pattern: &str) -> Event {
        let pattern = EventPattern::new(pattern).expect("a pattern");
        let person = Caller::Person { who: "the test".to_owned() };
        let mut newest = self.parts.api.newest_event();
        let found = timeout(DEADLINE, async {
            loop {
                let since = self.told.load(Ordering::SeqCst);
                let events = self.parts.api.events(&person, since, Some(pattern.clone()), 1).await;
                if let Some(event) = events.expect("the store answers").0.pop() {
                    self.told.store(event.seq, Ordering::SeqCst);
                    return event;
                }
                newest.changed().await.expect("the hub lives");
            }
        });
        found.await.unwrap_or_else(|_| panic!("no event {pattern} came"))
    }

    /// Waits until the hub has answered such a request of the module, since the hub began or came back,
    /// or the module's process was started.
    ///
    /// # Panics
    /// If there is none in time, with the requests there were.
    pub async fn expect_request(&self, method: &str, path: &str, status: u16) {
        let wanted = SeenRequest { method: method.to_owned(), path: format!("/api/v1{path}"), status };
        let mut seen = self.tap.seen();
        let found = timeout(DEADLINE, seen.wait_for(|seen| seen.contains(&wanted))).await.is_ok();
        assert!(found, "{wanted:?} did not come; the module asked {:#?}", self.requests());
    }

    /// Waits until the module has subscribed: what is published before reaches nobody.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn expect_subscription(&self) {
        self.expect_request("POST", "/events/subscribe", 201).await;
    }

    /// The module's requests since the hub began or came back, or the module's process was started.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.tap.seen().borrow().clone()
    }
}
