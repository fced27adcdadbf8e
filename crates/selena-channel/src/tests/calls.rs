//! Every method of the port over the socket.

use std::{
    fs::File,
    io::{Seek, Write},
    net::TcpStream,
    time::Duration,
};

use selena_core::ports::{
    Command, ContainerExit, ContainerPurpose, DataVolumes, DeviceGrant, DeviceNumber, EngineState, ExitCause,
    ImageCommand, ImageProgram, Sandbox, SandboxError, VolumeError,
};
use selena_types::ModuleName;

use super::{
    House,
    fake::{devices, run, spec},
    soon,
};

fn lamp() -> ModuleName {
    ModuleName::new("lamp").unwrap()
}

#[tokio::test]
async fn a_container_comes_with_listeners_that_take_connections() {
    let house = House::new();
    let core = house.core().await;
    let mut spec = spec("lamp");
    spec.egress = true;
    let grant = DeviceGrant { path: "/dev/i2c-1".to_owned(), numbers: vec![DeviceNumber { major: 89, minor: 1 }] };
    spec.devices = vec![grant];
    let started = core.start(spec.clone()).await.unwrap();
    assert_eq!(started.run, run(1));
    for listener in [started.listener, started.egress_listener.unwrap()] {
        let listener = std::net::TcpListener::from(listener);
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it is non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        soon("a connection", listener.accept()).await.unwrap();
    }
    let asked = house.sandbox.asked();
    assert_eq!(asked[1], format!("started {spec:?} "), "nothing of the specification was lost");
}

#[tokio::test]
async fn the_files_of_an_image_go_as_a_descriptor() {
    let house = House::new();
    let core = house.core().await;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"the files of the image").unwrap();
    let program = ImageProgram {
        id: "1-a".to_owned(),
        argv: vec!["run".to_owned(), "-x".to_owned()],
        env: vec!["A=b".to_owned()],
        working_dir: "/srv".to_owned(),
    };
    for (root, content) in [(Some(file.into()), "the files of the image"), (None, "")] {
        let mut spec = spec("lamp");
        spec.command = Command::Image(ImageCommand { program: program.clone(), root });
        core.start(spec).await.unwrap();
        let asked = house.sandbox.asked().pop().unwrap();
        assert!(asked.contains(&format!("{program:?}")), "{asked}");
        assert!(asked.ends_with(&format!(" {content}")), "{asked}");
    }
}

#[tokio::test]
async fn every_other_call_arrives_and_is_answered() {
    let house = House::new();
    let core = house.core().await;
    core.stop(&run(1), Duration::from_millis(1500)).await.unwrap();
    core.release_data(&lamp(), "/d/x".as_ref()).await.unwrap();
    core.copy_data(&lamp(), "/d/x".as_ref(), "/d/y".as_ref()).await.unwrap();
    core.remove(&run(2)).await.unwrap();
    core.purge(&lamp()).await.unwrap();
    core.prune_images(&lamp(), &["1.0.0".parse().unwrap(), "1.1.0".parse().unwrap()]).await.unwrap();
    let owners: Vec<_> = core.image_owners().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(owners, ["lamp", "oven"]);
    let used = core.disk_use().await.unwrap();
    let figures = |name: &str| (used[name].image_bytes, used[name].log_bytes, used[name].data_used_bytes);
    assert_eq!((figures("lamp"), figures("oven")), ((1, 2, Some(3)), (u64::MAX, 0, None)));
    let removal = format!("remove {}", run(2).0);
    let short = run(1).to_string();
    assert_eq!(
        house.sandbox.asked(),
        [
            &format!("stop {short} 1.5s"),
            "release lamp /d/x",
            "copy lamp /d/x /d/y",
            &removal,
            "purge lamp",
            "prune lamp 1.0.0 1.1.0"
        ]
    );
    let listed = core.list().await.unwrap();
    assert_eq!((listed.len(), &listed[4999].run), (5000, &run(4999)), "longer than a packet");
    let usage = core.usage(&run(1)).await.unwrap();
    assert_eq!((usage.peak_memory_bytes, usage.open_ports), (Some(7), vec![8101]));
    let socket = tokio::net::TcpSocket::from_std_stream(core.socket(&run(1)).await.unwrap().into());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    soon("it connects", socket.connect(listener.local_addr().unwrap())).await.unwrap();
    for (purpose, letter) in [(ContainerPurpose::Module, "m"), (ContainerPurpose::Trial, "t")] {
        assert_eq!(core.logs(&lamp(), purpose, 1_000_000).await.unwrap(), letter.repeat(1_000_000));
    }
}

