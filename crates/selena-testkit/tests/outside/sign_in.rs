//! Signing in while a package is tried (protocol, section 7). What it does otherwise is tested in `oauth`.

use std::net::IpAddr;

use selena_core::ApiError;
use serde_json::json;

use crate::{
    hub::Hub,
    world::{in_a_world, replies},
};

#[test]
fn in_a_trial_nothing_is_sent_outside() {
    in_a_world(|world| async move {
        world.publish("auth.example.com", replies(200, "", "{}"));
        let trial = Hub::without_secrets().await;
        let body = json!({ "provider": "music", "scopes": [] });
        let refused =
            trial.api.oauth_start(&Hub::caller("singer"), &body).await.expect_err("a trial has no way outside");
        assert!(matches!(refused, ApiError::Unavailable(_)));
        assert_eq!(refused.to_string(), "signing in to a provider is not available here");
        assert!(trial.api.oauth_status(&Hub::caller("singer"), "music").is_err());
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}
