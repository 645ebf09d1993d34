//! The list that clients dial, and whether certificates carry another name of it.

use crate::inventory::{Address, Desired, DesiredHost, NodeName};
use crate::pki::server_spec;

/// The hosts in the order of the inventory.
pub fn hosts(desired: &Desired) -> impl Iterator<Item = &DesiredHost> {
    desired.order.iter().filter_map(|name| desired.hosts.get(name))
}

/// `https://ADDRESS:PORT` of every member, in the order of the inventory.
pub fn endpoints(desired: &Desired) -> Vec<String> {
    hosts(desired).map(DesiredHost::client_url).collect()
}

/// The members whose server certificate would not carry this address: clients that dial it refuse them.
pub fn without_name<'a>(desired: &'a Desired, address: &Address) -> Vec<&'a NodeName> {
    hosts(desired)
        .filter(|host| !server_spec(desired, host).sans.contains(address))
        .map(|host| &host.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Version;
    use crate::inventory::samples::{cluster_of, host};

    #[test]
    fn a_name_must_be_in_every_certificate() {
        let lb: Address = "lb.example.com".parse().unwrap();
        let mut named = host("etcd-1", "10.0.0.11");
        named.sans.push(lb.clone());
        let desired = cluster_of(Version::new(3, 6, 16), vec![named, host("etcd-2", "10.0.0.12")]);
        assert_eq!(without_name(&desired, &lb), [&"etcd-2".parse().unwrap()]);
        assert_eq!(
            without_name(&desired, &"10.0.0.12".parse().unwrap()),
            [&"etcd-1".parse().unwrap()]
        );
        assert_eq!(
            endpoints(&desired),
            ["https://10.0.0.11:2379", "https://10.0.0.12:2379"]
        );
    }
}
