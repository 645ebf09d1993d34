//! A CA that has run out: refused before any host is touched, with what to do.

use std::fs;
use std::path::Path;

use crate::harness::{Lab, current};
use jiff::{Timestamp, ToSpan};
use quorate::inventory::load;
use quorate::pki::{PkiDir, Recipient};

/// A CA as it was made so many years ago, for ten years, sealed to the operator's key.
fn make_ca(lab: &Lab, inventory: &Path, years_ago: i64) {
    let desired = load(inventory).expect("the inventory").desired;
    let identities = vec![lab.home().join(".ssh/id_ed25519")];
    let recipients = Recipient::of_identities(&identities).expect("recipients");
    let then = Timestamp::now() - (24 * 365 * years_ago).hours();
    PkiDir::at(&desired.pki.dir, &desired.cluster)
        .create(&desired.pki, &recipients, &identities, &mut |_| None, then)
        .expect("a CA");
}

#[test]
fn an_expired_ca_is_refused_before_anything_is_touched() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    make_ca(&lab, &lab.dir().join("inventory.yml"), 11);
    lab.refuses(&["up", "--yes"], 4)
        .says(&["the CA", "expired at", "quorate pki rotate-ca"]);
}

#[test]
fn a_ca_of_another_cluster_is_refused() {
    let lab = Lab::start(1);
    let other = lab.write(
        "other.yml",
        "cluster: other\netcd:\n  version: 3.5.30\nhosts:\n  - {name: n1, address: 10.0.0.1}\n",
    );
    make_ca(&lab, &other, 0);
    lab.plain_inventory(&current());
    lab.refuses(&["up", "--yes"], 4)
        .says(&["ca.key.age", "other", "pki.dir"]);
    // Half of a pair.
    fs::remove_file(lab.dir().join("pki/ca.key.age")).expect("the key goes");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["no ca.key.age beside", "version control"]);
}
