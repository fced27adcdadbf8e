//! Files of the vault that are not what they should be.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use selena_core::CredentialsError;

use crate::{
    house::{House, access, status, until},
    provider::tokens,
};

/// Changes the file while the hub is off; gives what came of it after the next start.
async fn after(house: &House, change: impl FnOnce(&House), event: &str) {
    let oauth = house.signed_in_for_long().await;
    oauth.shut_down().await;
    drop(oauth);
    change(house);
    let oauth = house.start().await;
    let keeper = tokio::spawn(oauth.clone().keep_fresh());
    until("the loss is found before the token is needed", || status(&oauth) == "expired").await;
    assert!(matches!(access(&oauth).await, Err(CredentialsError::None)));
    let alarms = house.audit(event).await;
    assert_eq!(alarms.len(), 1, "{event}");
    assert_eq!(alarms[0].subject, "lamp");
    oauth.shut_down().await;
    keeper.await.unwrap();
    // And the module signs in again.
    let oauth = house.signed_in_for_long().await;
    assert_eq!(access(&oauth).await.unwrap(), "canary-access");
}

#[tokio::test]
async fn s01_a_damaged_file_costs_that_secret_only() {
    let flip = |house: &House| {
        let mut bytes = fs::read(house.file()).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(house.file(), bytes).unwrap();
    };
    after(&House::new(), flip, "secret_corrupt").await;
}

#[tokio::test]
async fn s04_without_its_key_the_hub_starts_and_the_module_signs_in_again() {
    let house = House::new();
    let oauth = house.signed_in_for_long().await;
    oauth.shut_down().await;
    drop(oauth);
    fs::remove_file(house.key_file()).unwrap();
    let oauth = house.start().await;
    assert!(matches!(access(&oauth).await, Err(CredentialsError::None)));
    assert_eq!(house.audit("secret_locked").await.len(), 1);
    let oauth = house.signed_in_for_long().await;
    assert_eq!(access(&oauth).await.unwrap(), "canary-access");
}

#[tokio::test]
async fn s05_a_file_others_can_read_is_refused_with_an_alarm() {
    let house = House::new();
    let oauth = house.signed_in_for_long().await;
    oauth.shut_down().await;
    fs::set_permissions(house.file(), Permissions::from_mode(0o644)).unwrap();
    let oauth = house.start().await;
    assert!(matches!(access(&oauth).await, Err(CredentialsError::None)));
    let alarms = house.audit("secret_refused").await;
    assert!(alarms[0].detail.contains("its mode is 0644; it must be 0600"), "{alarms:?}");
}

#[tokio::test]
async fn s09_an_old_file_put_back_is_refused() {
    let house = House::new();
    let oauth = house.signed_in(tokens("canary-old", "r", 3600)).await;
    oauth.shut_down().await;
    let old = fs::read(house.file()).unwrap();
    let put_back = |house: &House| fs::write(house.file(), old).unwrap();
    after(&house, put_back, "secret_rolled_back").await;
}

#[tokio::test]
async fn w04_a_kill_between_the_file_and_its_counter_loses_nothing_and_opens_no_way_back() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "r", 3600)).await;
    oauth.shut_down().await;
    let old = fs::read(house.file()).unwrap();
    let counters = house.read(|rows| rows.vault_counters(&crate::house::name("lamp"), "acme")).await;
    // The second file is written, and the hub is killed before the database says so.
    let oauth = house.signed_in(tokens("second", "r", 3600)).await;
    oauth.shut_down().await;
    let lamp = crate::house::name("lamp");
    let (done, written) = tokio::sync::oneshot::channel();
    house.store.write(selena_core::ports::Job {
        run: Box::new(move |tx| tx.put_vault_counters(&lamp, "acme", counters)),
        done: Box::new(|outcome| drop(done.send(outcome))),
    });
    written.await.unwrap().unwrap();

    let oauth = house.start().await;
    assert_eq!(access(&oauth).await.unwrap(), "second", "the newer file is taken");
    oauth.shut_down().await;
    fs::write(house.file(), old).unwrap();
    let oauth = house.start().await;
    assert!(access(&oauth).await.is_err(), "and from then on the older one is not");
    assert_eq!(house.audit("secret_rolled_back").await.len(), 1);
}

#[tokio::test]
async fn w05_sign_ins_and_tokens_outlive_a_change_of_keys() {
    let house = House::new();
    let oauth = house.signed_in_for_long().await;
    oauth.shut_down().await;
    drop(oauth);
    let sealer = selena_vault::FileKeySealer::open_or_create(house.key_file().parent().unwrap()).unwrap();
    selena_core::ports::Vault::begin_key_change(&sealer.vault()).unwrap();
    let oauth = house.start().await;
    assert_eq!(status(&oauth), "completed");
    oauth.shut_down().await;
    let sealer = selena_vault::FileKeySealer::open_or_create(house.key_file().parent().unwrap()).unwrap();
    selena_core::ports::Vault::end_key_change(&sealer.vault()).unwrap();
    assert_eq!(fs::read(house.key_file()).unwrap().len(), 32, "the key before is gone");
    let oauth = house.start().await;
    assert_eq!((status(&oauth).as_str(), access(&oauth).await.unwrap().as_str()), ("completed", "canary-access"));
}
