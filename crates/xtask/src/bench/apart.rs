//! A hub in two processes, as on a device: the core, and the sandbox beside it.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use tokio::process::{Child, Command};

use super::{
    hub::{Hub, pss_mb},
    programs::InContainer,
};

/// How long the sandbox may take to offer its socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both processes; killed if they are not stopped.
#[derive(Debug)]
pub(super) struct Apart {
    pub(super) hub: Hub,
    sandbox: Child,
}

impl Apart {
    /// Starts both on a data directory.
    pub(super) async fn start(program: &Path, data: &Path, inside: &InContainer) -> anyhow::Result<Self> {
        fs::create_dir_all(data)?;
        let (state, socket) = (data.with_extension("sandbox"), data.with_extension("sock"));
        let mut command = Command::new(&inside.sandbox);
        command
            .args(["--dev", "--core-user", "0", "--name-prefix"])
            .arg(format!("bench-{}-", std::process::id()))
            .arg("--data-dir")
            .arg(data)
            .arg("--sandbox-dir")
            .arg(&state)
            .arg("--socket")
            .arg(&socket)
            .arg("--init")
            .arg(&inside.init)
            .stdin(Stdio::null())
            .stderr(File::create(data.with_extension("sandbox-log"))?)
            .kill_on_drop(true);
        if let Some(docker) = std::env::var_os("SELENA_DOCKER_SOCKET") {
            command.arg("--docker-socket").arg(docker);
        }
        let sandbox = command.spawn().with_context(|| format!("cannot start {}", inside.sandbox.display()))?;
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let offered = async {
            while !socket.exists() {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, offered).await.context("the sandbox offers no socket")?;
        let hub = Hub::start_with(program, data, &["--sandbox-socket".into(), socket.into_os_string()]).await?;
        Ok(Self { hub, sandbox })
    }

    /// Memory of the sandbox in MB.
    pub(super) fn sandbox_pss_mb(&self) -> anyhow::Result<f64> {
        pss_mb(self.sandbox.id().context("the sandbox has ended")?)
    }

    /// Ends both.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.hub.stop().await?;
        self.sandbox.kill().await.context("the sandbox cannot be ended")
    }
}
