//! Clusters that something else made, taken over while they run: each layout is written by hand after the documented one.

mod ca;
mod layout;
mod over;
mod tools;

use layout::Layout;

use crate::harness::{Host, Lab, wait_until};

/// A CA of openssl's, and with it a certificate of each host.
fn certificates(lab: &Lab) {
    let script = |text: &str| {
        let done = lab.as_operator("sh").args(["-euc", text]).output().expect("sh");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    script(
        "mkdir theirs; cd theirs
         openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=etcd-ca -keyout ca.key -out ca.crt 2>/dev/null",
    );
    for host in lab.hosts() {
        script(&format!(
            "cd theirs
             printf 'subjectAltName=IP:{0},IP:127.0.0.1,DNS:localhost\\nextendedKeyUsage=serverAuth,clientAuth\\n' >ext
             openssl req -newkey rsa:2048 -nodes -subj /CN=etcd-member -keyout {1}.key -out {1}.csr 2>/dev/null
             openssl x509 -req -in {1}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 900 -extfile ext -out {1}.crt 2>/dev/null",
            host.address, host.name
        ));
    }
}

/// Three members that run, each written down in another way.
fn theirs(version: &str, layouts: [Layout; 3]) -> Lab {
    let lab = Lab::start(3);
    certificates(&lab);
    for (host, layout) in lab.hosts().iter().zip(layouts) {
        layout.install(&lab, host, version);
    }
    wait_until(
        "their cluster to be healthy",
        std::time::Duration::from_secs(60),
        || all_healthy(&lab),
    );
    lab
}

fn all_healthy(lab: &Lab) -> bool {
    etcdctl(lab, "endpoint health --cluster").is_some_and(|said| said.matches("is healthy").count() == 3)
}

/// Makes this member lead: the others are followers, and have their turns first.
fn led_by(lab: &Lab, name: &str) {
    let every = lab.hosts().iter().map(|host| format!("https://{}:2379", host.address));
    let every = every.collect::<Vec<_>>().join(",");
    let listed = etcdctl(lab, "member list").expect("a list");
    let line = listed
        .lines()
        .find(|line| line.contains(&format!(", {name}, ")))
        .expect("a member");
    let id = line.split(',').next().expect("an id");
    // Whoever leads already is told so.
    etcdctl(lab, &format!("--endpoints {every} move-leader {id}"));
}

/// Their own etcdctl, on the first host, with a certificate of that host.
fn etcdctl(lab: &Lab, arguments: &str) -> Option<String> {
    let outcome = lab.host("n1").try_sh(&format!(
        "ETCDCTL_API=3 /usr/local/bin/etcdctl --endpoints https://127.0.0.1:2379 --cacert /root/theirs/ca.crt \
         --cert /root/theirs/member.crt --key /root/theirs/member.key {arguments} 2>&1"
    ));
    (outcome.status == Some(0)).then_some(outcome.stdout)
}

/// When each member's process was started, by the kernel: zero restarts are proved by it.
fn started(lab: &Lab) -> Vec<String> {
    let each = lab.hosts().iter().map(|host| {
        host.sh("for p in /proc/[0-9]*; do read -r c <$p/comm 2>/dev/null && [ \"$c\" = etcd ] && cut -d' ' -f1,22 $p/stat; done; true")
    });
    each.collect()
}

/// Every file of theirs, with what it holds.
fn their_files(lab: &Lab) -> Vec<String> {
    let each = lab.hosts().iter().map(|host| {
        host.sh("find /etc/theirs /etc/etcd /etc/default/etcd /etc/etcd.env /etc/systemd/system/etcd.service /usr/lib/systemd/system/etcd.service \
                 -type f -exec sha256sum {} + 2>/dev/null; ls -d /opt/quorate 2>/dev/null || :")
    });
    each.collect()
}

/// Writes through their own etcdctl, one key after the other, until told to stop; counts what was acknowledged and what was
/// not. It has a certificate of its own, in `/run/client`.
struct Client<'a>(&'a Host);

impl<'a> Client<'a> {
    fn begin(lab: &'a Lab) -> Self {
        let host = lab.host("n2");
        host.sh("mkdir /run/client.1; cd /root/theirs; cp ca.crt /run/client.1/
             cp member.crt /run/client.1/client.crt; cp member.key /run/client.1/client.key; ln -s client.1 /run/client");
        let endpoints: Vec<String> = lab
            .hosts()
            .iter()
            .map(|h| format!("https://{}:2379", h.address))
            .collect();
        host.sh(&format!(
            "echo '#!/bin/sh
             export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={} ETCDCTL_CACERT=/run/client/ca.crt ETCDCTL_CERT=/run/client/client.crt
             export ETCDCTL_KEY=/run/client/client.key; exec etcdctl \"$@\"' >/run/its-etcdctl; chmod 755 /run/its-etcdctl",
            endpoints.join(",")
        ));
        host.beside(
            "client",
            "n=0; while [ ! -e /run/enough ]; do n=$((n + 1))
             if /run/its-etcdctl put written $n >/dev/null 2>&1; then echo $n >>/run/acknowledged; else echo $n >>/run/failed; fi; done",
        );
        Self(host)
    }

    fn acknowledged(&self) -> u64 {
        let told = self.0.sh("cat /run/acknowledged 2>/dev/null | wc -l");
        told.trim().parse().expect("a number")
    }

    /// It is not locked out: more of its writes are acknowledged.
    fn writes_on(&self) {
        let before = self.acknowledged();
        wait_until("the client to write on", std::time::Duration::from_secs(20), || {
            self.acknowledged() > before + 3
        });
    }

    /// From now on it has these files, in one step.
    fn gets(&self, lab: &Lab, dir: &str, name: &str) {
        self.0.sh("mkdir /run/client.2");
        for (from, to) in [
            ("ca.crt".to_owned(), "ca.crt"),
            (format!("{name}.crt"), "client.crt"),
            (format!("{name}.key"), "client.key"),
        ] {
            self.0
                .carry(&lab.dir().join(dir).join(from), &format!("/run/client.2/{to}"));
        }
        self.0
            .sh("ln -s client.2 /run/client.new; mv -T /run/client.new /run/client");
    }

    /// The last write that was acknowledged is there, and few failed: those on their way to a member that restarts.
    fn end(self) {
        self.0
            .sh("touch /run/enough; while systemctl is-active --quiet client; do sleep 0.1; done");
        let told = self
            .0
            .sh("wc -l </run/acknowledged; tail -n 1 /run/acknowledged; cat /run/failed 2>/dev/null | wc -l");
        let told: Vec<u64> = told.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        let kept = self.0.sh("/run/its-etcdctl get written --print-value-only");
        let kept: u64 = kept.trim().parse().expect("a number");
        assert!(told[0] > 10, "{told:?}");
        assert!(kept >= told[1], "{kept} is there, {} was acknowledged", told[1]);
        assert!(told[2] < 24, "{} writes failed", told[2]);
        println!("{} writes were acknowledged, {} were not", told[0], told[2]);
    }
}

fn hosts_of(lab: &Lab) -> Vec<String> {
    let hosts = lab.hosts().iter();
    hosts.map(|h| format!("{}={}", h.name, h.address)).collect()
}

fn adopt<'a>(hosts: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["adopt", "--cluster", "lab", "--ca-key", "theirs/ca.key", "--yes"];
    for host in hosts {
        words.extend(["--host", host]);
    }
    words.extend(more);
    words
}
