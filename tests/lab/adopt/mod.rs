//! Clusters that something else made, taken over while they run: each layout is written by hand after the documented one.

mod ca;
mod over;

use crate::harness::{Host, Lab, releases, wait_until};

/// How a member's options reach it.
#[derive(Clone, Copy)]
enum Layout {
    /// A hand-written configuration file, named in the unit.
    Yaml,
    /// All flags in `ExecStart=`.
    Flags,
    /// kubespray's `/etc/etcd.env`, as root.
    Kubespray,
    /// Debian's package: a unit of the package, `/etc/default/etcd`, data in `/var/lib/etcd/default`.
    Debian,
}

impl Layout {
    fn user(self) -> &'static str {
        match self {
            Layout::Kubespray => "root",
            _ => "etcd",
        }
    }

    fn data(self) -> &'static str {
        match self {
            Layout::Yaml => "/data/etcd",
            Layout::Flags | Layout::Kubespray => "/var/lib/etcd",
            Layout::Debian => "/var/lib/etcd/default",
        }
    }
}

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

/// Options of a member, as flags are named.
fn options(lab: &Lab, host: &Host, layout: Layout) -> Vec<(&'static str, String)> {
    let peers = lab
        .hosts()
        .iter()
        .map(|h| format!("{}=https://{}:2380", h.name, h.address));
    let address = &host.address;
    vec![
        ("name", host.name.clone()),
        ("data-dir", layout.data().to_owned()),
        (
            "listen-client-urls",
            format!("https://{address}:2379,https://127.0.0.1:2379"),
        ),
        ("advertise-client-urls", format!("https://{address}:2379")),
        ("listen-peer-urls", format!("https://{address}:2380")),
        ("initial-advertise-peer-urls", format!("https://{address}:2380")),
        ("initial-cluster", peers.collect::<Vec<_>>().join(",")),
        ("initial-cluster-state", "new".to_owned()),
        ("initial-cluster-token", "theirs".to_owned()),
        ("heartbeat-interval", "250".to_owned()),
        ("election-timeout", "5000".to_owned()),
        ("cert-file", "/etc/theirs/member.crt".to_owned()),
        ("key-file", "/etc/theirs/member.key".to_owned()),
        ("trusted-ca-file", "/etc/theirs/ca.crt".to_owned()),
        ("client-cert-auth", "true".to_owned()),
        ("peer-cert-file", "/etc/theirs/member.crt".to_owned()),
        ("peer-key-file", "/etc/theirs/member.key".to_owned()),
        ("peer-trusted-ca-file", "/etc/theirs/ca.crt".to_owned()),
        ("peer-client-cert-auth", "true".to_owned()),
    ]
}

/// The same as a configuration file: what is about TLS in a section of its own.
fn yaml(options: &[(&str, String)]) -> String {
    let security = ["cert-file", "key-file", "trusted-ca-file", "client-cert-auth"];
    let section = |prefix: &str| -> String {
        let each = security.iter().map(|key| {
            let value = options.iter().find(|(name, _)| *name == format!("{prefix}{key}"));
            format!("  {key}: {}\n", value.expect("an option").1)
        });
        each.collect()
    };
    let plain = options.iter().filter(|(name, _)| {
        let name = name.strip_prefix("peer-").unwrap_or(name);
        !security.contains(&name)
    });
    let plain: String = plain.map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!(
        "{plain}client-transport-security:\n{}peer-transport-security:\n{}",
        section(""),
        section("peer-")
    )
}

