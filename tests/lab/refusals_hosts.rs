//! Hosts that cannot run the member: `up` says which, why and what to do, before anything is touched anywhere.

use std::time::Duration;

use crate::harness::{Lab, current, plain_inventory, releases, wait_until};

fn two_hosts() -> Lab {
    let lab = Lab::start(2);
    lab.plain_inventory(&current());
    lab
}

#[test]
fn too_little_disk_is_seen_before_the_push() {
    let lab = two_hosts();
    let host = lab.host("n2");
    for (path, needed) in [("/var/lib/etcd", 256), ("/opt/quorate", 96)] {
        host.sh(&format!("mkdir -p {path} && mount -t tmpfs -o size=20m tmpfs {path}"));
        lab.refuses(&["up", "--yes"], 4).says(&[
            &format!("n2: {path}"),
            "20 MiB free",
            &format!("but needs {needed} MiB"),
            "free some space",
        ]);
        host.sh(&format!("umount {path}"));
    }
}

#[test]
fn a_file_system_that_takes_no_writes_is_seen_before_the_push() {
    let lab = two_hosts();
    for path in ["/var/lib/etcd", "/opt/quorate", "/etc/etcd"] {
        let host = lab.host("n1");
        host.sh(&format!("mkdir -p {path} && mount -t tmpfs -o ro tmpfs {path}"));
        lab.refuses(&["up", "--yes"], 4)
            .says(&[&format!("n1: the file system of {path}"), "mount it read-write"]);
        host.sh(&format!("umount {path}"));
    }
}

/// Nothing of this shows before a member starts, minutes later and in the words of systemd or etcd.
#[test]
fn what_would_keep_a_member_from_starting_is_told_beforehand_and_each_hint_leads_out() {
    let lab = Lab::start(6);
    let paths = [
        "data: /srv/closed/etcd",
        "data: /srv/link",
        "data: /mnt/few/etcd",
        "wal: /var/log/etcd",
        "bin: /opt/quorate/etcd",
    ];
    lab.inventory(|hosts| {
        let mut text = plain_inventory(&current(), hosts);
        for (host, path) in hosts.iter().zip(paths) {
            let address = format!("address: {}", host.address);
            text = text.replace(&format!("{address}\n"), &format!("{address}\n    paths: {{{path}}}\n"));
        }
        let address = format!("address: {}\n", lab.host("n6").address);
        text.replace(&address, &format!("{address}    client_port: 443\n"))
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.host("n1").sh("mkdir -m 700 /srv/closed");
    lab.host("n2").sh("mkdir /srv/real && ln -s /srv/real /srv/link");
    lab.host("n3")
        .sh("mkdir /mnt/few && mount -t tmpfs -o nr_inodes=20,size=600m,mode=755 none /mnt/few");
    lab.host("n4")
        .sh("useradd -r etcd && mkdir /etc/etcd && chown etcd /etc/etcd");
    lab.host("n5")
        .sh("systemctl mask etcd.service && mkdir -m 700 /opt/quorate");

    let told = [
        "n1: etcd cannot go through /srv/closed to /srv/closed/etcd",
        "help: let it: `chmod o+x /srv/closed`, or choose other `paths`",
        "n2: /srv/link is a symbolic link to /srv/real",
        "help: name what it leads to in `paths` of the inventory, or make it a directory",
        "n3: the file system of /mnt/few/etcd has 19 inodes free, but 256 are needed",
        "help: delete files there, or choose another file system with `paths`",
        "n4: etcd can write to /etc/etcd and could replace /etc/etcd/etcd-config.yml",
        "help: give /etc/etcd to root: `chown root /etc/etcd; chmod go-w /etc/etcd`",
        "n5: the unit etcd.service is masked: it is not meant to start there",
        "help: if it may: `systemctl unmask etcd`",
        "n5: etcd cannot go through /opt/quorate to /opt/quorate/etcd",
        "n6: etcd may not listen on port 443: ports below 1024 are root's",
        "help: set a higher `client_port`/`peer_port`/`metrics_port`",
    ];
    for command in [&["check", "--hosts"][..], &["plan"], &["up", "--yes"]] {
        lab.refuses(command, 4).says(&told);
    }

    // Word by word.
    lab.host("n1").sh("chmod o+x /srv/closed");
    lab.edit("/srv/link", "/srv/real");
    lab.edit("/mnt/few/etcd", "/var/lib/etcd");
    lab.host("n4").sh("chown root /etc/etcd; chmod go-w /etc/etcd");
    lab.host("n5").sh("systemctl unmask etcd; chmod o+x /opt/quorate");
    lab.edit("client_port: 443", "client_port: 4443");
    let checked = lab.quorate(&["check", "--hosts"]).ok().stdout;
    assert!(
        checked.contains("6 hosts: nothing keeps a member from starting"),
        "{checked}"
    );
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);
}

#[test]
fn a_host_without_systemd_is_told_about_the_other_way() {
    let lab = two_hosts();
    // What sd_booted(3) looks at, and quorate with it: without this directory systemd is not the host's init.
    lab.host("n2").sh("mv /run/systemd/system /run/systemd/hidden");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["n2: systemd is not its init", "service_manager: process"]);
}

