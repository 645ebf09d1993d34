//! What `make dist` packs is installed, upgraded and removed by dpkg and rpm, and scheduled backups of the same host do not notice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Host, Lab, Outcome, current};

/// Packages of this quorate that say to be `version`: from `lab/dist/package`, as `make dist` calls it.
struct Packages {
    dir: PathBuf,
}

impl Packages {
    /// Of this program.
    fn make(lab: &Lab, version: &str, arch: &str) -> Self {
        Self::of(&lab.dir().join("quorate-for-hosts"), lab, version, arch)
    }

    /// Of another program that is small, where nobody runs it.
    fn small(lab: &Lab, version: &str, arch: &str) -> Self {
        Self::of(Path::new("/bin/true"), lab, version, arch)
    }

    fn of(program: &Path, lab: &Lab, version: &str, arch: &str) -> Self {
        let speaker = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && exec echo quorate {version}\nexec {} \"$@\"\n",
            env!("CARGO_BIN_EXE_quorate")
        );
        let speaker = lab.write(&format!("speaker-{version}"), &speaker);
        fs::set_permissions(&speaker, fs::Permissions::from_mode(0o755)).expect("its mode");
        let dir = lab.dir().join(format!("packages-{version}-{arch}"));
        let made = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lab/dist/package"))
            .args([program.as_os_str(), arch.as_ref(), dir.as_os_str(), speaker.as_os_str()])
            .envs([("LEVEL", "0"), ("SOURCE_DATE_EPOCH", "1800000000")])
            .output();
        Outcome::of(
            format!("lab/dist/package {version} {arch}"),
            made.expect("lab/dist/package"),
        )
        .ok();
        Self { dir }
    }

    fn file(&self, end: &str) -> PathBuf {
        let mut files = self
            .dir
            .read_dir()
            .expect("packages")
            .flatten()
            .map(|entry| entry.path());
        files
            .find(|path| path.to_string_lossy().ends_with(end))
            .unwrap_or_else(|| panic!("no {end} in {}", self.dir.display()))
    }

    fn bring(&self, host: &Host) {
        host.carry(&self.file(".deb"), "/root/quorate.deb");
    }
}

/// The files that users look for.
const PLACES: [&str; 5] = [
    "usr/bin/quorate",
    "usr/share/man/man1/quorate-up.1.gz",
    "usr/share/bash-completion/completions/quorate",
    "usr/share/fish/vendor_completions.d/quorate.fish",
    "usr/share/doc/quorate/changelog.gz",
];

/// The timer's program, its units and whether it is armed.
fn scheduled(host: &Host) -> String {
    host.sh("systemctl is-enabled etcd-backup.timer; systemctl is-active etcd-backup.timer
         sha256sum /etc/systemd/system/etcd-backup.* /opt/quorate/etcd/quorate-*/*/quorate /opt/quorate/etcd/quorate-*/quorate \
             2>/dev/null || :")
}

/// Sooner after each other than by a timer: the name of a backup has the second, and systemd counts starts.
fn backs_up(host: &Host) -> usize {
    host.sh(
        "while ls /srv/backups 2>/dev/null | grep -q \"$(date -u +%Y%m%dT%H%M%SZ)\"; do sleep 0.1; done
         systemctl reset-failed etcd-backup.service 2>/dev/null
         systemctl start etcd-backup.service && ls /srv/backups | wc -l",
    )
    .trim()
    .parse()
    .expect("a number")
}

#[test]
fn a_deb_comes_is_upgraded_and_goes_and_scheduled_backups_do_not_notice() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    lab.edit("cluster:", "backup: {schedule: daily, to: /srv/backups}\ncluster:");
    lab.quorate(&["up", "--yes"]).ok();
    // The hosts run it, too: without its debugging symbols.
    let stripped = Command::new("strip")
        .args(["-o", "quorate-for-hosts", env!("CARGO_BIN_EXE_quorate")])
        .current_dir(lab.dir())
        .status();
    assert!(stripped.expect("strip").success());
    let older = Packages::make(&lab, "0.0.9-rc.1", "x86_64");
    lab.quorate(&["backup", "schedule", "--yes", "--program", "quorate-for-hosts"])
        .ok();
    let host = lab.host("n1");
    let taken = backs_up(host);
    let before = scheduled(host);
    assert!(
        before.starts_with("enabled\nactive\n") && before.contains("/quorate"),
        "{before}"
    );

    older.bring(host);
    host.sh("dpkg -i /root/quorate.deb");
    for place in PLACES.into_iter().chain(["usr/share/zsh/vendor-completions/_quorate"]) {
        host.sh(&format!("test -s /{place}"));
    }
    host.sh("quorate status --help >/dev/null && ! dpkg --verify quorate | grep .");
    assert_eq!(host.sh("dpkg-query -W -f '${Version}' quorate"), "0.0.9~rc.1");

    // While a backup is being taken, and as a release that comes after its candidate.
    Packages::make(&lab, "0.0.9", "x86_64").bring(host);
    host.sh("systemctl start --no-block etcd-backup.service; dpkg -i /root/quorate.deb");
    assert_eq!(host.sh("dpkg-query -W -f '${Version}' quorate"), "0.0.9");
    assert_eq!(scheduled(host), before);
    assert!(backs_up(host) > taken);

    // One for another machine is refused, and what is there stays.
    Packages::small(&lab, "0.1.0", "aarch64").bring(host);
    let refused = host.try_sh("dpkg -i /root/quorate.deb");
    assert!(
        refused.status != Some(0) && refused.stderr.contains("arm64"),
        "{refused}"
    );
    host.sh("quorate status --help >/dev/null");

    host.sh("dpkg -P quorate");
    for place in PLACES {
        host.sh(&format!("! test -e /{place}"));
    }
    let taken = backs_up(host);
    assert_eq!(scheduled(host), before);
    assert!(backs_up(host) > taken);
    assert_eq!(lab.status()["healthy"], true);
}

