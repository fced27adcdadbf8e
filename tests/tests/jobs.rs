//! Jobs: each has somebody who asked for it, a deadline, a progress and a cancel, and none holds up another module's.

use std::{
    fs,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use selena_tests::{Answer, Engine, Hub, Options, Package, http::Request, stalling_engine::StallingEngine, wait};
use serde_json::{Value, json};

/// How long a job of another module may take while one hangs: far less than what hangs is given.
const PROMPT: Duration = Duration::from_secs(15);

fn deaf(name: &str, port: u16) -> Package {
    Package::probe(name, port).start(json!({ "do": "deaf" }))
}

fn jobs(hub: &Hub) -> Vec<Value> {
    hub.admin().get("/jobs").expect(200).json()["jobs"].as_array().expect("a list").clone()
}

/// The newest job about a module.
fn job(hub: &Hub, module: &str) -> Option<Value> {
    jobs(hub).into_iter().filter(|job| job["module"] == module).max_by_key(|job| job["id"].as_u64())
}

/// Waits until the newest job about a module is in that state and says that.
fn job_that(hub: &Hub, module: &str, state: &str, message: &str) -> Value {
    wait::for_some(&format!("the job of {module} is {state}: {message}"), 40, || {
        job(hub, module)
            .filter(|job| job["state"] == state && job["message"].as_str().is_some_and(|m| m.contains(message)))
    })
}

fn cancel(hub: &Hub, job: &Value) -> Answer {
    hub.admin().delete(&format!("/jobs/{}", job["id"]))
}

/// Installs in a thread of its own, as a client that waits for the answer.
fn install_meanwhile(hub: &Hub, package: &Package) -> JoinHandle<Answer> {
    let (client, zip) = (hub.client(), package.zip());
    thread::spawn(move || client.send(&Request::new("POST", "/modules/install").form("module", &zip)))
}

fn staging(hub: &Hub) -> usize {
    fs::read_dir(hub.data_dir().join("staging")).map_or(0, Iterator::count)
}

#[track_caller]
fn is_prompt(what: &str, work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    assert!(begun.elapsed() < PROMPT, "{what} took {:?} while others hang", begun.elapsed());
}

#[test]
fn a_cancelled_install_leaves_nothing() {
    let hub = Hub::start();
    let answer = install_meanwhile(&hub, &deaf("mute", 8100));
    let running = job_that(&hub, "mute", "running", "throw-away container");
    assert_eq!(
        (&running["kind"], &running["owner"], &running["ended"]),
        (&json!("install"), &json!("dev-module"), &Value::Null)
    );
    assert!(running["progress"].as_u64().is_some_and(|percent| (1..100).contains(&percent)), "{running}");
    let time = |key: &str| running[key].as_str().expect("a time").to_owned();
    assert!(time("deadline") > time("since"), "{running}");

    wait::until("its trial runs", 20, || !Engine::default().containers(hub.prefix()).is_empty());
    let cancelled = cancel(&hub, &running).expect(202).json();
    assert_eq!(cancelled["state"], "cancelling");
    let begun = Instant::now();
    answer.join().expect("no panic").refused(409, "job_cancelled");
    assert!(begun.elapsed() < PROMPT, "it took {:?}", begun.elapsed());
    let ended = job_that(&hub, "mute", "cancelled", "cancelled by uid 0");
    assert!(ended["ended"].is_string(), "{ended}");
    cancel(&hub, &ended).refused(409, "job_not_cancellable");
    hub.admin().delete("/jobs/999999").refused(404, "not_found");
    hub.admin().delete("/jobs/x").refused(404, "not_found");

    assert_eq!(Engine::default().containers(hub.prefix()), [Value::Null; 0], "containers");
    assert_eq!(Engine::default().images(hub.prefix()), [Value::Null; 0], "images");
    wait::until("staging is empty", 10, || staging(&hub) == 0);
    let record = hub.audit("job_cancelled").pop().expect("it is recorded");
    assert!(
        record["detail"].as_str().is_some_and(|detail| detail.contains("install of mute, begun by dev-module")),
        "{record}"
    );
    let _free_again = hub.install(&Package::probe("mute", 8100));
    assert_eq!(job(&hub, "mute").expect("a job")["state"], "done");
}

#[test]
fn a_cancelled_update_leaves_the_old_version_with_its_data() {
    let hub = Hub::start();
    let old = hub.install(&Package::probe("mover", 8100));
    old.act(&json!({ "act": "write", "path": "/data/notes", "text": "of the old version" }));

    // In its trial: the old version runs on.
    let answer = install_meanwhile(&hub, &deaf("mover", 8100).version("1.1.0"));
    let running = job_that(&hub, "mover", "running", "throw-away container");
    assert_eq!(running["kind"], "update");
    let _asked = cancel(&hub, &running).expect(202);
    answer.join().expect("no panic").refused(409, "job_cancelled");
    assert_eq!(hub.hears_again("mover", 10).container, old.container, "it ran on");

    // When it was put in the place of the old one, and does not answer there: the old one is back.
    let deaf_with_data = Package::probe("mover", 8100).start(json!({ "do": "deaf_with_data" })).version("1.2.0");
    let answer = install_meanwhile(&hub, &deaf_with_data);
    let running = job_that(&hub, "mover", "running", "the new version is started");
    let _asked = cancel(&hub, &running).expect(202);
    answer.join().expect("no panic").refused(409, "job_cancelled");
    let back = hub.hears_again("mover", 20);
    assert_eq!(back.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "of the old version");
    assert_eq!(hub.details("mover")["version"], "1.0.0");
    assert!(
        hub.details("mover")["last_update"]["reason"].as_str().is_some_and(|reason| reason.contains("cancelled by"))
    );
    assert_eq!(Engine::default().tags(hub.prefix()).len(), 1, "nothing of the new version is left");
    wait::until("staging is empty", 10, || staging(&hub) == 0);
}

#[test]
fn a_cancelled_start_leaves_the_module_stopped() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("sleeper", 8100).start(json!({ "do": "deaf_with_data" })));
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "x" }));
    let client = hub.client();
    let restart = thread::spawn(move || client.post("/modules/sleeper/restart", &json!({})));
    let waits =
        wait::for_some("the restart is under way", 20, || job(&hub, "sleeper").filter(|job| job["kind"] == "restart"));
    wait::until("its new container runs", 20, || {
        hub.try_module("sleeper").is_some_and(|now| now.container != module.container)
    });
    let _asked = cancel(&hub, &waits).expect(202);
    restart.join().expect("no panic").refused(409, "job_cancelled");
    assert_eq!(hub.status("sleeper"), "STOPPED");
    assert!(hub.try_module("sleeper").is_none());
    assert!(hub.details("sleeper")["error"].as_str().is_some_and(|error| error.contains("cancelled by")));
}

