//! The options of a running etcd by the names of its flags, read as etcd reads them: from the configuration file alone where
//! one is named, else from flags, and from variables for what no flag sets (etcd, server/etcdmain/config.go `parse`,
//! pkg/flags/flag.go `SetFlagsFromEnv`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::running::RunningEtcd;
use crate::inventory::options::table::{Kind, find};
use crate::inventory::tree::{Kind as Yaml, Node};

/// Options by name. Those about TLS have the names of flags (`cert-file`, `peer-cert-file`), wherever they come from.
pub type Options = BTreeMap<String, Value>;

/// Flags that need no value.
const SWITCHES: [&str; 8] = [
    "client-cert-auth",
    "peer-client-cert-auth",
    "auto-tls",
    "peer-auto-tls",
    "force-new-cluster",
    "unsafe-no-fsync",
    "enable-v2",
    "version",
];

/// Flags about TLS, those for peers without what they begin with: a configuration file has them in its sections.
const TLS: [&str; 8] = [
    "auto-tls",
    "cert-allowed-cn",
    "cert-allowed-hostname",
    "cert-file",
    "client-cert-allowed-hostname",
    "client-cert-auth",
    "client-crl-file",
    "key-file",
];

/// Whether a configuration file can have this option; etcd has flags, and others have variables, that it cannot.
pub fn is_known(name: &str) -> bool {
    let tls = name.strip_prefix("peer-").unwrap_or(name);
    let elsewhere = [
        "config-file",
        "force-new-cluster",
        "unsafe-no-fsync",
        "trusted-ca-file",
        "proxy",
        "enable-v2",
    ];
    find(name).is_some() || TLS.contains(&tls) || elsewhere.contains(&tls)
}

/// The sections of a configuration file about TLS, and what their keys begin with as flags.
const SECTIONS: [(&str, &str); 2] = [("client-transport-security", ""), ("peer-transport-security", "peer-")];

/// The configuration file that a process was started with.
pub fn config_file(process: &RunningEtcd) -> Option<String> {
    let flags = flags(&process.arguments);
    let named = flags.get("config-file").and_then(Value::as_str).map(str::to_owned);
    named
        .or_else(|| process.environment.get("ETCD_CONFIG_FILE").cloned())
        .filter(|path| !path.is_empty())
}

/// All options of a process; `config` is the text of its configuration file, where it has one.
///
/// # Errors
/// When the file is no configuration of etcd's.
pub fn options_of(process: &RunningEtcd, config: Option<&str>) -> Result<Options, String> {
    match config {
        Some(text) => from_file(text),
        None => {
            let mut options = from_environment(&process.environment);
            options.extend(flags(&process.arguments));
            Ok(options)
        }
    }
}

fn flags(arguments: &[String]) -> Options {
    let mut options = Options::new();
    let mut rest = arguments.iter().skip(1).peekable();
    while let Some(word) = rest.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        let (name, text) = match flag.split_once('=') {
            Some((name, text)) => (name, text.to_owned()),
            None if is_switch(flag) => (flag, "true".to_owned()),
            None => (flag, rest.next().cloned().unwrap_or_default()),
        };
        options.insert(name.to_owned(), typed(name, &text));
    }
    options
}

fn is_switch(flag: &str) -> bool {
    SWITCHES.contains(&flag) || find(flag).is_some_and(|option| option.kind == Kind::Bool)
}

/// An empty variable sets nothing, and of one that is no option etcd only warns.
fn from_environment(environment: &BTreeMap<String, String>) -> Options {
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let named = set.filter_map(|(name, value)| {
        let name = name.strip_prefix("ETCD_")?.to_ascii_lowercase().replace('_', "-");
        let value = typed(&name, value);
        is_known(&name).then_some((name, value))
    });
    named.collect()
}

