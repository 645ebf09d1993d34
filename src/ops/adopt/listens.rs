//! What a member listens on, as the addresses of an inventory.

use std::net::IpAddr;

use crate::inventory::{Address, listens_by_default};

/// Everything that a member listens on: IP addresses, `0.0.0.0` among them, or `localhost`.
pub(super) struct Listens {
    pub hosts: Vec<String>,
    pub client: u16,
    pub peer: u16,
}

impl Listens {
    /// The addresses for both ports: those of either, each once. `localhost` is what Go binds for it.
    pub fn addresses(&self, own: &Address) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for host in &self.hosts {
            let ip = host.parse().unwrap_or(IpAddr::from([127, 0, 0, 1]));
            if !all.contains(&ip) {
                all.push(ip);
            }
        }
        // One that is every address takes the others' ports; on `::` those of IPv4 as well.
        let every = |ip: &&IpAddr| ip.is_unspecified();
        if let Some(v6) = all.iter().filter(every).find(|ip| ip.is_ipv6()).copied() {
            all = vec![v6];
        } else if let Some(v4) = all.iter().find(every).copied() {
            all.retain(|ip| *ip == v4 || ip.is_ipv6());
        }
        if all == [listens_by_default(own)] {
            Vec::new()
        } else {
            all
        }
    }
}
