//! The engine comes late, goes away, hangs, and comes back (faults R01, R02, R03).

use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveContainerOptions;
use selena_core::ports::{EngineState, ExitCause, Sandbox, SandboxError};
use tokio::time::timeout;

use crate::{
    daemon::Daemon,
    hub::{Hub, PATIENCE, boot, listener, value, with_hub_of},
    proxy::{Mode, Proxy},
};

async fn reached(hub: &Hub, wanted: impl FnMut(&EngineState) -> bool) {
    timeout(PATIENCE, hub.sandbox.engine().wait_for(wanted)).await.expect("the engine's state did not change").unwrap();
}

fn is_down(state: &EngineState) -> bool {
    matches!(state, EngineState::Down(_))
}

/// A hub whose Docker is reached by `docker.sock` of a directory that the test fills.
async fn with_proxied_hub(test: impl AsyncFnOnce(&mut Hub, &std::path::Path)) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    with_hub_of(|config| config.docker_socket.clone_from(&socket), async |hub| test(hub, &socket).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_an_engine_that_comes_late_is_found() {
    with_proxied_hub(async |hub, socket| {
        reached(hub, is_down).await;
        let asked = Instant::now();
        assert!(matches!(hub.try_start_now(&hub.spec("early")).await, Err(SandboxError::EngineDown { .. })));
        assert!(asked.elapsed() < Duration::from_secs(1), "it does not fail fast");
        let _proxy = Proxy::new(socket);
        reached(hub, |state| *state == EngineState::Up).await;
        hub.start(&hub.spec("early")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_what_ended_while_the_engine_was_away_is_told_once() {
    with_proxied_hub(async |hub, socket| {
        let proxy = Proxy::new(socket);
        let (kept, lost) = (hub.start(&hub.spec("kept")).await, hub.start(&hub.spec("lost")).await);
        proxy.set(Mode::Broken);
        reached(hub, is_down).await;
        let by_hand = RemoveContainerOptions { force: true, v: true, link: false };
        hub.docker.remove_container(&lost.run.0, Some(by_hand)).await.unwrap();
        proxy.set(Mode::Passing);
        let exit = hub.next_exit().await;
        assert_eq!((exit.run, exit.cause), (lost.run, ExitCause::EngineRestarted));
        reached(hub, |state| *state == EngineState::Up).await;
        assert!(hub.sandbox.socket(&kept.run).await.is_ok());
        assert!(hub.exits.try_recv().is_err(), "an end was told twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r03_an_engine_that_hangs_is_down_until_it_answers() {
    with_proxied_hub(async |hub, socket| {
        let proxy = Proxy::new(socket);
        reached(hub, |state| *state == EngineState::Up).await;
        proxy.set(Mode::Silent);
        reached(hub, is_down).await;
        assert!(matches!(hub.sandbox.list().await, Err(SandboxError::EngineDown { .. })));
        proxy.set(Mode::Passing);
        reached(hub, |state| *state == EngineState::Up).await;
        assert!(hub.sandbox.list().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_after_a_crash_of_docker_the_module_starts_again_with_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(dir.path());
    with_hub_of(
        |config| config.docker_socket = Daemon::socket(dir.path()),
        async |hub| {
            let spec = hub.spec("survivor");
            let first = hub.start(&spec).await;
            boot(&listener(first.listener), &[("PROBE", "remember:one")]).await;
            assert_eq!(hub.next_exit().await.cause, ExitCause::Code(0));
            let running = hub.start(&spec).await;
            daemon.crash_and_restart();
            let exit = hub.next_exit().await;
            assert_eq!((exit.run, exit.cause), (running.run, ExitCause::EngineRestarted));
            let (again, listener) = {
                let started = hub.start(&spec).await;
                (started.run, listener(started.listener))
            };
            boot(&listener, &[("PROBE", "remember:two")]).await;
            let exit = hub.next_exit().await;
            assert_eq!((exit.run, exit.cause), (again, ExitCause::Code(0)));
            assert_eq!(value(&hub.log(&spec).await, "known"), "one");
            assert_eq!(hub.sandbox.list().await.unwrap().len(), 1);
        },
    )
    .await;
}