#[test]
fn a_removal_that_has_begun_cannot_be_cancelled() {
    let docker = StallingEngine::open();
    let hub = Hub::with(Options { engine: docker.engine(), ..Options::default() });
    let _module = hub.install(&Package::probe("leaver", 8100));
    docker.stall(&["DELETE", "/containers/"]);
    let client = hub.client();
    let removal = thread::spawn(move || client.delete("/modules/leaver"));
    wait::until("the removal hangs", 20, || docker.hanging() > 0);
    let committing = job_that(&hub, "leaver", "committing", "");
    cancel(&hub, &committing).refused(409, "job_not_cancellable");
    docker.go_on();
    let _gone = removal.join().expect("no panic").expect(204);
    assert_eq!(job(&hub, "leaver").expect("a job")["state"], "done");
}

#[test]
fn r03_jobs_that_hang_hold_up_no_other_modules_job() {
    let docker = StallingEngine::open();
    let hub = Hub::with(Options { engine: docker.engine(), rate_limit: false, ..Options::default() });
    let _runs = hub.install(&Package::probe("runs", 8100));
    // A request to Docker that hangs.
    docker.stall(&["/containers/create", "selena-test-stuck"]);
    let stuck = install_meanwhile(&hub, &Package::probe("stuck", 8101));
    wait::until("a request hangs", 20, || docker.hanging() == 1);
    // More trials that never answer than modules start at once.
    let mute: Vec<_> = (0..6).map(|n| install_meanwhile(&hub, &deaf(&format!("mute-{n}"), 8110 + n))).collect();
    for n in 0..6 {
        job_that(&hub, &format!("mute-{n}"), "running", "throw-away container");
    }
    // An upload that stays where it is.
    let head = format!(
        "POST /api/v1/modules/install HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/zip\r\nContent-Length: 1000000\r\n\r\nPK",
        hub.port(),
        hub.token()
    );
    let slow = hub.client().door().send_and_hold(head.as_bytes()).expect("it is sent");
    let arrives =
        wait::for_some("an upload is a job too", 10, || jobs(&hub).into_iter().find(|job| job["module"].is_null()));

    is_prompt("an install", || drop(hub.install(&Package::probe("free", 8102))));
    assert!(job(&hub, "stuck").is_some_and(|job| job["ended"].is_null()), "{:?}", jobs(&hub));
    is_prompt("an update", || drop(hub.try_install(&Package::probe("free", 8102).version("1.1.0")).expect(201)));
    is_prompt("a rollback", || drop(hub.client().post("/modules/free/rollback", &json!({})).expect(200)));
    for order in ["restart", "stop", "start"] {
        is_prompt(order, || drop(hub.client().post(&format!("/modules/runs/{order}"), &json!({})).expect(200)));
    }
    is_prompt("a removal", || drop(hub.client().delete("/modules/free").expect(204)));
    is_prompt("a restart by the hub", || {
        let before = hub.module("runs").container;
        let _gone = Engine::default().remove(&before).expect(204);
        wait::until("it is back", 60, || hub.try_module("runs").is_some_and(|now| now.container != before));
    });

    assert_eq!(docker.hanging(), 1, "the request hangs still");
    // The upload is cancelled like any job, and so are the trials.
    let _asked = cancel(&hub, &arrives).expect(202);
    wait::until("what arrived of it is gone", 10, || {
        jobs(&hub).iter().any(|job| job["id"] == arrives["id"] && job["state"] == "cancelled")
    });
    drop(slow);
    for (n, answer) in mute.into_iter().enumerate() {
        let _asked = cancel(&hub, &job(&hub, &format!("mute-{n}")).expect("a job")).expect(202);
        answer.join().expect("no panic").refused(409, "job_cancelled");
    }
    docker.go_on();
    let answer = stuck.join().expect("no panic");
    assert!(matches!(answer.status, 201 | 503), "{answer:?}");
}