/// No host of the lab has rpm; this machine's installs into a directory.
#[test]
fn an_rpm_comes_is_upgraded_and_goes() {
    let lab = Lab::start(1);
    let root = lab.dir().join("root");
    let rpm = |arguments: &[&str], package: Option<&Path>| {
        let mut command = Command::new("rpm");
        command
            .arg("--root")
            .arg(&root)
            .arg("--force-debian")
            .args(arguments)
            .args(package);
        Outcome::of(format!("rpm {}", arguments.join(" ")), command.output().expect("rpm"))
    };
    fs::create_dir(&root).expect("a directory");
    rpm(
        &["-i"],
        Some(&Packages::small(&lab, "0.0.9-rc.1", "x86_64").file(".rpm")),
    )
    .ok();
    for place in PLACES.into_iter().chain([
        "usr/share/zsh/site-functions/_quorate",
        "usr/share/licenses/quorate/LICENSE",
    ]) {
        assert!(root.join(place).exists(), "{place}");
    }
    let newer = Packages::small(&lab, "0.0.9", "x86_64");
    rpm(&["-U"], Some(&newer.file(".rpm"))).ok();
    assert_eq!(
        rpm(&["-q", "quorate"], None).ok().stdout.trim(),
        "quorate-0.0.9-1.x86_64"
    );
    assert_eq!(rpm(&["-V", "quorate"], None).ok().stdout, "");
    let refused = rpm(&["-U"], Some(&Packages::small(&lab, "0.1.0", "aarch64").file(".rpm")));
    assert!(
        refused.status != Some(0) && refused.stderr.contains("different architecture"),
        "{refused}"
    );
    rpm(&["-e", "quorate"], None).ok();
    for place in PLACES {
        assert!(!root.join(place).exists(), "{place}");
    }
}

/// A mixed cluster takes one executable for each architecture; without it nothing is touched.
#[test]
fn hosts_of_another_architecture_are_not_sent_this_executable() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    lab.edit("cluster:", "backup: {schedule: daily, to: /srv/backups}\ncluster:");
    lab.quorate(&["up", "--yes"]).ok();
    // e_machine of the ELF header: 183 is aarch64.
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_quorate")).expect("the program");
    bytes[18] = 183;
    fs::write(lab.dir().join("arm"), bytes).expect("a file");
    lab.quorate(&["backup", "schedule", "--yes", "--program", "arm"])
        .code(4)
        .says(&[
            "n1: this quorate is built for arm64, and it is amd64",
            "--program FILE --program FILE",
        ]);
    let own = env!("CARGO_BIN_EXE_quorate");
    lab.quorate(&["backup", "schedule", "--yes", "--program", own, "--program", own])
        .code(2)
        .says(&["two executables are for amd64"]);
    lab.write("no-program", "this is none");
    lab.quorate(&[
        "backup",
        "schedule",
        "--yes",
        "--program",
        "no-program",
        "--program",
        "inventory.yml",
    ])
    .code(2)
    .says(&[
        "no-program is nothing that hosts could run: it is not an ELF program",
        "inventory.yml is nothing",
    ]);
    lab.host("n1").assert_has_no_schedule();

    // Both: each host gets its own. What carries a bundle is sent without it.
    lab.quorate(&["bundle", "embed", "--into", "quorate-airgap"]).ok();
    lab.quorate(&[
        "backup",
        "schedule",
        "--yes",
        "--program",
        "arm",
        "--program",
        "quorate-airgap",
    ])
    .ok();
    let sent = lab
        .host("n1")
        .sh("find /opt/quorate -name quorate -type f -exec sha256sum {} +");
    let plain = Command::new("sha256sum").arg(own).output().expect("sha256sum").stdout;
    assert_eq!(
        sent.get(..64),
        std::str::from_utf8(&plain).expect("text").get(..64),
        "{sent}"
    );
}
