//! A day on a site without a network, by the printed page: docs/air-gapped.md, whose commands are run as they stand there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::harness::{Lab, Outcome, release, releases};

/// docs/air-gapped.md: the commands of each step, and the inventory.
struct Page {
    steps: BTreeMap<u32, Vec<String>>,
    inventory: String,
}

impl Page {
    /// As it is printed, with the lab's addresses and the releases that are here.
    fn for_the_lab(lab: &Lab) -> Self {
        let mut text = include_str!("../../../docs/air-gapped.md").to_owned();
        for (i, host) in lab.hosts().iter().enumerate() {
            text = text.replace(&format!("10.0.0.{}", 11 + i), &host.address);
        }
        for (printed, here) in [("3.6.16", release("3.6")), ("3.7.3", release("3.7"))] {
            assert!(text.contains(printed), "the page does not name {printed}");
            text = text.replace(printed, &here);
        }
        let mut steps: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let mut step = 0;
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let number = heading.split_once('.').and_then(|(number, _)| number.parse().ok());
                step = number.unwrap_or(0);
            } else if let Some(command) = line.strip_prefix("$ ") {
                steps.entry(step).or_default().push(command.to_owned());
            }
        }
        let (_, inventory) = text.split_once("```yaml\n").expect("an inventory");
        let (inventory, _) = inventory.split_once("```").expect("its end");
        Self {
            steps,
            inventory: inventory.to_owned(),
        }
    }

    /// The only command of a step that begins so.
    fn command(&self, step: u32, begins: &str) -> &str {
        let found: Vec<&String> = self.steps[&step].iter().filter(|c| c.starts_with(begins)).collect();
        assert_eq!(found.len(), 1, "step {step}, `{begins}`: {found:?}");
        found[0]
    }
}

/// What an operator types, in a directory, in the operator's own shell.
struct Desk<'a> {
    lab: &'a Lab,
    at: &'a str,
}

impl Desk<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.lab.dir().join(self.at).join(name)
    }

    #[track_caller]
    fn types(&self, command: &str) -> Outcome {
        let path = format!(
            "{}:{}",
            self.lab.home().join(".local/bin").display(),
            std::env::var("PATH").expect("a path")
        );
        let mut shell = self.lab.as_operator("sh");
        shell
            .args(["-c", command])
            .current_dir(self.path(""))
            .env("PATH", path)
            .env_remove("QUORATE_BUNDLE");
        let began = std::time::Instant::now();
        let output = shell.output().expect("a shell");
        eprintln!("{:6.1} s  {command}", began.elapsed().as_secs_f64());
        Outcome::of(command.to_owned(), output)
    }

    /// Every command of a step, each with the exit code that the page promises.
    #[track_caller]
    fn follows(&self, page: &Page, step: u32) -> Vec<Outcome> {
        let commands = page.steps[&step].iter();
        commands
            .map(|command| {
                let code = if command.starts_with("quorate plan") { 10 } else { 0 };
                self.types(command).code(code)
            })
            .collect()
    }
}

/// etcd's tarball as upstream packs it, and its line of `SHA256SUMS`.
fn upstreams_tarball(desk: &Desk<'_>, version: &str) {
    let (_, programs) = releases().into_iter().find(|(v, _)| v == version).expect("the release");
    let name = format!("etcd-v{version}-linux-amd64");
    desk.types(&format!(
        "tar -I 'gzip -1' -cf {name}.tar.gz --transform 's,^,{name}/,' -C {} etcd etcdctl etcdutl &&
         sha256sum {name}.tar.gz etcd-v0-not-here.tar.gz >SHA256SUMS 2>/dev/null; echo '{}  etcd-v0-not-here.tar.gz' >>SHA256SUMS",
        programs.display(),
        "0".repeat(64)
    ))
    .ok();
}

/// quorate's release as `make dist` packs and signs it, with a key of the test's.
fn releases_archive(stick: &Desk<'_>) {
    let program = env!("CARGO_BIN_EXE_quorate");
    stick
        .types(&format!(
            "name=quorate-0.0.0-linux-$(uname -m) && mkdir $name && ln {program} $name/quorate 2>/dev/null || cp {program} $name/quorate
             tar -I 'gzip -1' -cf $name.tar.gz $name && rm -r $name && sha256sum $name.tar.gz >SHA256SUMS &&
             ssh-keygen -q -t ed25519 -N '' -f \"$HOME/release-key\" &&
             ssh-keygen -q -Y sign -f \"$HOME/release-key\" -n quorate-release SHA256SUMS"
        ))
        .ok();
}

/// One line of an allowed signers file.
fn signer(name: &str, key: &Path) -> String {
    format!("{name} {}", fs::read_to_string(key).expect("a public key"))
}

