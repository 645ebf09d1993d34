//! What others install, each after its documented layout: where options, certificates, data and programs are.

use crate::harness::{Host, Lab, releases};

/// Who installed a member.
#[derive(Clone, Copy, PartialEq)]
pub enum Layout {
    /// A person: a configuration file, named in the unit.
    Yaml,
    /// A person, or githubixx's role: all flags in `ExecStart=`.
    Flags,
    /// kubespray: `/etc/etcd.env`, as root.
    Kubespray,
    /// Debian's package: a unit of the package, `/etc/default/etcd`, data in `/var/lib/etcd/default`.
    Debian,
    /// etcdadm: all in `/etc/etcd`, certificates where quorate's are by default, the CA's key on every host.
    Etcdadm,
    /// autobase, for Patroni: variables in `/etc/etcd/etcd.conf`, started by a shell, certificates asked for by the CA's name alone.
    Autobase,
    /// pigsty, for Patroni: YAML in `/etc/etcd/etcd.conf`, and logs in a file.
    Pigsty,
}

/// Where the CA, the member's certificate and its key are.
type Files = [&'static str; 3];

impl Layout {
    pub fn user(self) -> &'static str {
        match self {
            Layout::Kubespray | Layout::Etcdadm => "root",
            _ => "etcd",
        }
    }

    pub fn data(self) -> &'static str {
        match self {
            Layout::Yaml | Layout::Pigsty => "/data/etcd",
            Layout::Debian => "/var/lib/etcd/default",
            _ => "/var/lib/etcd",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Layout::Etcdadm => "/opt/bin/etcd",
            _ => "/usr/local/bin/etcd",
        }
    }

    /// Those for clients, and those for peers.
    fn certificates(self) -> [Files; 2] {
        match self {
            Layout::Etcdadm => [
                [
                    "/etc/etcd/pki/ca.crt",
                    "/etc/etcd/pki/server.crt",
                    "/etc/etcd/pki/server.key",
                ],
                [
                    "/etc/etcd/pki/ca.crt",
                    "/etc/etcd/pki/peer.crt",
                    "/etc/etcd/pki/peer.key",
                ],
            ],
            Layout::Autobase => {
                [[
                    "/etc/etcd/tls/ca.crt",
                    "/etc/etcd/tls/server.crt",
                    "/etc/etcd/tls/server.key",
                ]; 2]
            }
            Layout::Pigsty => [["/etc/etcd/ca.crt", "/etc/etcd/server.crt", "/etc/etcd/server.key"]; 2],
            _ => [["/etc/theirs/ca.crt", "/etc/theirs/member.crt", "/etc/theirs/member.key"]; 2],
        }
    }

    /// The file with its options; that of `Flags` is the unit.
    pub fn options_in(self) -> &'static str {
        match self {
            Layout::Yaml => "/etc/theirs/etcd.yml",
            Layout::Flags => "/etc/systemd/system/etcd.service",
            Layout::Kubespray => "/etc/etcd.env",
            Layout::Debian => "/etc/default/etcd",
            Layout::Etcdadm => "/etc/etcd/etcd.env",
            Layout::Autobase | Layout::Pigsty => "/etc/etcd/etcd.conf",
        }
    }

    /// Installs a member of the cluster of all hosts, and starts it.
    pub fn install(self, lab: &Lab, host: &Host, version: &str) {
        let (_, binaries) = releases().into_iter().find(|(v, _)| *v == version).expect("a release");
        let (data, user, program) = (self.data(), self.user(), self.program());
        host.sh("useradd --system --user-group --no-create-home etcd; mkdir -p /root/theirs /opt/bin");
        host.carry(&binaries.join("etcd"), program);
        host.carry(&binaries.join("etcdctl"), "/usr/local/bin/etcdctl");
        for (from, to) in [
            ("ca.crt", "ca.crt"),
            ("NAME.crt", "member.crt"),
            ("NAME.key", "member.key"),
        ] {
            let from = lab.dir().join("theirs").join(from.replace("NAME", &host.name));
            host.carry(&from, &format!("/root/theirs/{to}"));
        }
        let copies = self.certificates().map(|[ca, certificate, key]| {
            format!(
                "mkdir -p {}; cp /root/theirs/ca.crt {ca}; cp /root/theirs/member.crt {certificate}; cp /root/theirs/member.key {key}
                 chmod 644 {ca} {certificate}; chmod 600 {key}; chown {user}: {key}; ",
                ca.trim_end_matches("/ca.crt")
            )
        });
        host.sh(&format!(
            "{} mkdir -p {data}; chown {user}: {data}; chmod 700 {data}
             install -o {user} -m 644 /dev/null /var/log/etcd.log",
            copies.concat()
        ));
        if self == Layout::Etcdadm {
            host.carry(&lab.dir().join("theirs/ca.key"), "/etc/etcd/pki/ca.key");
        }
        self.write_down(lab, host);
        host.sh("systemctl daemon-reload; systemctl enable etcd; systemctl start --no-block etcd");
    }

    fn write_down(self, lab: &Lab, host: &Host) {
        let (program, options) = (self.program(), self.options(lab, host));
        let write = |path: &str, text: &str| drop(host.sh(&format!("cat >{path} <<'END'\n{text}\nEND")));
        let variables = options.iter().map(|(name, value)| {
            let name = name.replace('-', "_").to_uppercase();
            format!("ETCD_{name}=\"{value}\"\n")
        });
        let variables = variables.collect::<String>();
        let file = self.options_in();
        let (start, more) = match self {
            Layout::Yaml | Layout::Pigsty => {
                write(file, &yaml(&options));
                (format!("{program} --config-file {file}"), String::new())
            }
            Layout::Flags => {
                let flags = options.iter().map(|(name, value)| format!(" \\\n  --{name}={value}"));
                (format!("{program}{}", flags.collect::<String>()), String::new())
            }
            Layout::Debian => {
                write(file, &variables);
                let more = "Environment=DAEMON_ARGS=\nEnvironmentFile=-/etc/default/etcd\n";
                (format!("{program} $DAEMON_ARGS"), more.to_owned())
            }
            Layout::Kubespray => {
                // Unquoted, and with what later releases only warn of.
                write(file, &format!("{}ETCD_PROXY=off\n", variables.replace('"', "")));
                (program.to_owned(), format!("EnvironmentFile={file}\n"))
            }
            Layout::Etcdadm => {
                write(file, &variables.replace('"', ""));
                (
                    program.to_owned(),
                    format!("EnvironmentFile={file}\nMemoryLow=200M\nNice=-10\n"),
                )
            }
            Layout::Autobase => {
                write(file, &variables);
                let start = format!("/bin/bash -c \"GOMAXPROCS=$(nproc) {program}\"");
                (start, format!("EnvironmentFile=-{file}\nNice=-20\n"))
            }
        };
        let unit = match self {
            Layout::Debian => "/usr/lib/systemd/system",
            _ => "/etc/systemd/system",
        };
        write(
            &format!("{unit}/etcd.service"),
            &format!(
                "[Unit]\nAfter=network.target\n[Service]\nType=notify\nUser={}\n{more}ExecStart={start}\n\
                 Restart=on-abnormal\nLimitNOFILE=65536\n[Install]\nWantedBy=multi-user.target",
                self.user()
            ),
        );
    }

    /// Options of a member, as flags are named.
    fn options(self, lab: &Lab, host: &Host) -> Vec<(&'static str, String)> {
        let peers = lab
            .hosts()
            .iter()
            .map(|h| format!("{}=https://{}:2380", h.name, h.address));
        let address = &host.address;
        let [[ca, certificate, key], [peer_ca, peer_certificate, peer_key]] = self.certificates();
        let mut options = vec![
            ("name", host.name.clone()),
            ("data-dir", self.data().to_owned()),
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
            ("cert-file", certificate.to_owned()),
            ("key-file", key.to_owned()),
            ("trusted-ca-file", ca.to_owned()),
            ("peer-cert-file", peer_certificate.to_owned()),
            ("peer-key-file", peer_key.to_owned()),
            ("peer-trusted-ca-file", peer_ca.to_owned()),
        ];
        // With a CA etcd asks for certificates all the same (docs/etcd.md, "Who is let in").
        match self {
            Layout::Pigsty => options.extend([
                ("log-outputs", "[/var/log/etcd.log]".to_owned()),
                ("enable-log-rotation", "true".to_owned()),
            ]),
            Layout::Autobase => options.extend([
                ("client-cert-auth", "false".to_owned()),
                ("peer-client-cert-auth", "false".to_owned()),
            ]),
            _ => options.extend([
                ("client-cert-auth", "true".to_owned()),
                ("peer-client-cert-auth", "true".to_owned()),
            ]),
        }
        options
    }
}

/// The same as a configuration file: what is about TLS in a section of its own.
fn yaml(options: &[(&str, String)]) -> String {
    let security = ["cert-file", "key-file", "trusted-ca-file", "client-cert-auth"];
    let section = |prefix: &str| -> String {
        let each = security.iter().filter_map(|key| {
            let (_, value) = options.iter().find(|(name, _)| *name == format!("{prefix}{key}"))?;
            Some(format!("  {key}: {value}\n"))
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
