//! `lb`: the advice, then HAProxy's configuration. Touches no host.

use super::args::{Global, Lb};
use super::error::{Detail, Exit, Failure};
use super::session::Session;
use crate::clients::endpoints::{endpoints, without_name};
use crate::clients::lb::{Choices, checks_with_tls, haproxy};
use crate::inventory::Desired;
use crate::report::print::{say_all, tell};

/// `lb`: configuration on standard output, advice on standard error.
///
/// # Errors
/// When an address that clients would dial is in none or not all of the members' certificates.
pub fn lb(global: &Global, args: &Lb) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let desired = session.desired();
    every_certificate_has(desired, args)?;
    let choices = choices(desired, args);
    let text = haproxy(desired, &choices).map_err(|e| Failure::new(Exit::Unexpected, &e).hint(e.hint()))?;
    for advice in advice(desired, args) {
        tell!("note: {advice}");
    }
    say_all!("{text}");
    Ok(Exit::Done)
}

fn choices(desired: &Desired, args: &Lb) -> Choices {
    let usual = desired.hosts.values().next().map_or(2379, |host| host.client_port);
    let file = |typed: &Option<String>, end: &str| {
        typed
            .clone()
            .unwrap_or_else(|| format!("/etc/haproxy/etcd/{}{end}", desired.cluster))
    };
    Choices {
        port: args.port.unwrap_or(usual),
        ca: file(&args.cacert, "-ca.crt"),
        pair: file(&args.cert, ".pem"),
    }
}

/// What the configuration cannot say to those who do not need it.
fn advice(desired: &Desired, args: &Lb) -> Vec<String> {
    let mut advice = vec![format!(
        "kube-apiserver, k3s, Patroni, Cilium, Calico and etcdctl take a list of endpoints, balance by themselves and notice \
         sooner when a member is down. Give them the list instead: {}",
        endpoints(desired).join(",")
    )];
    if args.address.is_empty() {
        advice.push(
            "clients reject an address that is not in the members' certificates: pass it with `--address` to check that"
                .to_owned(),
        );
    }
    if checks_with_tls(desired) {
        advice.push(
            "the health checks need a client certificate, which allows all that a client may do; the file says how to create it. \
             To do without, set `metrics_port` and `metrics_address` in the inventory, and put a firewall around that port"
                .to_owned(),
        );
    }
    advice
}

fn every_certificate_has(desired: &Desired, args: &Lb) -> Result<(), Failure> {
    let details: Vec<Detail> = args
        .address
        .iter()
        .flat_map(|address| {
            without_name(desired, address)
                .into_iter()
                .map(move |node| (address, node))
        })
        .map(|(address, node)| Detail {
            node: Some(node.to_string()),
            message: format!("its certificate does not name {address}"),
            hint: format!("add `{address}` to `sans` in the section `pki` of the inventory, then run `quorate up`"),
        })
        .collect();
    if details.is_empty() {
        return Ok(());
    }
    Err(Failure {
        details,
        ..Failure::new(
            Exit::Inventory,
            "clients of this load balancer would reject the members' certificates",
        )
    })
}
