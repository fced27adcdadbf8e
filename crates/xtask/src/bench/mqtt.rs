//! The peer's wire: subscribers and a publisher of a broker, QoS 1. Subscribers are a process of their own.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::net::TcpListener;

use super::{
    control::{self, Doors},
    event::Received,
    helper,
    tally::Tally,
};

/// Where the messages go.
pub(super) const TOPIC: &str = "bench/reading";
/// Room for what is sent and not yet acknowledged; more than ever is.
const IN_FLIGHT: u16 = 1000;

/// A client of the broker, and what drives it.
pub(super) fn client(broker: u16, id: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, Ipv4Addr::LOCALHOST.to_string(), broker);
    options.set_keep_alive(Duration::from_secs(60)).set_inflight(IN_FLIGHT);
    let (client, mut driver) = AsyncClient::new(options, usize::from(IN_FLIGHT));
    let mut network = driver.network_options();
    network.set_tcp_nodelay(true);
    driver.set_network_options(network);
    (client, driver)
}

/// Receives until the process is ended.
pub(super) async fn run(broker: u16, count: usize) -> anyhow::Result<()> {
    let tally = Arc::new(Tally::new(count));
    for subscriber in 0..count {
        let (client, mut driver) = client(broker, &format!("subscriber-{subscriber}"));
        client.subscribe(TOPIC, QoS::AtLeastOnce).await?;
        while !matches!(driver.poll().await.context("the broker refuses")?, Event::Incoming(Packet::SubAck(_))) {}
        tokio::spawn(receive(client, driver, subscriber, tally.clone()));
    }
    let asked = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let doors = Doors { control: asked.local_addr()?.port(), ports: Vec::new() };
    helper::say(&serde_json::to_string(&doors)?)?;
    control::serve(asked, tally).await
}

async fn receive(client: AsyncClient, mut driver: EventLoop, subscriber: usize, tally: Arc<Tally>) {
    // Kept: without it the driver would end.
    let _client = client;
    while let Ok(event) = driver.poll().await {
        if let Event::Incoming(Packet::Publish(message)) = event {
            let event = Received::parse(&message.payload).ok();
            tally.take(subscriber, event.as_ref(), message.qos == QoS::AtLeastOnce && !message.dup);
        }
    }
    tally.take(subscriber, None, false);
}

/// Drives a publisher; ends only by an error.
pub(super) async fn drive(mut driver: EventLoop) -> anyhow::Result<()> {
    loop {
        if let Event::Incoming(Packet::Disconnect) = driver.poll().await.context("the broker is gone")? {
            bail!("the broker ended the connection");
        }
    }
}
