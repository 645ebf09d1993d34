//! Member and cluster ids as etcd computes them at a static bootstrap, so that they are known before it happens.
//!
//! Source: etcd `server/etcdserver/api/membership`, `computeMemberID` and `genID`. Members added at run time mix the
//! time of day into their id and cannot be predicted; the cluster's id never changes after bootstrap.

use sha1::{Digest, Sha1};

use crate::inventory::{ClusterId, MemberId, PeerUrl};

/// The id of a member that takes part in the bootstrap: SHA-1 over its sorted peer URLs and the token.
pub fn bootstrap_member_id(peer_urls: &[PeerUrl], token: &str) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(|url| url.0.as_str()).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    for url in urls {
        hash.update(url);
    }
    hash.update(token);
    MemberId(first_eight(hash))
}

/// The id of the cluster that these members form: SHA-1 over their ids in ascending order.
pub fn bootstrap_cluster_id(members: &[MemberId]) -> ClusterId {
    let mut members = members.to_vec();
    members.sort_unstable();
    let mut hash = Sha1::new();
    for member in members {
        hash.update(member.0.to_be_bytes());
    }
    ClusterId(first_eight(hash))
}

fn first_eight(hash: Sha1) -> u64 {
    hash.finalize()
        .iter()
        .take(8)
        .fold(0, |id, byte| id << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peer URLs and ids seen on a real three-member 3.5.30 cluster with the token `quorate-ids`.
    #[test]
    fn ids_are_those_of_a_real_cluster() {
        let seen = [
            ("http://127.37.0.1:2380", 0xd6889967bc2cdc9a),
            ("http://127.37.0.2:2380", 0x879f7f4ea466c306),
            ("http://127.37.0.3:2380", 0xc00f78075d06d7ff),
        ];
        let ids: Vec<MemberId> = seen
            .iter()
            .map(|(url, _)| bootstrap_member_id(&[PeerUrl((*url).to_owned())], "quorate-ids"))
            .collect();
        let expected: Vec<MemberId> = seen.iter().map(|(_, id)| MemberId(*id)).collect();
        assert_eq!(ids, expected);
        assert_eq!(bootstrap_cluster_id(&ids), ClusterId(0x1c1c8259e8bd6321));
    }

    #[test]
    fn the_order_of_urls_and_members_does_not_matter_but_the_token_does() {
        let a = PeerUrl("https://10.0.0.1:2380".to_owned());
        let b = PeerUrl("https://10.0.0.2:2380".to_owned());
        let both = bootstrap_member_id(&[a.clone(), b.clone()], "t");
        assert_eq!(both, bootstrap_member_id(&[b.clone(), a.clone()], "t"));
        assert_ne!(both, bootstrap_member_id(&[a, b], "u"));
        let (one, two) = (MemberId(1), MemberId(2));
        assert_eq!(bootstrap_cluster_id(&[one, two]), bootstrap_cluster_id(&[two, one]));
    }
}
