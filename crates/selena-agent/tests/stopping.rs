//! Real containers are stopped; with Docker dead the agent restores all the same.

mod support;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, id},
    time::{Duration, Instant},
};

use support::{Place, Watching, text, wait_for};

/// Containers of a test's own: their label is nobody else's, and they are gone with the test.
struct Containers {
    name: String,
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(text(&output.stdout).trim().to_owned()) } else { Err(text(&output.stderr)) }
}

impl Containers {
    /// An image without any file: its containers get the host's programs, read-only.
    fn new(test: &str) -> Self {
        let name = format!("selena-agent-test-{}-{test}", id());
        let mut import = Command::new("sh");
        import.args(["-c", &format!("tar --create --files-from /dev/null | docker import - {name} >/dev/null")]);
        assert!(import.status().expect("sh runs").success(), "this test needs Docker: start it with scripts/setup");
        Self { name }
    }

    fn run(&self, number: usize, script: &str) {
        let (name, label) = (format!("{}-{number}", self.name), format!("{}=1", self.name));
        let mut arguments = vec!["run", "--detach", "--network", "none", "--name", &name, "--label", &label];
        for directory in ["/bin:/bin:ro", "/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"] {
            arguments.extend(["--volume", directory]);
        }
        arguments.extend([self.name.as_str(), "/bin/sh", "-c", script]);
        docker(&arguments).expect("it runs");
    }

    fn running(&self) -> usize {
        let filter = format!("label={}", self.name);
        docker(&["ps", "--quiet", "--filter", &filter]).expect("listed").lines().count()
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let filter = format!("label={}", self.name);
        let all = docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap_or_default();
        for container in all.lines() {
            let _gone_already = docker(&["rm", "--force", "--volumes", container]);
        }
        let _gone_already = docker(&["rmi", "--force", &self.name]);
    }
}

/// How long it takes from the moment the agent says that it found something.
fn time_to_stop(place: &Place, containers: &Containers, agent: &Watching) -> Duration {
    place.write("watched/core", b"changed");
    wait_for("the discovery", 30, || agent.log().contains("is not as the baseline has it").then_some(()));
    let found = Instant::now();
    wait_for("no container runs", 30, || (containers.running() == 0).then_some(()));
    found.elapsed()
}

#[test]
fn all_modules_are_stopped_within_five_seconds_of_the_discovery() {
    let (place, containers) = (Place::recorded(), Containers::new("stop"));
    for number in 0..4 {
        containers.run(number, "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    }
    assert_eq!(containers.running(), 4);
    let agent = Watching::start(&place, &["--container-label", &containers.name]);
    let took = time_to_stop(&place, &containers, &agent);
    assert!(took < Duration::from_secs(5), "{took:?}");
    wait_for("the restoration", 30, || (place.read("watched/core") == "the core's program").then_some(()));
}

#[test]
fn modules_that_do_not_listen_are_killed_in_parallel() {
    let (place, containers) = (Place::recorded(), Containers::new("deaf"));
    for number in 0..3 {
        containers.run(number, "trap '' TERM; while :; do sleep 0.1; done");
    }
    let agent = Watching::start(&place, &["--container-label", &containers.name]);
    let took = time_to_stop(&place, &containers, &agent);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn r02_a_docker_that_is_dead_or_hangs_holds_up_nothing() {
    let place = Place::recorded();
    let hangs = place.path("docker");
    fs::write(&hangs, "#!/bin/sh\nexec sleep 1000\n").expect("written");
    fs::set_permissions(&hangs, Permissions::from_mode(0o755)).expect("changed");
    for (docker, told) in [(PathBuf::from("/no/such/docker"), "cannot be run"), (hangs, "did not end within 5 s")] {
        let agent = Watching::start(&place, &["--docker", docker.to_str().expect("text")]);
        place.write("watched/core", b"changed");
        wait_for("the restoration", 40, || (place.read("watched/core") == "the core's program").then_some(()));
        assert!(agent.log().contains(told), "{}", agent.log());
    }
}
