//! Where OpenSSH logs in, quorate does, and where OpenSSH refuses, so does quorate: each row is tried with both, with the same
//! `ssh_config`, against a real sshd.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use quorate::host::ssh::SshEnvironment;
use quorate::inventory::{SshTarget, Sudo};

use crate::logins::Agent;
use crate::server::{Server, Setup, run, tool};
use crate::token;

/// One way to log in. `DIR`, `PORT` and `USER` stand for the server's directory, its port, and who runs the tests.
#[derive(Clone, Copy)]
struct Row {
    what: &'static str,
    /// Lines of sshd_config.
    sshd: &'static str,
    /// Run by `sh` in the server's directory before sshd starts.
    before: &'static str,
    /// The same once it runs.
    prepare: &'static str,
    /// Lines of ssh_config in front of what holds for the rest, within `Host web`.
    config: &'static str,
    agent: Held,
    logs_in: bool,
}

/// The operator's agent.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    None,
    /// At `SSH_AUTH_SOCK`.
    Usual,
    /// At `DIR/agent`, and only the configuration says so.
    Configured,
    /// A security token at `SSH_AUTH_SOCK`.
    Token,
}

const ROW: Row = Row {
    what: "",
    sshd: "",
    before: ":",
    prepare: ":",
    config: "",
    agent: Held::None,
    logs_in: true,
};

/// A host that offers only this.
const fn offers(what: &'static str, sshd: &'static str) -> Row {
    Row { what, sshd, ..ROW }
}

/// Another host key than Ed25519.
const fn shows(what: &'static str, sshd: &'static str, before: &'static str) -> Row {
    Row {
        before,
        sshd,
        prepare: "echo \"[127.0.0.1]:PORT $(cat other.pub)\" >known_hosts",
        ..offers(what, "")
    }
}

/// What the operator's files say, against the usual host.
const fn says(what: &'static str, config: &'static str, prepare: &'static str) -> Row {
    Row {
        what,
        config,
        prepare,
        ..ROW
    }
}

const fn refused(row: Row) -> Row {
    Row { logs_in: false, ..row }
}

const fn holding(agent: Held, row: Row) -> Row {
    Row { agent, ..row }
}

const RSA: &str = "ssh-keygen -q -t rsa -b 2048 -N '' -f other";
const ECDSA: &str = "ssh-keygen -q -t ecdsa -N '' -f other";
const MINE: &str = "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys";
const CERTIFIED: &str =
    "ssh-keygen -q -t ed25519 -N '' -f ca; ssh-keygen -q -s ca -h -I host -n 127.0.0.1 host_key.pub";

