//! `kube`: what it writes is what the real kubeadm and the real API server take.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Lab, Outcome, kubernetes, plain_inventory, releases, wait_until};

/// kubeadm, run by the operator.
#[track_caller]
fn kubeadm(lab: &Lab, program: &Path, arguments: &[&str]) -> Outcome {
    let output = lab
        .as_operator(program.to_str().expect("a path"))
        .args(arguments)
        .output();
    Outcome::of(format!("kubeadm {}", arguments.join(" ")), output.expect("kubeadm"))
}

/// What kubeadm's preflight has against the etcd of this configuration, with the files where they were written.
#[track_caller]
fn preflight(lab: &Lab, program: &Path) -> Vec<String> {
    let text = fs::read_to_string(lab.dir().join("kubeadm/kubeadm-v1beta4.yaml")).expect("the configuration");
    let here = lab.dir().join("kubeadm/pki");
    let text = text.replace("/etc/kubernetes/pki", here.to_str().expect("a path"));
    let init = format!(
        "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {{advertiseAddress: {}}}\n",
        lab.operator_address()
    );
    lab.write("here.yaml", &format!("{text}kubernetesVersion: v1.36.3\n{init}"));
    let said = kubeadm(lab, program, &["init", "phase", "preflight", "--config", "here.yaml"]);
    // This machine is no control plane, which it says at length.
    assert!(said.stderr.contains("[preflight] Some fatal errors occurred"), "{said}");
    let errors = said.stderr.lines().filter(|line| line.contains("ExternalEtcd"));
    errors.map(str::to_owned).collect()
}

fn three_members(version: &str) -> Lab {
    let lab = Lab::start(3);
    lab.plain_inventory(version);
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn kubeadm_takes_what_is_written_and_both_judge_alike() {
    let lab = Lab::cluster(3);
    lab.quorate(&["kube", "files", "--for", "kubeadm"])
        .ok()
        .says(&["kubeadm init", "issued.yml"]);
    let dir = lab.dir().join("kubeadm");
    assert_eq!(mode(&dir.join("pki/apiserver-etcd-client.key")), 0o600);
    assert_eq!(mode(&dir.join("pki/apiserver-etcd-client.crt")), 0o644);
    let ignored = fs::read_to_string(dir.join(".gitignore")).expect("a file");
    assert!(ignored.contains("\n/pki/apiserver-etcd-client.key\n"), "{ignored}");

    // What is there is not replaced in silence, and nothing is issued for nothing.
    let issued = || fs::read_to_string(lab.dir().join("pki/issued.yml")).expect("the list");
    let before = issued();
    lab.quorate(&["kube", "files", "--for", "kubeadm"])
        .code(2)
        .says(&["apiserver-etcd-client.key is there already", "--replace"]);
    assert_eq!(issued(), before);
    lab.quorate(&["kube", "files", "--for", "kubeadm", "--replace"]).ok();
    lab.quorate(&["kube", "files", "--for", "k3s", "--prefix", "/two"])
        .code(2)
        .says(&["no option for the prefix"]);
    // A list of somebody else's is completed.
    fs::create_dir(lab.dir().join("k0s")).expect("a directory");
    lab.write("k0s/.gitignore", "theirs");
    for consumer in ["k3s", "rke2", "k0s", "capi", "cilium", "calico"] {
        lab.quorate(&["kube", "files", "--for", consumer, "--name", consumer])
            .ok();
    }

    let files = [
        "--cacert",
        "kubeadm/pki/etcd/ca.crt",
        "--cert",
        "kubeadm/pki/apiserver-etcd-client.crt",
        "--key",
    ];
    let check = [
        &["kube", "check", "--kubernetes", "1.36"],
        &files[..],
        &["kubeadm/pki/apiserver-etcd-client.key"],
    ]
    .concat();
    let fits = lab.quorate(&check).ok();
    assert!(
        fits.stdout.contains("no problems") && fits.stdout.contains("--etcd-servers=https://"),
        "{fits}"
    );

    let program = kubernetes("kubeadm");
    if let Some(program) = &program {
        for version in ["v1beta4", "v1beta3"] {
            let file = format!("kubeadm/kubeadm-{version}.yaml");
            kubeadm(&lab, program, &["config", "validate", "--config", &file]).ok();
        }
        lab.quorate(&[
            "kube", "files", "--for", "kubeadm", "--prefix", "/two", "--name", "two", "--out", "two",
        ])
        .ok();
        for version in ["v1beta4", "v1beta3"] {
            let file = format!("two/kubeadm-{version}.yaml");
            kubeadm(&lab, program, &["config", "validate", "--config", &file]).ok();
        }
        assert_eq!(preflight(&lab, program), Vec::<String>::new());
    }

    // A client certificate of an old CA, and a member that is down: both are named.
    lab.quorate(&["pki", "rotate-ca", "--compromised", "--yes"]).ok();
    let refused = lab.quorate(&check).code(11);
    assert!(
        refused.stdout.contains("the client certificate is rejected"),
        "{refused}"
    );
    if let Some(program) = &program {
        assert_ne!(preflight(&lab, program), Vec::<String>::new());
    }
    lab.quorate(&["kube", "files", "--for", "kubeadm", "--replace"]).ok();
    lab.quorate(&check).ok();
    lab.host("n2").sh("systemctl stop etcd");
    let down = lab.quorate(&check).code(11);
    assert!(down.stdout.contains("n2"), "{down}");
}

/// The release that Debian's stable has is too old for every kubeadm of today: quorate says so before it does.
#[test]
fn an_etcd_that_is_too_old_is_named_by_both() {
    let old = releases()
        .into_iter()
        .map(|(version, _)| version)
        .find(|version| version == "3.5.16")
        .expect("Debian's 3.5.16, see lab/etcd.sha256");
    let lab = Lab::start(1);
    lab.inventory(|hosts| plain_inventory(&old, hosts));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["kube", "files", "--for", "kubeadm"]).ok();
    let judged = lab
        .quorate(&["kube", "check", "--kubernetes", "1.36", "--output", "json"])
        .code(11)
        .json();
    let findings = judged["findings"].as_array().expect("findings");
    let says = |text: &str| {
        findings
            .iter()
            .any(|f| f["says"].as_str().expect("words").contains(text))
    };
    assert!(says("kubeadm 1.36 requires 3.5.24 or later"), "{judged}");
    lab.quorate(&["kube", "check", "--kubernetes", "1.31"]).ok();
    if let Some(program) = kubernetes("kubeadm") {
        let errors = preflight(&lab, &program);
        assert!(errors.iter().any(|error| error.contains("3.5.24")), "{errors:?}");
    }
}

