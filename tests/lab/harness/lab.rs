//! One lab: hosts, the operator's directory, and the program run there.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::etcd;
use super::host::Host;
use super::outcome::Outcome;
use super::wait::wait_until;

/// The program under test.
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate");
/// The checkout.
pub(super) const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Hosts that exist for one test, and their operator. Dropping it takes everything away.
#[derive(Debug)]
pub struct Lab {
    name: String,
    hosts: Vec<Host>,
    // The operator's working directory, with `inventory.yml`, `pki/` and, in `home/`, the SSH key.
    work: tempfile::TempDir,
}

impl Lab {
    /// Boots `n` hosts, `n1` to `nN`.
    #[track_caller]
    pub fn start(n: usize) -> Self {
        Self::boot(n, &[])
    }

    /// Boots one host of each of these kinds (`lab/kinds`).
    #[track_caller]
    pub fn of_kinds(kinds: &[&str]) -> Self {
        Self::boot(kinds.len(), &["--kinds", &kinds.join(",")])
    }

    #[track_caller]
    fn boot(n: usize, more: &[&str]) -> Self {
        static REAPED: Once = Once::new();
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        REAPED.call_once(|| {
            script("any", &["reap"]).ok();
        });
        let name = format!("test-{}-{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (count, owner) = (n.to_string(), id().to_string());
        script(&name, &[&["up", &count, "--owner", &owner], more].concat()).ok();
        let address = |host: &str| script(&name, &["address", host]).ok().stdout.trim().to_owned();
        let hosts = (1..=n)
            .map(|i| format!("n{i}"))
            .map(|host| Host {
                lab: name.clone(),
                address: address(&host),
                name: host,
            })
            .collect();
        let work = tempfile::tempdir().expect("a working directory");
        let lab = Self { name, hosts, work };
        lab.give_key();
        lab
    }

    fn give_key(&self) {
        let ssh = self.home().join(".ssh");
        fs::create_dir_all(&ssh).expect("the operator's home");
        let key = PathBuf::from(script(&self.name, &["key"]).ok().stdout.trim());
        for (from, to, mode) in [
            (key.clone(), "id_ed25519", 0o600),
            (key.with_extension("pub"), "id_ed25519.pub", 0o644),
        ] {
            fs::copy(from, ssh.join(to)).expect("the operator's key");
            fs::set_permissions(ssh.join(to), fs::Permissions::from_mode(mode)).expect("the key's mode");
        }
    }

    /// The hosts, in order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name.
    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .unwrap_or_else(|| panic!("the lab has no host {name}"))
    }

    /// The operator's working directory.
    pub fn dir(&self) -> &Path {
        self.work.path()
    }

    /// The operator's home; `.ssh/id_ed25519` in it opens every host.
    pub fn home(&self) -> PathBuf {
        self.dir().join("home")
    }

    /// Writes a file into the working directory.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes `inventory.yml` as `text` makes it of the hosts.
    #[track_caller]
    pub fn inventory(&self, text: impl FnOnce(&[Host]) -> String) -> PathBuf {
        let text = text(&self.hosts);
        self.write("inventory.yml", &text)
    }

    /// Writes the inventory of a plain cluster of all hosts on `version`, and pins their host keys.
    #[track_caller]
    pub fn plain_inventory(&self, version: &str) {
        self.inventory(|hosts| plain_inventory(version, hosts));
        self.quorate(&["trust", "--yes"]).ok();
    }

    /// Puts a host's SSH key into the operator's own `known_hosts`, where quorate looks for hosts of no inventory.
    #[track_caller]
    pub fn knows(&self, host: &Host) {
        let scanned = self.as_operator("ssh-keyscan").arg(&host.address).output();
        let keys = scanned.expect("ssh-keyscan").stdout;
        assert!(!keys.is_empty(), "{} shows no key", host.name);
        std::fs::write(self.home().join(".ssh/known_hosts"), keys).expect("known hosts");
    }

