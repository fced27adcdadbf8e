//! The container engine is not there, or goes away (series R).

use std::time::Instant;

use nix::sys::signal::Signal;
use selena_tests::{
    Engine, Hub, Options, Package,
    gate::{Fault, Gate},
    http::Request,
    own_engine::OwnEngine,
    wait,
};
use serde_json::json;

#[test]
fn r01_r02_the_hub_works_without_docker_and_modules_come_back_with_it() {
    let mut docker = OwnEngine::default();
    let options = Options { engine: docker.engine(), ..Options::default() };
    let mut hub = Hub::without_engine(options);

    // Docker was never there.
    let _answers = hub.anonymous().get("/health").expect(200);
    let device = hub.device("actuator");
    let _works =
        hub.client().patch(&format!("/devices/{device}/state"), &json!({ "state": { "on": true } })).expect(200);
    let begun = std::time::Instant::now();
    hub.try_install(&Package::probe("patient", 8100)).refused(503, "engine_down");
    assert!(begun.elapsed().as_secs() < 35, "the refusal took {:?}", begun.elapsed());

    // It comes.
    docker.start();
    let first = wait::for_some("an install works", 60, || {
        let answer = hub.try_install(&Package::probe("patient", 8100));
        (answer.status == 201).then(|| hub.module("patient"))
    });
    let _works = hub.hears_again("patient", 20);

    // It crashes while the module runs, and comes back.
    docker.kill();
    let _answers = hub.anonymous().get("/health").expect(200);
    hub.try_install(&Package::probe("later", 8101)).refused(503, "engine_down");
    docker.start();
    let second = hub.hears_again("patient", 60);
    assert_ne!(first.container, second.container);
    assert_eq!(docker.engine().containers(hub.prefix()).len(), 1, "no second container");
    assert_ne!(hub.status("patient"), "QUARANTINED");

    // The hub starts while it is away.
    docker.kill();
    hub.kill();
    hub.start_again();
    wait::until("the module waits", 30, || hub.status("patient") == "READY");
    let _works = hub.client().get(&format!("/devices/{device}")).expect(200);
    docker.start();
    let third = hub.hears_again("patient", 60);
    assert_ne!(third.container, second.container);
    drop(hub);
}

/// A daemon is killed while a module runs, with or without its containers, and the module comes back once.
fn comes_back_from_a_kill(mut docker: OwnEngine, runs_on: bool) {
    docker.start();
    let hub = Hub::with(Options { engine: docker.engine(), ..Options::default() });
    let before = hub.install(&Package::probe("patient", 8100));
    docker.kill();
    let _answers = hub.anonymous().get("/health").expect(200);
    docker.start();
    let killed = Instant::now();
    let after = hub.hears_again("patient", 60);
    hub.settles("R02: after the daemon came back");
    assert!(killed.elapsed().as_secs() < 60, "it took {:?}", killed.elapsed());
    assert_eq!(docker.engine().containers(hub.prefix()).len(), 1, "no second container");
    // Its listener is there: the module reaches the core, with the token of its run.
    let _answer = after.core().get("/devices").expect(200);
    assert_eq!(after.container == before.container, runs_on);
    assert_ne!(hub.status("patient"), "QUARANTINED");
}

#[test]
fn r02_a_killed_docker_that_takes_its_containers_along() {
    comes_back_from_a_kill(OwnEngine::default(), false);
}

#[test]
fn r02_a_killed_docker_whose_containers_run_on() {
    comes_back_from_a_kill(OwnEngine::with_live_restore(), true);
}

#[test]
fn r02_r03_a_frozen_docker_is_given_up_in_time_and_found_again() {
    let mut docker = OwnEngine::default();
    docker.start();
    let hub = Hub::with(Options { engine: docker.engine(), ..Options::default() });
    let before = hub.install(&Package::probe("patient", 8100));
    docker.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    hub.try_install(&Package::probe("later", 8101)).refused(503, "engine_down");
    assert!(frozen.elapsed().as_secs() < 40, "the first request was given up after {:?}", frozen.elapsed());
    let open = Instant::now();
    hub.try_install(&Package::probe("later", 8101)).refused(503, "engine_down");
    assert!(open.elapsed().as_secs() < 5, "the breaker is not open: {:?}", open.elapsed());
    let _what_runs_runs_on = before.core().get("/devices").expect(200);
    docker.signal(Signal::SIGCONT);
    wait::until("an install works again", 60, || hub.try_install(&Package::probe("later", 8101)).status == 201);
    let after = hub.hears_again("patient", 60);
    assert_eq!(after.container, before.container, "it was not disturbed");
    hub.settles("R03: after the daemon was frozen");
}

#[test]
fn r03_a_docker_that_fails_or_babbles_changes_nothing_and_is_found_again() {
    let gate = Gate::new(&Engine::default());
    let hub = Hub::with(Options { engine: gate.engine(), ..Options::default() });
    let before = hub.install(&Package::probe("patient", 8100));
    for (port, fault) in (8101..).zip([Fault::Fails, Fault::Babbles, Fault::Hangs]) {
        gate.set(fault);
        let begun = Instant::now();
        let answer = hub.try_install(&Package::probe("later", port));
        assert!(answer.status >= 400, "{fault:?}: {}", answer.text());
        assert!(begun.elapsed().as_secs() < 40, "{fault:?}: it was given up after {:?}", begun.elapsed());
        let health = hub.anonymous().try_send(&Request::new("GET", "/health")).expect("the core answers");
        assert_eq!(health.status, 200, "{fault:?}");
        let _the_module_works = before.core().get("/devices").expect(200);
        gate.set(Fault::None);
        wait::until("an install works again", 60, || hub.try_install(&Package::probe("later", port)).status == 201);
        let _gone = hub.client().delete("/modules/later").expect(204);
        hub.settles(&format!("R03: after {fault:?}"));
    }
    let after = hub.hears_again("patient", 60);
    assert_eq!(after.container, before.container, "it was not disturbed");
}
