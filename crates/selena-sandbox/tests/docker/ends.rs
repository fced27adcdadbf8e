//! How runs end, and that each end is told once (faults R04, R05, R11, R14).

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use bollard::query_parameters::RemoveContainerOptions;
use selena_core::ports::{Command, ContainerSpec, ExitCause, ImageCommand, ImageProgram, RunId, Sandbox, SandboxError};

use crate::{
    build,
    hub::{Hub, boot, listener, with_causes, with_hub, with_hub_of},
};

#[tokio::test(flavor = "multi_thread")]
async fn r05_exit_codes_are_told() {
    with_hub(async |hub| {
        for (job, code) in [("exit:0", 0), ("exit:1", 1), ("exit:200", 200), ("exit:137", 137), ("abort", 134)] {
            let spec = hub.spec("ender");
            assert_eq!(hub.run(&spec, job).await.0, ExitCause::Code(code), "{job}");
        }
        assert!(hub.exits.try_recv().is_err(), "an end was told twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_reaped() {
    with_hub(async |hub| {
        let spec = hub.spec("parent");
        let (cause, log) = hub.run(&spec, "orphans").await;
        assert_eq!(cause, ExitCause::Code(0), "{log}");
    })
    .await;
}

async fn refused_start(hub: &mut Hub, spec: &ContainerSpec) -> (ExitCause, String) {
    let started = hub.start(spec).await;
    boot(&listener(started.listener), &[]).await;
    (hub.next_exit().await.cause, hub.log(spec).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_program_that_cannot_run_is_named_in_the_log() {
    with_hub(async |hub| {
        let mut spec = hub.spec("broken");
        fs::write(spec.package_dir.join("text"), "no program").unwrap();
        fs::write(spec.package_dir.join("foreign"), "\u{7f}ELF of another world").unwrap();
        fs::set_permissions(spec.package_dir.join("foreign"), fs::Permissions::from_mode(0o755)).unwrap();
        for (entry_point, code) in [("absent", 127), ("text", 126), ("foreign", 126)] {
            spec.command = Command::Static(entry_point.to_owned());
            let (cause, log) = refused_start(hub, &spec).await;
            assert_eq!(cause, ExitCause::Code(code), "{log}");
            assert!(log.contains(&format!("cannot start /app/{entry_point}")), "{log}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_an_image_that_is_not_there_is_told() {
    let absent =
        |config: &mut selena_sandbox::SandboxConfig| config.python_base_image = "selena-absent:latest".to_owned();
    with_hub_of(absent, async |hub| {
        let mut spec = hub.spec("pythonic");
        spec.command = Command::Python3("main.py".to_owned());
        match hub.try_start(&spec).await {
            Err(SandboxError::Image(reason)) => assert!(reason.contains("scripts/python-base"), "{reason}"),
            other => panic!("{other:?}"),
        }
        let (id, argv) = ("1-00".to_owned(), vec!["run".to_owned()]);
        let program = ImageProgram { id, argv, env: Vec::new(), working_dir: "/".to_owned() };
        spec.command = Command::Image(ImageCommand { program, root: None });
        assert!(matches!(hub.try_start(&spec).await, Err(SandboxError::ImageMissing)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_stop_is_sigterm_and_then_sigkill() {
    with_hub(async |hub| {
        let spec = hub.spec("stopped");
        let (run, _listener) = hub.launch(&spec, "idle").await;
        hub.wait_for_log(&spec, "idle=").await;
        hub.sandbox.stop(&run, Duration::from_secs(20)).await.unwrap();
        assert_eq!(hub.next_exit().await.cause, ExitCause::Code(143), "the module was not asked to stop");
        hub.sandbox.stop(&run, Duration::from_secs(20)).await.expect("stopping what has stopped is fine");
        hub.sandbox.remove(&run).await.unwrap();
        hub.sandbox.remove(&run).await.expect("removing what is gone is fine");
        hub.sandbox.stop(&run, Duration::ZERO).await.expect("stopping what is gone is fine");
        assert!(hub.exits.try_recv().is_err(), "an end was told twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_what_does_not_listen_is_killed() {
    with_hub(async |hub| {
        let spec = hub.spec("stubborn");
        let started = hub.start(&spec).await;
        // The container is frozen, so nothing in it can hear SIGTERM.
        hub.docker.pause_container(&started.run.0).await.unwrap();
        hub.sandbox.remove(&started.run).await.unwrap();
        assert_eq!(hub.next_exit().await.cause, ExitCause::Gone);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_container_that_was_removed_by_hand_is_gone() {
    with_hub(async |hub| {
        let spec = hub.spec("removed");
        let (run, _listener) = hub.launch(&spec, "idle").await;
        let by_hand = RemoveContainerOptions { force: true, v: true, link: false };
        hub.docker.remove_container(&run.0, Some(by_hand)).await.unwrap();
        let exit = hub.next_exit().await;
        assert_eq!((exit.run, exit.cause), (run.clone(), ExitCause::Gone));
        assert!(matches!(hub.sandbox.socket(&run).await, Err(SandboxError::RunEnded)));
        assert!(matches!(hub.sandbox.usage(&run).await, Err(SandboxError::RunEnded)));
        assert!(hub.sandbox.list().await.unwrap().is_empty());
        assert!(hub.exits.try_recv().is_err(), "an end was told twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_container_that_ends_at_once_gets_no_listener() {
    // As init, the probe finds no job and ends.
    with_hub_of(
        |config| config.init_binary = build::PROBE.clone(),
        async |hub| {
            for _ in 0..5 {
                match hub.try_start(&hub.spec("short")).await {
                    Err(SandboxError::RunEnded) => {}
                    Err(error) => panic!("{}", with_causes(&error)),
                    Ok(started) => {
                        assert_eq!(hub.next_exit().await.run, started.run, "it was told as running and not as ended")
                    }
                }
            }
            assert!(hub.exits.try_recv().is_err(), "an end was told that the start had told");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_started_by_hand_is_killed() {
    with_hub(async |hub| {
        let spec = hub.spec("revived");
        let (RunId(id), _listener) = hub.launch(&spec, "idle").await;
        hub.docker.kill_container(&id, None).await.unwrap();
        assert_eq!(hub.next_exit().await.cause, ExitCause::Code(137));
        // Its volume names a loop device that is free by now, so Docker may refuse; else the sandbox has to end it.
        if hub.docker.start_container(&id, None).await.is_ok() {
            crate::hub::until(async || !hub.sandbox.list().await.unwrap().iter().any(|container| container.running))
                .await;
        }
    })
    .await;
}
