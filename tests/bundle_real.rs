//! Bundles of real etcd releases: Debian's packages of 3.4 and 3.5, and directories of what was built from Go modules.
//!
//! `QUORATE_ETCD_DIR` names a directory with one directory for each version, as `lab/fetch-etcd` makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use quorate::bundle::{Bundle, CreateOptions, Program, create};
use quorate::inventory::{Arch, Version};

/// What is bundled: the packages of the oldest release and the directory with the programs of the newest. (The bundle of
/// the lab's hosts has them all.)
fn sources() -> BTreeMap<Version, Vec<PathBuf>> {
    let root = std::env::var_os("QUORATE_ETCD_DIR").expect("set QUORATE_ETCD_DIR to what `lab/fetch-etcd` prints");
    let mut sources = BTreeMap::new();
    for directory in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
        let Some(version) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let debs: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|e| e == "deb"))
            .collect();
        sources.insert(version, if debs.is_empty() { vec![directory] } else { debs });
    }
    assert!(!sources.is_empty(), "{} holds no VERSION/", root.display());
    while sources.len() > 2 {
        let between = *sources.keys().nth(1).unwrap();
        sources.remove(&between);
    }
    sources
}

#[test]
fn packages_and_programs_become_a_bundle_whose_programs_run_and_name_their_version() {
    let by_version = sources();
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("etcd.qbundle");
    let sources: Vec<_> = by_version.values().flatten().cloned().collect();
    create(&out, &sources, CreateOptions::default()).unwrap();

    let bundle = Bundle::open(&out).unwrap();
    bundle.verify().unwrap();
    let arch = Arch::from_uname(std::env::consts::ARCH).unwrap();
    assert_eq!(
        bundle.versions().into_keys().collect::<Vec<_>>(),
        by_version.into_keys().collect::<Vec<_>>()
    );
    let list = bundle.sbom().unwrap();
    for version in bundle.versions().into_keys() {
        let etcd = place.path().join(format!("etcd-{version}"));
        bundle.extract(version, arch, Program::Etcd, &etcd).unwrap();
        let said = Command::new(&etcd).arg("--version").output().unwrap().stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(&format!("etcd Version: {version}\n")));
        // What is linked into it, with the Go that it names itself.
        let go = said
            .lines()
            .find_map(|line| line.strip_prefix("Go Version: go"))
            .unwrap();
        let linked = modules_of(&list, &format!("etcd/{version}/{arch}/etcd"));
        assert!(linked.contains(&format!("pkg:golang/std@{go}")), "{linked:?}");
        // Debian builds 3.4 without modules.
        let bbolt = |module: &String| module.starts_with("pkg:golang/go.etcd.io/bbolt@v");
        let listed = linked.len() > 30 && linked.iter().any(bbolt);
        assert!(listed || version < Version::new(3, 5, 0), "{linked:?}");
    }
}