/// What hosts offer: RHEL's crypto policies, FIPS, and what people set by hand.
const OFFERED: [Row; 21] = [
    offers("curve 25519", "KexAlgorithms curve25519-sha256"),
    offers("NIST P-256", "KexAlgorithms ecdh-sha2-nistp256"),
    offers("NIST P-384", "KexAlgorithms ecdh-sha2-nistp384"),
    offers("NIST P-521", "KexAlgorithms ecdh-sha2-nistp521"),
    offers("group exchange", "KexAlgorithms diffie-hellman-group-exchange-sha256"),
    offers("group 14", "KexAlgorithms diffie-hellman-group14-sha256"),
    offers("group 16", "KexAlgorithms diffie-hellman-group16-sha512"),
    offers("group 18", "KexAlgorithms diffie-hellman-group18-sha512"),
    offers("AES-128-GCM", "Ciphers aes128-gcm@openssh.com"),
    offers("AES-256-GCM", "Ciphers aes256-gcm@openssh.com"),
    offers("ChaCha20", "Ciphers chacha20-poly1305@openssh.com"),
    offers("AES-128-CTR, SHA-256", "Ciphers aes128-ctr\nMACs hmac-sha2-256"),
    offers("AES-192-CTR, SHA-512", "Ciphers aes192-ctr\nMACs hmac-sha2-512"),
    offers(
        "AES-256-CTR, SHA-256 ETM",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com",
    ),
    offers(
        "AES-256-CTR, SHA-512 ETM",
        "Ciphers aes256-ctr\nMACs hmac-sha2-512-etm@openssh.com",
    ),
    offers(
        "MAC with SHA-1, which OpenSSH still takes",
        "Ciphers aes256-ctr\nMACs hmac-sha1-etm@openssh.com",
    ),
    shows(
        "RSA host key, SHA-256",
        "HostKey DIR/other\nHostKeyAlgorithms rsa-sha2-256",
        RSA,
    ),
    shows(
        "RSA host key, SHA-512",
        "HostKey DIR/other\nHostKeyAlgorithms rsa-sha2-512",
        RSA,
    ),
    shows(
        "ECDSA host key",
        "HostKey DIR/other\nHostKeyAlgorithms ecdsa-sha2-nistp256",
        ECDSA,
    ),
    Row {
        prepare: "echo \"[127.0.0.1]:PORT $(cat other.pub)\" >known_hosts
                  ssh-keygen -q -t ecdsa -b 384 -N '' -f mine; cp mine.pub authorized_keys",
        config: "IdentityFile DIR/mine",
        ..shows(
            "RHEL 9 in FIPS mode",
            "HostKey DIR/other
             Ciphers aes256-gcm@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr
             MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512
             KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256
             HostKeyAlgorithms ecdsa-sha2-nistp256,rsa-sha2-256,rsa-sha2-512
             PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,rsa-sha2-256,rsa-sha2-512",
            RSA,
        )
    },
    Row {
        config: "KexAlgorithms +diffie-hellman-group14-sha1\nHostKeyAlgorithms +ssh-rsa",
        ..shows(
            "old appliance that the operator allows",
            "HostKey DIR/other\nHostKeyAlgorithms ssh-rsa\nKexAlgorithms diffie-hellman-group14-sha1",
            RSA,
        )
    },
];

/// Which host keys are believed.
const KNOWN: [Row; 16] = [
    says("pinned with its port", "", ":"),
    says(
        "hashed",
        "",
        "ssh-keygen -q -H -f known_hosts; ! grep -q 127.0.0.1 known_hosts",
    ),
    says(
        "pinned without its port",
        "",
        "echo \"127.0.0.1 $(cat host_key.pub)\" >known_hosts",
    ),
    says(
        "a pattern",
        "",
        "echo \"[127.0.0.*]:PORT,!other $(cat host_key.pub)\" >known_hosts",
    ),
    refused(says(
        "an exclusion",
        "",
        "echo \"*,![127.0.0.1]:PORT,!127.0.0.1 $(cat host_key.pub)\" >known_hosts",
    )),
    refused(says("nothing pinned", "", ": >known_hosts")),
    refused(says(
        "another key pinned",
        "",
        "ssh-keygen -q -t ed25519 -N '' -f x; echo \"[127.0.0.1]:PORT $(cat x.pub)\" >known_hosts",
    )),
    says(
        "for all users of the machine",
        "GlobalKnownHostsFile DIR/global",
        "mv known_hosts global",
    ),
    says(
        "in a file with tokens",
        "UserKnownHostsFile DIR/a-%n-%p DIR/b-%h",
        "mv known_hosts b-127.0.0.1",
    ),
    says(
        "in a file with spaces",
        "UserKnownHostsFile \"DIR/my hosts\" DIR/b",
        "mv known_hosts 'my hosts'",
    ),
    says(
        "by an alias, without a port",
        "HostKeyAlias fleet",
        "echo \"fleet $(cat host_key.pub)\" >known_hosts",
    ),
    refused(says(
        "revoked",
        "",
        "echo \"@revoked * $(cat host_key.pub)\" >>known_hosts",
    )),
    refused(says(
        "on a list of revoked keys",
        "RevokedHostKeys DIR/host_key.pub",
        ":",
    )),
    Row {
        sshd: "HostCertificate DIR/host_key-cert.pub",
        before: CERTIFIED,
        ..says(
            "certified",
            "",
            "echo \"@cert-authority 127.0.0.* $(cat ca.pub)\" >known_hosts",
        )
    },
    refused(Row {
        sshd: "HostCertificate DIR/host_key-cert.pub",
        before: CERTIFIED,
        ..says(
            "certified by an authority for other hosts",
            "",
            "echo \"@cert-authority *.example.com $(cat ca.pub)\" >known_hosts",
        )
    }),
    refused(Row {
        sshd: "HostCertificate DIR/host_key-cert.pub",
        before: CERTIFIED,
        ..says(
            "certified by a revoked authority",
            "",
            "{ echo \"@cert-authority * $(cat ca.pub)\"; echo \"@revoked * $(cat ca.pub)\"; } >known_hosts",
        )
    }),
];