#[tokio::test]
async fn the_data_of_a_module_goes_and_comes_as_a_file() {
    let house = House::new();
    let core = house.core().await;
    let mut file = tempfile::tempfile().unwrap();
    core.read_out("/d/volumes/lamp.ext4".as_ref(), file.try_clone().unwrap().into()).await.unwrap();
    file.rewind().unwrap();
    let fill = async |file: File| core.fill("/d/staging/u/volumes/lamp.ext4".as_ref(), 64, 400_001, file.into()).await;
    fill(file).await.unwrap();
    let with = |text: &str| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    };
    assert!(matches!(fill(with("a large tar")).await, Err(VolumeError::TooLarge { mib: 64 })));
    assert!(matches!(fill(with("a song")).await, Err(VolumeError::Refused(why)) if why == "no tar"));
    let asked = house.sandbox.asked();
    assert_eq!(asked[..2], ["read out /d/volumes/lamp.ext4", "fill /d/staging/u/volumes/lamp.ext4 64 400001 a tar"]);
}

#[tokio::test]
async fn a_failure_keeps_its_kind_and_its_causes() {
    let house = House::new();
    let core = house.core().await;
    let fails = async |name: &str| core.start(spec(name)).await.unwrap_err();
    assert!(matches!(fails("no-image").await, SandboxError::ImageMissing));
    assert!(matches!(fails("no-disk").await, SandboxError::DiskFull { .. }));
    assert!(matches!(fails("ended").await, SandboxError::RunEnded));
    assert!(matches!(fails("swapped").await, SandboxError::DeviceChanged(path) if path == "/dev/i2c-1"));
    let down = fails("down").await;
    let SandboxError::EngineDown { source, .. } = down else { panic!("{down}") };
    assert_eq!(source.to_string(), "the container engine does not answer while dialling: no answer");
}

#[tokio::test]
async fn what_the_gate_refuses_is_not_done_and_is_told() {
    let house = House::new();
    let core = house.core().await;
    let refused = core.purge(&ModuleName::new("forbidden").unwrap()).await.unwrap_err();
    let SandboxError::System { source, .. } = refused else { panic!("{refused}") };
    assert_eq!(source.to_string(), "the sandbox refused it (test): it is forbidden");
    assert!(house.sandbox.asked().is_empty());
    assert_eq!(house.tally.calls(), 1);
}

#[tokio::test]
async fn the_sandbox_tells_the_engine_the_devices_and_the_ends_of_runs() {
    let house = House::new();
    let core = house.core().await;
    assert_eq!(**core.devices().borrow(), devices(), "they are there before the engine is up");
    let mut exits = core.exits();
    let exit = ContainerExit { run: run(9), cause: ExitCause::OutOfMemory };
    house.sandbox.exits.send(exit.clone()).unwrap();
    assert_eq!(soon("an end", exits.recv()).await.unwrap(), exit);
    let mut seen = core.devices();
    house.sandbox.devices.send(std::sync::Arc::default()).unwrap();
    soon("news of devices", seen.wait_for(|devices| devices.is_empty())).await.unwrap();
    let mut engine = core.engine();
    house.sandbox.engine.send(EngineState::Down("it was killed".to_owned())).unwrap();
    soon("news of the engine", engine.wait_for(|now| *now == EngineState::Down("it was killed".to_owned())))
        .await
        .unwrap();
}

#[tokio::test]
async fn many_calls_are_under_way_and_a_slow_one_holds_up_none() {
    let house = House::new();
    let core = std::sync::Arc::new(house.core().await);
    house.sandbox.starts.forget_permits(1000);
    let slow = tokio::spawn({
        let core = core.clone();
        async move { core.start(spec("slow")).await }
    });
    house.sandbox.was_asked("start slow").await;
    let run = run(1);
    let sockets = (0..100).map(|_| core.socket(&run));
    for socket in futures_util::future::join_all(sockets).await {
        assert!(socket.is_ok());
    }
    assert!(!slow.is_finished());
    house.sandbox.starts.add_permits(1);
    assert!(soon("the slow start", slow).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_no_container() {
    let house = House::new();
    let core = house.core().await;
    house.sandbox.starts.forget_permits(1000);
    {
        let start = core.start(spec("lamp"));
        tokio::select! {
            _ = start => panic!("it cannot end"),
            () = house.sandbox.was_asked("start lamp") => {}
        }
    }
    house.sandbox.starts.add_permits(1);
    house.sandbox.was_asked(&format!("remove {}", run(1).0)).await;
}
