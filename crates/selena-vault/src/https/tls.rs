//! Whom the hub believes: the system's authorities, and those of one file beside them.

use std::{fs, io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
    version::{TLS12, TLS13},
};
use tokio::sync::OnceCell;

/// Why a file of certificates is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It cannot be read.
    #[error("cannot read the file of certificates {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no PEM.
    #[error("{path} is no PEM file of certificates")]
    Pem {
        /// The file.
        path: String,
        /// Why.
        source: pem::Error,
    },
    /// It has no certificate that can be an authority.
    #[error("{path} holds no certificate of an authority")]
    Empty {
        /// The file.
        path: String,
    },
    /// One of its certificates is none.
    #[error("{path} holds a certificate that cannot be read")]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        source: rustls::Error,
    },
}

/// The authorities. Those of the system are read at the first connection: a hub whose modules ask nobody outside
/// has no memory for them.
#[derive(Debug)]
pub(super) struct Trust {
    own: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// The system's authorities, and those of a PEM file if there is one.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, CaFileError> {
        let own = ca_file.map(read).transpose()?.unwrap_or_default();
        Ok(Self { own, config: OnceCell::new() })
    }

    /// What every connection is made with.
    pub(super) async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let make = || async {
            let own = self.own.clone();
            tokio::task::spawn_blocking(move || client_config(roots(&own)?)).await.map_err(io::Error::other)?
        };
        self.config.get_or_try_init(make).await.cloned()
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let shown = || path.display().to_string();
    let text = fs::read(path).map_err(|source| CaFileError::Read { path: shown(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|source| CaFileError::Pem { path: shown(), source })?;
    if certificates.is_empty() {
        return Err(CaFileError::Empty { path: shown() });
    }
    let mut trial = RootCertStore::empty();
    for certificate in &certificates {
        trial.add(certificate.clone()).map_err(|source| CaFileError::Certificate { path: shown(), source })?;
    }
    Ok(certificates)
}

fn roots(own: &[CertificateDer<'static>]) -> io::Result<RootCertStore> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(error = error as &dyn std::error::Error, "a certificate of the system's store cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (taken, _not_readable) = roots.add_parsable_certificates(system.certs);
    let (own, _none) = roots.add_parsable_certificates(own.iter().cloned());
    if taken + own == 0 {
        let missing = "the system has no certificates of authorities: install `ca-certificates`, or set `core_ca_file`";
        return Err(io::Error::new(io::ErrorKind::NotFound, missing));
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3 with ring; certificates are always checked. Nothing is resumed: connections are few, memory is kept.
fn client_config(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
    let mut config = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