/// Which keys log in, and where the configuration says so.
const KEYS: [Row; 21] = [
    says("an identity", "IdentityFile DIR/mine", MINE),
    refused(says("the wrong identity", "", MINE)),
    says(
        "tokens of the host",
        "IdentityFile DIR/%n-%h-%p-%r",
        "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         cp mine web-127.0.0.1-PORT-USER",
    ),
    says(
        "tokens of the operator",
        "IdentityFile DIR/%u-%i-%L-%l-%%",
        "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         cp mine \"$(id -un)-$(id -u)-$(uname -n | cut -d. -f1)-$(uname -n)-%\"",
    ),
    says(
        "a variable",
        "IdentityFile DIR/${CARGO_PKG_NAME}-key",
        "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         cp mine quorate-key",
    ),
    says(
        "a path with spaces",
        "IdentityFile \"DIR/my key\"",
        "ssh-keygen -q -t ed25519 -N '' -f 'my key'; cp 'my key.pub' authorized_keys",
    ),
    says(
        "an included file",
        "Include DIR/conf.d/*",
        "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         mkdir conf.d; echo 'IdentityFile DIR/mine' >conf.d/a",
    ),
    says(
        "Match originalhost",
        "Match originalhost web\nIdentityFile DIR/mine",
        MINE,
    ),
    says(
        "Match host, user and localuser",
        "Match host 127.0.0.1 user USER localuser USER\nIdentityFile DIR/mine",
        MINE,
    ),
    says(
        "Match exec",
        "Match exec \"test %n = web\"\nIdentityFile DIR/mine",
        MINE,
    ),
    says("Match final", "Match final host 127.0.0.1\nIdentityFile DIR/mine", MINE),
    refused(says(
        "Match that does not",
        "Match !originalhost web\nIdentityFile DIR/mine",
        MINE,
    )),
    holding(
        Held::Usual,
        says(
            "the agent",
            "",
            "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         ssh-add -q mine; rm mine mine.pub",
        ),
    ),
    holding(
        Held::Usual,
        says(
            "the agent, chosen by a public half",
            "IdentitiesOnly yes\nIdentityFile DIR/mine.pub",
            "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         ssh-add -q mine; rm mine",
        ),
    ),
    refused(holding(
        Held::Usual,
        says(
            "an agent that must not be used",
            "IdentityAgent none",
            "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         ssh-add -q mine; rm mine",
        ),
    )),
    holding(
        Held::Configured,
        says(
            "an agent of the configuration",
            "IdentityAgent DIR/%r-agent",
            "ssh-keygen -q -t ed25519 -N '' -f mine; cp mine.pub authorized_keys
         ssh-add -q mine; rm mine; ln -s agent USER-agent",
        ),
    ),
    holding(
        Held::Usual,
        says(
            "the agent's fifth key, after a file that does not fit",
            "IdentityFile DIR/id",
            "for n in 1 2 3 4 5; do ssh-keygen -q -t ed25519 -N '' -f k$n; ssh-add -q k$n; done; cp k5.pub authorized_keys; rm k?",
        ),
    ),
    Row {
        sshd: "TrustedUserCAKeys DIR/ca.pub\nAuthorizedKeysFile none",
        before: "ssh-keygen -q -t ed25519 -N '' -f ca; ssh-keygen -q -t rsa -b 2048 -N '' -f mine
                 ssh-keygen -q -s ca -I me -n USER mine.pub; mv mine-cert.pub elsewhere.pub",
        ..says(
            "a certificate in a file of its own",
            "IdentityFile DIR/mine\nCertificateFile DIR/elsewhere.pub",
            ":",
        )
    },
    holding(
        Held::Token,
        says("a security token through the agent", "", "cp token.pub authorized_keys"),
    ),
    says(
        "a command that leads there",
        "ProxyCommand /usr/sbin/sshd -i -f DIR/sshd_config",
        ":",
    ),
    says(
        "a jump, by the operator's own name",
        "ProxyJump near\nHost near\nHostName 127.0.0.1\nPort PORT",
        ":",
    ),
];

