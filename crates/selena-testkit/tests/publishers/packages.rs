//! Packages with and without signatures, as far as their trial.

use selena_signature::KeyRotation;
use serde_json::json;

use super::hub::{Hub, Package, key};

#[tokio::test]
async fn m14_a_package_signed_by_a_known_publisher_is_taken_and_others_are_not() {
    let (hub, ours, stranger) = (Hub::start().await, key(), key());
    let package = Package::new("1.0.0");
    assert!(hub.takes(&package.zip()).await, "unsigned");
    let (code, text) = hub.install(&package.signed(&ours).zip()).await;
    assert_eq!(code, "manifest_signature", "{text}");
    assert!(text.contains("unknown publisher key") && text.contains("selenactl publisher add"), "{text}");
    hub.add("Lamps", &ours).await;
    assert!(hub.takes(&package.signed(&ours).zip()).await);
    assert!(!hub.takes(&package.signed(&stranger).zip()).await);
}

#[tokio::test]
async fn m14_what_was_changed_after_it_was_signed_is_refused_with_its_names() {
    let (hub, ours) = (Hub::start().await, key());
    hub.add("Lamps", &ours).await;
    let signed = Package::new("1.0.0").file("ui/icon.svg", b"<svg/>").signed(&ours);
    for (changed, why) in [
        (signed.clone().file("main.py", b"print('evil')\n"), "`main.py` was changed"),
        (signed.clone().file("evil.py", b""), "`evil.py` was added"),
        (signed.clone().with("version", json!("9.9.9")), "`manifest.json` was changed"),
        (Package::new("1.0.0").file("SIGNATURE.json", b"{}"), "`alg` must be"),
        (Package::new("1.0.0").file("SIGNATURE.json", b""), "not valid JSON"),
        (Package::new("1.0.0").file("SIGNATURE.json", b"\xff"), "not valid JSON"),
    ] {
        let (code, text) = hub.install(&changed.zip()).await;
        assert_eq!(code, "manifest_signature", "{text}");
        assert!(text.contains(why), "{why:?} is not in {text:?}");
    }
    assert!(hub.takes(&signed.zip()).await, "and the good one is still good");
}

#[tokio::test]
async fn m14_a_revoked_key_signs_nothing_any_more() {
    let (hub, ours) = (Hub::start().await, key());
    let id = hub.add("Lamps", &ours).await;
    let package = Package::new("1.0.0").signed(&ours).zip();
    assert!(hub.takes(&package).await);
    let reason = json!({ "reason": "the laptop was stolen" });
    hub.modules.revoke_publisher(&id, &reason, "uid 0").await.expect("revoked");
    let (code, text) = hub.install(&package).await;
    assert_eq!(code, "manifest_signature");
    assert!(text.contains("`Lamps` was revoked (the laptop was stolen)"), "{text}");
    let hub = hub.start_again().await;
    assert!(!hub.takes(&package).await, "for ever");
}

#[tokio::test]
async fn m04_an_update_is_by_the_same_publisher_or_by_nobody_after_nobody() {
    let (hub, ours, other) = (Hub::start().await, key(), key());
    let (id, _) = (hub.add("Lamps", &ours).await, hub.add("Others", &other).await);
    let hub = hub.with_module(&Package::new("1.0.0"), Some(id)).await;
    let next = Package::new("1.1.0");
    assert!(hub.takes(&next.signed(&ours).zip()).await);
    for (package, why) in [(next.signed(&other), "which has not taken its place"), (next.clone(), "by nobody")] {
        let (code, text) = hub.install(&package.zip()).await;
        assert_eq!(code, "manifest_conflict", "{text}");
        assert!(text.contains(why), "{why:?} is not in {text:?}");
    }
    // Whose it is comes before how new it is.
    assert_eq!(hub.install(&Package::new("0.1.0").signed(&other).zip()).await.0, "manifest_conflict");
    assert_eq!(hub.install(&Package::new("1.0.0").signed(&ours).zip()).await.0, "manifest_version");
}

#[tokio::test]
async fn m04_an_unsigned_module_takes_unsigned_updates_only() {
    let (hub, ours) = (Hub::start().await, key());
    hub.add("Lamps", &ours).await;
    let hub = hub.with_module(&Package::new("1.0.0"), None).await;
    assert!(hub.takes(&Package::new("1.1.0").zip()).await);
    let (code, text) = hub.install(&Package::new("1.1.0").signed(&ours).zip()).await;
    assert_eq!(code, "manifest_conflict", "{text}");
}

#[tokio::test]
async fn m04_the_key_that_took_the_place_may_update_and_the_old_one_may_not_come_back() {
    let (hub, old, new) = (Hub::start().await, key(), key());
    let old_id = hub.add("Lamps", &old).await;
    let hub = hub.with_module(&Package::new("1.0.0"), Some(old_id.clone())).await;
    let update = Package::new("1.1.0");
    let new_id = hub.add("Lamps", &new).await;
    assert!(!hub.takes(&update.signed(&new).zip()).await, "the name alone says nothing");

    let newest = key();
    let statement = KeyRotation::sign("Lamps", &old, newest.public()).expect("two keys").to_value();
    let key = hub.modules.publishers().rotate(&statement, "uid 0").await.expect("it is signed");
    assert!(hub.takes(&update.signed(&newest).zip()).await);
    assert!(!hub.takes(&update.signed(&new).zip()).await, "the other one is still another one");
    let hub = hub.with_module(&update, Some(key.key.id())).await;
    let next = Package::new("1.2.0");
    assert!(!hub.takes(&next.signed(&old).zip()).await, "not back");
    assert!(!hub.modules.publishers().may_follow(Some(&new_id), Some(&old_id)));
}

