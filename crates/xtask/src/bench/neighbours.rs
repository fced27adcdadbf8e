//! Many modules, and a bad one: what real containers cost the core.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use selena_forge::Zip;
use serde_json::{Value, json};

use super::{
    Pace,
    apart::Apart,
    devices,
    hub::{Hub, TOKEN},
    install::install,
    numbers::{Percentiles, float, median},
    programs::InContainer,
    table::Row,
    webhooks,
};

/// How many modules are installed.
const MODULES: u16 = 50;
/// Installs at the same time.
const AT_ONCE: usize = 4;
/// Passes of reconciliation whose median is told; the hub makes one every 30 s.
const PASSES: usize = 3;
const PASS_GOAL_MS: f64 = 200.0;
const MEMORY_GOAL_MB: f64 = 20.0;
const SANDBOX_GOAL_MB: f64 = 8.0;
/// How many times the idle p99 it may be.
const SPIN_GOAL: f64 = 2.0;
/// How long the next pass may take to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the bad module holds of its 64 MB; its copies and threads have the rest.
const HELD_MB: u16 = 40;

async fn hub(program: &Path, data: &Path, inside: &InContainer) -> anyhow::Result<Hub> {
    Hub::start_with(program, data, &["--init".into(), inside.init.clone().into_os_string()]).await
}

fn package(inside: &InContainer, name: &str, port: u16, resources: &Value, start: &Value) -> anyhow::Result<Vec<u8>> {
    let program = std::fs::read(&inside.module).context("the module's program was built")?;
    let manifest = json!({
        "name": name, "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": port,
        "permissions": ["device.read"], "runtime": "static", "entry_point": "module", "resources": resources,
    });
    let zip = Zip::bare().file("manifest.json", manifest.to_string().as_bytes());
    let zip = zip.file("start.json", start.to_string().as_bytes());
    Ok(zip.file("module", &program).mode(0o100_755).build())
}

/// Modules with real containers: the time of a pass that compares them with what is stored, and the memory of core and sandbox.
pub(super) async fn crowd_rows(
    program: &Path,
    dir: &Path,
    inside: &InContainer,
    pace: Pace,
) -> anyhow::Result<Vec<Row>> {
    let apart = Apart::start(program, &dir.join("crowd"), inside).await?;
    let hub = &apart.hub;
    let resources = json!({ "memory_mb": 16, "data_mb": 4 });
    let packages = (0..MODULES).map(|n| package(inside, &format!("bench-crowd-{n}"), 8100 + n, &resources, &json!({})));
    let packages = packages.collect::<Result<Vec<_>, _>>()?;
    stream::iter(&packages).map(|package| install(hub, package)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let mut passes = Vec::new();
    let mut last = Value::Null;
    let looks = if pace.slices == 1 { 1 } else { PASSES };
    for _ in 0..looks {
        last = next_pass(hub, &last["at"]).await?;
        passes.push(last["took_ms"].as_f64().context("a pass says how long it took")?);
    }
    let (memory, sandbox) = (hub.pss_mb()?, apart.sandbox_pss_mb()?);
    remove_all(hub).await?;
    apart.stop().await?;
    let pass = median(passes);
    Ok(vec![
        Row {
            what: format!("one reconcile pass, {MODULES} running modules (median of {looks})"),
            ours: format!("{pass:.1} ms"),
            goal: "< 200 ms",
            reached: Some(pass < PASS_GOAL_MS),
            figures: [("ours_ms", pass)].into(),
            ..Row::default()
        },
        Row {
            what: format!("memory (PSS) of the core, {MODULES} running modules"),
            ours: format!("{memory:.1} MB"),
            goal: "≤ 20 MB",
            reached: Some(memory <= MEMORY_GOAL_MB),
            figures: [("ours_mb", memory)].into(),
            ..Row::default()
        },
        Row {
            what: format!("memory (PSS) of the sandbox, {MODULES} running modules"),
            ours: format!("{sandbox:.1} MB"),
            goal: "≤ 8 MB",
            reached: Some(sandbox <= SANDBOX_GOAL_MB),
            figures: [("ours_mb", sandbox)].into(),
            ..Row::default()
        },
    ])
}

/// The next pass in which all modules run, after the one that was at that time.
async fn next_pass(hub: &Hub, before: &Value) -> anyhow::Result<Value> {
    let mut connection = hub.connect().await?;
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let wait = async {
        loop {
            tick.tick().await;
            let mut info: Value = serde_json::from_slice(connection.get("/api/v1/system/info", TOKEN).await?)?;
            let pass = info["reconcile"].take();
            if pass["at"] != *before && pass["containers"].as_u64() == Some(u64::from(MODULES)) {
                return anyhow::Ok(pass);
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.context("no pass of reconciliation sees all modules")?
}

async fn remove_all(hub: &Hub) -> anyhow::Result<()> {
    let listed: Value = serde_json::from_slice(hub.connect().await?.get("/api/v1/modules", TOKEN).await?)?;
    for module in listed["modules"].as_array().context("a list of modules")? {
        let path = format!("/api/v1/modules/{}", module["name"].as_str().unwrap_or_default());
        hub.connect().await?.ask(("DELETE", &path), TOKEN, b"", 204).await?;
    }
    Ok(())
}

/// The core's slowest hundredth, alone and beside a module that takes all it may (fault R08).
pub(super) async fn spin_rows(
    program: &Path,
    dir: &Path,
    inside: &InContainer,
    pace: Pace,
) -> anyhow::Result<Vec<Row>> {
    let hub = hub(program, &dir.join("spin"), inside).await?;
    devices::register(&hub).await?;
    let idle = latencies(&hub, pace).await?;
    let start = json!({ "do": "exhaust", "memory_mb": HELD_MB });
    let spinner = package(inside, "bench-spin", 8100, &json!({ "memory_mb": 64, "data_mb": 4 }), &start)?;
    install(&hub, &spinner).await?;
    let beside = latencies(&hub, pace).await?;
    let listed: Value = serde_json::from_slice(hub.connect().await?.get("/api/v1/modules/bench-spin", TOKEN).await?)?;
    ensure!(listed["status"] == "RUNNING", "the bad module does not run any more: {listed}");
    remove_all(&hub).await?;
    hub.stop().await?;
    let row = |what: &str, ours: Percentiles, idle: Percentiles| {
        let ratio = ours.p99_ms() / idle.p99_ms();
        Row {
            what: format!("{what}, one module at all its limits"),
            ours: ours.to_string(),
            peer: format!("the same, without it: {idle}"),
            ratio: Some(ratio),
            goal: "p99 ≤ 2 × idle",
            reached: Some(ratio <= SPIN_GOAL),
            figures: [
                ("ours_p99_ms", ours.p99_ms()),
                ("idle_p99_ms", idle.p99_ms()),
                ("ours_p50_ms", ours.p50_ms()),
                ("idle_p50_ms", idle.p50_ms()),
            ]
            .into(),
        }
    };
    Ok(vec![
        row("GET /devices, one after the other", beside.0, idle.0),
        row("publish sent → webhook received", beside.1, idle.1),
    ])
}

/// Of `GET /devices` by one client, and of an event on its way to its webhook.
async fn latencies(hub: &Hub, pace: Pace) -> anyhow::Result<(Percentiles, Percentiles)> {
    let span = pace.slice.mul_f64(float(pace.slices as u64));
    Ok((devices::one_client(hub, span).await?, webhooks::latency(hub, pace.events).await?))
}
