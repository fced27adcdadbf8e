//! The module as a plain process, beside a hub in memory.

use selena_testkit::FakeHub;
use tokio::process::Command;

#[tokio::test]
async fn it_shows_its_pages() {
    let hub = FakeHub::for_package(env!("CARGO_MANIFEST_DIR")).await;
    let _module = hub.start_module(Command::new(env!("CARGO_BIN_EXE_{{name}}"))).await;
    assert!(hub.get("/widget.html").await.body.starts_with(b"<!doctype html>"));
    assert_eq!(hub.get("/icon.svg").await.status, 200);
}
