//! Ways from a job's own network to the nodes that it is to test, and to nothing else.
//!
//! A relay listens on this machine's address in the job's network, takes connections from that network alone, and leads to
//! one address, which the server names: what a pipeline writes opens nothing. It ends with the job's room.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bollard::models::NetworkInspect;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Nodes that one job reaches.
const RELAYS_MAX: usize = 64;
/// Connections through one relay at the same time.
const CONNECTIONS_MAX: usize = 1_024;

/// The relays of one job.
#[derive(Debug, Default)]
pub(super) struct Relays {
    /// The node, and where the job finds it.
    pub(super) places: Vec<(SocketAddr, SocketAddr)>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Relays {
    /// Opens a relay for each node.
    pub(super) async fn open(network: &NetworkInspect, nodes: &[SocketAddr]) -> Result<Self, String> {
        let net = Net::of(network).ok_or("the job's network has no IPv4 address of this machine")?;
        let mut relays = Self::default();
        for node in nodes.iter().take(RELAYS_MAX) {
            let listener = TcpListener::bind((net.gateway, 0)).await;
            let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", net.gateway))?;
            let place = listener.local_addr().map_err(|error| error.to_string())?;
            relays.tasks.push(tokio::spawn(lead(listener, net, *node)).abort_handle());
            relays.places.push((*node, place));
        }
        Ok(relays)
    }
}

async fn lead(listener: TcpListener, net: Net, node: SocketAddr) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the relay.
    let mut open = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((mut job, from)) = listener.accept().await else { continue };
        while open.try_join_next().is_some() {}
        if !net.holds(from.ip()) {
            continue;
        }
        open.spawn(async move {
            let _permit = permit;
            if let Ok(mut node) = TcpStream::connect(node).await {
                // Either side sees its end.
                let _ = copy_bidirectional(&mut job, &mut node).await;
            }
        });
    }
}

/// A network of containers, and this machine's address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    gateway: Ipv4Addr,
    base: u32,
    mask: u32,
}

impl Net {
    fn of(network: &NetworkInspect) -> Option<Self> {
        let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref())?;
        configs.iter().find_map(|config| Self::parse(config.subnet.as_deref()?, config.gateway.as_deref()?))
    }

    fn parse(subnet: &str, gateway: &str) -> Option<Self> {
        let (base, bits) = subnet.split_once('/')?;
        let bits: u32 = bits.parse().ok().filter(|bits| (1..=32).contains(bits))?;
        let mask = u32::MAX << (32 - bits);
        let base = u32::from(base.parse::<Ipv4Addr>().ok()?) & mask;
        Some(Self { gateway: gateway.parse().ok()?, base, mask })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => u32::from(address) & self.mask == self.base,
            IpAddr::V6(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_network_knows_its_own() {
        let net = Net::parse("172.18.0.0/16", "172.18.0.1").unwrap();
        assert!(net.holds("172.18.255.7".parse().unwrap()));
        assert!(!net.holds("172.19.0.1".parse().unwrap()) && !net.holds("::1".parse().unwrap()));
        for (subnet, gateway) in [("fd00::/64", "fd00::1"), ("1.2.3.4", "1.2.3.4"), ("1.2.3.4/0", "1.2.3.4")] {
            assert_eq!(Net::parse(subnet, gateway), None);
        }
    }

    async fn ask(place: SocketAddr) -> Vec<u8> {
        let mut read = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(place).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut read).await;
        }
        read
    }

    #[tokio::test]
    async fn only_the_network_is_led_through_and_only_while_the_relay_is_there() {
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = node.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = node.accept().await {
                let mut read = Vec::new();
                let _ = stream.read_to_end(&mut read).await;
                read.make_ascii_uppercase();
                let _ = stream.write_all(&read).await;
            }
        });
        let network = |subnet: &str| NetworkInspect {
            ipam: Some(bollard::models::Ipam {
                config: Some(vec![bollard::models::IpamConfig {
                    subnet: Some(subnet.to_owned()),
                    gateway: Some("127.0.0.1".to_owned()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..NetworkInspect::default()
        };
        let own = Relays::open(&network("127.0.0.0/8"), &[address]).await.unwrap();
        assert_eq!(ask(own.places[0].1).await, b"HELLO");
        let other = Relays::open(&network("10.0.0.0/8"), &[address]).await.unwrap();
        assert_eq!(ask(other.places[0].1).await, b"");
        let place = own.places[0].1;
        drop(own);
        while TcpStream::connect(place).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(Relays::open(&NetworkInspect::default(), &[address]).await.is_err());
    }
}
