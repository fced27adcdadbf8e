//! The pace of polling, by a paused clock and a provider that follows a script.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::*;
use crate::ports::{HttpsAnswer, HttpsRequest};

/// What the provider does next.
#[derive(Debug)]
enum Step {
    Error(&'static str),
    Timeout,
    Refuse,
    Grant,
}
use Step::{Error, Grant as Give, Refuse, Timeout};

#[derive(Debug, Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<Vec<(Instant, String)>>,
}

impl Https for Script {
    fn send(&self, request: HttpsRequest) -> BoxFuture<'_, Result<HttpsAnswer, HttpsError>> {
        Box::pin(async move {
            let body = String::from_utf8(request.body).expect("a form");
            self.asked.lock().expect("one task").push((Instant::now(), body));
            let answer =
                |status, text: String| Ok(HttpsAnswer { status, headers: Vec::new(), body: text.into_bytes() });
            // A script that is over goes on with its last word.
            let step = self.steps.lock().expect("one task").pop_front();
            match step.unwrap_or(Error("authorization_pending")) {
                Error(code) => answer(400, format!(r#"{{"error":"{code}"}}"#)),
                Give => answer(200, r#"{"access_token":"a","token_type":"bearer"}"#.to_owned()),
                Timeout => {
                    sleep(Duration::from_secs(10)).await;
                    Err(HttpsError::Timeout { host: "acme".to_owned() })
                }
                Refuse => Err(HttpsError::Refused { reason: "address", detail: "the address is inside".to_owned() }),
            }
        })
    }
}

/// Polls by a script; gives the decision, the seconds between requests, and the longer intervals that were told.
async fn follow(interval: u64, steps: Vec<Step>) -> (News, Vec<u64>, Vec<u64>) {
    let script = Script { steps: Mutex::new(steps.into()), ..Script::default() };
    let provider = OAuthProvider {
        device_authorization_url: String::new(),
        token_url: "https://acme.example/token".to_owned(),
        revocation_url: None,
        client_id: "hub & co".to_owned(),
        client_secret: Some("s=1".to_owned()),
        scopes: Vec::new(),
        api_hosts: Vec::new(),
    };
    let begun = Instant::now();
    let (code, deadline) = (Secret::new("code+1".to_owned()), begun + Duration::from_secs(1800));
    let (mut pace, mut slower) = (Pace::new(interval), Vec::new());
    let decision = loop {
        match until_news(&script, &provider, &code, &mut pace, deadline).await {
            News::Slower => slower.push(pace.interval_secs()),
            decision => break decision,
        }
    };
    let asked = script.asked.into_inner().expect("one task");
    for (_, body) in &asked {
        assert_eq!(
            body,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=code%2B1\
             &client_id=hub+%26+co&client_secret=s%3D1"
        );
    }
    let times: Vec<_> = std::iter::once(begun).chain(asked.iter().map(|(time, _)| *time)).collect();
    let waits = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    (decision, waits, slower)
}

#[tokio::test(start_paused = true)]
async fn o01_slow_down_adds_five_seconds_each_time() {
    let steps = vec![
        Error("slow_down"),
        Error("slow_down"),
        Error("slow_down"),
        Error("slow_down"),
        Error("slow_down"),
        Error("authorization_pending"),
        Give,
    ];
    let (decision, waits, slower) = follow(5, steps).await;
    assert!(matches!(decision, News::Granted(_)));
    assert_eq!(waits, [5, 10, 15, 20, 25, 30, 30]);
    assert_eq!(slower, [10, 15, 20, 25, 30], "a restart goes on with the longer interval");
}

#[tokio::test(start_paused = true)]
async fn o04_denied_and_expired_end_the_polling() {
    let (decision, waits, _) = follow(5, vec![Error("authorization_pending"), Error("access_denied")]).await;
    assert!(matches!(decision, News::Denied));
    assert_eq!(waits, [5, 5]);
    let (decision, waits, _) = follow(5, vec![Error("expired_token")]).await;
    assert!(matches!(decision, News::Expired));
    assert_eq!(waits, [5]);
}

#[tokio::test(start_paused = true)]
async fn o04_nobody_decides() {
    let (decision, waits, _) = follow(60, Vec::new()).await;
    assert!(matches!(decision, News::Expired));
    assert_eq!(waits.iter().sum::<u64>(), 1740, "not once after the code's end");
}

#[tokio::test(start_paused = true)]
async fn o06_a_silent_provider_is_asked_exponentially_less_often() {
    let steps = vec![Timeout, Timeout, Timeout, Error("authorization_pending"), Error("authorization_pending"), Give];
    let (decision, waits, _) = follow(5, steps).await;
    assert!(matches!(decision, News::Granted(_)));
    // Each timeout itself takes 10 s; then the wait is doubled, until an answer comes.
    assert_eq!(waits, [5, 10 + 10, 10 + 20, 10 + 40, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_become_better_ends_it() {
    for step in [Refuse, Error("invalid_client"), Error("CANARY")] {
        let (decision, waits, _) = follow(5, vec![step]).await;
        let News::Failed(why) = decision else { panic!("it goes on") };
        assert!(!why.contains("CANARY") && waits == [5], "{why}");
    }
}
