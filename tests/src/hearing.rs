//! The proof that a module works: an event is published, and it hears that, signed with its key.

use serde_json::json;

use crate::{Hub, Module, http::Request, module::Heard, signature, wait};

impl Hub {
    /// Publishes an event as the development token.
    #[track_caller]
    pub fn publish(&self, event_type: &str) {
        let event = json!({ "event_type": event_type, "payload": {} });
        let _id = self.client().post("/events/publish", &event).expect(200);
    }

    /// Publishes events of a new type until the module hears one, and checks its signature. Gives the module as it runs.
    ///
    /// # Panics
    /// If that takes longer than `secs` seconds, or the signature is wrong.
    #[track_caller]
    pub fn hears_again(&self, name: &str, secs: u64) -> Module {
        let event_type = format!("test.again{}", self.log().len());
        let event = json!({ "event_type": event_type, "payload": {} });
        let (module, heard) = wait::for_some(&format!("module {name} hears events again"), secs, || {
            let module = self.try_module(name)?;
            let _counted_as_not_heard = self.client().try_send(&Request::new("POST", "/events/publish").json(&event));
            let heard = module.try_heard()?.into_iter().find(|heard| heard.event()["type"] == event_type.as_str())?;
            Some((module, heard))
        });
        check_signature(&module, &heard);
        module
    }
}

/// The signature is over the raw body, with the module's own key.
#[track_caller]
fn check_signature(module: &Module, heard: &Heard) {
    let expected = signature::of(&module.webhook_secret(), heard.body.as_bytes());
    assert_eq!(heard.headers.get("x-selena-signature"), Some(&expected));
}
