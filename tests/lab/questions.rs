//! Hosts that ask a person at every login: a key and a one-time code, with PAM's own module for them.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};

use crate::harness::{Host, Lab, Terminal, current, plain_inventory};

/// The shared secret of the operator's generator and the host, as hex.
const SECRET: &str = "3132333435363738393031323334353637383930";

/// A login needs a key, then a code. (sshd takes none from root where it prohibits passwords.)
/// Each code (RFC 4226) is good once.
fn ask_for_a_code(host: &Host) {
    for (library, place) in [
        ("security/pam_oath.so", "security/pam_oath.so"),
        ("liboath.so.0", "liboath.so.0"),
    ] {
        let ours = format!("/lib/{}-linux-gnu/{library}", std::env::consts::ARCH);
        let usr = format!("/usr{ours}");
        let ours = if Path::new(&ours).exists() { ours } else { usr };
        assert!(Path::new(&ours).exists(), "install libpam-oath (lab/deps)");
        host.carry(
            Path::new(&ours),
            &format!("/usr/lib/{}-linux-gnu/{place}", std::env::consts::ARCH),
        );
    }
    host.sh(&format!(
        "echo 'HOTP root - {SECRET}' >/etc/users.oath && chmod 600 /etc/users.oath &&
         printf 'auth required pam_oath.so usersfile=/etc/users.oath window=20 digits=6\naccount required pam_permit.so\nsession required pam_permit.so\n' >/etc/pam.d/sshd &&
         printf 'PermitRootLogin yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive\n' >/etc/ssh/sshd_config.d/0-code.conf &&
         systemctl reload ssh"
    ));
}

/// The code for `counter`.
fn code(counter: u64) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&hex::decode(SECRET).unwrap()).unwrap();
    mac.update(&counter.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Runs quorate in a terminal of its own, in which `typed` is typed.
fn in_a_terminal(lab: &Lab, line: &str, typed: &str) -> (bool, String) {
    let mut terminal = Terminal::of(lab, line);
    terminal.types(typed);
    let (status, shown) = terminal.ends();
    (status == Some(0), shown)
}

#[test]
fn a_host_that_asks_for_a_code_gets_it_from_the_operator() {
    assert_eq!(code(0), "755224", "RFC 4226, appendix D");
    let lab = Lab::start(1);
    lab.inventory(|hosts| plain_inventory(&current(), hosts));
    lab.quorate(&["trust", "--yes"]).ok();
    ask_for_a_code(lab.host("n1"));

    // Nobody to ask: the question is named.
    let refused = lab.quorate(&["check", "--hosts"]).code(5);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        said.contains("accepted, but more is asked for")
            && said.contains("One-time password")
            && said.contains("terminal"),
        "{said}"
    );

    let (well, said) = in_a_terminal(&lab, "check --hosts", &format!("{}\n", code(0)));
    assert!(well && said.contains("nothing keeps a member from starting"), "{said}");
    assert!(said.contains("root@"), "the question says who asks: {said}");
    // The same code again is wrong, and that is said.
    let (well, said) = in_a_terminal(&lab, "check --hosts", &format!("{}\n", code(0)));
    assert!(!well && said.contains("keyboard-interactive"), "{said}");
}
