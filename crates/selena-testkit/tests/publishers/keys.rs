//! What people do to keys.

use selena_core::{ApiError, KeyId};
use selena_signature::KeyRotation;
use serde_json::{Value, json};

use super::hub::{Hub, key};

/// The problems of a refused body, as their places and words.
#[track_caller]
fn problems(error: ApiError) -> Vec<String> {
    let ApiError::Invalid(problems) = error else { panic!("{error}") };
    problems.0.iter().map(|problem| problem.code.clone()).collect()
}

async fn audit(hub: &Hub, event: &str) -> Vec<String> {
    let records = hub.api.audit_records(100).await.expect("readable");
    records
        .into_iter()
        .filter(|record| record.event == event)
        .map(|record| format!("{}: {}", record.subject, record.detail))
        .collect()
}

/// What the hub knows of each key: its id, whose it is, how far it is trusted, why it was revoked.
fn facts(hub: &Hub) -> Vec<(KeyId, String, &'static str, Option<String>)> {
    let of = |key: selena_core::PublisherKey| {
        (key.key.id(), key.publisher.to_string(), key.trust.as_str(), key.revoked.map(|revocation| revocation.reason))
    };
    hub.modules.publishers().keys().into_iter().map(of).collect()
}

#[tokio::test]
async fn keys_are_kept_and_every_change_is_recorded() {
    let (hub, ours) = (Hub::start().await, key());
    let id = hub.add("Lamps & Co", &ours).await;
    let publishers = hub.modules.publishers();
    publishers.set_trust(&id, &json!({ "trust": "VERIFIED" }), "uid 7").await.expect("set");
    let kept = publishers.keys();
    assert_eq!((kept.len(), kept[0].trust.as_str(), kept[0].publisher.as_str()), (1, "VERIFIED", "Lamps & Co"));
    assert_eq!(audit(&hub, "publisher_added").await, [format!("uid 0: Lamps & Co {id} BASIC")]);
    assert_eq!(audit(&hub, "publisher_trust_set").await, [format!("uid 7: Lamps & Co {id} VERIFIED")]);
    let hub = hub.start_again().await;
    assert_eq!(facts(&hub), [(id.clone(), "Lamps & Co".to_owned(), "VERIFIED", None)]);
    hub.modules.revoke_publisher(&id, &json!({ "reason": "sold" }), "uid 7").await.expect("revoked");
    assert_eq!(audit(&hub, "publisher_revoked").await, [format!("uid 7: Lamps & Co {id} UNTRUSTED: sold")]);
    let hub = hub.start_again().await;
    assert_eq!(facts(&hub), [(id, "Lamps & Co".to_owned(), "UNTRUSTED", Some("sold".to_owned()))]);
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_every_problem() {
    let hub = Hub::start().await;
    let good = json!({ "name": "Lamps", "public_key": key().public().to_base64() });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let weak = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    for (body, codes) in [
        (json!({}), vec!["missing", "missing"]),
        (json!([]), vec!["object_type"]),
        (with("name", json!(" ")), vec!["publisher_name"]),
        (with("name", json!("a\u{202e}b")), vec!["publisher_name"]),
        (with("public_key", json!("x")), vec!["publisher_key"]),
        (with("public_key", weak), vec!["publisher_key"]),
        (with("trust", json!("FULL")), vec!["enum"]),
        (with("replaces", json!("X")), vec!["publisher_key_id"]),
    ] {
        let error = hub.modules.publishers().add(&body, "uid 0").await.expect_err("it is refused");
        assert_eq!(problems(error), codes, "{body}");
    }
    assert!(hub.modules.publishers().keys().is_empty());
}

#[tokio::test]
async fn a_key_is_one_publishers_and_revoked_for_ever() {
    let (hub, ours) = (Hub::start().await, key());
    let id = hub.add("Lamps", &ours).await;
    let publishers = hub.modules.publishers();
    let again = json!({ "name": "Others", "public_key": ours.public().to_pem() });
    assert_eq!(publishers.add(&again, "uid 0").await.expect_err("known").code(), "publisher_known");
    let reason = json!({ "reason": "lost" });
    for bad in [json!({}), json!({ "reason": "" }), json!({ "reason": "x".repeat(501) })] {
        assert!(matches!(hub.modules.revoke_publisher(&id, &bad, "uid 0").await, Err(ApiError::Invalid(_))), "{bad}");
    }
    hub.modules.revoke_publisher(&id, &reason, "uid 0").await.expect("revoked");
    assert_eq!(
        hub.modules.revoke_publisher(&id, &reason, "uid 0").await.expect_err("already").code(),
        "publisher_revoked"
    );
    let trust = json!({ "trust": "VERIFIED" });
    assert_eq!(publishers.set_trust(&id, &trust, "uid 0").await.expect_err("never").code(), "publisher_revoked");
    let error = publishers.add(&again, "uid 0").await.expect_err("not by adding it again");
    assert!(error.code() == "publisher_known" && error.to_string().contains("revoked for ever"), "{error}");
    let nobody: KeyId = "0".repeat(32).parse().expect("an id");
    assert_eq!(hub.modules.revoke_publisher(&nobody, &reason, "uid 0").await.expect_err("unknown").code(), "not_found");
    assert_eq!(publishers.set_trust(&nobody, &trust, "uid 0").await.expect_err("unknown").code(), "not_found");
}

#[tokio::test]
async fn a_rotation_is_by_the_owner_of_the_old_key_and_once() {
    let (hub, old, new, stranger) = (Hub::start().await, key(), key(), key());
    let publishers = hub.modules.publishers();
    let statement = |by: &selena_signature::PrivateKey, to: &selena_signature::PrivateKey| {
        KeyRotation::sign("Lamps", by, to.public()).expect("two keys").to_value()
    };
    let good = statement(&old, &new);
    assert_eq!(publishers.rotate(&good, "uid 0").await.expect_err("unknown").code(), "not_found");
    let id = hub.add("Lamps", &old).await;
    publishers.set_trust(&id, &json!({ "trust": "TRUSTED" }), "uid 0").await.expect("set");
    let mut forged = statement(&stranger, &new);
    forged["old_key_id"] = json!(id);
    let mut bent = good.clone();
    bent["new_public_key"] = json!(stranger.public().to_base64());
    for bad in [forged, bent, json!({}), json!("x")] {
        let error = publishers.rotate(&bad, "uid 0").await.expect_err("it is refused");
        assert_eq!(problems(error), ["publisher_rotation"], "{bad}");
    }
    let key = publishers.rotate(&good, "uid 0").await.expect("it is signed");
    assert_eq!((key.trust.as_str(), key.publisher.as_str(), &key.replaces), ("TRUSTED", "Lamps", &Some(id.clone())));
    assert_eq!(publishers.rotate(&good, "uid 0").await.expect_err("twice").code(), "publisher_rotated");
    let second = publishers.rotate(&statement(&old, &stranger), "uid 0").await.expect_err("a second heir");
    assert_eq!(second.code(), "publisher_rotated");
    let third = publishers.rotate(&statement(&new, &stranger), "uid 0").await.expect("the heir goes on");
    assert!(publishers.may_follow(Some(&id), Some(&third.key.id())), "over two steps");
    assert!(!publishers.may_follow(Some(&third.key.id()), Some(&id)));
    assert_eq!(audit(&hub, "publisher_rotated").await.len(), 2);
}

#[tokio::test]
async fn a_false_heir_that_was_revoked_leaves_the_place_to_the_true_one() {
    let (hub, old, thief, heir) = (Hub::start().await, key(), key(), key());
    let publishers = hub.modules.publishers();
    let id = hub.add("Lamps", &old).await;
    let stolen = KeyRotation::sign("Lamps", &old, thief.public()).expect("two keys").to_value();
    let false_heir = publishers.rotate(&stolen, "uid 0").await.expect("it is signed").key.id();
    let body = |name: &str| json!({ "name": name, "public_key": heir.public().to_base64(), "replaces": id });
    assert_eq!(publishers.add(&body("Lamps"), "uid 0").await.expect_err("taken").code(), "publisher_rotated");
    for id in [&id, &false_heir] {
        hub.modules.revoke_publisher(id, &json!({ "reason": "stolen" }), "uid 0").await.expect("revoked");
    }
    assert_eq!(problems(publishers.add(&body("Others"), "uid 0").await.expect_err("another's")), ["publisher_name"]);
    let heir = publishers.add(&body("Lamps"), "uid 0").await.expect("a person may").key.id();
    assert!(publishers.may_follow(Some(&id), Some(&heir)) && !publishers.may_follow(Some(&false_heir), Some(&heir)));
}