    /// Whether a backup that was taken for this reason lies beside the inventory.
    pub fn has_backup(&self, reason: &str) -> bool {
        let names = fs::read_dir(self.dir().join("backups")).into_iter().flatten().flatten();
        names.into_iter().any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .ends_with(&format!("-{reason}.qbackup"))
        })
    }

    /// Runs quorate as the operator, in the working directory, with the shared bundle.
    #[track_caller]
    pub fn quorate(&self, arguments: &[&str]) -> Outcome {
        self.quorate_with(arguments, |_| {}, b"")
    }

    /// The same, with a changed environment and something on its standard input.
    #[track_caller]
    pub fn quorate_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command), input: &[u8]) -> Outcome {
        self.start_quorate(arguments, change, input).wait()
    }

    /// Starts quorate and lets it run, to kill it or to look at what happens meanwhile.
    #[track_caller]
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        self.spawn_with(arguments, |_| {})
    }

    /// The same, with a changed environment.
    #[track_caller]
    pub fn spawn_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Running {
        self.start_quorate(arguments, change, b"")
    }

    /// Starts quorate and waits until it is held at a point of its run (see `ops::exec::fault`). It goes on when told to.
    #[track_caller]
    pub fn hold(&self, arguments: &[&str], point: &str) -> Running {
        self.hold_with(arguments, point, |_| {})
    }

    /// The same with a changed environment.
    #[track_caller]
    pub fn hold_with(&self, arguments: &[&str], point: &str, change: impl FnOnce(&mut Command)) -> Running {
        let point = format!("hold:{point}");
        let both = |command: &mut Command| {
            change(command);
            command.env("QUORATE_FAULT", &point);
        };
        let running = self.start_quorate(arguments, both, b"");
        let state = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap_or_default();
            let (_, state) = stat.rsplit_once(')').unwrap_or_default();
            state.trim_start().chars().next()
        };
        wait_until("the run to be held, or to end", Duration::from_secs(120), || {
            matches!(state(), None | Some('T' | 'Z'))
        });
        if state() != Some('T') {
            panic!("it ended without passing {point}\n{}", running.wait());
        }
        running
    }

    #[track_caller]
    fn start_quorate(&self, arguments: &[&str], change: impl FnOnce(&mut Command), input: &[u8]) -> Running {
        let mut command = self.as_operator(PROGRAM);
        command
            .args(arguments)
            .env("QUORATE_BUNDLE", etcd::bundle())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("lab/lab run");
        // A program that reads nothing may have closed its end by now.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        Running {
            command: format!("quorate {}", arguments.join(" ")),
            child,
        }
    }

    /// A command of the operator: inside the operator's namespace, from which the hosts and nothing else can be reached.
    /// `lab/lab run` execs, so the child's pid is the program's own.
    pub fn as_operator(&self, program: &str) -> Command {
        let mut command = lab_command(&self.name);
        command
            .args(["run", program])
            .current_dir(self.dir())
            .env("HOME", self.home())
            .env("NO_COLOR", "1")
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("QUORATE_INVENTORY");
        command
    }

    /// Pulls the operator's own network cable.
    #[track_caller]
    pub fn cut_operator(&self) {
        script(&self.name, &["cut", "operator"]).ok();
    }

    /// Plugs it in again.
    #[track_caller]
    pub fn mend_operator(&self) {
        script(&self.name, &["mend", "operator"]).ok();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = script(&self.name, &["down"]);
        // A second panic while a failed test unwinds would hide the first.
        if down.status != Some(0) && !std::thread::panicking() {
            panic!("the lab did not go down\n{down}");
        }
    }
}

/// A quorate that may still run.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let sent = Command::new("kill")
            .args(["-INT", &self.pid().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success(), "no process {} to interrupt", self.pid());
    }

    /// One that is held goes on.
    pub fn go_on(&self) {
        let sent = Command::new("kill").args(["-CONT", &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success(), "no process {} to go on", self.pid());
    }

    /// Until it ends.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        Outcome::of(self.command, self.child.wait_with_output().expect("the child's output"))
    }
}

/// The inventory of a plain cluster: only what is required.
pub fn plain_inventory(version: &str, hosts: &[Host]) -> String {
    let hosts: String = hosts
        .iter()
        .map(|host| format!("  - name: {}\n    address: {}\n", host.name, host.address))
        .collect();
    format!("cluster: lab\netcd:\n  version: \"{version}\"\nhosts:\n{hosts}")
}

/// Runs `lab/lab` for the lab `name`.
#[track_caller]
pub(super) fn script(name: &str, arguments: &[&str]) -> Outcome {
    let output = lab_command(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("lab/lab");
    Outcome::of(format!("LAB={name} lab/lab {}", arguments.join(" ")), output)
}

pub(super) fn lab_command(name: &str) -> Command {
    let mut command = Command::new(Path::new(REPOSITORY).join("lab/lab"));
    command.env("LAB", name);
    command
}

/// A version's numbers, so that 3.5.9 comes before 3.5.16.
pub(super) fn in_order(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}
