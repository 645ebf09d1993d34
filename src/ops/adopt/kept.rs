//! Which options stay as they were, which are written anew from the inventory, and which keep a member from being taken over.

use serde_json::Value;

use super::Hurdle;
use super::options::{Options, is_known};
use crate::inventory::NodeName;

/// Options that say what only a first start looks at, or that quorate writes from other keys.
const WRITTEN_ANEW: [&str; 24] = [
    "name",
    "data-dir",
    "wal-dir",
    "config-file",
    "listen-client-urls",
    "listen-peer-urls",
    "listen-metrics-urls",
    "advertise-client-urls",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "discovery",
    "discovery-srv",
    "discovery-srv-name",
    "discovery-fallback",
    "discovery-proxy",
    "cert-file",
    "key-file",
    "trusted-ca-file",
    "peer-cert-file",
    "peer-key-file",
    "peer-trusted-ca-file",
    "proxy",
];

/// What cannot be taken over at all, and why.
const REFUSED: [(&str, &str, &str); 10] = [
    (
        "auto-tls",
        "its certificates are of its own making",
        "give it certificates of a CA first",
    ),
    (
        "peer-auto-tls",
        "its certificates are of its own making",
        "give it certificates of a CA first",
    ),
    (
        "force-new-cluster",
        "the next start would throw every other member out",
        "remove it from the unit or the configuration, and restart the member",
    ),
    (
        "unsafe-no-fsync",
        "a power cut would lose acknowledged writes",
        "remove it, and restart the member",
    ),
    (
        "client-crl-file",
        "quorate keeps revocation lists of its own",
        "remove it, and restart the member",
    ),
    (
        "client-cert-allowed-hostname",
        "quorate's certificates do not have that name",
        "remove it, and restart the member",
    ),
    (
        "peer-cert-allowed-cn",
        "members with quorate's certificates would be refused by those without",
        "remove it, and restart the members one by one",
    ),
    (
        "peer-cert-allowed-hostname",
        "members with quorate's certificates would be refused by those without",
        "remove it, and restart the members one by one",
    ),
    (
        "listen-client-http-urls",
        "quorate serves HTTP and gRPC on one port",
        "remove it once no client uses it, and restart the member",
    ),
    (
        "enable-v2",
        "quorate's configuration does not serve the v2 API",
        "move its clients to v3, then remove it and restart the member",
    ),
];

/// Every option that keeps a member from being taken over.
pub(super) fn refused(name: &NodeName, options: &Options) -> Vec<Hurdle> {
    let set = |option: &str| match options.get(option) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    let refused = REFUSED.iter().filter(|(option, _, _)| set(option));
    let mut hurdles: Vec<Hurdle> = refused
        .map(|(option, why, help)| Hurdle::on(name, format!("it runs with `{option}`: {why}"), *help))
        .collect();
    let only_flags = options.keys().filter(|option| !is_known(option));
    hurdles.extend(only_flags.map(|option| {
        Hurdle::on(
            name,
            format!("it runs with `{option}`, which etcd's configuration file does not have"),
            "remove it if it is not needed, and restart the member",
        )
    }));
    let proxy = options.get("proxy").and_then(Value::as_str).unwrap_or_default();
    if !["", "off"].contains(&proxy) {
        hurdles.push(Hurdle::on(name, "it is a proxy, not a member", "leave the host out"));
    }
    hurdles
}

/// Options about a file that logs go to.
const LOGS: [&str; 3] = ["log-outputs", "enable-log-rotation", "log-rotation-config-json"];

/// The files that it logs to: quorate's unit may write beside the data only, and reads the journal.
fn log_files(options: &Options) -> Vec<&str> {
    let listed = match options.get("log-outputs") {
        Some(Value::Array(outputs)) => outputs.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(output)) => vec![output.as_str()],
        _ => Vec::new(),
    };
    listed.into_iter().filter(|output| output.starts_with('/')).collect()
}

/// Where its logs are to be found from its turn on, where that changes.
pub(super) fn logs_elsewhere(name: &NodeName, options: &Options) -> Option<String> {
    let files = log_files(options);
    (!files.is_empty()).then(|| {
        format!(
            "{name}: it logs to {}, and to the journal from its restart on (`quorate logs {name}`)",
            files.join(", ")
        )
    })
}

/// What stays as it was. etcd's JSON gateway is on unless it was turned off, and quorate's default is off.
pub(super) fn kept(options: &Options) -> Options {
    let mut kept = options.clone();
    let to_journal = !log_files(options).is_empty();
    kept.retain(|name, value| {
        let anew = WRITTEN_ANEW.contains(&name.as_str()) || name.ends_with("client-cert-auth");
        let off = REFUSED.iter().any(|(refused, _, _)| refused == name);
        let moved = to_journal && LOGS.contains(&name.as_str());
        !anew && !off && !moved && *value != Value::Null
    });
    kept.entry("enable-grpc-gateway".to_owned())
        .or_insert(Value::Bool(true));
    kept
}
