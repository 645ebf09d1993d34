//! `running_etcd`: what runs as etcd on a host, whoever started it. Looked at, not read from files: those may have changed
//! since the process was started.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::facts_parser::Answer;
use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};

/// One process called etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningEtcd {
    /// Its process id.
    pub pid: u32,
    /// Clock ticks between the host's boot and its start.
    pub started: u64,
    /// The account that it runs as.
    pub user: String,
    /// Its command line.
    pub arguments: Vec<String>,
    /// Its `ETCD_*` variables, without passwords.
    pub environment: BTreeMap<String, String>,
    /// Its control groups as the kernel shows them.
    pub groups: String,
    /// What systemd shows of its unit; empty where it has none.
    pub unit: BTreeMap<String, String>,
    /// The database and log files that it has open, links resolved.
    pub opened: Vec<String>,
    /// The account that the directory of its database belongs to.
    pub owner: Option<String>,
}

/// What runs on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// What the host calls itself.
    pub host: String,
    /// Processes called etcd.
    pub etcd: Vec<RunningEtcd>,
    /// Names of programs with an etcd of their own inside.
    pub others: Vec<String>,
}

impl Host {
    /// What runs as etcd here. Changes nothing.
    ///
    /// # Errors
    /// When the host cannot be reached, or its answer cannot be understood.
    pub async fn running_etcd(&self) -> Result<Running, HostError> {
        let operation = "looking for etcd";
        let output = self.call(operation, scripts::RUNNING, Vec::new(), no_input()).await?;
        parse(&String::from_utf8_lossy(&output.stdout)).map_err(|why| not_understood(&self.node, operation, why))
    }
}

fn parse(text: &str) -> Result<Running, String> {
    let answer = Answer::read(text)?;
    let mut running = Running {
        host: answer.all("host").next().unwrap_or_default().to_owned(),
        others: answer
            .all("other")
            .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
            .collect(),
        ..Running::default()
    };
    for line in answer.all("etcd") {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (pid, _, user, started) = (word(), word(), word(), word());
        let of = |key| {
            answer
                .all(key)
                .filter_map(move |l| l.split_once(' '))
                .filter(move |(p, _)| *p == pid)
        };
        let packed = |key| -> Result<String, String> {
            let Some((_, text)) = of(key).next() else {
                return Ok(String::new());
            };
            let bytes = STANDARD.decode(text).map_err(|e| format!("{key} of {pid}: {e}"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let pairs = |text: &str| -> BTreeMap<String, String> {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        running.etcd.push(RunningEtcd {
            pid: pid.parse().map_err(|_| format!("`{pid}` is no process id"))?,
            started: started.parse().unwrap_or_default(),
            user: user.to_owned(),
            arguments: packed("arguments")?.split_terminator('\0').map(str::to_owned).collect(),
            environment: pairs(&packed("environment")?),
            groups: packed("groups")?,
            unit: pairs(&packed("unit")?),
            opened: of("opened").map(|(_, path)| path.to_owned()).collect(),
            owner: of("owner").map(|(_, owner)| owner.to_owned()).next(),
        });
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_may_hold_anything() {
        let packed = |text: &str| STANDARD.encode(text);
        let text = format!(
            "host box.example\netcd 7 110 etcd 4242\narguments 7 {}\nenvironment 7 {}\ngroups 7 {}\nunit 7 {}\nopened 7 /data/member/snap/db\n\
             owner 7 etcd\nother 9 k3s-server\ndone\n",
            packed("etcd\0--name\0a b\0--x=done\n\0"),
            packed("ETCD_NAME=n1\nETCD_X=a=b\n"),
            packed("0::/system.slice/etcd.service\n"),
            packed("Id=etcd.service\nDropInPaths=\n"),
        );
        let running = parse(&text).unwrap();
        let etcd = &running.etcd[0];
        assert_eq!((etcd.pid, etcd.started, etcd.user.as_str()), (7, 4242, "etcd"));
        assert_eq!(etcd.arguments, ["etcd", "--name", "a b", "--x=done\n"]);
        assert_eq!(etcd.environment["ETCD_X"], "a=b");
        assert_eq!(etcd.unit["Id"], "etcd.service");
        assert_eq!((etcd.opened.len(), etcd.owner.as_deref()), (1, Some("etcd")));
        assert_eq!(
            (running.host.as_str(), running.others),
            ("box.example", vec!["k3s-server".to_owned()])
        );
        assert!(parse(text.trim_end_matches("done\n")).is_err(), "cut off");
    }
}
