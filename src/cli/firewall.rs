//! `firewall`: rules on standard output. Touches no host.

use super::args::{Firewall, FirewallFormat, Global};
use super::error::{Detail, Exit, Failure};
use super::session::Session;
use crate::clients::firewall::{Others, firewalld, named, nftables, ufw};
use crate::inventory::Desired;
use crate::report::print::{say_all, tell};

/// `firewall`: rules on standard output, what they leave out on standard error.
///
/// # Errors
/// When a member's address is a name, and nobody said where it comes from.
pub fn firewall(global: &Global, args: &Firewall) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let desired = session.desired();
    every_member_has_an_address(desired, args)?;
    let others = Others {
        peers: args.peers.clone(),
        clients: args.clients.clone(),
        metrics: args.metrics.clone(),
    };
    let text = match args.format {
        FirewallFormat::Nftables => {
            nftables(desired, &others).map_err(|e| Failure::new(Exit::Unexpected, &e).hint(e.hint()))?
        }
        FirewallFormat::Firewalld => firewalld(desired, &others),
        FirewallFormat::Ufw => ufw(desired, &others),
    };
    if args.clients.is_empty() {
        tell!("note: the client port stays open to everybody: pass `--clients` to restrict it");
    }
    say_all!("{text}");
    Ok(Exit::Done)
}

/// A rule without a member would cut it off from the others.
fn every_member_has_an_address(desired: &Desired, args: &Firewall) -> Result<(), Failure> {
    let named = named(desired);
    if named.is_empty() || !args.peers.is_empty() {
        return Ok(());
    }
    let details = named.into_iter().map(|node| Detail {
        node: Some(node.to_string()),
        message: "its address is a name, and rules hold addresses".to_owned(),
        hint: "pass the addresses that these members connect from with `--peers`".to_owned(),
    });
    Err(Failure {
        details: details.collect(),
        ..Failure::new(Exit::Usage, "rules without these members would disconnect them")
    })
}
