//! No secret leaves its file: every command of the program runs while the command lines and environments of every process
//! are watched; afterwards journals, files, output and core files are searched.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::{Lab, Outcome, bundle, release, releases, wait_until};
use jiff::Timestamp;
use quorate::inventory::load;
use quorate::pki::PkiDir;

/// Watches the command lines and environments of all processes of this machine, those of the lab's hosts among them.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<HashSet<Vec<u8>>>,
}

impl Watcher {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = HashSet::new();
            while !told.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").expect("/proc").flatten() {
                    for what in ["cmdline", "environ"] {
                        // Processes end while they are looked at.
                        if let Ok(text) = fs::read(process.path().join(what)) {
                            seen.insert(text);
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Watcher { stop, thread }
    }

    fn end(self) -> HashSet<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher")
    }
}

/// Every command that the program has, as it says itself: `up`, `pki show`, ...
fn commands(lab: &Lab) -> BTreeSet<String> {
    let below = |words: &[&str]| -> Vec<String> {
        let help = lab.quorate(&[words, &["--help"]].concat()).ok().stdout;
        // The commands are listed by topic, before all options.
        let listed = help.lines().take_while(|line| !line.ends_with("ptions:"));
        listed
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && *word != "help")
            .map(str::to_owned)
            .collect()
    };
    let mut all = BTreeSet::new();
    for command in below(&[]) {
        // Those below `plan` are the same commands, and stop before they do anything.
        let further = if command == "plan" {
            Vec::new()
        } else {
            below(&[&command])
        };
        if further.is_empty() {
            all.insert(command);
        } else {
            all.extend(further.into_iter().map(|sub| format!("{command} {sub}")));
        }
    }
    all
}

/// One line out of the middle of every private key in a PEM or OpenSSH text.
fn line_of(pem: &str) -> String {
    pem.lines().nth(2).or(pem.lines().nth(1)).unwrap().to_owned()
}

/// What must not be seen anywhere: gathered as keys come and go.
struct Secrets<'a> {
    lab: &'a Lab,
    lines: BTreeSet<String>,
}

impl Secrets<'_> {
    /// Keys on hosts and in `out`, and the CA's own.
    fn gather(&mut self) {
        for host in self.lab.hosts() {
            let keys = host.sh("cat $(find /etc/etcd -xdev -type f -name '*.key' 2>/dev/null) /dev/null");
            self.take_all(&keys);
        }
        let outs = ["out", "out/kube/pki"].map(|out| fs::read_dir(self.lab.dir().join(out)).into_iter().flatten());
        for entry in outs.into_iter().flatten().flatten() {
            let kind = entry.path().extension().map(|kind| kind.to_owned()).unwrap_or_default();
            if kind == "key" {
                self.take_all(&fs::read_to_string(entry.path()).unwrap());
            } else if kind == "password" {
                self.lines
                    .insert(fs::read_to_string(entry.path()).unwrap().trim().to_owned());
            }
        }
        let desired = load(&self.lab.dir().join("inventory.yml")).unwrap().desired;
        let identity: Vec<PathBuf> = vec![self.lab.home().join(".ssh/id_ed25519")];
        let dir = PkiDir::at(&desired.pki.dir, &desired.cluster);
        if let Ok(ca) = dir.unlock(&identity, &mut |_| None, Timestamp::now()) {
            self.lines.insert(line_of(ca.key().expose_pem()));
        }
    }

    fn take_all(&mut self, text: &str) {
        for pem in text
            .split("-----BEGIN")
            .skip(1)
            .filter(|pem| pem.contains("PRIVATE KEY"))
        {
            self.lines.insert(line_of(&format!("-----BEGIN{pem}")));
        }
    }
}

