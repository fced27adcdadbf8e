//! I08: either side dies, and comes back.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use selena_core::ports::{ContainerExit, EngineState, ExitCause, Sandbox, SandboxError};
use tokio::time::Instant;

use super::{
    House,
    fake::{run, spec},
    is_up, soon,
};
use crate::{ListenError, RemoteSandbox, listen};

#[tokio::test]
async fn i08_a_sandbox_that_dies_mid_call_fails_the_call_and_is_found_again_within_five_seconds() {
    let mut house = House::new();
    let core = house.core().await;
    let mut exits = core.exits();
    let started = core.start(spec("lamp")).await.unwrap();
    house.sandbox.starts.forget_permits(1000);
    let second = spec("second");
    let call = core.start(second);
    let dies = async {
        house.sandbox.was_asked("start second").await;
        house.ended.cancel();
        let mut engine = core.engine();
        soon("it is told", engine.wait_for(|state| matches!(state, EngineState::Down(_)))).await.unwrap();
        // It ends once the start that nobody waits for any more has come to its end.
        house.sandbox.starts.add_permits(1);
        house.stop().await;
    };
    let (failed, ()) = soon("the call fails", async { tokio::join!(call, dies) }).await;
    assert!(matches!(failed, Err(SandboxError::EngineDown { .. })), "{failed:?}");
    assert!(matches!(core.list().await, Err(SandboxError::EngineDown { .. })), "it fails at once");

    house.start_again();
    let begun = Instant::now();
    is_up(&core).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let over = ContainerExit { run: started.run, cause: ExitCause::EngineRestarted };
    assert_eq!(soon("the run is over", exits.recv()).await.unwrap(), over);
    assert!(core.start(spec("lamp")).await.is_ok());
}

#[tokio::test]
async fn i08_a_socket_file_that_was_removed_is_missed_and_found_again() {
    let mut house = House::new();
    let core = house.core().await;
    house.stop().await;
    fs::remove_file(house.path()).unwrap();
    let mut engine = core.engine();
    soon("it is told", engine.wait_for(|state| matches!(state, EngineState::Down(_)))).await.unwrap();
    house.start_again();
    is_up(&core).await;
}

#[tokio::test]
async fn i08_a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/socket");
    let first = listen(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(matches!(listen(&path, None), Err(ListenError::InUse(_))));
    drop(first);
    assert!(listen(&path, None).is_ok());
    let other = dir.path().join("file");
    fs::write(&other, "precious").unwrap();
    assert!(matches!(listen(&other, None), Err(ListenError::NoSocket(_))));
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
}

#[tokio::test]
async fn i08_a_start_that_a_dead_core_left_is_undone_before_the_next_one_begins() {
    let house = House::new();
    house.sandbox.starts.forget_permits(1000);
    let first = house.core().await;
    {
        let start = first.start(spec("lamp"));
        tokio::select! {
            _ = start => panic!("it cannot end"),
            () = house.sandbox.was_asked("start lamp") => {}
        }
    }
    drop(first);
    let second = house.core().await;
    let started = tokio::spawn(async move { (second.start(spec("lamp")).await, second) });
    house.sandbox.starts.add_permits(2);
    let (started, _second) = soon("the second start", started).await.unwrap();
    assert_eq!(started.unwrap().run, run(2));
    let asked = house.sandbox.asked();
    let at = |what: &str| asked.iter().position(|asked| asked == what).unwrap_or_else(|| panic!("{what}: {asked:?}"));
    let second_start = asked.iter().rposition(|asked| asked == "start lamp").unwrap();
    assert!(at(&format!("remove {}", run(1).0)) < second_start, "{asked:?}");
}

#[tokio::test]
async fn a_core_begins_without_a_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let core = RemoteSandbox::connect(dir.path().join("absent"));
    let mut engine = core.engine();
    let down = engine.wait_for(|state| matches!(state, EngineState::Down(why) if why.contains("selena-sandbox")));
    soon("it is told", down).await.unwrap();
}