#[tokio::test]
async fn m04_after_a_revocation_a_person_names_the_key_that_goes_on() {
    let (hub, old, new) = (Hub::start().await, key(), key());
    let id = hub.add("Lamps", &old).await;
    let hub = hub.with_module(&Package::new("1.0.0"), Some(id.clone())).await;
    hub.modules.revoke_publisher(&id, &json!({ "reason": "lost" }), "uid 0").await.expect("revoked");
    let update = Package::new("1.1.0").signed(&new).zip();
    let statement = KeyRotation::sign("Lamps", &old, new.public()).expect("two keys").to_value();
    let error = hub.modules.publishers().rotate(&statement, "uid 0").await.expect_err("it counts no more");
    assert_eq!(error.code(), "publisher_revoked", "{error}");
    assert!(!hub.takes(&update).await);
    let body = json!({ "name": "Lamps", "public_key": new.public().to_pem(), "replaces": id });
    hub.modules.publishers().add(&body, "uid 0").await.expect("a person may");
    assert!(hub.takes(&update).await);
}

#[tokio::test]
async fn m05_a_lower_version_is_taken_only_on_a_persons_word_and_from_the_same_publisher() {
    let (hub, ours, other) = (Hub::start().await, key(), key());
    let id = hub.add("Lamps", &ours).await;
    hub.add("Others", &other).await;
    let hub = hub.with_module(&Package::new("2.0.0"), Some(id)).await;
    let lower = Package::new("1.9.0").signed(&ours).zip();
    let (code, text) = hub.install(&lower).await;
    assert_eq!(code, "manifest_version");
    assert!(text.contains("2.0.0") && text.contains("--allow-downgrade"), "it says how: {text}");
    assert_eq!(hub.install_as(&lower, true).await.0, "container_error", "it is taken, and fails at its trial");
    for (package, code) in [
        (Package::new("2.0.0").signed(&ours), "manifest_version"),
        (Package::new("2.0.0+again").signed(&ours), "manifest_version"),
        (Package::new("1.9.0").signed(&other), "manifest_conflict"),
        (Package::new("1.9.0"), "manifest_conflict"),
        (Package::new("1.9.0").with("type", json!("UI")).signed(&ours), "manifest_conflict"),
    ] {
        assert_eq!(hub.install_as(&package.zip(), true).await.0, code, "{:?}", package.manifest);
    }
    hub.api.flush_audit();
    let records = hub.api.audit_records(100).await.expect("read");
    let told: Vec<_> = records.iter().filter(|record| record.event == "module_downgrade").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].detail.starts_with("lamp 1.9.0, signed with key ") && told[0].detail.ends_with(", after 2.0.0"));
}

#[tokio::test]
async fn m05_prereleases_are_lower_than_their_release() {
    let hub = Hub::start().await.with_module(&Package::new("1.0.0"), None).await;
    assert_eq!(hub.install(&Package::new("1.0.0-rc.9").zip()).await.0, "manifest_version");
    assert!(hub.takes(&Package::new("1.0.1-alpha").zip()).await);
    assert_eq!(hub.install_as(&Package::new("1.0.0-rc.9").zip(), true).await.0, "container_error");
}

#[tokio::test]
async fn a_module_says_who_made_it_and_that_its_key_was_revoked() {
    let (hub, ours) = (Hub::start().await, key());
    let id = hub.add("Lamps", &ours).await;
    let hub = hub.with_module(&Package::new("1.0.0"), Some(id.clone())).await;
    let publisher = json!({ "signed": true, "name": "Lamps", "key_id": id, "trust": "BASIC", "revoked": false });
    assert_eq!(hub.details("lamp")["publisher"], publisher);
    let listed = hub.modules.publisher_list();
    assert_eq!(listed["publishers"][0]["modules"], json!(["lamp"]));

    let told = hub.modules.revoke_publisher(&id, &json!({ "reason": "lost" }), "uid 0").await.expect("revoked");
    assert_eq!((&told["modules"], &told["reason"]), (&json!(["lamp"]), &json!("lost")));
    let publisher = json!({ "signed": true, "name": "Lamps", "key_id": id, "trust": "UNTRUSTED", "revoked": true });
    assert_eq!(hub.details("lamp")["publisher"], publisher);
    let hub = hub.start_again().await;
    assert_eq!(hub.details("lamp")["publisher"], publisher, "for ever");

    let unsigned = Hub::start().await.with_module(&Package::new("1.0.0"), None).await;
    let nobody = json!({ "signed": false, "name": null, "key_id": null, "trust": "UNTRUSTED", "revoked": false });
    assert_eq!(unsigned.details("lamp")["publisher"], nobody);
}

#[tokio::test]
async fn parts_of_the_hub_are_the_vendors_only() {
    let (vendor, ours) = (key(), key());
    let hub = Hub::with_vendor(Some(vendor.public())).await;
    hub.add("Lamps", &ours).await;
    let mut part = Package::new("1.0.0").with("type", json!("SYSTEM"));
    part.manifest.as_object_mut().expect("an object").remove("port");
    for package in [part.clone(), part.signed(&ours), part.signed(&vendor).file("evil.py", b"")] {
        let (code, text) = hub.install(&package.zip()).await;
        assert_eq!(code, "manifest_signature", "{text}");
    }
    let (code, text) = hub.install(&part.signed(&vendor).zip()).await;
    assert_eq!(code, "manifest_incompatible", "its signature is right, but {text}");
    let (code, _) = hub.install(&Package::new("1.0.0").signed(&vendor).zip()).await;
    assert_eq!(code, "manifest_signature", "the vendor is no publisher of other modules by itself");
    let (code, _) = Hub::start().await.install(&part.signed(&vendor).zip()).await;
    assert_eq!(code, "manifest_signature", "a hub without the vendor's key takes none");
}