fn from_file(text: &str) -> Result<Options, String> {
    let tree = Node::parse(text).map_err(|problem| format!("line {}: {}", problem.line, problem.message))?;
    let Yaml::Map(entries) = &tree.kind else {
        return Err("it is not a mapping".to_owned());
    };
    let mut options = Options::new();
    for entry in entries {
        match SECTIONS.iter().find(|(section, _)| *section == entry.key) {
            Some((_, prefix)) => {
                if let Value::Object(keys) = entry.value.to_json() {
                    options.extend(keys.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
                }
            }
            None => drop(options.insert(entry.key.clone(), entry.value.to_json())),
        }
    }
    options.retain(|_, value| !matches!(value, Value::Null) && value.as_str() != Some(""));
    Ok(options)
}

/// A flag's text as a configuration file has it.
fn typed(name: &str, text: &str) -> Value {
    let kind = find(name).map(|option| option.kind);
    let number = || text.parse::<i64>().map(Value::from);
    match kind {
        _ if SWITCHES.contains(&name) => boolean(text),
        Some(Kind::Bool) => boolean(text),
        Some(Kind::Count | Kind::Bytes | Kind::BytesOrOff | Kind::Millis | Kind::Seconds) => {
            number().unwrap_or_else(|_| Value::from(text))
        }
        Some(Kind::List) => Value::from(text.split(',').collect::<Vec<_>>()),
        _ => Value::from(text),
    }
}

/// As Go's strconv.ParseBool.
pub(super) fn boolean(text: &str) -> Value {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
        other => Value::from(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(arguments: &[&str], environment: &[(&str, &str)]) -> RunningEtcd {
        RunningEtcd {
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            environment: environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..RunningEtcd::default()
        }
    }

    #[test]
    fn flags_win_over_variables_in_every_spelling() {
        let process = process(
            &[
                "etcd",
                "--name=n1",
                "-heartbeat-interval",
                "250",
                "--client-cert-auth",
                "--log-outputs=stderr,systemd/journal",
            ],
            &[
                ("ETCD_ELECTION_TIMEOUT", "5000"),
                ("ETCD_INITIAL_CLUSTER", ""),
                ("ETCD_PEER_CLIENT_CERT_AUTH", "True"),
                ("ETCD_ENABLE_SYSTEMD_NOTIFY", "true"),
            ],
        );
        let options = options_of(&process, None).unwrap();
        assert_eq!(options["name"], json!("n1"));
        assert_eq!(options["heartbeat-interval"], json!(250));
        assert_eq!(options["election-timeout"], json!(5000));
        assert_eq!(options["client-cert-auth"], json!(true));
        assert_eq!(options["peer-client-cert-auth"], json!(true));
        assert_eq!(options["log-outputs"], json!(["stderr", "systemd/journal"]));
        assert!(
            !options.contains_key("initial-cluster"),
            "an empty variable sets nothing"
        );
        assert!(!options.contains_key("enable-systemd-notify"), "no option of etcd's");
    }

    #[test]
    fn a_configuration_file_is_all_there_is() {
        let process = process(
            &["etcd", "--config-file", "/etc/etcd.yml", "--name=ignored"],
            &[("ETCD_NAME", "ignored")],
        );
        assert_eq!(config_file(&process).as_deref(), Some("/etc/etcd.yml"));
        let text = "name: n1\nwal-dir: ''\nclient-transport-security:\n  cert-file: /a.crt\n  client-cert-auth: true\n\
                    peer-transport-security: {cert-file: /b.crt}\n";
        let options = options_of(&process, Some(text)).unwrap();
        assert_eq!(options["name"], json!("n1"));
        assert_eq!(
            (&options["cert-file"], &options["peer-cert-file"]),
            (&json!("/a.crt"), &json!("/b.crt"))
        );
        assert_eq!(options["client-cert-auth"], json!(true));
        assert!(!options.contains_key("wal-dir") && !options.contains_key("client-transport-security"));
        assert!(options_of(&process, Some("- a list")).is_err());
    }
}
