//! An sshd of our own on loopback, run by whoever runs the tests, and an operator to go with it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::bounds::Limits;
use quorate::host::ssh::{HostKey, SshEnvironment, SshTransport, connect, pin};
use quorate::host::{HostError, Output, Script, SecretSource, Transport as _};
use quorate::inventory::{NodeName, SshTarget, Sudo};
use secrecy::SecretString;
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// Runs a tool that has to succeed.
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install openssh-client"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a key pair `path`, `path.pub`.
pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let path = path.to_str().unwrap();
    let bits = if kind == "rsa" { "2048" } else { "256" };
    // Few rounds: the tests are about passphrases, not about how slow they are to try.
    tool(
        "ssh-keygen",
        &[
            "-q", "-t", kind, "-b", bits, "-a", "2", "-N", passphrase, "-C", "", "-f", path,
        ],
    );
}

/// A server with one Ed25519 host key that accepts one key, and the operator who holds it.
pub struct Server {
    pub dir: TempDir,
    pub port: u16,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// How a server differs from the usual one.
#[derive(Default)]
pub struct Setup {
    /// Further lines of sshd_config; `DIR` stands for the server's directory.
    pub config: String,
    /// Further `NAME=VALUE`s for every command; `DIR` as above.
    pub env: String,
    /// Run in front of sshd by `sh -c`, ending in `exec "$@"`.
    pub wrapper: Option<String>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: install openssh-server");
        let dir = tempfile::Builder::new().prefix("quorate-ssh-").tempdir().unwrap();
        keygen(&dir.path().join("host_key"), "ed25519", "");
        keygen(&dir.path().join("id"), "ed25519", "");
        std::fs::copy(dir.path().join("id.pub"), dir.path().join("authorized_keys")).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        // sshd wants its privilege separation directory when it runs as root.
        let _ = std::fs::create_dir("/run/sshd");
        // Another process may take the port between asking for a free one and sshd's start.
        for _ in 0..5 {
            if let Some((child, port, log)) = launch(dir.path(), &setup) {
                let server = Self { dir, port, child, log };
                server.pin_host_key();
                return server;
            }
        }
        panic!("sshd did not start");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pin_host_key(&self) {
        let text = std::fs::read_to_string(self.path("host_key.pub")).unwrap();
        let key = text.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned();
        pin(
            &self.path("known_hosts"),
            &[HostKey {
                host: "127.0.0.1".into(),
                port: self.port,
                key,
            }],
        )
        .unwrap();
    }

    /// The server as an inventory would name it.
    pub fn target(&self) -> SshTarget {
        SshTarget {
            host: "127.0.0.1".into(),
            port: Some(self.port),
            user: Some(tool("id", &["-un"])),
            identity: vec![self.path("id")],
            known_hosts: self.path("known_hosts"),
            jump: vec![],
            sudo: Sudo::Never,
            use_config: false,
        }
    }

    /// An operator without agent and configuration.
    pub fn operator(&self) -> Arc<SshEnvironment> {
        self.operator_with(|_| {})
    }

    /// The same, changed.
    pub fn operator_with(&self, change: impl FnOnce(&mut SshEnvironment)) -> Arc<SshEnvironment> {
        let mut env = SshEnvironment::new(self.path("home"), None);
        change(&mut env);
        Arc::new(env)
    }

    /// Logs in with everything as usual.
    pub async fn connect(&self) -> SshTransport {
        self.connect_as(&self.target(), &self.operator())
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    pub async fn connect_as(&self, target: &SshTarget, env: &Arc<SshEnvironment>) -> Result<SshTransport, HostError> {
        connect(&node(), target, env, Arc::new(Given::default())).await
    }

    /// What sshd wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Asserts how often `what` stands in the log, which may come a little after what it tells.
    pub async fn logged(&self, what: &str, times: usize) {
        let count = || self.log().matches(what).count();
        let enough = async {
            while count() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), enough).await;
        assert_eq!(count(), times, "{what} in {}", self.log());
    }

    /// Asserts how many logins sshd has accepted.
    pub async fn accepted(&self, logins: usize) {
        self.logged("Accepted publickey", logins).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Launched = (Child, u16, Arc<Mutex<String>>);

fn launch(dir: &Path, setup: &Setup) -> Option<Launched> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey DIR/host_key\nPidFile none\nAuthorizedKeysFile DIR/authorized_keys\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n\
         PermitRootLogin yes\nSetEnv HOME=DIR/home {}\n{}\n",
        // Whoever runs the tests may have slow start-up files in the real home.
        setup.env,
        setup.config
    );
    let file = dir.join("sshd_config");
    std::fs::write(&file, config.replace("DIR", dir.to_str().unwrap())).unwrap();
    let wrapper = setup
        .wrapper
        .clone()
        .unwrap_or_else(|| "exec \"$@\"".into())
        .replace("DIR", dir.to_str().unwrap());
    let mut child = Command::new("sh")
        .args(["-c", &wrapper, "sh", SSHD, "-D", "-e", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines.by_ref().map_while(Result::ok) {
        let ready = line.contains("Server listening");
        log.lock().unwrap().push_str(&format!("{line}\n"));
        if ready {
            let copy = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    copy.lock().unwrap().push_str(&format!("{line}\n"));
                }
            });
            return Some((child, port, log));
        }
    }
    eprintln!("sshd: {}", log.lock().unwrap());
    let _ = child.wait();
    None
}

pub fn node() -> NodeName {
    "etcd-1".parse().unwrap()
}

pub fn script(text: &'static str, args: &[&str]) -> Script {
    Script {
        text,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        limits: Limits::answer(64 << 20, 120),
    }
}

pub fn stdin(bytes: impl Into<Vec<u8>>) -> quorate::host::Stdin {
    Box::pin(std::io::Cursor::new(bytes.into()))
}

/// Runs a script without input.
pub async fn run(host: &SshTransport, text: &'static str, args: &[&str]) -> Result<Output, HostError> {
    host.run(&script(text, args), stdin("")).await
}

/// Fails the test instead of hanging it.
pub async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .expect("in time")
}

/// Secrets that were typed in advance, with a record of what was asked for.
#[derive(Default)]
pub struct Given {
    pub passphrase: Option<&'static str>,
    pub sudo: Option<&'static str>,
    pub login: Option<&'static str>,
    pub asked: Mutex<Vec<String>>,
}

impl Given {
    fn answer(&self, question: String, secret: Option<&'static str>) -> Option<SecretString> {
        self.asked.lock().unwrap().push(question);
        secret.map(SecretString::from)
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl SecretSource for Given {
    fn passphrase(&self, key: &Path) -> Option<SecretString> {
        let name = key.file_name().unwrap().to_string_lossy();
        self.answer(format!("passphrase of {name}"), self.passphrase)
    }

    fn sudo_password(&self, _who: &str) -> Option<SecretString> {
        self.answer("sudo".into(), self.sudo)
    }

    fn login_password(&self, _who: &str) -> Option<SecretString> {
        self.login.and_then(|secret| self.answer("login".into(), Some(secret)))
    }

    fn code(&self, question: &str) -> Option<SecretString> {
        self.answer(question.into(), None)
    }
}
