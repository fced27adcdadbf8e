//! From the upload of a module to `RUNNING`, with real Docker.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use selena_forge::Zip;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Pace,
    http::Connection,
    hub::{Hub, TOKEN},
    numbers::median,
    programs::InContainer,
    table::Row,
};

const NAME: &str = "bench-static";
/// What the package weighs at least.
const PACKAGE_BYTES: usize = 1_000_000;
const GOAL_SECS: f64 = 2.0;
/// How long the program may take to answer outside of a container.
const PATIENCE: Duration = Duration::from_secs(10);
/// Containers of one installation: the trial's and the module's own.
const STARTS: f64 = 2.0;

/// Installs a static module a few times over, each time as a new one.
pub(super) async fn row(program: &Path, dir: &Path, inside: &InContainer, pace: Pace) -> anyhow::Result<Row> {
    let package = package(&inside.module)?;
    let arguments = ["--init".into(), inside.init.clone().into_os_string()];
    let hub = Hub::start_with(program, &dir.join("install"), &arguments).await?;
    let (mut installs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..pace.starts.div_ceil(2) {
        own.push(ready_by_itself(&inside.module).await?.as_secs_f64());
        let begun = Instant::now();
        install(&hub, &package).await?;
        installs.push(begun.elapsed().as_secs_f64());
        remove(&hub).await?;
    }
    hub.stop().await?;
    let (whole, own) = (median(installs), median(own));
    let ours = whole - STARTS * own;
    let megabytes = package.len().div_ceil(100_000);
    Ok(Row {
        what: format!(
            "module: {}.{} MB static, from POST to RUNNING less its own time to ready",
            megabytes / 10,
            megabytes % 10
        ),
        ours: format!("{ours:.2} s"),
        peer: format!("the program by itself, twice: {:.3} s", STARTS * own),
        goal: "< 2 s",
        reached: Some(ours < GOAL_SECS),
        figures: [("ours_s", ours), ("whole_s", whole), ("own_s", own)].into(),
        ..Row::default()
    })
}

/// The program with its manifest, and beside them as many bytes as are missing; all stored, so that all are written.
fn package(module: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let manifest = json!({
        "name": NAME, "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": 8100,
        "permissions": ["device.read"], "runtime": "static", "entry_point": "module",
        "resources": { "memory_mb": 32, "data_mb": 8 },
    });
    let rest = vec![0x5a; PACKAGE_BYTES.saturating_sub(bytes.len())];
    let zip = Zip::bare().file("manifest.json", manifest.to_string().as_bytes());
    Ok(zip.file("rest", &rest).file("module", &bytes).mode(0o100_755).build())
}

pub(super) async fn install(hub: &Hub, package: &[u8]) -> anyhow::Result<()> {
    let mut connection = hub.connect().await?;
    let (status, body) = connection.upload("/api/v1/modules/install", TOKEN, package).await?;
    let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
    ensure!(
        status == 201 && answer["status"] == "RUNNING",
        "the module was not installed; this needs root and Docker: {answer}"
    );
    Ok(())
}

async fn remove(hub: &Hub) -> anyhow::Result<()> {
    let path = format!("/api/v1/modules/{NAME}");
    hub.connect().await?.ask(("DELETE", &path), TOKEN, b"", 204).await?;
    Ok(())
}

/// A process that is killed when it is dropped.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _waited_for_already = self.0.wait();
    }
}

/// How long the program takes to answer as a plain process.
async fn ready_by_itself(module: &Path) -> anyhow::Result<Duration> {
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let begun = Instant::now();
    let mut command = Command::new(module);
    command.env_clear().env("SELENA_MODULE_PORT", port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Bare(command.spawn().with_context(|| format!("cannot start {}", module.display()))?);
    let answered = async {
        loop {
            if let Ok(mut connection) = Connection::open(port).await {
                return connection.get("/health", "").await.map(|_| begun.elapsed());
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.context("the module's program does not answer")?
}