fn install(lab: &Lab, host: &Host, version: &str, layout: Layout) {
    let (_, binaries) = releases().into_iter().find(|(v, _)| *v == version).expect("a release");
    host.carry(&binaries.join("etcd"), "/usr/local/bin/etcd");
    host.carry(&binaries.join("etcdctl"), "/usr/local/bin/etcdctl");
    let (data, user) = (layout.data(), layout.user());
    host.sh(&format!(
        "useradd --system --user-group --no-create-home etcd; mkdir -p /etc/theirs /etc/default {data}
         chown {user}: {data}; chmod 700 {data}"
    ));
    for (from, to) in [
        ("ca.crt", "ca.crt"),
        ("NAME.crt", "member.crt"),
        ("NAME.key", "member.key"),
    ] {
        let from = lab.dir().join("theirs").join(from.replace("NAME", &host.name));
        host.carry(&from, &format!("/etc/theirs/{to}"));
    }
    host.sh(&format!(
        "chmod 644 /etc/theirs/*.crt; chmod 600 /etc/theirs/*.key; chown {user}: /etc/theirs/*.key"
    ));
    let options = options(lab, host, layout);
    let write = |path: &str, text: &str| drop(host.sh(&format!("cat >{path} <<'END'\n{text}\nEND")));
    let (unit, start, environment) = match layout {
        Layout::Yaml => {
            write("/etc/theirs/etcd.yml", &yaml(&options));
            (
                "/etc/systemd/system",
                "/usr/local/bin/etcd --config-file /etc/theirs/etcd.yml".to_owned(),
                "",
            )
        }
        Layout::Flags => {
            let flags = options.iter().map(|(name, value)| format!(" \\\n  --{name}={value}"));
            (
                "/etc/systemd/system",
                format!("/usr/local/bin/etcd{}", flags.collect::<String>()),
                "",
            )
        }
        Layout::Debian | Layout::Kubespray => {
            let lines = options.iter().map(|(name, value)| {
                let name = name.replace('-', "_").to_uppercase();
                format!("ETCD_{name}=\"{value}\"\n")
            });
            let lines = lines.collect::<String>();
            match layout {
                Layout::Debian => {
                    write("/etc/default/etcd", &lines);
                    (
                        "/usr/lib/systemd/system",
                        "/usr/local/bin/etcd $DAEMON_ARGS".to_owned(),
                        "Environment=DAEMON_ARGS=\nEnvironmentFile=-/etc/default/etcd\n",
                    )
                }
                _ => {
                    // Unquoted, and with what later releases only warn of.
                    write("/etc/etcd.env", &format!("{}ETCD_PROXY=off\n", lines.replace('"', "")));
                    (
                        "/etc/systemd/system",
                        "/usr/local/bin/etcd".to_owned(),
                        "EnvironmentFile=/etc/etcd.env\n",
                    )
                }
            }
        }
    };
    write(
        &format!("{unit}/etcd.service"),
        &format!(
            "[Unit]\nAfter=network.target\n[Service]\nType=notify\nUser={user}\n{environment}ExecStart={start}\n\
             Restart=on-abnormal\nLimitNOFILE=65536\n[Install]\nWantedBy=multi-user.target"
        ),
    );
    host.sh("systemctl daemon-reload; systemctl enable etcd; systemctl start --no-block etcd");
}

/// Three members that run, each written down in another way.
fn theirs(version: &str, layouts: [Layout; 3]) -> Lab {
    let lab = Lab::start(3);
    certificates(&lab);
    for (host, layout) in lab.hosts().iter().zip(layouts) {
        install(&lab, host, version, layout);
    }
    wait_until(
        "their cluster to be healthy",
        std::time::Duration::from_secs(60),
        || etcdctl(&lab, "endpoint health --cluster").is_some_and(|said| said.matches("is healthy").count() == 3),
    );
    lab
}

/// Their own etcdctl, on the first host.
fn etcdctl(lab: &Lab, arguments: &str) -> Option<String> {
    let outcome = lab.host("n1").try_sh(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/theirs/ca.crt --cert /etc/theirs/member.crt \
         --key /etc/theirs/member.key {arguments} 2>&1"
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
        host.sh("sha256sum /etc/theirs/* /etc/default/etcd /etc/systemd/system/etcd.service /usr/lib/systemd/system/etcd.service \
                 2>/dev/null || :; ls -d /etc/etcd /opt/quorate 2>/dev/null || :")
    });
    each.collect()
}

/// Writes through their own etcdctl, one key after the other, until told to stop; counts what was acknowledged and what was
/// not. It has a certificate of its own, in `/run/client`.
struct Client<'a>(&'a Host);

impl<'a> Client<'a> {
    fn begin(lab: &'a Lab) -> Self {
        let host = lab.host("n2");
        host.sh("mkdir /run/client.1; cd /etc/theirs; cp ca.crt /run/client.1/
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
        assert!(told[2] < 12, "{} writes failed", told[2]);
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
