//! What a member's host is called. Certificates and notes carry a member's name, so it is its host's, unless it cannot be.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Hurdle;
use super::hands::only_one;
use super::options::{Options, config_file, options_of};
use crate::host::running::Running;
use crate::inventory::{Address, NameError, NodeName};

/// What a host is called until it was looked at.
///
/// # Errors
/// When a DNS name is too long for it.
pub fn provisional(address: &Address) -> Result<NodeName, NameError> {
    let text = address.to_string();
    let label = format!("at-{}", text.trim_matches(':').replace(['.', ':'], "-"));
    text.parse().or_else(|_| label.parse())
}

/// What each host is called: as its member, or, where that cannot be, as it calls itself.
///
/// # Errors
/// Every host for which neither will do, and names that several have.
pub fn of_all(seen: &[(&NodeName, &Running, &BTreeMap<String, String>)]) -> Result<Vec<NodeName>, Vec<Hurdle>> {
    let (mut names, mut hurdles) = (Vec::new(), Vec::new());
    let mut holders: BTreeMap<NodeName, Vec<&str>> = BTreeMap::new();
    for (at, running, texts) in seen {
        match name_of(at, running, texts) {
            Ok(name) => {
                holders.entry(name.clone()).or_default().push(at.as_str());
                names.push(name);
            }
            Err(hurdle) => hurdles.push(hurdle),
        }
    }
    let several = holders.iter().filter(|(_, at)| at.len() > 1);
    hurdles.extend(several.map(|(name, at)| {
        Hurdle::of_all(
            format!("{} would all be called {name}", at.join(", ")),
            "pass each host once; where members have no names of their own, name them: --host NAME=ADDRESS instead of --from",
        )
    }));
    if hurdles.is_empty() { Ok(names) } else { Err(hurdles) }
}

fn name_of(at: &NodeName, running: &Running, texts: &BTreeMap<String, String>) -> Result<NodeName, Hurdle> {
    let process = only_one(at, running)?;
    let text = config_file(process).and_then(|path| texts.get(&path));
    // What cannot be read is refused with its reason when the member is described.
    let options = options_of(process, text.map(String::as_str)).unwrap_or_default();
    if let Ok(name) = called(&options).parse() {
        return Ok(name);
    }
    let own = running.host.split('.').next().unwrap_or_default().to_lowercase();
    own.parse().map_err(|_| {
        Hurdle::on(
            at,
            format!(
                "its member is called `{}` and it calls itself `{own}`: neither can be the name of a host",
                called(&options)
            ),
            "name it: --host NAME=ADDRESS for every member instead of --from",
        )
    })
}

fn called(options: &Options) -> &str {
    match options.get("name").and_then(Value::as_str).unwrap_or_default() {
        "" => "default",
        name => name,
    }
}

/// A member with a name that a host can have is called like its host.
pub(super) fn called_otherwise(name: &NodeName, reached_at: &Address, options: &Options) -> Option<Hurdle> {
    let called = called(options);
    (called != name.as_str() && called.parse::<NodeName>().is_ok()).then(|| {
        Hurdle::on(
            name,
            format!("its member is called {called}"),
            format!("pass --host {called}={reached_at}"),
        )
    })
}

/// One that has a name that no host can have gets its host's with its turn: etcd tells it to the others at each start.
pub(super) fn renamed(name: &NodeName, options: &Options) -> Option<String> {
    let called = called(options);
    called
        .parse::<NodeName>()
        .is_err()
        .then(|| format!("{name}: its member is called `{called}`, and {name} from its restart on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::running::RunningEtcd;

    fn running(arguments: &[&str], host: &str) -> Running {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Running {
            host: host.into(),
            etcd: vec![RunningEtcd {
                arguments,
                ..RunningEtcd::default()
            }],
            others: Vec::new(),
        }
    }

    fn names(seen: &[Running]) -> Result<Vec<String>, Vec<String>> {
        let at: Vec<NodeName> = (1..=seen.len())
            .map(|n| provisional(&format!("10.0.0.{n}").parse().unwrap()).unwrap())
            .collect();
        let none = BTreeMap::new();
        let seen: Vec<_> = at.iter().zip(seen).map(|(at, running)| (at, running, &none)).collect();
        let text = |hurdle: Hurdle| {
            assert!(hurdle.help.contains("--host NAME=ADDRESS"), "{hurdle:?}");
            format!(
                "{}: {}",
                hurdle.node.map_or("all".into(), |node| node.to_string()),
                hurdle.what
            )
        };
        of_all(&seen)
            .map(|names| names.iter().map(ToString::to_string).collect())
            .map_err(|hurdles| hurdles.into_iter().map(text).collect())
    }

    #[test]
    fn a_host_is_called_as_its_member_or_as_it_calls_itself() {
        let named = running(&["etcd", "--name=n1"], "machine-1");
        let unnamed = running(&["etcd"], "Machine-2.example");
        assert_eq!(names(&[named, unnamed]).unwrap(), ["n1", "machine-2"]);
        let alike = [running(&["etcd", "--name=default"], "box"), running(&["etcd"], "box")];
        assert_eq!(
            names(&alike).unwrap_err(),
            ["all: at-10-0-0-1, at-10-0-0-2 would all be called box"]
        );
        let odd = running(&["etcd", "--name=Node_1"], "Also_Odd");
        assert_eq!(
            names(&[odd]).unwrap_err(),
            [
                "at-10-0-0-1: its member is called `Node_1` and it calls itself `also_odd`: neither can be the name of a host"
            ]
        );
        for (address, name) in [("fd00::1", "at-fd00--1"), ("::1", "at-1"), ("a.example", "a.example")] {
            assert_eq!(provisional(&address.parse().unwrap()).unwrap().as_str(), name);
        }
    }
}
