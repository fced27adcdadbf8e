//! Tokens that end, and what becomes of their refresh.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use selena_core::CredentialsError;
use serde_json::Value;

use crate::{
    house::{House, access, status, until},
    provider::{error, tokens},
};

#[tokio::test]
async fn o09_many_ask_at_once_and_the_provider_is_asked_once() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[tokens("second", "refresh-2", 3600)]);
    let gate = house.provider.gate.lock().await;
    let asking = join_all((0..50).map(|_| async {
        // From the moment on in which it wants a refresh.
        loop {
            let token = access(&oauth).await.unwrap();
            if token != "first" {
                return token;
            }
            tokio::task::yield_now().await;
        }
    }));
    let opened = async {
        until("one of them refreshes", || house.provider.refreshed().len() == 1).await;
        drop(gate);
    };
    let (all, ()) = tokio::join!(asking, opened);
    assert!(all.iter().all(|token| token == "second"));
    assert_eq!(house.provider.refreshed(), ["grant_type=refresh_token&refresh_token=refresh-1&client_id=hub"]);
}

#[tokio::test]
async fn a_token_that_nobody_needs_is_refreshed_before_its_end_all_the_same() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 3600)).await;
    house.provider.refreshes(&[tokens("second", "refresh-2", 3600)]);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let keeper = tokio::spawn(oauth.clone().keep_fresh());
    while house.provider.refreshed().is_empty() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(begun.elapsed().as_secs() < 3600, "not before its end");
    }
    assert!(begun.elapsed().as_secs() >= 3500, "and not long before: {:?}", begun.elapsed());
    tokio::time::resume();
    oauth.shut_down().await;
    keeper.await.unwrap();
}

#[tokio::test]
async fn o08_power_fails_after_the_provider_rotated_and_before_the_new_token_is_on_the_disk() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[tokens("second", "canary-2", 3600)]);
    house.full.store(true, Ordering::SeqCst);
    until_refreshed(&house, &oauth, "second").await;
    assert_eq!(house.audit("oauth_not_stored").await.len(), 1);
    drop(oauth);

    // The disk has the token before only, and the provider may still take it.
    house.full.store(false, Ordering::SeqCst);
    assert!(!house.holds("canary"), "nothing lies in clear");
    house.provider.refreshes(&[tokens("third", "refresh-3", 3600)]);
    let oauth = house.start().await;
    until_refreshed(&house, &oauth, "third").await;
    assert!(house.provider.refreshed().last().unwrap().contains("refresh_token=refresh-1"));
}

#[tokio::test]
async fn o08_whoever_asked_hangs_up_while_the_provider_rotates() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[tokens("second", "refresh-2", 3600)]);
    let gate = house.provider.gate.lock().await;
    let asking = async {
        loop {
            assert_eq!(access(&oauth).await.unwrap(), "first", "until it waits for the provider");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = until("a refresh is on the way", || !house.provider.refreshed().is_empty()) => {}
    }
    drop(gate);
    oauth.shut_down().await;
    let again = house.start().await;
    assert_eq!(access(&again).await.unwrap(), "second", "it was kept");
    assert_eq!(house.provider.refreshed().len(), 1);
}

#[tokio::test]
async fn o08_at_worst_the_person_signs_in_again() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[error("invalid_grant")]);
    loop {
        match access(&oauth).await {
            Ok(token) => assert_eq!(token, "first"),
            Err(CredentialsError::None) => break,
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&oauth), "expired");
    assert!(!house.file().exists(), "a token of no use is not kept");
    assert_eq!(house.audit("oauth_expired").await.len(), 1);
    oauth.shut_down().await;
    let again = house.start().await;
    assert_eq!(status(&again), "expired");
    let oauth = house.signed_in_for_long().await;
    assert_eq!(access(&oauth).await.unwrap(), "canary-access");
}

#[tokio::test]
async fn o08_the_refresh_token_before_is_tried_if_the_newest_is_not_taken() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[tokens("second", "refresh-2", 1), error("invalid_grant"), tokens("third", "r-3", 3600)]);
    until_refreshed(&house, &oauth, "second").await;
    drop(oauth);
    let oauth = house.start().await;
    until_refreshed(&house, &oauth, "third").await;
    let used: Vec<_> = house.provider.refreshed().iter().map(|form| form.replace("&client_id=hub", "")).collect();
    let form = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");
    assert_eq!(used, [form("refresh-1"), form("refresh-2"), form("refresh-1")]);
}

#[tokio::test]
async fn o06_a_silent_provider_is_not_asked_again_by_every_request() {
    let house = House::new();
    let oauth = house.signed_in(tokens("first", "refresh-1", 1)).await;
    house.provider.refreshes(&[Value::Null]);
    loop {
        match access(&oauth).await {
            Ok(token) => assert_eq!(token, "first", "the token before is used to its end"),
            Err(CredentialsError::Unavailable(_)) => break,
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert!(matches!(access(&oauth).await, Err(CredentialsError::Unavailable(_))));
    }
    assert_eq!(house.provider.refreshed().len(), 1);
    assert_eq!(status(&oauth), "completed", "it may come back");
    assert!(house.file().exists());
}

/// Waits until another token is lent.
async fn until_refreshed(house: &House, oauth: &selena_core::OAuth, token: &str) {
    let waiting = async {
        while access(oauth).await.ok().as_deref() != Some(token) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
    waited.unwrap_or_else(|_| panic!("no `{token}` in 20 s; refreshes: {:?}", house.provider.refreshed()));
}
