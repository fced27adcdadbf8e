//! A small internet.

use std::{
    collections::HashMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use futures_util::future::BoxFuture;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use rustls::ServerConfig;
use selena_core::ports::{Https, HttpsAnswer, HttpsError, HttpsRequest};
use selena_vault::GuardedHttps;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    certificates::{Authority, server},
    dns::{Dns, Record, Said},
};

/// An address of this machine's own interface, which is public.
pub(crate) const OWN_V4: Ipv4Addr = Ipv4Addr::new(93, 184, 215, 99);
/// Another one.
pub(crate) const OWN_V6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x2800, 0, 0x99, 0, 0, 0, 1);
/// Ports on which all addresses listen: those of the URLs of these tests.
const PORTS: [u16; 3] = [443, 7070, 8443];

/// A request as a server got it.
pub(crate) struct Asked {
    /// All before the body.
    pub(crate) head: String,
    pub(crate) stream: TlsStream<TcpStream>,
}

/// What a TLS server does with a request.
pub(crate) type Handler = Arc<dyn Fn(Asked) -> BoxFuture<'static, io::Result<()>> + Send + Sync>;
/// What a server without TLS does with a connection.
pub(crate) type RawHandler = Arc<dyn Fn(TcpStream) -> BoxFuture<'static, io::Result<()>> + Send + Sync>;

/// What is at an address.
#[derive(Clone)]
pub(crate) enum Site {
    Tls(Arc<ServerConfig>, Handler),
    Raw(RawHandler),
}

/// A namespace in which every address is this machine: what is connected to is seen, wherever it is.
pub(crate) struct World {
    pub(crate) dns: Arc<Dns>,
    pub(crate) authority: Authority,
    sites: Mutex<HashMap<IpAddr, Site>>,
    connections: Mutex<Vec<SocketAddr>>,
    requests: Mutex<Vec<String>>,
    dir: TempDir,
}

/// Runs a test in a world of its own.
#[track_caller]
pub(crate) fn in_a_world<T: Future<Output = ()>>(test: impl FnOnce(Arc<World>) -> T + Send + 'static) {
    let run = move || {
        let dir = tempfile::tempdir().unwrap();
        enter(dir.path()).expect("this test needs root, to make namespaces");
        // Threads that are made from here on are in the namespaces too: also those that resolve names.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = Arc::new(World {
                dns: Arc::default(),
                authority: Authority::new("An authority of the house"),
                sites: Mutex::default(),
                connections: Mutex::default(),
                requests: Mutex::default(),
                dir,
            });
            world.dns.clone().serve().await.unwrap();
            for port in PORTS {
                world.listen(port);
            }
            test(world).await;
        });
        // A resolver that still waits for an answer is not waited for.
        runtime.shutdown_background();
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

/// New network and mount namespaces, with our DNS server as the only one.
fn enter(dir: &Path) -> io::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    for (file, text) in
        [("resolv.conf", "nameserver 127.0.0.1\nsearch evil.example\n"), ("nsswitch.conf", "hosts: dns\n")]
    {
        let ours = dir.join(file);
        fs::write(&ours, text)?;
        mount(Some(&ours), &Path::new("/etc").join(file), NONE, MsFlags::MS_BIND, NONE)?;
    }
    for arguments in [
        "link set lo up",
        "route add local 0.0.0.0/0 dev lo",
        "-6 route add local ::/0 dev lo",
        &format!("address add {OWN_V4}/32 dev lo"),
        &format!("-6 address add {OWN_V6}/128 dev lo nodad"),
    ] {
        let done = Command::new("ip").args(arguments.split(' ')).status()?;
        assert!(done.success(), "ip {arguments}");
    }
    Ok(())
}

