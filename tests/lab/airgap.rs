//! One file is all that a site without a network needs.

use crate::harness::{Lab, current};

#[test]
fn one_executable_carried_to_a_machine_without_a_network_brings_up_etcd() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let said = lab.quorate(&["bundle", "embed", "--into", "quorate-airgap"]).ok();
    assert!(said.stdout.contains(&format!("etcd {}", current())), "{said}");

    let host = lab.host("n1");
    host.cut();
    host.carry(&lab.dir().join("quorate-airgap"), "/root/quorate");
    host.sh(&format!(
        "mkdir /root/site && cd /root/site && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
         cat >inventory.yml <<'END'
cluster: alone
etcd:
  version: \"{}\"
hosts:
  - {{name: alone, address: 127.0.0.1, connection: local, service_manager: systemd}}
END
         HOME=/root /root/quorate up --yes",
        current()
    ));
    let status = host.sh("cd /root/site && HOME=/root /root/quorate status --output json");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["healthy"], true, "{status}");
    assert_eq!(status["members"][0]["version"], current(), "{status}");
    assert_eq!(
        host.sh("ls /root/site").split_whitespace().collect::<Vec<_>>(),
        ["inventory.yml", "pki"]
    );
}
