//! From the module's question to the person's decision.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use selena_core::ApiError;
use serde_json::json;

use crate::{
    house::{House, access, name, providers, start, status, until},
    provider::{config, error, tokens},
};

#[tokio::test]
async fn a_person_agrees_and_the_module_sees_no_code_and_no_token() {
    let house = House::new();
    let oauth = house.start().await;
    assert_eq!(status(&oauth), "a sign-in at this provider not found");
    house.provider.decides(&[error("authorization_pending")]);
    let answer = start(&oauth).await;
    assert_eq!(
        (&answer["user_code"], &answer["verification_url"], &answer["expires_in"], &answer["interval"]),
        (&json!("WDJB-MJHT"), &json!("https://acme.example/activate"), &json!(600), &json!(1))
    );
    assert_eq!(answer["verification_uri_complete"], "https://acme.example/activate?code=WDJB-MJHT");
    assert!(!answer.to_string().contains("canary-device-code"), "the provider's code stays in the hub");
    assert!(answer["device_code"].as_str().is_some_and(|handle| handle.len() == 64));
    let picture = answer["qr_data_url"].as_str().and_then(|url| url.strip_prefix("data:image/png;base64,")).unwrap();
    assert!(BASE64_STANDARD.decode(picture).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(house.provider.asked("/device"), ["scope=read&client_id=hub"]);
    until("the hub asks after it", || !house.provider.asked("/token").is_empty()).await;
    assert_eq!(status(&oauth), "pending");
    assert!(access(&oauth).await.is_err());

    house.provider.decides(&[tokens("canary-access", "canary-refresh", 3600)]);
    until("the sign-in is completed", || status(&oauth) == "completed").await;
    assert_eq!(access(&oauth).await.unwrap(), "canary-access");
    assert_eq!(house.events("core.oauth.completed").await, [json!({ "module": "lamp", "provider": "acme" })]);
    assert_eq!(house.audit("oauth_completed").await.len(), 1);
    assert!(!house.holds("canary"), "nothing lies in clear");
    let audit = format!("{:?}", house.read(|rows| rows.audit(1000)).await);
    assert!(!audit.contains("canary"), "{audit}");
}

#[tokio::test]
async fn o04_a_refusal_and_an_end_are_told() {
    for (code, ends, event) in
        [("access_denied", "denied", "core.oauth.denied"), ("expired_token", "expired", "core.oauth.expired")]
    {
        let house = House::new();
        let oauth = house.start().await;
        house.provider.decides(&[error(code)]);
        start(&oauth).await;
        until("the sign-in ends", || status(&oauth) == ends).await;
        oauth.shut_down().await;
        assert_eq!(house.events(event).await, [json!({ "module": "lamp", "provider": "acme" })]);
        let again = house.start().await;
        assert_eq!(status(&again), ends, "a restart knows");
        again.shut_down().await;
        assert_eq!(house.provider.asked("/token").len(), 1, "and asks no more");
        house.provider.decides(&[tokens("a", "r", 60)]);
        let third = house.start().await;
        start(&third).await;
        until("another try is completed", || status(&third) == "completed").await;
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_the_polling_and_its_interval() {
    let house = House::new();
    let oauth = house.start().await;
    house.provider.decides(&[error("slow_down"), error("authorization_pending")]);
    start(&oauth).await;
    until("the provider slows it down", || house.provider.asked("/token").len() == 1).await;
    // The second question comes after the longer interval, which was stored before it began.
    until("the hub asks again", || house.provider.asked("/token").len() == 2).await;
    oauth.shut_down().await;
    assert_eq!(status(&oauth), "pending");
    let sessions = house.read(|rows| rows.oauth_sessions()).await;
    assert!(!sessions[0].2.windows(6).any(|part| part == b"canary"), "the code is sealed");

    house.provider.decides(&[tokens("canary-access", "r", 3600)]);
    let begun = tokio::time::Instant::now();
    let oauth = house.start().await;
    assert_eq!(status(&oauth), "pending");
    until("the sign-in is completed", || status(&oauth) == "completed").await;
    assert!(begun.elapsed().as_secs() >= 6, "1 s and 5 s more: {:?}", begun.elapsed());
    assert_eq!(access(&oauth).await.unwrap(), "canary-access");
    let codes = house.provider.asked("/token");
    assert!(codes.iter().all(|form| form.contains("device_code=canary-device-code")), "{codes:?}");
}

#[tokio::test]
async fn what_the_manifest_does_not_name_is_refused_without_a_word_to_the_provider() {
    let house = House::new();
    let oauth = house.start().await;
    for body in [
        json!({ "provider": "acme", "scopes": ["read", "admin"] }),
        json!({ "provider": "acme", "scopes": "read" }),
        json!({ "provider": "acme", "scopes": [7] }),
        json!({ "provider": 7 }),
        json!({ "scopes": ["read"] }),
        json!([]),
    ] {
        let outcome = oauth.start(&name("lamp"), &providers(), &body).await;
        assert!(matches!(outcome, Err(ApiError::Invalid(_))), "{body}: {outcome:?}");
    }
    for provider in ["other", "../acme", "ACME"] {
        let outcome = oauth.start(&name("lamp"), &providers(), &json!({ "provider": provider, "scopes": [] })).await;
        assert!(matches!(outcome, Err(ApiError::NotFound(_))), "{provider}");
        assert!(matches!(oauth.status(&name("lamp"), &providers(), provider), Err(ApiError::NotFound(_))));
    }
    assert_eq!(house.provider.asked("/device"), [""; 0]);
    oauth.start(&name("lamp"), &providers(), &json!({ "provider": "acme" })).await.unwrap();
    assert_eq!(house.provider.asked("/device"), ["scope=read+write&client_id=hub"], "all of the manifest's by default");
}

#[tokio::test]
async fn a_later_start_replaces_the_one_before() {
    let house = House::new();
    let oauth = house.start().await;
    house.provider.decides(&[error("authorization_pending")]);
    let first = start(&oauth).await;
    let second = start(&oauth).await;
    assert_ne!(first["session_id"], second["session_id"]);
    let known = oauth.status(&name("lamp"), &providers(), "acme").unwrap();
    assert_eq!(known["session_id"], second["session_id"]);
    house.provider.decides(&[tokens("a", "r", 3600)]);
    until("the sign-in is completed", || status(&oauth) == "completed").await;
    oauth.shut_down().await;
    assert_eq!(house.events("core.oauth.completed").await.len(), 1, "the first one was dropped");
}

#[tokio::test]
async fn a_removed_module_leaves_nothing_and_the_provider_is_told() {
    let house = House::new();
    let oauth = house.signed_in_for_long().await;
    let file = std::fs::read(house.file()).unwrap();
    house.manifests.set("lamp", Default::default());
    oauth.forget_module(&name("lamp"), &providers()).await.unwrap();
    assert!(!house.file().parent().unwrap().exists());
    assert!(access(&oauth).await.is_err());
    oauth.shut_down().await;
    assert_eq!(
        house.provider.asked("/revoke"),
        ["token=canary-refresh&token_type_hint=refresh_token&client_id=hub"],
        "revoked in the background"
    );
    assert_eq!(house.audit("oauth_revoked").await.len(), 1);
    assert!(house.read(|rows| rows.oauth_sessions()).await.is_empty());

    // A later module of that name, and somebody who kept the file.
    house.manifests.set("lamp", providers());
    let oauth = house.start().await;
    assert_eq!(status(&oauth), "a sign-in at this provider not found");
    std::fs::create_dir(house.file().parent().unwrap()).unwrap();
    std::fs::set_permissions(house.file().parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    std::fs::write(house.file(), file).unwrap();
    std::fs::set_permissions(house.file(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(access(&oauth).await.is_err());
    assert_eq!(house.audit("secret_rolled_back").await.len(), 1);
}

#[tokio::test]
async fn a_removal_while_the_person_decides_ends_the_polling() {
    let house = House::new();
    let oauth = house.start().await;
    house.provider.decides(&[error("authorization_pending")]);
    start(&oauth).await;
    oauth.forget_module(&name("lamp"), &providers()).await.unwrap();
    let asked = house.provider.asked("/token").len();
    assert!(house.read(|rows| rows.oauth_sessions()).await.is_empty());
    house.provider.decides(&[tokens("a", "r", 3600)]);
    let again = house.start().await;
    start(&again).await;
    until("the other sign-in is completed", || status(&again) == "completed").await;
    assert_eq!(house.provider.asked("/token").len(), asked + 1, "only the new one was asked after");
}

#[tokio::test]
async fn an_update_that_leads_elsewhere_uses_no_token_of_the_version_before() {
    let house = House::new();
    let oauth = house.signed_in_for_long().await;
    let mut elsewhere = providers();
    elsewhere.get_mut("acme").unwrap().api_hosts = vec!["evil.example".to_owned()];
    let lent = |oauth: Arc<selena_core::OAuth>, config: selena_types::OAuthProvider| async move {
        selena_core::Credentials::access_token(&*oauth, &name("lamp"), "acme", &config).await.is_ok()
    };
    assert!(!lent(oauth.clone(), elsewhere["acme"].clone()).await, "while the update is tried");
    assert!(lent(oauth.clone(), config()).await, "and the version before still has it if that fails");
    assert!(matches!(oauth.status(&name("lamp"), &elsewhere, "acme"), Err(ApiError::NotFound(_))));

    oauth.forget_changed(&name("lamp"), &providers(), &providers()).await.unwrap();
    assert!(house.file().exists(), "an update that changes nothing of it");
    oauth.forget_changed(&name("lamp"), &providers(), &elsewhere).await.unwrap();
    assert!(!house.file().exists());
    assert!(!lent(oauth.clone(), config()).await && !lent(oauth.clone(), elsewhere["acme"].clone()).await);
    oauth.shut_down().await;
    assert_eq!(house.provider.asked("/revoke").len(), 1);
}
