//! The live peer: mosquitto from the distribution, on a port of its own.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rumqttc::QoS;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Semaphore,
};

use super::{
    clock,
    control::Control,
    event::delivered,
    helper::Receivers,
    mqtt,
    numbers::float,
    webhooks::{IN_FLIGHT, refill},
};

/// How long the broker may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker with its subscribers.
#[derive(Debug)]
pub(super) struct Mosquitto {
    _broker: Child,
    port: u16,
    receivers: Receivers,
}

/// Where the program is, if it is installed; daemons lie where plain users do not look.
pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.map(|place| place.join("mosquitto")).find(|program| program.is_file())
}

impl Mosquitto {
    /// Starts the broker, which holds back nothing and loses nothing, and the subscribers.
    pub(super) async fn start(program: &Path, dir: &Path, subscribers: usize) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = dir.join("mosquitto.conf");
        std::fs::write(
            &config,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n\
                 max_inflight_messages 0\nmax_queued_messages 0\nlog_dest none\n"
            ),
        )?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let mut broker = command.spawn().context("cannot start mosquitto")?;
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            ensure!(broker.try_wait()?.is_none(), "mosquitto ended at once");
            ensure!(begun.elapsed() < PATIENCE, "mosquitto does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let arguments = ["__mqtt-receiver", "--broker", &port.to_string(), "--count", &subscribers.to_string()];
        Ok(Self { receivers: Receivers::start(&arguments).await?, _broker: broker, port })
    }

    /// Publishes as fast as subscribers receive; messages a second at each subscriber.
    pub(super) async fn flood(&self, span: Duration) -> anyhow::Result<f64> {
        let (client, driver) = mqtt::client(self.port, "publisher");
        let permits = Semaphore::new(IN_FLIGHT);
        let mut progress = Control::open(self.receivers.doors.control).await?;
        let mut control = Control::open(self.receivers.doors.control).await?;
        let begun = Instant::now();
        let publish = async {
            let mut published = 0;
            while begun.elapsed() < span {
                permits.acquire().await?.forget();
                let now = clock::now_ns();
                client.publish(mqtt::TOPIC, QoS::AtLeastOnce, false, delivered(now, now)).await?;
                published += 1;
            }
            control.reached(published).await?;
            anyhow::Ok((published, begun.elapsed()))
        };
        let refilled = async { refill(&mut progress, &permits).await };
        let (published, elapsed) = tokio::select! {
            done = publish => done?,
            Err(error) = refilled => return Err(error),
            Err(error) = mqtt::drive(driver) => return Err(error),
        };
        control.report().await?.check(published)?;
        Ok(float(published) / elapsed.as_secs_f64())
    }
}
