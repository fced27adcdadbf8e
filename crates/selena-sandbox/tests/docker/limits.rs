//! Limits hold, and what runs into them is the module alone (faults R06, R07, R09, R10).

use selena_core::ports::ExitCause;

use crate::hub::{number, value, with_hub};

const EAGAIN: &str = "11";
const ENOSPC: &str = "28";
const MIB: u64 = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn r06_a_module_that_needs_too_much_memory_is_told_apart() {
    with_hub(async |hub| {
        let spec = hub.spec("hog");
        assert_eq!(hub.run(&spec, "hog").await.0, ExitCause::OutOfMemory);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_fork_bomb_stops_at_the_limit() {
    with_hub(async |hub| {
        let spec = hub.spec("forker");
        let (cause, log) = hub.run(&spec, "fork").await;
        assert_eq!((cause, value(&log, "refused")), (ExitCause::Code(0), EAGAIN));
        // Twenty, less the init and the probe itself.
        assert_eq!(number(&log, "children"), 18);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_data_and_tmp_are_full_at_their_size() {
    with_hub(async |hub| {
        for (name, directory, most) in [("filler", "/data", 16 * MIB), ("temporary", "/tmp", 32 * MIB)] {
            let spec = hub.spec(name);
            let (cause, log) = hub.run(&spec, &format!("fill:{directory}")).await;
            assert_eq!(cause, ExitCause::Code(0), "{log}");
            assert_eq!((value(&log, "refused"), value(&log, "refused_file")), (ENOSPC, ENOSPC));
            assert!((most / 2..=most).contains(&number(&log, "written")), "{log}");
            assert!(number(&log, "made") < 20_000, "{log}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_have_a_limit() {
    with_hub(async |hub| {
        let spec = hub.spec("opener");
        let (_, log) = hub.run(&spec, "files").await;
        assert_eq!(number(&log, "open"), 64 - 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_only_the_end_of_a_log_flood_is_kept() {
    with_hub(async |hub| {
        let spec = hub.spec("flooder");
        let (_, log) = hub.run(&spec, "flood").await;
        assert!(log.len() <= 2 * 1024 * 1024, "{} bytes", log.len());
        assert!(log.ends_with("x\nend of the flood\n"));
    })
    .await;
}