#[test]
fn a_clock_that_is_an_hour_off_is_named_with_its_direction() {
    let lab = two_hosts();
    for (seconds, direction) in [(-3600, "behind"), (3600, "ahead of")] {
        lab.host("n1").clock(seconds);
        lab.refuses(&["up", "--yes"], 4).says(&[
            "n1: its clock is 3",
            direction,
            "this machine's",
            "synchronize both clocks",
        ]);
        lab.host("n1").clock(0);
    }
}

#[test]
fn ports_that_are_taken_name_who_has_them() {
    let lab = two_hosts();
    let host = lab.host("n2");
    for port in [2379, 2380] {
        host.sh(&format!(
            "systemd-run -q --unit squatter --service-type=notify --setenv=PORT={port} perl -MIO::Socket::INET -e '
                my $s = IO::Socket::INET->new(LocalPort => $ENV{{PORT}}, Listen => 1) or die;
                system(\"systemd-notify --ready\"); sleep 1000' || true"
        ));
        let listens = format!("ss -ltn | grep -q ':{port} '");
        wait_until("somebody has the port", Duration::from_secs(10), || {
            host.try_sh(&listens).status == Some(0)
        });
        lab.refuses(&["up", "--yes"], 4)
            .says(&[&format!("n2: port {port} is in use by perl (pid"), "client_port"]);
        host.sh("systemctl stop squatter");
    }
}

#[test]
fn data_of_another_cluster_is_never_touched() {
    let lab = two_hosts();
    let host = lab.host("n1");
    let bootstrapped = "mkdir -p /var/lib/etcd/member/wal /var/lib/etcd/member/snap
        echo data >/var/lib/etcd/member/wal/0000000000000000-0000000000000000.wal
        echo data >/var/lib/etcd/member/snap/db";
    host.sh(bootstrapped);
    lab.refuses(&["up", "--yes"], 4).says(&[
        "n1: /var/lib/etcd already contains an etcd member that quorate did not create",
        "mv /var/lib/etcd",
    ]);

    host.sh("rm -r /var/lib/etcd/member/wal");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["n1: /var/lib/etcd has a database without a write-ahead log"]);

    host.sh("rm -r /var/lib/etcd/member; echo hello >/var/lib/etcd/notes.txt");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["n1: /var/lib/etcd contains files that do not belong to etcd"]);
}

#[test]
fn data_of_another_cluster_of_quorate_is_told_apart_by_name() {
    let lab = two_hosts();
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["status"]).ok();
    // The same hosts under another name, with a CA of its own.
    lab.inventory(|hosts| {
        let hosts: String = hosts
            .iter()
            .map(|host| format!("  - name: {}\n    address: {}\n", host.name, host.address))
            .collect();
        let version = current();
        format!("cluster: other\netcd:\n  version: \"{version}\"\npki:\n  dir: pki2\nssh:\n  known_hosts: pki/known_hosts\nhosts:\n{hosts}")
    });
    for host in lab.hosts() {
        host.sh("systemctl stop etcd");
    }
    lab.refuses(&["up", "--yes"], 4).says(&[
        "n1: /var/lib/etcd belongs to the member n1 of the cluster lab",
        "n2: /var/lib/etcd belongs to the member n2 of the cluster lab",
    ]);
}

#[test]
fn a_running_etcd_of_debians_package_is_left_alone() {
    let lab = two_hosts();
    let host = lab.host("n1");
    let (_, debian) = releases()
        .into_iter()
        .find(|(v, _)| v.starts_with("3.4."))
        .expect("3.4");
    // The layout of Debian's etcd-server: unit below /lib, data in /var/lib/etcd/default, plain HTTP on loopback.
    let unit = "[Unit]\nDescription=etcd - highly-available key value store\n[Service]\nType=notify\nUser=etcd\n\
                Environment=ETCD_DATA_DIR=/var/lib/etcd/default\nExecStart=/usr/bin/etcd\n[Install]\nWantedBy=multi-user.target\n";
    let key = lab.home().join(".ssh/id_ed25519");
    let copied = lab
        .as_operator("scp")
        .args([
            "-q",
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-i",
        ])
        .arg(key)
        .arg(debian.join("etcd"))
        .arg(format!("root@{}:/usr/bin/etcd", host.address))
        .status()
        .expect("scp");
    assert!(copied.success());
    host.sh(&format!(
        "useradd --system etcd && install -d -o etcd /var/lib/etcd && printf '{}' >/lib/systemd/system/etcd.service &&
         systemctl daemon-reload && systemctl start etcd",
        unit.replace('\n', "\\n")
    ));
    let pid = || host.sh("systemctl show etcd --property=MainPID --property=NRestarts");
    let before = pid();
    // A running member writes: what is compared is the other host, and that this one still runs undisturbed.
    let n2 = lab.host("n2").look();
    lab.quorate(&["up", "--yes"]).code(4).says(&[
        "n1: its unit etcd runs /usr/bin/etcd, which quorate did not install",
        "another `service`",
    ]);
    assert_eq!(lab.host("n2").look(), n2);
    assert_eq!(pid(), before);
    assert!(host.try_sh("test -e /etc/etcd || test -e /opt/quorate").status != Some(0));
}