/// What each check of step 2 catches, tried on the stick before it is believed: `(file, what is done to it, the check)`.
fn a_tampered_stick_is_not_believed(site: &Desk<'_>, page: &Page) {
    let forge =
        "rm SHA256SUMS.sig && ssh-keygen -q -t ed25519 -N '' -f evil </dev/null && ssh-keygen -q -Y sign -f evil";
    for (what, check) in [
        ("printf x >>$(ls quorate-*.tar.gz)", "sha256sum"),
        ("echo >>SHA256SUMS", "ssh-keygen"),
        (&format!("{forge} -n quorate-release SHA256SUMS")[..], "ssh-keygen"),
        ("sed -i s/./x/1 releases.allowed_signers", "ssh-keygen"),
        (
            "dd if=/dev/zero of=etcd-3.6.qbundle bs=1 count=8 seek=5000000 conv=notrunc status=none",
            "quorate bundle verify",
        ),
        ("rm etcd-3.6.qbundle.sig", "quorate bundle verify"),
        (
            "ssh-keygen -q -t ed25519 -N '' -f evil </dev/null && rm etcd-3.6.qbundle.sig && \
             quorate bundle sign etcd-3.6.qbundle --key evil",
            "quorate bundle verify",
        ),
    ] {
        site.types(&format!(
            "rm -rf ../forged && cp -r . ../forged && cd ../forged && {what}"
        ))
        .ok();
        let forged = Desk { at: "forged", ..*site };
        let said = forged.types(page.command(2, check));
        assert_ne!(said.status, Some(0), "after `{what}`\n{said}");
    }
}

/// The page that an operator prints, followed word by word on a network without any way out.
#[test]
fn a_day_without_a_way_out_goes_by_the_printed_page() {
    let lab = Lab::start(3);
    for name in ["workshop", "stick", "site/pki"] {
        fs::create_dir_all(lab.dir().join(name)).expect("a directory");
    }
    let [workshop, stick, site] = ["workshop", "stick", "site"].map(|at| Desk { lab: &lab, at });
    let page = Page::for_the_lab(&lab);
    let out = site.types("ip route get 192.0.2.1");
    assert_ne!(out.status, Some(0), "there is a way out\n{out}");

    // The machine with internet access has its own quorate; the laptop of the site has none yet.
    let bin = lab.home().join(".local/bin");
    fs::create_dir_all(&bin).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_quorate"), bin.join("quorate")).expect("a link");
    upstreams_tarball(&workshop, &release("3.6"));
    workshop.follows(&page, 1);
    releases_archive(&stick);
    workshop.types("cp *.qbundle *.sig ../stick").ok();
    a_stick_arrives(&lab, &stick, &site, &page);

    fs::remove_dir_all(&bin).expect("the site has no quorate yet");
    site.follows(&page, 2);
    site.follows(&page, 3);
    site.follows(&page, 4);
    assert_eq!(lab_status(&site)["members"].as_array().map(Vec::len), Some(3));

    a_second_stick(&workshop, &site, &page);
    site.follows(&page, 5);
    assert_eq!(lab_status(&site)["members"][2]["version"], release("3.7"));

    site.follows(&page, 6);
    two_machines_burn(&lab);
    let [before, recovered, after, got] = &site_recovers(&site, &page)[..] else {
        panic!("step 7 has other commands")
    };
    assert_eq!(before.status, Some(11), "{before}");
    recovered.clone().says(&["etcd-3: committed"]);
    assert!(after.stdout.contains("healthy  3 voters"), "{after}");
    assert!(got.stdout.contains("hello"), "{got}");
}

/// It is copied to the laptop, where the two files are that came another way.
fn a_stick_arrives(lab: &Lab, stick: &Desk<'_>, site: &Desk<'_>, page: &Page) {
    stick.types("cp * ../site").ok();
    fs::write(site.path("inventory.yml"), &page.inventory).expect("the inventory");
    let keys = [
        ("releases.allowed_signers", "releases", "release-key.pub"),
        ("pki/allowed_signers", "alice@example.com", ".ssh/id_ed25519.pub"),
    ];
    for (file, name, key) in keys {
        fs::write(site.path(file), signer(name, &lab.home().join(key))).expect("a file");
    }
    a_tampered_stick_is_not_believed(site, page);
}

/// Made as in step 1, with the newer release.
fn a_second_stick(workshop: &Desk<'_>, site: &Desk<'_>, page: &Page) {
    workshop.types("rm *").ok();
    upstreams_tarball(workshop, &release("3.7"));
    for command in &page.steps[&1] {
        workshop.types(&command.replace("3.6", "3.7")).ok();
    }
    workshop
        .types(&format!("cp *.qbundle *.sig {}", site.path("").display()))
        .ok();
}

/// Reinstalled: the machine answers under its old key, and has nothing of etcd's or quorate's.
fn two_machines_burn(lab: &Lab) {
    for name in ["n1", "n2"] {
        lab.host(name)
            .sh("systemctl kill -s KILL etcd; systemctl disable --now etcd 2>/dev/null
             rm -rf /var/lib/etcd /etc/etcd /opt/quorate /etc/systemd/system/etcd.service; systemctl daemon-reload");
    }
}

/// Step 7: its first command sees a cluster without a quorum.
fn site_recovers(site: &Desk<'_>, page: &Page) -> Vec<Outcome> {
    let commands = page.steps[&7].iter().enumerate();
    commands
        .map(|(i, command)| site.types(command).code(if i == 0 { 11 } else { 0 }))
        .collect()
}

fn lab_status(site: &Desk<'_>) -> serde_json::Value {
    site.types("quorate status --output json").ok().json()
}