/// An API server writes, reads and watches through what `kube files` wrote, while the members are restarted.
#[test]
#[ignore = "builds kube-apiserver: make soak"]
fn an_api_server_is_served() {
    let Some(program) = kubernetes("kube-apiserver") else {
        return;
    };
    for version in releases()
        .into_iter()
        .map(|(version, _)| version)
        .filter(|v| v == "3.5.30" || v.starts_with("3.6."))
    {
        let lab = three_members(&version);
        lab.quorate(&["kube", "files", "--for", "kubeadm"]).ok();
        let servers = lab.quorate(&["kube", "check", "--kubernetes", "1.36"]).ok().stdout;
        let servers = servers
            .lines()
            .find_map(|line| line.split_once("--etcd-servers="))
            .expect("a list")
            .1
            .to_owned();
        let api = ApiServer::start(&lab, &program, &servers);
        api.ready();
        for i in 0..20 {
            api.put(i);
        }
        lab.quorate(&["restart", "--yes"]).ok();
        api.ready();
        api.put(20);
        assert_eq!(api.count(), 21, "etcd {version}");
        let keys = lab
            .quorate(&[
                "ctl",
                "--",
                "get",
                "--prefix",
                "/registry/configmaps/default/c",
                "--keys-only",
            ])
            .ok();
        assert_eq!(
            keys.stdout.lines().filter(|line| line.starts_with("/registry")).count(),
            21
        );
    }
}

/// A kube-apiserver in the operator's network.
struct ApiServer<'a> {
    lab: &'a Lab,
    _server: crate::harness::Server,
}

const API: u16 = 6443;

impl<'a> ApiServer<'a> {
    fn start(lab: &'a Lab, program: &Path, servers: &str) -> Self {
        lab.write("tokens.csv", "secret,admin,admin,system:masters\n");
        let key = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key 2>/dev/null";
        assert!(
            lab.as_operator("sh")
                .args(["-c", key])
                .status()
                .expect("openssl")
                .success()
        );
        let mut command = lab.as_operator(program.to_str().expect("a path"));
        command.args([
            &format!("--etcd-servers={servers}"),
            "--etcd-cafile=kubeadm/pki/etcd/ca.crt",
            "--etcd-certfile=kubeadm/pki/apiserver-etcd-client.crt",
            "--etcd-keyfile=kubeadm/pki/apiserver-etcd-client.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=sa.key",
            "--service-account-key-file=sa.key",
            "--authorization-mode=AlwaysAllow",
            "--token-auth-file=tokens.csv",
            "--disable-admission-plugins=ServiceAccount",
            "--cert-dir=apiserver",
            &format!("--advertise-address={}", lab.operator_address()),
            &format!("--secure-port={API}"),
        ]);
        let server = crate::harness::Server::start(lab, &mut command, API);
        Self { lab, _server: server }
    }

    /// One request; what came back with its code.
    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (String, String) {
        let mut command = self.lab.as_operator("curl");
        command.args([
            "-sk",
            "-m",
            "10",
            "-X",
            method,
            "-w",
            "\n%{http_code}",
            "-H",
            "Authorization: Bearer secret",
        ]);
        if let Some(body) = body {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        command
            .arg(format!("https://127.0.0.1:{API}{path}"))
            .stderr(Stdio::null());
        let answer = String::from_utf8_lossy(&command.output().expect("curl").stdout).into_owned();
        let (body, code) = answer.rsplit_once('\n').unwrap_or_default();
        (code.to_owned(), body.to_owned())
    }

    fn ready(&self) {
        wait_until("the API server to be ready", Duration::from_secs(120), || {
            self.ask("GET", "/readyz", None).0 == "200"
                && self.ask("GET", "/api/v1/namespaces/default", None).0 == "200"
        });
    }

    fn put(&self, i: usize) {
        let body =
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{i}"}},"data":{{"a":"b"}}}}"#);
        let (code, answer) = self.ask("POST", "/api/v1/namespaces/default/configmaps", Some(&body));
        assert_eq!(code, "201", "{answer}");
    }

    fn count(&self) -> usize {
        let (code, answer) = self.ask("GET", "/api/v1/namespaces/default/configmaps", None);
        assert_eq!(code, "200", "{answer}");
        answer.matches(r#""name":"c"#).count() + answer.matches(r#""name": "c"#).count()
    }
}
