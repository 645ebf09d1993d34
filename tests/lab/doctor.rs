//! `doctor`: what is wrong with hosts and members is found, each with what to do, and nothing is found where all is well.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Lab, current, wait_until};

/// What every lab has: no time service, no scheduled backups, Debian's release; and swap where this machine has it.
const ALWAYS: [&str; 4] = ["no time service", "schedules no backups", "is older than", "swap is on"];

/// `severity topic node: says`, without what every lab has.
fn findings(lab: &Lab) -> Vec<String> {
    let outcome = lab.quorate(&["doctor", "--output", "json"]);
    let examined = outcome.json();
    let told = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        assert_ne!(text("help"), "", "{finding}");
        format!(
            "{} {} {}: {}",
            text("severity"),
            text("topic"),
            text("node"),
            text("says")
        )
    };
    let findings = examined["findings"].as_array().expect("a list").iter().map(told);
    let findings: Vec<String> = findings
        .filter(|told| !ALWAYS.iter().any(|always| told.contains(always)))
        .collect();
    let healthy = !findings.iter().any(|told| told.starts_with("problem"));
    assert_eq!(examined["healthy"], healthy, "{examined}");
    outcome.code(if healthy { 0 } else { 11 });
    findings
}

#[test]
fn a_well_cluster_has_no_problems_and_each_trouble_is_found() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    assert_eq!(
        findings(&lab)[0],
        "problem cluster : there is no cluster yet",
        "before `up`"
    );
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(findings(&lab), [""; 0]);
    let told = lab.quorate(&["doctor"]).ok().stdout;
    assert!(told.starts_with("lab no problems, "), "{told}");
    assert!(told.contains("checked: hosts, clocks, "), "{told}");

    // The machine and the unit.
    let (n1, n2, n3) = (lab.host("n1"), lab.host("n2"), lab.host("n3"));
    n1.sh("systemctl disable etcd 2>/dev/null");
    n2.sh(
        "mkdir -p /etc/systemd/system/etcd.service.d /var/lib/etcd.quorate-aside/old/member && \
         printf '[Service]\nNice=0\n' >/etc/systemd/system/etcd.service.d/nice.conf && systemctl daemon-reload",
    );
    let killed = n3.pid();
    n3.sh(&format!("kill -9 {killed}"));
    wait_until("n3 is back", Duration::from_secs(60), || {
        ![0, killed].contains(&n3.pid()) && n3.active("etcd")
    });
    let mut found = findings(&lab);
    found.retain(|told| !told.contains("moved aside"));
    assert_eq!(
        found,
        [
            "problem host n1: etcd does not start at boot",
            "advice host n2: the unit etcd is modified by /etc/systemd/system/etcd.service.d/nice.conf, which quorate did not write and does not \
             change",
            "advice host n3: etcd exited and was restarted once",
        ]
    );
    lab.quorate(&["up", "--yes"]).ok();

    // A member that is down: named once as a member, once as a unit, and no data is compared.
    n2.sh("systemctl stop etcd");
    let found = findings(&lab).join("\n");
    for told in [
        "problem member n2: ",
        "problem host n2: etcd does not run: stopped",
        "was not compared: n2 does not answer",
    ] {
        assert!(found.contains(told), "{told}\n{found}");
    }
    assert!(
        !found.contains("active stream"),
        "nobody hears one that is down: {found}"
    );
    n2.sh("systemctl start etcd");

    // Two followers that do not hear each other, though every health endpoint is content.
    lab.lead("n2");
    n1.sh(&format!("ip route add blackhole {}/32", n3.address));
    n1.sh("systemctl restart --no-block etcd");
    wait_until("the stream to be missed", Duration::from_secs(60), || {
        findings(&lab).contains(&"problem network n1: it has no active stream to n3".to_owned())
    });
    assert_eq!(lab.leader(), "n2");
}