impl World {
    /// Listens on this port of all addresses, of both families.
    fn listen(self: &Arc<Self>, port: u16) {
        let socket = TcpSocket::new_v6().unwrap();
        // So that a test can have one address for itself.
        socket.set_reuseport(true).unwrap();
        socket.bind((Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let world = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let to = stream.local_addr().unwrap();
                world.connections.lock().unwrap().push(to);
                let site = world.sites.lock().unwrap().get(&to.ip().to_canonical()).cloned();
                let world = world.clone();
                tokio::spawn(async move {
                    match site {
                        Some(Site::Raw(handler)) => handler(stream).await,
                        Some(Site::Tls(config, handler)) => world.converse(stream, config, handler).await,
                        None => Ok(()),
                    }
                });
            }
        });
    }

    async fn converse(&self, stream: TcpStream, config: Arc<ServerConfig>, handler: Handler) -> io::Result<()> {
        let mut stream = TlsAcceptor::from(config).accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        self.requests.lock().unwrap().push(head.clone());
        handler(Asked { head, stream }).await
    }

    /// What is at an address from now on.
    pub(crate) fn place(&self, address: impl Into<IpAddr>, site: Site) {
        self.sites.lock().unwrap().insert(address.into(), site);
    }

    /// A server with a good certificate at a public address that its name has; gives the address.
    pub(crate) fn publish(&self, host: &str, handler: Handler) -> Ipv4Addr {
        let identity = self.authority.sign(&server(&[host]));
        self.publish_site(host, Site::Tls(identity.server_config(), handler))
    }

    /// The same for any server.
    pub(crate) fn publish_site(&self, host: &str, site: Site) -> Ipv4Addr {
        let number = u8::try_from(self.sites.lock().unwrap().len()).unwrap();
        let address = Ipv4Addr::new(93, 184, 216, number + 1);
        self.place(address, site);
        self.dns.set(host, move |_| Said::Records(vec![Record::A(address)]));
        address
    }

    /// The addresses that were connected to.
    pub(crate) fn connections(&self) -> Vec<IpAddr> {
        self.connections.lock().unwrap().iter().map(|to| to.ip().to_canonical()).collect()
    }

    /// The heads of the requests that servers got.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The hub's way outside, which believes this world's authority too.
    pub(crate) fn https(&self) -> GuardedHttps {
        let file = self.file("ca.pem", &self.authority.pem());
        GuardedHttps::new(Some(&file)).unwrap()
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Sends a GET as the hub does, with a token, within 5 s and 1 MiB.
    pub(crate) async fn get(&self, url: &str) -> Result<HttpsAnswer, HttpsError> {
        self.get_within(url, Duration::from_secs(5)).await
    }

    /// The same within another time.
    pub(crate) async fn get_within(&self, url: &str, timeout: Duration) -> Result<HttpsAnswer, HttpsError> {
        let request = HttpsRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer canary".to_owned())],
            body: Vec::new(),
            timeout,
            max_answer_bytes: 1024 * 1024,
        };
        self.https().send(request).await
    }
}

/// A server that answers every request with these bytes.
pub(crate) fn answers(bytes: impl Into<Vec<u8>>) -> Handler {
    let bytes: Arc<[u8]> = bytes.into().into();
    handler(move |mut asked| {
        let bytes = bytes.clone();
        async move {
            asked.stream.write_all(&bytes).await?;
            asked.stream.shutdown().await
        }
    })
}

/// A server that answers with this status, these headers and this body.
pub(crate) fn replies(status: u16, headers: &str, body: &str) -> Handler {
    answers(format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// A server that does anything.
pub(crate) fn handler<T>(act: impl Fn(Asked) -> T + Send + Sync + 'static) -> Handler
where
    T: Future<Output = io::Result<()>> + Send + 'static,
{
    Arc::new(move |asked| Box::pin(act(asked)))
}

/// A server without TLS that does anything.
pub(crate) fn raw<T>(act: impl Fn(TcpStream) -> T + Send + Sync + 'static) -> Site
where
    T: Future<Output = io::Result<()>> + Send + 'static,
{
    Site::Raw(Arc::new(move |stream| Box::pin(act(stream))))
}

/// The reason of a refusal.
#[track_caller]
pub(crate) fn refusal(outcome: Result<HttpsAnswer, HttpsError>) -> &'static str {
    match outcome {
        Err(HttpsError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}
