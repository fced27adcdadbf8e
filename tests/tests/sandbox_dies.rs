//! Core and sandbox are killed, each by itself, while modules run and while an install is under way (series R and W).

use std::{
    thread,
    time::{Duration, Instant},
};

use selena_tests::{Engine, Hub, Options, Package, http::Request, wait};
use serde_json::json;

/// How long a hub may take to be in order again (no orphan after 60 s).
const SECS: u64 = 60;

fn hub() -> Hub {
    Hub::with(Options { two_processes: true, rate_limit: false, ..Options::default() })
}

fn containers(hub: &Hub) -> usize {
    Engine::default().containers(hub.prefix()).len()
}

fn engine(hub: &Hub) -> String {
    hub.admin().get("/system/info").expect(200).json()["engine"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_killed_core_leaves_its_containers_and_starts_them_anew() {
    let mut hub = hub();
    let before = hub.install(&Package::probe("lasting", 8100));
    before.act(&json!({ "act": "write", "path": "/data/notes", "text": "kept" }));
    let token = before.token();
    hub.kill_core();
    assert_eq!(Engine::default().inspect(&before.container)["State"]["Running"], true, "the sandbox ends nothing");
    hub.start_core_again();
    let after = hub.hears_again("lasting", SECS);
    assert_ne!(after.container, before.container, "a namespace that was left is not entered again");
    assert_eq!(containers(&hub), 1);
    after.core_without_token().with_token(&token).get("/devices").refused(401, "unauthenticated");
    assert_eq!(after.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "kept");
}

#[test]
fn i08_a_killed_sandbox_is_told_found_again_and_nothing_is_there_twice() {
    let mut hub = hub();
    let names = [("first", 8100), ("second", 8101)];
    let before: Vec<_> = names.map(|(name, port)| hub.install(&Package::probe(name, port))).into();
    hub.kill_sandbox();
    wait::until("it is told", 5, || engine(&hub).starts_with("down: "));
    assert!(engine(&hub).contains("sandbox"), "{}", engine(&hub));
    assert!(before.iter().all(|module| Engine::default().inspect(&module.container)["State"]["Running"] == true));
    let _the_api_works = hub.client().get("/devices").expect(200);
    hub.try_install(&Package::probe("later", 8102)).refused(503, "engine_down");

    hub.start_sandbox_again();
    let begun = Instant::now();
    wait::until("the core is connected again", 5, || engine(&hub) == "up");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for ((name, _), before) in names.iter().zip(&before) {
        let after = hub.hears_again(name, SECS);
        assert_ne!(after.container, before.container);
        wait::until("it is stored as running", 10, || hub.status(name) == "RUNNING");
        assert!(hub.events("module.crashed").is_empty(), "it is nobody's crash");
    }
    assert_eq!(containers(&hub), 2, "none is there twice");
    let _works_again = hub.install(&Package::probe("later", 8102));
}

/// Kills at a moment of an install, brings back what was killed, and looks until all is in order.
fn cut_install(moment: &str, kill: fn(&mut Hub), revive: fn(&mut Hub)) {
    let mut hub = hub();
    let _other = hub.install(&Package::probe("other", 8101));
    let client = hub.client();
    let zip = Package::probe("lamp", 8100).zip();
    let install = thread::spawn(move || {
        client.try_send(&Request::new("POST", "/modules/install").form("module", &zip)).map(|answer| answer.status)
    });
    let name = format!("{}selena-{moment}-lamp", hub.prefix());
    wait::until("the moment has come", SECS, || !Engine::default().containers(&format!("{name}$")).is_empty());
    kill(&mut hub);
    let _answered_or_not = install.join().expect("it asked");
    revive(&mut hub);
    wait::until(&format!("in order after a kill at {name}"), SECS, || {
        let there = hub.admin().try_send(&Request::new("GET", "/modules/lamp"));
        let installed = there.is_ok_and(|answer| answer.status == 200);
        let whole = installed && hub.status("lamp") == "RUNNING" && containers(&hub) == 2;
        let gone = !installed && containers(&hub) == 1;
        let images = Engine::default().images(hub.prefix()).len();
        hub.status("other") == "RUNNING" && (whole && images == 2 || gone && images == 1)
    });
    let _works = hub.hears_again("other", SECS);
    if !hub.details("lamp")["status"].is_null() {
        let _gone = hub.client().delete("/modules/lamp").expect(204);
    }
    let _installs = hub.install(&Package::probe("lamp", 8100));
    assert_eq!(containers(&hub), 2);
}

#[test]
fn w01_the_core_is_killed_during_the_trial() {
    cut_install("test", Hub::kill_core, Hub::start_core_again);
}

#[test]
fn w01_the_core_is_killed_during_the_start() {
    cut_install("module", Hub::kill_core, Hub::start_core_again);
}

#[test]
fn w01_the_sandbox_is_killed_during_the_trial() {
    cut_install("test", Hub::kill_sandbox, Hub::start_sandbox_again);
}

#[test]
fn w01_the_sandbox_is_killed_during_the_start() {
    cut_install("module", Hub::kill_sandbox, Hub::start_sandbox_again);
}
