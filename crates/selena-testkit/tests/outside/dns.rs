//! A DNS server that says what a test wants.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// What a name has.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// Another name; the records after it are that one's.
    Cname(&'static str),
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Records(Vec<Record>),
    NoSuchName,
    Nothing,
}

/// Answers to the questions for a name: it is told how often this type was asked for before.
type Zone = Box<dyn Fn(usize) -> Said + Send>;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// Longest answer by UDP; the rest is asked for by TCP.
const MAX_UDP_BYTES: usize = 512;

#[derive(Default)]
pub(crate) struct Dns {
    zones: Mutex<HashMap<String, Zone>>,
    asked: Mutex<HashMap<(String, u16), usize>>,
}

impl Dns {
    /// What a name has from now on.
    pub(crate) fn set(&self, name: &str, zone: impl Fn(usize) -> Said + Send + 'static) {
        self.zones.lock().unwrap().insert(name.to_owned(), Box::new(zone));
    }

    /// How often the IPv4 addresses of a name were asked for, by UDP.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(&(name.to_owned(), A)).copied().unwrap_or_default()
    }

    /// Every name that was asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.asked.lock().unwrap().keys().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Serves UDP and TCP on port 53.
    pub(crate) async fn serve(self: Arc<Self>) -> io::Result<()> {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 53)).await?;
        let dns = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(dns.clone().converse(stream));
            }
        });
        tokio::spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                let Some(mut answer) = self.answer(&question[..length], true) else { continue };
                if answer.len() > MAX_UDP_BYTES {
                    answer.truncate(question_end(&answer).unwrap());
                    answer[2] |= 2;
                    answer[6..8].copy_from_slice(&[0, 0]);
                }
                let _asker_is_gone = udp.send_to(&answer, from).await;
            }
        });
        Ok(())
    }

    async fn converse(self: Arc<Self>, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut question = vec![0; stream.read_u16().await?.into()];
            stream.read_exact(&mut question).await?;
            let Some(answer) = self.answer(&question, false) else { return Ok(()) };
            stream.write_u16(answer.len().try_into().unwrap()).await?;
            stream.write_all(&answer).await?;
        }
    }

    fn answer(&self, question: &[u8], counts: bool) -> Option<Vec<u8>> {
        let end = question_end(question)?;
        let name = read_name(&question[12..])?;
        let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
        let before = {
            let mut asked = self.asked.lock().unwrap();
            let asked = asked.entry((name.clone(), kind)).or_default();
            *asked += usize::from(counts);
            asked.saturating_sub(1)
        };
        let said = self.zones.lock().unwrap().get(&name).map_or(Said::NoSuchName, |zone| zone(before));
        let (code, records) = match said {
            Said::Nothing => return None,
            Said::NoSuchName => (3, Vec::new()),
            Said::Records(records) => (0, records),
        };
        let mut answer = question[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]);
        let mut owner = wire_name(&name);
        let mut count = 0_u16;
        for record in records {
            let (of, data) = match &record {
                Record::A(address) => (A, address.octets().to_vec()),
                Record::Aaaa(address) => (AAAA, address.octets().to_vec()),
                Record::Cname(target) => (CNAME, wire_name(target)),
            };
            if of != CNAME && of != kind {
                continue;
            }
            answer.extend_from_slice(&owner);
            answer.extend_from_slice(&of.to_be_bytes());
            // Class IN, and nothing of it may be kept: a lifetime of zero.
            answer.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
            answer.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            answer.extend_from_slice(&data);
            count += 1;
            if of == CNAME {
                owner = data;
            }
        }
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        Some(answer)
    }
}

/// Where the one question of a message ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let name = message.get(12..)?.iter().position(|byte| *byte == 0)?;
    Some(12 + name + 5).filter(|end| *end <= message.len())
}

fn read_name(mut wire: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    while let Some((length, rest)) = wire.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at_checked((*length).into())?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        wire = rest;
    }
    Some(labels.join("."))
}

fn wire_name(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}
