//! How the process that publishes asks the one that receives: lines over TCP.
//! `reached <n>` is answered by `ok` once every receiver has n events, `report` by the counts since the last report.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::tally::{Report, Tally};

/// How long events may take to arrive; more means that some are lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiving process says first.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Doors {
    /// Where it is asked.
    pub(super) control: u16,
    /// Where it receives.
    pub(super) ports: Vec<u16>,
}

/// Answers until the process ends.
pub(super) async fn serve(listener: TcpListener, tally: Arc<Tally>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let tally = tally.clone();
        // A control connection that breaks is one whose asker has all it wanted.
        tokio::spawn(async move { answer(stream, &tally).await });
    }
}

async fn answer(stream: TcpStream, tally: &Tally) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match line.split_once(' ') {
            Some(("reached", events)) => {
                tally.reached(events.parse()?).await;
                "ok".to_owned()
            }
            _ => serde_json::to_string(&tally.report())?,
        };
        writer.write_all((answer + "\n").as_bytes()).await?;
    }
    Ok(())
}

/// The asking side.
#[derive(Debug)]
pub(super) struct Control {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Control {
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("the receiver is not there")?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    async fn ask(&mut self, question: String) -> anyhow::Result<String> {
        self.writer.write_all((question + "\n").as_bytes()).await?;
        let mut answer = String::new();
        let read = self.reader.read_line(&mut answer).await?;
        anyhow::ensure!(read > 0, "the receiver ended");
        Ok(answer)
    }

    /// Waits until every receiver has this many events.
    pub(super) async fn reached(&mut self, events: u64) -> anyhow::Result<()> {
        let asked = tokio::time::timeout(PATIENCE, self.ask(format!("reached {events}"))).await;
        asked.with_context(|| format!("{events} events did not arrive in {PATIENCE:?}: some are lost"))??;
        Ok(())
    }

    /// What came since the last report.
    pub(super) async fn report(&mut self) -> anyhow::Result<Report> {
        serde_json::from_str(&self.ask("report".to_owned()).await?).context("the receiver's report is no report")
    }
}