/// What a CycloneDX list says that one of its programs depends on; all of that is listed.
fn modules_of(list: &serde_json::Value, program: &str) -> Vec<String> {
    let named: BTreeSet<&str> = list["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|component| component["bom-ref"].as_str())
        .collect();
    let needs = list["dependencies"].as_array().unwrap().iter();
    let needs = needs.filter(|needs| needs["ref"] == program);
    let modules: Vec<String> = needs
        .flat_map(|needs| needs["dependsOn"].as_array().unwrap())
        .map(|module| module.as_str().unwrap().to_owned())
        .collect();
    assert!(named.contains(program) && modules.iter().all(|module| named.contains(module.as_str())));
    modules
}

/// A directory with a bundle of one real release, SSH keys, and an inventory.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let (_, sources) = sources().into_iter().next_back().unwrap();
        create(&desk.path("etcd.qbundle"), &sources, CreateOptions::default()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A shell line here: whether it succeeded, and all that it said.
    fn sh(&self, line: &str) -> (bool, String) {
        let quorate = env!("CARGO_BIN_EXE_quorate");
        let output = Command::new("sh")
            .args(["-c", &format!("quorate() {{ {quorate} \"$@\"; }}\n{line}")])
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn ok(&self, line: &str) -> String {
        let (ok, said) = self.sh(line);
        assert!(ok, "{line}\n{said}");
        said
    }

    fn refused(&self, line: &str, why: &str) {
        let (ok, said) = self.sh(line);
        assert!(!ok && said.contains(why), "{line}\n{said}");
    }
}

const BY_HAND: &str = "tar -xOf etcd.qbundle manifest.json | \
                       ssh-keygen -Y verify -n quorate-bundle -f allowed -I alice -s etcd.qbundle.sig";

#[test]
fn what_quorate_signs_ssh_keygen_verifies_and_the_other_way_round() {
    let desk = Desk::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        desk.ok(&format!("ssh-keygen -q -t {kind} -N '' -C {kind} -f {kind}"));
        desk.write("allowed", &format!("alice {}", desk.read(&format!("{kind}.pub"))));
        desk.ok(&format!("quorate bundle sign etcd.qbundle --key {kind}"));
        desk.ok(BY_HAND);
        desk.ok("quorate bundle show --manifest etcd.qbundle >m; tar -xOf etcd.qbundle manifest.json | cmp - m");
        let said = desk.ok("quorate bundle verify etcd.qbundle --allowed-signers allowed");
        assert!(said.contains("signed by alice"), "{said}");

        // The agent has the key, and this machine's file only its public half.
        let agent = format!(
            "eval $(ssh-agent -s) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q {kind}; rm etcd.qbundle.sig"
        );
        desk.ok(&format!("{agent}; quorate bundle sign etcd.qbundle"));
        desk.ok(BY_HAND);
        desk.ok(&format!("{agent}; quorate bundle sign etcd.qbundle --key {kind}.pub"));
        desk.ok(BY_HAND);

        desk.ok(&format!(
            "ssh-keygen -q -Y sign -n quorate-bundle -f {kind} <m >etcd.qbundle.sig"
        ));
        desk.ok("quorate bundle verify etcd.qbundle --allowed-signers allowed");
    }
    desk.refused("quorate bundle sign etcd.qbundle", "no agent can sign");
    desk.ok("ssh-keygen -q -t ed25519 -N secret -f locked");
    desk.refused(
        "quorate bundle sign etcd.qbundle --key locked </dev/null",
        "cannot be used",
    );
}

#[test]
fn the_inventory_demands_a_signer_or_a_digest() {
    let desk = Desk::new();
    desk.ok("ssh-keygen -q -t ed25519 -N '' -C a -f a; ssh-keygen -q -t ed25519 -N '' -C b -f b");
    let version = Bundle::open(&desk.path("etcd.qbundle"))
        .unwrap()
        .versions()
        .into_keys()
        .next_back()
        .unwrap();
    let inventory = |bundle: &str| {
        desk.write(
            "inventory.yml",
            &format!("cluster: c\netcd: {{version: {version}}}\n{bundle}hosts:\n  - {{name: n1, address: 10.0.0.1}}\n"),
        );
    };
    let check = "quorate check";
    inventory("");
    let said = desk.ok(check);
    assert!(said.contains("the bundle is") && said.contains("not signed"), "{said}");

    let digest = desk.ok("tar -xOf etcd.qbundle manifest.json | sha256sum | cut -d' ' -f1");
    inventory(&format!("bundle: {{sha256: {}}}\n", digest.trim()));
    desk.ok(check);
    inventory(&format!("bundle: {{sha256: \"{}\"}}\n", "0".repeat(64)));
    desk.refused(check, "and the inventory wants 0000");
    inventory("bundle: {sha256: 12ab, signer: alice}\n");
    desk.refused(check, "is not a SHA-256");

    inventory("bundle: {signed_by: [alice, bob]}\n");
    desk.refused(check, "cannot read");
    desk.write("pki/allowed_signers", &format!("alice {}", desk.read("a.pub")));
    desk.refused(check, "is not signed: there is no");
    desk.ok("quorate bundle sign --key b");
    desk.refused(check, "its key is not listed");
    desk.ok("quorate bundle sign --key a");
    let said = desk.ok(check);
    assert!(said.contains("signed by alice"), "{said}");
    let said = desk.ok("quorate bundle verify");
    assert!(said.contains("signed by alice"), "{said}");
    desk.write("pki/allowed_signers", &format!("carol {}", desk.read("a.pub")));
    desk.refused(check, "is listed for `carol`");
    desk.write(
        "pki/allowed_signers",
        &format!("alice valid-before=\"20200101\" {}", desk.read("a.pub")),
    );
    desk.refused(check, "its key counted until");
    desk.write("pki/allowed_signers", "alice nonsense\n");
    desk.refused(check, "line 1: ");
    desk.write("pki/allowed_signers", &format!("alice {}", desk.read("a.pub")));
    desk.ok("tar -xOf etcd.qbundle manifest.json | ssh-keygen -q -Y sign -n file -f a >etcd.qbundle.sig");
    desk.refused(check, "it was made for `file`");
    desk.ok(
        "(tar -xOf etcd.qbundle manifest.json; echo) | ssh-keygen -q -Y sign -n quorate-bundle -f a >etcd.qbundle.sig",
    );
    desk.refused(check, "changed after it was signed");
    desk.write("etcd.qbundle.sig", "nothing");
    desk.refused(check, "is not a signature by an SSH key");

    // An executable with the bundle inside takes the signature along.
    desk.ok("quorate bundle sign --key a; quorate bundle embed --into airgap; rm etcd.qbundle*");
    desk.ok("./airgap check");
    desk.ok("rm airgap.sig");
    desk.refused("./airgap check", "there is no");
}

/// On a terminal of its own: waits until the program has asked for a passphrase and the echo is off, has it end, and says
/// whether the echo came back. `$1` is the program, `$2` how it ends: a signal, or `keys` for what somebody types.
const AT_A_PROMPT: &str = r#"
trap : INT QUIT
echo_is() { stty -a </dev/tty | tr ' ;' '\n\n' | grep -qx -- "$1"; }
within() { for i in $(seq 200); do if "$@"; then return 0; fi; sleep 0.05; done; return 1; }
rm -f said asked
(
    within echo_is -echo || echo "it never asked" >>said
    touch asked
    [ "$2" = keys ] || kill -s "$2" "$(cat pid)"
) &
sh -c 'echo $$ >pid; exec "$0" bundle sign etcd.qbundle --key closed' "$1"
echo "ended $?" >>said
within echo_is echo && echo "echo is on" >>said
stty echo
"#;

#[test]
fn whatever_ends_the_program_at_a_prompt_the_terminal_has_its_echo_again() {
    let desk = Desk::new();
    desk.ok("ssh-keygen -q -t ed25519 -N 'pass phrase' -f closed");
    desk.write("scene.sh", AT_A_PROMPT);
    for (how, typed, status) in [
        ("keys", r"pass phrase\n", 0),
        ("keys", r"\003", 130),
        ("INT", "", 130),
        ("TERM", "", 143),
        ("HUP", "", 129),
        ("QUIT", "", 131),
        ("KILL", "", 137),
    ] {
        let program = env!("CARGO_BIN_EXE_quorate");
        desk.ok(&format!(
            "rm -f asked; ulimit -c 0; (until [ -e asked ]; do sleep 0.05; done; printf '{typed}'; until [ -e over ]; do sleep 0.05; done) | \
             (script -qec 'sh scene.sh {program} {how}' /dev/null; touch over) >shown; rm -f over"
        ));
        assert_eq!(
            desk.read("said"),
            format!("ended {status}\necho is on\n"),
            "{how} {typed:?}: {}",
            desk.read("shown")
        );
        assert!(!desk.read("shown").contains("pass phrase"));
    }
}
