//! `firewall`: real rules on real hosts, and real connections against them.

use std::process::{Command, Stdio};

use crate::harness::{Host, Lab};

/// Loads rules into a host's network, past the host.
#[track_caller]
fn load(lab: &Lab, host: &Host, rules: &str) {
    // The program is this machine's, which is how a host gets rules that has no nft.
    let nft = lab.client("nft");
    let libraries = nft
        .get_envs()
        .find(|(name, _)| *name == "LD_LIBRARY_PATH")
        .and_then(|(_, value)| value);
    let program = nft.get_args().last().expect("a program");
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &host.network()])
        .arg(program)
        .args(["-f", rules])
        .current_dir(lab.dir());
    command.env("LD_LIBRARY_PATH", libraries.expect("libraries"));
    let done = command.output().expect("ip netns exec");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Whether somebody who is no member gets a connection.
fn operator_reaches(lab: &Lab, host: &Host, port: u16) -> bool {
    let connect = format!("exec 3<>/dev/tcp/{}/{port}", host.address);
    let mut command = lab.as_operator("timeout");
    command.args(["2", "bash", "-c", &connect]).stderr(Stdio::null());
    command.status().expect("bash").success()
}

#[test]
fn strangers_are_kept_out_and_the_members_go_on() {
    let lab = Lab::cluster(3);
    let n1 = lab.host("n1").clone();
    assert!(operator_reaches(&lab, &n1, 2380) && operator_reaches(&lab, &n1, 2379));

    // Nobody is named for the client port: it is left alone.
    let rules = lab.quorate(&["firewall"]).ok().says(&["--clients"]);
    lab.write("peers.nft", &rules.stdout);
    lab.run_client("nft", &["-c", "-f", "peers.nft"]).ok();
    let rules = lab.quorate(&["firewall", "--clients", "10.99.0.0/16"]).ok();
    lab.write("closed.nft", &rules.stdout);
    let rules = lab.quorate(&["firewall", "--clients", &lab.operator_address()]).ok();
    lab.write("open.nft", &rules.stdout);

    for host in lab.hosts() {
        load(&lab, host, "peers.nft");
    }
    assert!(!operator_reaches(&lab, &n1, 2380) && operator_reaches(&lab, &n1, 2379));
    for host in lab.hosts() {
        load(&lab, host, "closed.nft");
    }
    assert!(!operator_reaches(&lab, &n1, 2380) && !operator_reaches(&lab, &n1, 2379));
    // quorate comes through SSH, and members still find each other after each was stopped.
    lab.quorate(&["restart", "--yes"]).ok();
    lab.assert_converged();
    for host in lab.hosts() {
        load(&lab, host, "open.nft");
    }
    assert!(!operator_reaches(&lab, &n1, 2380) && operator_reaches(&lab, &n1, 2379));

    // Others take commands; a member with a name is not left out in silence.
    for format in ["ufw", "firewalld"] {
        let rules = lab
            .quorate(&["firewall", "--clients", "10.99.0.0/16", "--format", format])
            .ok();
        assert!(
            rules.stdout.contains("10.99.0.0/16") && rules.stdout.contains(&n1.address),
            "{rules}"
        );
        lab.write(format, &rules.stdout);
        let syntax = lab.as_operator("sh").args(["-n", format]).status();
        assert!(syntax.expect("sh").success());
    }
    lab.quorate(&["firewall", "--clients", "10.0.0.1/24"]).code(2);
    lab.edit(&format!("address: {}", n1.address), "address: n1.example.com");
    lab.quorate(&["firewall"])
        .code(2)
        .says(&["n1: its address is a name", "--peers"]);
    lab.quorate(&["firewall", "--peers", &n1.address]).ok();
}
