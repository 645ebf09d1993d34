//! Programs that are clients of a cluster, Debian's own, run where the operator sits (`lab/fetch-clients`).

use std::path::PathBuf;
use std::process::Command;

use super::Lab;
use super::lab::REPOSITORY;
use super::outcome::Outcome;

/// Where the programs are.
#[track_caller]
fn fetched() -> PathBuf {
    let fetched = Command::new(format!("{REPOSITORY}/lab/fetch-clients")).output();
    let fetched = Outcome::of("lab/fetch-clients".to_owned(), fetched.expect("lab/fetch-clients")).ok();
    PathBuf::from(fetched.stdout.trim())
}

impl Lab {
    /// `haproxy`, `nft`, `prometheus` or `promtool` as a command of the operator.
    #[track_caller]
    pub fn client(&self, program: &str) -> Command {
        let fetched = fetched();
        let path = ["usr/bin", "usr/sbin"].map(|dir| fetched.join(dir).join(program));
        let path = path
            .iter()
            .find(|path| path.exists())
            .expect("a program of lab/fetch-clients");
        let mut command = self.as_operator(path.to_str().expect("a path"));
        command.env("LD_LIBRARY_PATH", fetched.join("all-libs"));
        command
    }

    /// Runs one to its end.
    #[track_caller]
    pub fn run_client(&self, program: &str, arguments: &[&str]) -> Outcome {
        let output = self.client(program).args(arguments).output().expect(program);
        Outcome::of(format!("{program} {}", arguments.join(" ")), output)
    }

    /// The operator's own address.
    pub fn operator_address(&self) -> String {
        let (network, _) = self.hosts()[0].address.rsplit_once('.').expect("an IPv4 address");
        format!("{network}.1")
    }

    /// Fills the database to its quota, which had better be small.
    #[track_caller]
    pub fn fill_database(&self) {
        let fill = "head -c 1000000 /dev/zero | tr '\\0' x >/run/big; i=0; while [ $i -lt 60 ]; do i=$((i+1)); ";
        let host = &self.hosts()[0];
        let filled = host.etcdctl(&format!(
            "version >/dev/null; {fill} etcdctl put big/$i </run/big || exit 7; done"
        ));
        assert_eq!(filled.status, Some(7), "60 MB fit in\n{filled}");
        assert!(filled.stderr.contains("database space exceeded"), "{filled}");
    }
}

/// A program of Kubernetes, built from its Go modules (`lab/build-kube`). `None` only where `lab/test` has said that it is left
/// out, since this machine cannot build it.
#[track_caller]
pub fn kubernetes(program: &str) -> Option<PathBuf> {
    if std::env::var_os("QUORATE_LACKS_KUBERNETES").is_some() {
        return None;
    }
    let built = Command::new(format!("{REPOSITORY}/lab/build-kube"))
        .arg(program)
        .output();
    let built = Outcome::of(format!("lab/build-kube {program}"), built.expect("lab/build-kube")).ok();
    Some(PathBuf::from(built.stdout.trim()))
}
