//! Certificates on real hosts: renewed without a restart, the CA changed without a gap, and every way out of trouble.

use std::fs;
use std::time::Duration;

use crate::harness::{Host, Lab, current, wait_until};

/// A cluster of three members.
fn cluster(pki: &str) -> Lab {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    configure(&lab, pki);
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

/// Replaces the inventory's `pki` section.
fn configure(lab: &Lab, pki: &str) {
    let path = lab.dir().join("inventory.yml");
    let text = fs::read_to_string(&path).unwrap();
    let kept = text.split("pki:").next().unwrap();
    let section = if pki.is_empty() {
        String::new()
    } else {
        format!("pki:\n{pki}")
    };
    fs::write(path, format!("{kept}{section}")).unwrap();
}

/// The serial number of the certificate that a port shows.
fn served(lab: &Lab, host: &Host, port: u16) -> String {
    let look = format!(
        "openssl s_client -connect {}:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial",
        host.address
    );
    let output = lab.as_operator("sh").args(["-c", &look]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("serial="), "{} port {port} shows nothing", host.name);
    text
}

fn served_everywhere(lab: &Lab) -> Vec<String> {
    let ports = |host| [2379, 2380].map(|port| served(lab, host, port));
    lab.hosts().iter().flat_map(ports).collect()
}

fn pids(lab: &Lab) -> Vec<String> {
    lab.hosts()
        .iter()
        .map(|host| host.sh("systemctl show -p MainPID etcd"))
        .collect()
}

/// The names of the files in the operator's pki directory.
fn on_the_desk(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.dir().join("pki")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What `pki show` knows; it must end with `code`.
#[track_caller]
fn shown(lab: &Lab, code: i32) -> serde_json::Value {
    lab.quorate(&["pki", "show", "--output", "json"]).code(code).json()
}

/// etcdctl as a client with the certificate that `pki issue NAME --out out` wrote.
fn as_client(lab: &Lab, name: &str, arguments: &str) -> std::process::Output {
    let endpoints: Vec<_> = lab
        .hosts()
        .iter()
        .map(|h| format!("https://{}:2379", h.address))
        .collect();
    let command = format!(
        "exec {} --endpoints={} --cacert out/ca.crt --cert out/{name}.crt --key out/{name}.key {arguments}",
        etcdctl(),
        endpoints.join(",")
    );
    lab.as_operator("sh").args(["-c", &command]).output().unwrap()
}

fn etcdctl() -> String {
    let found = crate::harness::releases()
        .into_iter()
        .find(|(version, _)| *version == current());
    found.unwrap().1.join("etcdctl").display().to_string()
}

#[test]
fn certificates_are_renewed_without_a_restart_and_shown_on_both_ports() {
    let lab = cluster("");
    let healthy = shown(&lab, 0);
    assert_eq!(healthy["certificates"].as_array().unwrap().len(), 6);
    assert_eq!(healthy["healthy"], true);
    let (before, pids_before) = (served_everywhere(&lab), pids(&lab));

    lab.quorate(&["pki", "renew", "--yes"]).ok();

    let after = served_everywhere(&lab);
    assert!(
        before.iter().zip(&after).all(|(old, new)| old != new),
        "{before:?} {after:?}"
    );
    assert_eq!(pids(&lab), pids_before, "nothing was restarted");
    // What was there before lies beside it.
    for (host, old) in lab.hosts().iter().zip(before.chunks(2)) {
        let kept = host.sh(
            "for c in /etc/etcd/pki/.gen-*/server.crt /etc/etcd/pki/.gen-*/peer.crt; do \
                            openssl x509 -in $c -noout -serial; done",
        );
        assert!(
            old.iter().all(|serial| kept.contains(serial.trim())),
            "{}: {kept} {old:?}",
            host.name
        );
    }
    let limited = served_everywhere(&lab);
    lab.quorate(&["pki", "renew", "--yes", "--limit", "n2"]).ok();
    let changed: Vec<bool> = served_everywhere(&lab)
        .iter()
        .zip(&limited)
        .map(|(new, old)| new != old)
        .collect();
    assert_eq!(changed, [false, false, true, true, false, false]);
    assert!(lab.quorate(&["up"]).ok().stderr.contains("nothing to do"));
}

#[test]
fn the_ca_is_changed_while_clients_write_and_no_handshake_fails() {
    let lab = cluster("");
    lab.quorate(&["pki", "issue", "writer", "--out", "out"]).ok();
    fs::create_dir(lab.dir().join("old")).unwrap();
    for name in ["ca.crt", "writer.crt", "writer.key"] {
        fs::copy(lab.dir().join("out").join(name), lab.dir().join("old").join(name)).unwrap();
    }
    let loop_text = format!(
        "i=0; while [ ! -e stop ]; do i=$((i+1)); {} --endpoints={} --cacert out/ca.crt --cert out/writer.crt \
         --key out/writer.key put /load/$i $i >/dev/null 2>>errors || echo $i >>failed; echo $i >written; done",
        etcdctl(),
        lab.hosts()
            .iter()
            .map(|h| format!("https://{}:2379", h.address))
            .collect::<Vec<_>>()
            .join(",")
    );
    let mut writer = lab.as_operator("sh").args(["-c", &loop_text]).spawn().unwrap();

    // It stops where the client must be given its new certificate, and nothing else may meddle meanwhile.
    let waiting = lab.quorate(&["pki", "rotate-ca", "--yes"]).code(4);
    assert!(
        waiting.stderr.contains("old CA and do not trust the new one: writer"),
        "{waiting}"
    );
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(
        refused.stderr.contains("a CA rotation is in progress") && refused.stderr.contains("pki rotate-ca"),
        "{refused}"
    );
    let half_way = shown(&lab, 11);
    assert_eq!(
        (&half_way["rotation"], &half_way["clients"][0]["must_be_reissued"]),
        (&"reissue".into(), &true.into())
    );

    lab.quorate(&["pki", "issue", "writer", "--out", "out"]).ok();
    lab.quorate(&["pki", "rotate-ca", "--yes"]).ok();

    fs::write(lab.dir().join("stop"), "").unwrap();
    writer.wait().unwrap();
    let errors = fs::read_to_string(lab.dir().join("errors")).unwrap_or_default();
    for word in ["x509", "tls:", "certificate", "handshake", "authority"] {
        assert!(!errors.contains(word), "a handshake failed:\n{errors}");
    }
    let written: u64 = fs::read_to_string(lab.dir().join("written"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let failed = fs::read_to_string(lab.dir().join("failed"))
        .unwrap_or_default()
        .lines()
        .count() as u64;
    let kept = as_client(&lab, "writer", "get --prefix --keys-only /load/");
    let kept = String::from_utf8(kept.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .count() as u64;
    assert!(
        written > 5 && kept + failed >= written,
        "{kept} of {written} kept, {failed} failed"
    );

    // The old CA is gone everywhere: its certificates open nothing any more.
    fs::rename(lab.dir().join("out"), lab.dir().join("new")).unwrap();
    fs::rename(lab.dir().join("old"), lab.dir().join("out")).unwrap();
    fs::copy(lab.dir().join("new/ca.crt"), lab.dir().join("out/ca.crt")).unwrap();
    let stranger = as_client(&lab, "writer", "--command-timeout=3s get /load/1");
    assert!(!stranger.status.success(), "the old certificate must not be accepted");
    assert_eq!(
        on_the_desk(&lab),
        ["ca-previous.crt", "ca.crt", "ca.key.age", "issued.yml", "known_hosts"]
    );
    let done = shown(&lab, 0);
    assert_eq!(done["ca"].as_array().unwrap().len(), 1);
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn a_rotation_that_is_killed_at_every_point_goes_on_where_it_was() {
    let lab = cluster("");
    let first = shown(&lab, 0)["ca"][0]["sha256"].clone();
    let ended = |lab: &Lab| {
        let now = lab.quorate(&["pki", "show", "--output", "json"]).json();
        now["ca"][0]["sha256"] != first && now["healthy"] == true
    };
    let mut runs = 0;
    let mut died = 0;
    while !ended(&lab) {
        assert!(runs < 60, "it does not come to an end");
        // The points of a step in turn: its files in place, its process restarted, done. Dying at the same one each
        // time would have it begin the same restart for ever.
        let point = format!("#{}", 2 + runs % 3);
        runs += 1;
        let killed = |command: &mut std::process::Command| {
            command.env("QUORATE_FAULT", point);
        };
        let run = lab.quorate_with(&["pki", "rotate-ca", "--yes"], killed, b"");
        died += usize::from(run.status.is_none());
        assert!(
            run.status.is_none() || run.status == Some(0) || run.status == Some(8),
            "{run}"
        );
        // Only a member that is on its way up again may be missing.
        wait_until("the cluster is whole", Duration::from_secs(30), || {
            lab.quorate(&["status", "--output", "json"]).status == Some(0)
        });
    }
    assert!(died >= 9, "killed only {died} times");
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn a_compromised_ca_is_dropped_without_waiting_for_clients() {
    let lab = cluster("");
    lab.quorate(&["pki", "issue", "app", "--out", "out"]).ok();
    let run = lab.quorate(&["pki", "rotate-ca", "--compromised", "--yes"]).ok();
    assert!(run.stderr.contains("app"), "who is locked out is named: {run}");
    assert!(!as_client(&lab, "app", "--command-timeout=3s get x").status.success());
    assert_eq!(shown(&lab, 0)["clients"][0]["must_be_reissued"], true);
    lab.quorate(&["pki", "issue", "app", "--out", "out"]).ok();
    assert!(as_client(&lab, "app", "get x").status.success());
}

#[test]
fn when_every_certificate_has_expired_renew_works_over_ssh() {
    let lab = cluster("  leaf_validity: 45s\n  renew_before: 1s\n");
    let etcd_is_mute = || {
        let n1 = lab.host("n1");
        n1.try_sh("openssl x509 -checkend 0 -noout -in /etc/etcd/pki/server.crt")
            .status
            != Some(0)
    };
    wait_until("the certificates expire", Duration::from_secs(90), etcd_is_mute);
    for host in lab.hosts() {
        // No connection from before may live on.
        host.sh("systemctl kill -s KILL etcd");
    }
    configure(&lab, "");
    let mute = lab.quorate(&["up", "--yes"]).code(4);
    assert!(
        mute.stderr.contains("expired") && mute.stderr.contains("pki renew"),
        "{mute}"
    );
    let expired = shown(&lab, 11);
    assert!(expired["problems"].to_string().contains("expired"));

    lab.quorate(&["pki", "renew", "--yes"]).ok();
    assert_eq!(
        lab.quorate(&["status", "--output", "json"]).ok().json()["healthy"],
        true
    );
    shown(&lab, 0);
}

#[test]
fn when_the_ca_itself_has_expired_it_is_replaced_over_ssh() {
    let lab = cluster("  ca_validity: 60s\n  leaf_validity: 60s\n  renew_before: 1s\n");
    let ca_has_ended = || {
        let n1 = lab.host("n1");
        n1.try_sh("openssl x509 -checkend 0 -noout -in /etc/etcd/pki/ca.crt")
            .status
            != Some(0)
    };
    wait_until("the CA expires", Duration::from_secs(120), ca_has_ended);
    configure(&lab, "");
    let renew = lab.quorate(&["pki", "renew", "--yes"]).code(4);
    assert!(
        renew.stderr.contains("the CA expired") && renew.stderr.contains("rotate-ca"),
        "{renew}"
    );
    let refused = lab.quorate(&["pki", "rotate-ca", "--yes"]).code(4);
    assert!(refused.stderr.contains("--accept-outage"), "{refused}");

    lab.quorate(&["pki", "rotate-ca", "--yes", "--accept-outage"]).ok();
    assert_eq!(
        lab.quorate(&["status", "--output", "json"]).ok().json()["healthy"],
        true
    );
    assert_eq!(shown(&lab, 0)["ca"].as_array().unwrap().len(), 1);
}