/// The files below `dir` that hold one of `patterns`.
fn files_with(dir: &Path, patterns: &Path) -> Vec<String> {
    let found = Command::new("grep")
        .args(["-rlaF", "-f"])
        .arg(patterns)
        .arg(dir)
        .output()
        .expect("grep");
    String::from_utf8_lossy(&found.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn while_every_command_runs_no_secret_leaves_its_file() {
    let lab = Lab::start(4);
    // One of its own: that of the lab's accounts is in the command lines of other tests.
    let password = format!("secret-{}-{:?}", std::process::id(), Timestamp::now().as_nanosecond());
    for host in lab.hosts() {
        host.sh(&format!("echo opspw:{password} | chpasswd"));
    }
    lab.inventory(|hosts| crate::harness::plain_inventory(&release("3.5"), &hosts[..3]));
    let newest = release("3.5");
    let older = releases()
        .into_iter()
        .map(|(version, _)| version)
        .rfind(|version| version.starts_with("3.5.") && *version != newest)
        .expect("two releases of 3.5");
    lab.edit(&newest, &older);
    // OpenSSH, which `quorate ssh` calls, looks for keys where the account lives, not in HOME.
    lab.edit("hosts:", "ssh:\n  identity: home/.ssh/id_ed25519\nhosts:");
    let binaries = releases().into_iter().find(|(v, _)| *v == newest).unwrap().1;
    let binaries = binaries.to_str().unwrap();

    let watcher = Watcher::begin();
    let mut ran = BTreeSet::new();
    let mut said = String::new();
    let mut secrets = Secrets {
        lab: &lab,
        lines: BTreeSet::new(),
    };
    let operators_key = fs::read_to_string(lab.home().join(".ssh/id_ed25519")).unwrap();
    secrets.take_all(&operators_key);
    let every = commands(&lab);
    let mut run = |words: &[&str], code: i32| -> Outcome {
        let name = match every.contains(&words[..2.min(words.len())].join(" ")) {
            true => words[..2.min(words.len())].join(" "),
            false => words[0].to_owned(),
        };
        assert!(every.contains(&name), "{name} is no command");
        ran.insert(name);
        let outcome = lab.quorate(words).code(code);
        said += &format!("{}{}", outcome.stdout, outcome.stderr);
        secrets.gather();
        outcome
    };

    run(&["init", "--host", "a=10.0.0.1", "-i", "other.yml"], 0);
    // The inventory is there already.
    run(&["adopt", "--host", "n1=10.0.0.1", "--ca-key", "none.key"], 2);
    run(&["schema"], 0);
    run(&["completions", "bash"], 0);
    run(&["man", "--out", "man"], 0);
    run(&["bundle", "create", "--out", "own.qbundle", binaries], 0);
    run(&["bundle", "show", "own.qbundle"], 0);
    run(&["bundle", "sbom", "own.qbundle"], 0);
    run(&["bundle", "sign", "own.qbundle", "--key", "home/.ssh/id_ed25519"], 0);
    run(&["bundle", "verify", "own.qbundle"], 0);
    run(&["bundle", "embed", "--bundle", "own.qbundle", "--into", "embedded"], 0);
    fs::remove_file(lab.dir().join("embedded")).unwrap();
    run(&["trust", "--yes"], 0);
    run(&["check"], 0);
    run(&["config", "--explain"], 0);
    run(&["render", "--out", "rendered"], 0);
    run(&["plan", "--output", "json", "--out", "plan.json"], 10);
    run(&["up", "--yes", "-v", "--output", "json"], 0);
    run(&["status", "--output", "json"], 0);
    run(&["members"], 0);
    run(&["health"], 0);
    run(&["doctor"], 0);
    run(&["report", "--out", "report"], 0);
    // Whether this machine is slow is not the question here.
    let _measured = lab.quorate(&["doctor", "--for", "1s", "--output", "json"]);
    run(&["ok-to-stop", "n1"], 0);
    run(&["maintain", "n1", "--stop", "--yes", "--accept-outage"], 0);
    run(&["maintain", "n1", "--done", "--yes"], 0);
    run(&["stop", "--yes", "--accept-outage"], 0);
    run(&["start", "--yes"], 0);
    run(&["ctl", "--", "put", "/x", "1"], 0);
    run(&["logs", "n1"], 0);
    run(&["ssh", "n1", "--", "true"], 0);
    run(&["unlock"], 0);
    run(&["pki", "show", "--output", "json"], 0);
    run(&["pki", "issue", "app", "--out", "out", "--output", "json"], 0);
    run(&["pki", "issue", "backup", "--user", "root", "--out", "out"], 0);
    run(&["env", "app", "--dir", "out"], 0);
    run(&["kube", "files", "--for", "kubeadm", "--out", "out/kube"], 0);
    // The release is too old for Kubernetes.
    run(&["kube", "check"], 11);
    run(&["lb"], 0);
    run(&["monitoring", "--out", "monitoring"], 0);
    run(&["firewall"], 0);
    run(&["pki", "renew", "--yes", "-v", "--output", "json"], 0);
    run(&["pki", "revoke", "app"], 0);
    run(&["pki", "crl", "--out", "list.der"], 0);
    run(&["pki", "seal"], 0);
    let colleague = "home/.ssh/id_ed25519.pub";
    run(&["pki", "viewer", "colleague", "--recipient", colleague], 0);
    run(&["pki", "csr", "--out", "etcd.csr"], 0);
    let company = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=Root \
                   -keyout root.key -out root.crt 2>/dev/null
                   printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign,cRLSign\\n' >ext
                   openssl x509 -req -in etcd.csr -CA root.crt -CAkey root.key -CAcreateserial -days 900 -extfile ext \
                   -out own.crt 2>/dev/null; cat own.crt root.crt >chain.pem; rm root.key";
    assert!(lab.as_operator("sh").args(["-c", company]).status().unwrap().success());
    run(&["pki", "import", "chain.pem"], 0);
    run(&["pki", "rotate-ca", "--compromised", "--yes", "--output", "json"], 0);
    run(&["pki", "issue", "app", "--out", "out"], 0);
    run(&["restart", "--limit", "n1", "--yes"], 0);
    run(&["upgrade", "--to", &newest, "--yes"], 0);
    run(&["downgrade", "--to", &older, "--yes"], 0);
    run(&["add-node", "n4", "--address", &lab.host("n4").address, "--yes"], 0);
    lab.host("n4").sh("systemctl stop etcd; rm -rf /var/lib/etcd/*");
    run(&["replace-node", "n4", "n4", "--yes"], 0);
    run(&["remove-node", "n4", "--yes"], 0);
    run(&["backup", "create", "--out", "kept.qbackup"], 0);
    run(&["backup", "create"], 0);
    run(&["backup", "list"], 0);
    run(&["backup", "verify", "kept.qbackup"], 0);
    run(&["backup", "prune", "--keep-last", "1", "--yes"], 0);
    // Nothing is scheduled; `backup run` is for hosts, and finds no orders here.
    run(&["backup", "schedule"], 3);
    fs::create_dir(lab.dir().join("place")).unwrap();
    run(&["backup", "create", "--to", "place"], 0);
    run(&["backup", "fetch", "--at", "place", "--out", "fetched.qbackup"], 0);
    run(&["compact", "--yes"], 0);
    run(&["defrag", "--force", "--yes"], 0);
    run(&["alarm", "list"], 0);
    run(&["alarm", "disarm", "--yes"], 0);
    run(&["check-hashes"], 0);
    // Nothing to recover from: it looks at every host and refuses.
    run(&["recover", "--accept-data-loss", "--yes"], 4);
    run(&["destroy", "--accept-data-loss", "--dry-run"], 10);
    // Passwords of etcd's users: sealed, handed out, set, and set anew.
    let inventory = fs::read_to_string(lab.dir().join("inventory.yml")).unwrap();
    lab.edit(
        "etcd:\n",
        "users: [{name: json, password: true}, {name: app}, {name: kube-apiserver-etcd-client}, {name: colleague}]\n\
         etcd:\n  auth: true\n",
    );
    run(&["users", "password", "json"], 0);
    run(&["users", "files", "json", "--out", "out", "--replace"], 0);
    run(&["up", "--yes", "-v", "--output", "json"], 0);
    run(&["users", "password", "json"], 0);
    run(&["users", "files", "json", "--out", "out", "--replace"], 0);
    run(&["up", "--yes", "-v", "--output", "json"], 0);
    // The backup is from before.
    lab.write("inventory.yml", &inventory);
    run(
        &[
            "restore",
            "kept.qbackup",
            "--accept-data-loss",
            "--accept-outage",
            "--yes",
        ],
        0,
    );

    // A password for sudo is a secret, too. Given by a variable it is in quorate's own environment, by its user's choice.
    secrets.lines.insert(password.clone());
    let inventory = fs::read_to_string(lab.dir().join("inventory.yml")).unwrap();
    lab.edit("ssh:\n", "ssh:\n  user: opspw\n");
    for words in [
        &["plan"][..],
        &["restart", "--limit", "n2", "--yes", "-v", "--output", "json"],
    ] {
        // From an open file that has no name any more.
        lab.write("password", &format!("{password}\n"));
        let with_password = lab
            .as_operator("sh")
            .args([
                "-c",
                "exec 3<password; rm password; exec \"$@\"",
                "sh",
                env!("CARGO_BIN_EXE_quorate"),
            ])
            .args(words)
            .args(["--sudo-password-fd", "3"])
            .env("QUORATE_BUNDLE", bundle())
            .output()
            .expect("sh");
        let outcome = Outcome::of(
            format!("quorate {} --sudo-password-fd 3", words.join(" ")),
            with_password,
        );
        let outcome = outcome.ok();
        said += &format!("{}{}", outcome.stdout, outcome.stderr);
    }
    lab.write("inventory.yml", &inventory);
    no_core_file(&lab);

    let seen = watcher.end();
    let not_run: Vec<&String> = every.difference(&ran).collect();
    assert!(
        not_run.is_empty(),
        "commands that this test does not know yet: {not_run:?}"
    );
    let lines = &secrets.lines;
    assert!(
        lines.len() > 25,
        "six keys of members in each of three generations, those of n4, of clients and of CAs: {}",
        lines.len()
    );
    for text in &seen {
        let text = String::from_utf8_lossy(text);
        for secret in lines {
            assert!(
                !text.contains(secret.as_str()),
                "in a command line or an environment: {text}"
            );
        }
    }
    for secret in lines {
        assert!(!said.contains(secret.as_str()), "quorate said a secret");
    }
    assert!(!said.contains("PRIVATE KEY"));
    on_the_operators_machine(&lab, lines);
    on_the_hosts(&lab, lines);

    let ended = lab.quorate(&["destroy", "--name", "lab", "--accept-data-loss"]).ok();
    assert!(!lines.iter().any(|secret| ended.to_string().contains(secret.as_str())));
    // One that was removed before is no host of the cluster any more.
    for host in lab.hosts().iter().filter(|host| host.name != "n4") {
        let keys = host.sh("find / -xdev -name '*.key' -path '*/etcd/pki/*'");
        assert_eq!(keys, "", "keys are left on {}", host.name);
    }
    on_the_hosts(&lab, lines);
}

/// The program dies in the middle of a run with the CA opened; where any other program would leave a core file, it leaves
/// none.
fn no_core_file(lab: &Lab) {
    let cores = || -> Vec<PathBuf> {
        let entries = fs::read_dir(lab.dir()).unwrap().flatten();
        let is_core = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("core");
        entries.map(|entry| entry.path()).filter(is_core).collect()
    };
    let others = lab
        .as_operator("sh")
        .args(["-c", "ulimit -c unlimited; sleep 9 & kill -ABRT $!; wait $!"])
        .status();
    assert!(others.is_ok());
    let anybody_else = cores();
    anybody_else.iter().for_each(|core| fs::remove_file(core).unwrap());
    let program = env!("CARGO_BIN_EXE_quorate");
    let mut command = lab.as_operator("sh");
    command
        .args([
            "-c",
            &format!("ulimit -c unlimited; exec {program} pki renew --yes --limit n1"),
        ])
        .env("QUORATE_FAULT", "#1")
        .stdin(std::process::Stdio::null());
    let died = command.output().unwrap().status;
    assert_eq!(died.signal(), Some(6), "it was to abort: {died}");
    assert!(!died.core_dumped());
    assert_eq!(cores(), [] as [PathBuf; 0], "others leave {anybody_else:?}");
    // The limit itself, which also holds where core files go to a program.
    let mut running = lab.spawn(&["logs", "n1", "--follow"]);
    let limits = format!("/proc/{}/limits", running.pid());
    let bound = || {
        let text = fs::read_to_string(&limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max core file size"));
        line.is_some_and(|line| line.split_whitespace().skip(4).take(2).eq(["1", "1"]))
    };
    wait_until("it takes its right to core files away", Duration::from_secs(10), bound);
    running.kill();
    running.wait();
}

fn on_the_operators_machine(lab: &Lab, lines: &BTreeSet<String>) {
    let patterns = tempfile::NamedTempFile::new().unwrap();
    fs::write(patterns.path(), lines.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap();
    let given = |path: &str| path.ends_with(".key") || path.ends_with(".password");
    let allowed = |path: &str| given(path) && path.contains("/out/") || path.ends_with("/.ssh/id_ed25519");
    let strays: Vec<String> = files_with(lab.dir(), patterns.path())
        .into_iter()
        .filter(|path| !allowed(path))
        .collect();
    assert_eq!(strays, [] as [String; 0], "secrets in files of the operator");
    for entry in fs::read_dir(lab.dir().join("out")).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "key" || kind == "password") {
            let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
    }
}

fn on_the_hosts(lab: &Lab, lines: &BTreeSet<String>) {
    let patterns = lines.iter().cloned().collect::<Vec<_>>().join("\n");
    for host in lab.hosts() {
        let journal = format!(
            "cat >/root/patterns <<'END'\n{patterns}\nEND\njournalctl --no-pager | grep -cF -f /root/patterns || :"
        );
        assert_eq!(host.sh(&journal).trim(), "0", "in the journal of {}", host.name);
        // Every file but the keys themselves; /etc/shadow has the password's hash only.
        let files = "find / -xdev -type f ! -path '/proc/*' ! -path '/sys/*' ! -path '/usr/*' ! -path '/root/patterns' \
                     ! -path '/opt/quorate/*' -exec grep -laF -f /root/patterns {} + 2>/dev/null || :";
        let found = host.sh(files);
        let strays: Vec<&str> = found
            .lines()
            .filter(|path| !(path.starts_with("/etc/etcd/pki/") && path.ends_with(".key")))
            .collect();
        assert_eq!(strays, [] as [&str; 0], "secrets in files of {}", host.name);
        let keys = host.sh("find / -xdev -type f -name '*.key' -path '*/etcd/pki/*' -exec stat -c '%a %U %n' {} +");
        for key in keys.lines() {
            assert!(key.starts_with("640 root "), "{}: {key}", host.name);
        }
        let cores = host.sh("find / -xdev -type f \\( -name core -o -name 'core.*' \\) ! -path '/usr/*' ! -path '/proc/*' ! -path '/sys/*' || :");
        assert_eq!(cores.trim(), "", "core files on {}", host.name);
        // The CA's key is on no host: no key there belongs to a CA certificate.
        let cas = host
            .sh("for ca in $(find / -xdev -name ca.crt -path '*pki*'); do openssl x509 -in $ca -noout -pubkey; done");
        let public =
            host.sh("for key in $(find / -xdev -name '*.key' -path '*pki*'); do openssl pkey -in $key -pubout; done");
        for ca in cas.split("-----BEGIN").skip(1) {
            let ca = line_of(&format!("-----BEGIN{ca}"));
            assert!(!public.contains(&ca), "a CA key lies on {}", host.name);
        }
    }
}
