//! A port of the host for a module that would have one in its own namespace.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use selena_types::ModulePort;

/// A module's port that nobody else uses, as long as this lives.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    pub(crate) port: ModulePort,
    /// The UDP port of that number, which no module uses: it tells other test processes that the number is taken.
    _taken: UdpSocket,
}

impl ReservedPort {
    /// The first free one of 8100 to 8200.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn take() -> Self {
        (8100..=8200).find_map(Self::try_take).expect("a port from 8100 to 8200 is free")
    }

    fn try_take(number: u16) -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
        let taken = UdpSocket::bind(address).ok()?;
        TcpListener::bind(address).ok()?;
        Some(Self { port: ModulePort::new(number).ok()?, _taken: taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_never_get_the_same() {
        let (one, two) = (ReservedPort::take(), ReservedPort::take());
        assert_ne!(one.port, two.port);
    }
}
