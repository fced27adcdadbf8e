//! The container engine is not there, or goes away (series R).

use selena_tests::{Hub, Options, Package, own_engine::OwnEngine, wait};
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