#[test]
fn r02_a_start_that_hangs_holds_up_no_other_after_a_kill_of_the_hub() {
    let docker = StallingEngine::open();
    let mut hub = Hub::with(Options { engine: docker.engine(), ..Options::default() });
    let _stuck = hub.install(&Package::probe("a-stuck", 8100));
    let before = hub.install(&Package::probe("b-free", 8101));
    hub.kill();
    // The removal of what runs of it hangs, which is the first thing that is done.
    docker.stall(&["a-stuck"]);
    hub.start_again();
    is_prompt("the start of another module", || {
        wait::until("the other one runs anew", 60, || {
            hub.try_module("b-free").is_some_and(|now| now.container != before.container)
                && hub.status("b-free") == "RUNNING"
        });
    });
    assert!(docker.hanging() > 0, "the first one hangs");
    docker.go_on();
    let _both = hub.hears_again("a-stuck", 90);
}

#[test]
fn an_install_whose_client_goes_comes_to_its_end_and_is_recorded() {
    let hub = Hub::start();
    let send_and_go = |package: &Package| {
        let zip = package.zip();
        let head = format!(
            "POST /api/v1/modules/install HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/zip\r\nContent-Length: {}\r\n\r\n",
            hub.port(),
            hub.token(),
            zip.len()
        );
        let name = package.manifest()["name"].as_str().expect("a name").to_owned();
        let connection = hub.client().door().send_and_hold(&[head.as_bytes(), &zip].concat()).expect("it is sent");
        job_that(&hub, &name, "running", "");
        drop(connection);
    };
    send_and_go(&Package::probe("wanted", 8100));
    let _runs = hub.hears_again("wanted", 20);
    assert_eq!(job_that(&hub, "wanted", "done", "")["progress"], 100);
    send_and_go(&Package::probe("broken", 8101).start(json!({ "do": "exit", "code": 3 })));
    job_that(&hub, "broken", "failed", "exit code 3");
    wait::until("the refusal nobody heard is recorded", 10, || {
        hub.audit("sandbox_failed").iter().any(|record| record["detail"] == "install of broken")
    });
}
