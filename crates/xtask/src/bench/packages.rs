//! Packages of strangers: how fast a large one is refused, and what all of series Z cost the core in memory.

use std::{path::Path, time::Instant};

use anyhow::{Context, ensure};
use selena_forge::{bomb, series, zip_of_entries};

use super::{Pace, hub::Hub, numbers::median, table::Row};

/// Entries of the archive that has too many.
const ENTRIES: usize = 65_000;
const REFUSED_GOAL_MS: f64 = 1000.0;
const GROWTH_GOAL_MIB: f64 = 64.0;
/// The largest package a hub reads.
const LARGEST_BYTES: usize = 50 * 1024 * 1024;

/// Uploads to a hub of their own, whose memory nothing else has touched.
pub(super) async fn rows(program: &Path, dir: &Path, pace: Pace) -> anyhow::Result<Vec<Row>> {
    let hub = Hub::start(program, &dir.join("packages")).await?;
    let (uploads, growth) = series_z(&hub).await?;
    let archive = zip_of_entries(ENTRIES);
    let mut times = Vec::new();
    for _ in 0..pace.starts {
        let begun = Instant::now();
        refused(&hub, &archive, "zip_entries").await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    hub.stop().await?;
    let ms = median(times);
    Ok(vec![
        Row {
            what: format!("zip: {ENTRIES} entries refused, from POST to answer (median of {})", pace.starts),
            ours: format!("{ms:.0} ms"),
            goal: "≤ 1000 ms",
            reached: Some(ms <= REFUSED_GOAL_MS),
            figures: [("ours_ms", ms)].into(),
            ..Row::default()
        },
        Row {
            what: format!("zip: memory growth (peak RSS) over series Z, {uploads} uploads"),
            ours: format!("{growth:.1} MiB"),
            goal: "< 64 MiB",
            reached: Some(growth < GROWTH_GOAL_MIB),
            figures: [("ours_mib", growth)].into(),
            ..Row::default()
        },
    ])
}

/// Uploads the whole series; how many archives that were, and by how many MiB the peak is above the memory before.
async fn series_z(hub: &Hub) -> anyhow::Result<(usize, f64)> {
    let before = hub.resident_mib("VmRSS:")?;
    let mut uploads = 0;
    for case in series() {
        // What the unpacker takes has no good manifest.
        let code = case.code.unwrap_or("manifest_");
        refused(hub, &case.archive, code).await.with_context(|| format!("{}: {}", case.id, case.what))?;
        uploads += 1;
    }
    for (archive, code) in [
        (bomb(100_000_000, 10).build(), "zip_size"),
        (bomb(100_000_000, 100_000_000).build(), "zip_ratio"),
        (vec![0; LARGEST_BYTES], "zip_corrupt"),
    ] {
        refused(hub, &archive, code).await?;
        uploads += 1;
    }
    Ok((uploads, hub.resident_mib("VmHWM:")? - before))
}

/// Uploads a package that has to be refused with a code that begins so.
async fn refused(hub: &Hub, archive: &[u8], code: &str) -> anyhow::Result<()> {
    let mut connection = hub.connect().await?;
    let (status, body) = connection.upload("/api/v1/modules/install", super::hub::TOKEN, archive).await?;
    let text = String::from_utf8_lossy(body);
    ensure!(
        status == 422 && text.contains(&format!("\"code\":\"{code}")),
        "the hub answered {status} instead of 422 {code}: {text}"
    );
    Ok(())
}
