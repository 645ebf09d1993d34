//! Between the plan on the screen and the answer: hosts change, another operator is faster, and an answer never comes.

use crate::harness::{Lab, Terminal};

const CHANGED: &str = "the hosts changed while the plan was being reviewed";

#[test]
fn what_is_agreed_to_is_what_is_done_or_it_is_asked_again() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    let one = || host.sh("rm /etc/etcd/etcd-config.etcdctl.env");
    let another = || host.sh("chmod 644 /etc/etcd/pki/current/server.key");

    // The hosts change: the new plan is shown, and only its own answer counts.
    one();
    let mut terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    another();
    terminal.types("y\n");
    terminal.asks(2);
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");
    terminal.types("n\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(130), "{shown}");
    assert!(
        shown.contains(CHANGED) && shown.contains("nothing was changed"),
        "{shown}"
    );
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");

    // A saved plan is not made anew: it is stale.
    lab.quorate(&["plan", "--out", "saved.json"]).code(10);
    let mut terminal = Terminal::of(&lab, "up --plan saved.json");
    terminal.asks(1);
    host.sh("rm /opt/quorate/etcd/*/etcdutl");
    terminal.types("y\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(7), "{shown}");
    host.sh("test ! -e /etc/etcd/etcd-config.etcdctl.env");

    // Another operator is faster, and nothing is left to do.
    let mut terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    lab.quorate(&["up", "--yes"]).ok();
    terminal.types("y\n");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains(CHANGED), "{shown}");

    // An answer never comes: nobody is kept out meanwhile, and the end of the terminal is the end of it.
    one();
    let terminal = Terminal::of(&lab, "up");
    terminal.asks(1);
    lab.quorate(&["up", "--yes"]).ok();
    terminal.closes();
    lab.assert_converged();
}
