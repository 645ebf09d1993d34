use super::*;
use crate::inventory::{MemberId, PeerUrl};
use crate::ops::adopt::options::Options;
use crate::ops::samples::name;

fn member(number: u8) -> Member {
    let address: crate::inventory::Address = format!("10.0.0.{number}").parse().unwrap();
    Member {
        name: name(number.into()),
        process: (7, 7),
        reached_at: address.clone(),
        address,
        listen: Vec::new(),
        client_port: 2379,
        peer_port: 2380,
        metrics: None,
        data: "/var/lib/etcd".parse().unwrap(),
        wal: None,
        service: "etcd".parse().unwrap(),
        user: "etcd".parse().unwrap(),
        trusted: Default::default(),
        pairs: Default::default(),
        read: Vec::new(),
        options: Options::new(),
        source: String::new(),
        notes: Vec::new(),
    }
}

fn listed(called: &str, urls: &[&str]) -> Listed {
    Listed {
        id: MemberId(1),
        name: called.into(),
        peer_urls: urls.iter().map(|url| PeerUrl((*url).to_owned())).collect(),
        client_urls: Vec::new(),
        learner: false,
    }
}

fn told(members: &[Member], list: &[Listed]) -> Vec<String> {
    all_of(members, list)
        .into_iter()
        .map(|h| format!("{}: {}", h.what, h.help))
        .collect()
}

/// Names do not matter: all may be called `default`.
#[test]
fn the_members_are_those_of_one_cluster_and_all_of_it() {
    let here = [member(1), member(2)];
    let one = listed("default", &["https://10.0.0.1:2380"]);
    let two = listed("default", &["https://10.0.0.2:2380"]);
    assert_eq!(told(&here, &[one.clone(), two.clone()]), [""; 0]);

    let third = told(
        &here,
        &[one.clone(), two.clone(), listed("n3", &["https://10.0.0.3:2380"])],
    );
    assert!(
        third[0].contains("another member, n3") && third[0].contains("--from"),
        "{third:?}"
    );
    let never = told(&here, &[one.clone(), two, listed("", &["https://10.0.0.3:2380"])]);
    assert!(never[0].contains("one that never started"), "{never:?}");
    let of_two_clusters = told(&here, std::slice::from_ref(&one));
    assert!(
        of_two_clusters[0].contains("members of one cluster"),
        "{of_two_clusters:?}"
    );
    let moved = told(&here, &[one.clone(), listed("n2", &["https://10.0.0.9:2380"])]);
    assert!(
        moved[0].contains("the list has for n2, https://10.0.0.9:2380"),
        "{moved:?}"
    );
    let both = told(
        &here[..1],
        &[listed("n1", &["https://10.0.0.1:2380", "https://10.1.0.1:2380"])],
    );
    assert!(both[0].contains("2 peer URLs"), "{both:?}");
    let learner = Listed { learner: true, ..one };
    assert!(told(&here[..1], &[learner])[0].contains("learner"));
}
