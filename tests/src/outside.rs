//! A world outside of a test's own: a network namespace in which every address is this machine, with one name that has a
//! public address, one that has a private one, and a server with a certificate for both. What a hub that is started here sends outside is seen, and leaves nothing.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use nix::sched::{CloneFlags, unshare};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::TempDir;

/// A name with a public address.
pub const HOST: &str = "acme.example.com";
/// A name with an address of a private network.
pub const LAN_HOST: &str = "nas.example.com";
/// All names of this world.
const NAMES: [(&str, Ipv4Addr); 2] =
    [(HOST, Ipv4Addr::new(93, 184, 216, 34)), (LAN_HOST, Ipv4Addr::new(192, 168, 77, 5))];

/// A request as the server got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// Its headers, with names in lower case, a line each.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// What the server answers: status and JSON text.
pub type Answers = Box<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// The world.
#[derive(Debug)]
pub struct Outside {
    dir: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Outside {
    /// Runs a test in a world whose server answers so.
    ///
    /// # Panics
    /// If the test does, or without root.
    pub fn with(answers: Answers, test: impl FnOnce(&Self) + Send + 'static) {
        let run = move || {
            let outside = Self::enter().expect("this test needs root, to make namespaces");
            outside.serve(answers).expect("a server can be started in a namespace of one's own");
            test(&outside);
        };
        if let Err(panic) = thread::spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    }

    /// The file of the authority that signed the server's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The requests whose method and path begin so.
    #[must_use]
    pub fn asked(&self, line: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("nothing panics while it holds the requests");
        asked.iter().filter(|asked| asked.line.starts_with(line)).cloned().collect()
    }

    /// A new network namespace for this thread and what it starts, with name servers at the addresses this machine asks.
    fn enter() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        for arguments in ["link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"] {
            let done = Command::new("ip").args(arguments.split(' ')).status()?;
            assert!(done.success(), "ip {arguments}");
        }
        let settings = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let named = settings.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
        let mut servers: Vec<IpAddr> = named.collect();
        servers.push(Ipv4Addr::LOCALHOST.into());
        servers.sort();
        servers.dedup();
        for server in servers {
            let socket = UdpSocket::bind((server, 53))?;
            thread::spawn(move || answer_names(&socket));
        }
        Ok(Self { dir: tempfile::tempdir()?, asked: Arc::default() })
    }

    fn serve(&self, answers: Answers) -> io::Result<()> {
        let config = self.certificate().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 443))?;
        let (asked, answers) = (self.asked.clone(), Arc::new(answers));
        // In the namespace of the thread that makes it; it ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, asked, answers) = (config.clone(), asked.clone(), answers.clone());
                // Whoever hangs up is none of the test's business.
                thread::spawn(move || converse(stream, config, &asked, &answers));
            }
        });
        Ok(())
    }

    fn certificate(&self) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error + Send + Sync>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let signed = authority.self_signed(&key)?;
        let issuer = Issuer::new(authority, key);
        let server_key = KeyPair::generate()?;
        let server = CertificateParams::new(NAMES.map(|(name, _)| name.to_owned()))?.signed_by(&server_key, &issuer)?;
        fs::write(self.ca_file(), pem(signed.der()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let key = PrivateKeyDer::try_from(server_key.serialize_der())?;
        Ok(Arc::new(builder.with_no_client_auth().with_single_cert(vec![server.der().clone()], key)?))
    }
}

/// Answers questions for [`NAMES`]; each has one IPv4 address, and there is no other name.
fn answer_names(socket: &UdpSocket) -> io::Result<()> {
    let mut question = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut question)?;
        let end = 12 + question[12..length].iter().position(|byte| *byte == 0).unwrap_or(0) + 5;
        let found = NAMES.iter().find(|(name, _)| question[12..length].starts_with(&wire_name(name)));
        let wants_v4 = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..end].to_vec();
        let address = found.filter(|_| wants_v4).map(|(_, address)| address);
        let (code, count) = (if found.is_some() { 0 } else { 3 }, u8::from(address.is_some()));
        answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        if let Some(address) = address {
            // The name of the question, type A, class IN, not to be kept, four bytes.
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend_from_slice(&address.octets());
        }
        socket.send_to(&answer, from)?;
    }
}

/// A name as DNS writes it, without its end.
fn wire_name(name: &str) -> Vec<u8> {
    let label = |label: &str| {
        let length = u8::try_from(label.len()).expect("labels are short");
        [&[length], label.as_bytes()].concat()
    };
    name.split('.').flat_map(label).collect()
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = base64(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn converse(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    asked: &Mutex<Vec<Asked>>,
    answers: &Answers,
) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let (mut line, mut head) = (String::new(), String::new());
    stream.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        head.push_str(&format!("{}:{value}", name.to_lowercase()));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let one = Asked { line, head, body: String::from_utf8_lossy(&body).into_owned() };
    let (status, body) = answers(&one);
    asked.lock().expect("nothing panics while it holds the requests").push(one);
    let head =
        format!("HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let stream = stream.get_mut();
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