async fn tried(row: &Row) -> Result<(), String> {
    let user = tool("id", &["-un"]);
    let setup = Setup {
        config: row.sshd.to_owned(),
        wrapper: Some(format!(
            "cd DIR && {{ {}\n}} && exec \"$@\"",
            row.before.replace("USER", &user)
        )),
        ..Setup::default()
    };
    let server = Server::with(setup);
    let dir = server.dir.path().to_str().unwrap().to_owned();
    let filled = |text: &str| {
        text.replace("DIR", &dir)
            .replace("PORT", &server.port.to_string())
            .replace("USER", &user)
    };
    let agent = match row.agent {
        Held::Usual | Held::Configured => Some(Agent::start(&server).await),
        Held::None | Held::Token => None,
    };
    let token = match row.agent {
        Held::Token => Some(token::plug_in(&server.path("token"), &server.path("token.pub")).await),
        _ => None,
    };
    let loaded = agent.as_ref().map(|agent| agent.socket.clone()).or(token);
    let prepared = Command::new("sh")
        .args(["-ec", &filled(row.prepare)])
        .current_dir(&dir)
        .envs(loaded.as_ref().map(|socket| ("SSH_AUTH_SOCK", socket)))
        .stdout(Stdio::null())
        .status();
    assert!(prepared.unwrap().success(), "{}: it cannot be prepared", row.what);
    std::fs::create_dir_all(server.path("home/.ssh")).unwrap();
    let config = format!(
        "Host web\nHostName 127.0.0.1\nPort PORT\nUser USER\n{}\n\
         Host *\nIdentityFile DIR/id\nUserKnownHostsFile DIR/known_hosts\nGlobalKnownHostsFile DIR/none\n",
        row.config
    );
    let file = server.path("home/.ssh/config");
    std::fs::write(&file, filled(&config)).unwrap();

    let socket = loaded.filter(|_| row.agent != Held::Configured);
    let (theirs, said) = openssh(&file, socket.as_deref());
    let mut env = SshEnvironment::new(server.path("home"), socket);
    env.system = server.path("etc");
    // A group of 8192 bits takes its time where nothing is optimised.
    env.connect_timeout = Duration::from_secs(120);
    let target = SshTarget {
        host: "web".into(),
        port: None,
        user: None,
        identity: vec![],
        known_hosts: server.path("pinned"),
        jump: vec![],
        sudo: Sudo::Never,
        use_config: true,
    };
    let ours = match server.connect_as(&target, &Arc::new(env)).await {
        Ok(host) => {
            let ran = run(&host, "exit 0", &[]).await;
            ran.map_err(|error| error.to_string()).map(|_| ())
        }
        Err(error) => Err(error.to_string()),
    };
    match (theirs, &ours) {
        _ if theirs != row.logs_in => Err(format!("OpenSSH does not do as the row says: {said}\n{}", server.log())),
        (true, Err(error)) => Err(format!(
            "OpenSSH logs in, and quorate does not: {error}\n{}",
            server.log()
        )),
        (false, Ok(())) => Err(format!("OpenSSH refuses, and quorate logs in ({said})")),
        _ => Ok(()),
    }
}

/// Whether OpenSSH logs in, and what it says.
fn openssh(config: &Path, agent: Option<&Path>) -> (bool, String) {
    let mut command = Command::new("ssh");
    command
        .arg("-F")
        .arg(config)
        .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "web", "true"])
        .stdin(Stdio::null())
        .env_remove("SSH_AUTH_SOCK")
        .envs(agent.map(|socket| ("SSH_AUTH_SOCK", socket)));
    let output = command.output().expect("install openssh-client");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

async fn all_as_openssh(rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        match tried(row).await {
            Ok(()) => println!(
                "{:45} {}",
                row.what,
                if row.logs_in { "both log in" } else { "both refuse" }
            ),
            Err(why) => wrong.push(format!("{}: {why}", row.what)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hosts_offer_is_enough_for_both() {
    all_as_openssh(&OFFERED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_believe_the_same_host_keys() {
    all_as_openssh(&KNOWN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_log_in_with_the_same_keys() {
    all_as_openssh(&KEYS).await;
}
