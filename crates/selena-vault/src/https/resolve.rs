//! From a name to addresses that may be connected to: asked once, checked all.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use nix::ifaddrs::getifaddrs;
use selena_core::ports::HttpsError;
use tokio::sync::Semaphore;

use super::address::Reach;

/// Most addresses of an answer that are looked at; what is not looked at is not connected to.
const MAX_ADDRESSES: usize = 100;

/// The system's resolver, behind the checks. Clones share their lookups.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    lookups: Arc<Semaphore>,
}

impl Resolver {
    /// Resolves so many names at once, and lets others wait: the system's resolver holds a thread for each, longer than
    /// any deadline.
    pub(super) fn new(max_lookups: usize) -> Self {
        Self { lookups: Arc::new(Semaphore::new(max_lookups)) }
    }

    /// Whether a clone is held, or a lookup goes on, of whomever it was for.
    pub(super) fn is_used(&self) -> bool {
        Arc::strong_count(&self.lookups) > 1
    }

    /// The addresses of a host, a DNS name or an address itself, all of them within reach. A single one that is not refuses
    /// them all (U10): whoever mixes them means to get past a check, or has a network of which nobody can say where a
    /// packet goes.
    ///
    /// # Errors
    /// [`HttpsError::Refused`] with `address`, or [`HttpsError::Connect`] if the name is not known.
    pub(super) async fn addresses(&self, host: &str, port: u16, reach: Reach) -> Result<Vec<SocketAddr>, HttpsError> {
        let failed = |source: io::Error| HttpsError::Connect { host: host.to_owned(), source: source.into() };
        let closed = |_| failed(io::Error::other("the hub ends"));
        let permit = self.lookups.clone().acquire_owned().await.map_err(closed)?;
        // With the dot at its end a name is whole: no search list of the network is tried after it.
        let (name, literal) = (format!("{host}."), host.parse::<IpAddr>().ok());
        let lookup = tokio::task::spawn_blocking(move || -> io::Result<_> {
            let _held_until_the_resolver_returns = permit;
            let found = match literal {
                Some(address) => vec![SocketAddr::new(address, port)],
                None => (name, port).to_socket_addrs()?.take(MAX_ADDRESSES).collect(),
            };
            Ok((found, own_addresses()?))
        });
        let (found, own) =
            lookup.await.map_err(|error| failed(error.into())).and_then(|found| found.map_err(failed))?;
        check(host, &found, &own, reach)?;
        Ok(found)
    }
}

/// The addresses of this machine's interfaces: a public one too is the hub itself (U06).
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let of = |address: nix::ifaddrs::InterfaceAddress| {
        let address = address.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(getifaddrs()?.filter_map(of).collect())
}

fn check(host: &str, found: &[SocketAddr], own: &[IpAddr], reach: Reach) -> Result<(), HttpsError> {
    if found.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(HttpsError::Connect { host: host.to_owned(), source: source.into() });
    }
    for address in found.iter().map(SocketAddr::ip) {
        let wrong = reach.refuses(address).or_else(|| own.contains(&address).then_some("this hub's own"));
        if let Some(purpose) = wrong {
            // Who asked is not told which: it would learn what the house's names and addresses are.
            tracing::warn!(host, %address, purpose, "a host was refused for its address");
            let detail =
                format!("`{host}` has an address that is not outside: a private or special one, or this hub's");
            return Err(HttpsError::Refused { reason: "address", detail });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(found: &[&str], own: &[&str]) -> Option<String> {
        reason_within(Reach::Outside, found, own)
    }

    fn reason_within(reach: Reach, found: &[&str], own: &[&str]) -> Option<String> {
        let found: Vec<_> = found.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect();
        let own: Vec<_> = own.iter().map(|text| text.parse().unwrap()).collect();
        check("api.example.com", &found, &own, reach).err().map(|error| error.to_string())
    }

    #[test]
    fn u06_the_hubs_own_addresses_are_refused_public_ones_too() {
        assert_eq!(reason(&["93.184.215.14"], &["93.184.215.15", "192.168.1.2"]), None);
        assert!(reason(&["93.184.215.14"], &["127.0.0.1", "93.184.215.14"]).unwrap().contains("not outside"));
        assert!(reason(&["2606:2800::1"], &["2606:2800::1"]).unwrap().contains("not outside"));
        assert!(own_addresses().unwrap().contains(&IpAddr::from([127, 0, 0, 1])), "every machine has it");
    }

    #[test]
    fn u06_the_hubs_own_addresses_are_refused_in_the_lan_too() {
        let lan = |found: &[&str], own: &[&str]| reason_within(Reach::OutsideAndLan, found, own);
        assert_eq!(lan(&["192.168.1.5", "93.184.215.14"], &["192.168.1.2"]), None);
        assert!(lan(&["192.168.1.2"], &["192.168.1.2"]).unwrap().contains("this hub's"));
        assert!(lan(&["192.168.1.5", "127.0.0.1"], &[]).unwrap().contains("not outside"));
    }

    #[test]
    fn u10_one_address_inside_refuses_all() {
        assert_eq!(reason(&["93.184.215.14", "2606:2800::1"], &[]), None);
        for mix in [["93.184.215.14", "10.0.0.1"], ["10.0.0.1", "93.184.215.14"], ["2606:2800::1", "::ffff:1.1.1.1"]] {
            assert!(reason(&mix, &[]).unwrap().contains("not outside"), "{mix:?}");
        }
        assert!(reason(&[], &[]).is_some(), "none is none to connect to");
    }
}
