//! What the module shows.

use std::{cell::Cell, fs, rc::Rc};

use selena_sdk::{Module, json};
use selena_testkit::FakeHub;

use crate::{DRIVER, run};

#[tokio::test]
async fn pages_come_from_the_package_and_the_program() {
    let package = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(package.path().join("ui")).expect("a temporary directory");
    fs::write(package.path().join("ui/widget.html"), "<p>21 °C</p>").expect("a temporary directory");
    fs::write(package.path().join("manifest.json"), DRIVER).expect("a temporary directory");
    let hub = FakeHub::for_package(package.path()).await;
    run(&hub, |module| module.static_dir("ui").page("/icon.svg", "<svg/>"), async |_| Ok(()));
    hub.expect_healthy().await;
    for (path, status, body) in [
        ("/widget.html", 200, "<p>21 °C</p>"),
        ("/widget.html?ui_token=x", 200, "<p>21 °C</p>"),
        ("/icon.svg", 200, "<svg/>"),
        ("/manifest.json", 404, r#"{"detail":"there is no such page"}"#),
        ("/../manifest.json", 404, r#"{"detail":"there is no such page"}"#),
        ("/health", 200, r#"{"status":"ok"}"#),
    ] {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{path}");
    }
}

#[tokio::test]
async fn health_is_what_the_module_says() {
    let hub = FakeHub::start(DRIVER).await;
    let ailing = |module: Module| {
        let well = Rc::new(Cell::new(true));
        let told = well.clone();
        module.health(async move |_| if well.get() { Ok(()) } else { Err("the bus is silent".into()) }).on_command(
            "fall_ill",
            async move |_, _| {
                told.set(false);
                Ok(json!({}))
            },
        )
    };
    run(&hub, ailing, async |_| Ok(()));
    hub.expect_healthy().await;
    hub.command("fall_ill", json!({})).await;
    let answer = hub.get("/health").await;
    assert_eq!((answer.status, answer.text()), (503, r#"{"detail":"the bus is silent"}"#));
}
