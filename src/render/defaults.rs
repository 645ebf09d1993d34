//! What quorate sets where the inventory is silent: settings that keep data safe or make trouble visible, and that
//! etcd leaves off or calls differently from one release to the next.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::inventory::Version;

/// Four hours in etcd's nanoseconds: the full check reads the whole database, so it must not run often.
const CORRUPT_CHECK: u64 = 4 * 3600 * 1_000_000_000;

/// Gates that replace the boolean options of 3.5, each with that option's old name, which 3.6 still takes but refuses
/// to see beside the gate.
const GATES: [(&str, &str); 2] = [
    ("CompactHashCheck", "experimental-compact-hash-check-enabled"),
    ("InitialCorruptCheck", "experimental-initial-corrupt-check"),
];

/// `options` completed with quorate's own choices for `version`: those that `options` does not decide in any spelling,
/// and `options` itself (where `feature-gates` is completed, not replaced). The gateway that translates JSON is on only for
/// `json`, clients that need it.
pub(super) fn complete(
    version: Version,
    options: &BTreeMap<String, Value>,
    json: bool,
) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let mut options = options.clone();
    let mut defaults = safe(version, json);
    if version.series() >= (3, 6) {
        let gates = gates(&options);
        let target = if options.contains_key("feature-gates") {
            &mut options
        } else {
            &mut defaults
        };
        if !gates.is_empty() {
            target.insert("feature-gates".to_owned(), Value::String(gates));
        }
    }
    if version.series() < (3, 6) && options.contains_key("auto-compaction-retention") {
        // Its documented default, which older releases have on the command line only: in a file they refuse a duration
        // without it, and take a number to mean that nothing is ever compacted (tried on 3.4.23, 3.5.16 and 3.5.30).
        defaults.insert("auto-compaction-mode".to_owned(), json!("periodic"));
    }
    defaults.retain(|key, _| !options.contains_key(key) && !options.contains_key(&format!("experimental-{key}")));
    (defaults, options)
}

/// Settings for `version`. Source: docs/etcd.md, "Configuration file"; etcd ignores unknown keys silently, so a
/// key must not be written before the release that knows it.
fn safe(version: Version, json: bool) -> BTreeMap<String, Value> {
    let mut set = BTreeMap::from([
        ("enable-grpc-gateway", json!(json)),
        ("log-outputs", json!(["stderr"])),
        ("pre-vote", json!(true)),
        ("strict-reconfig-check", json!(true)),
    ]);
    if version.series() < (3, 6) {
        // 3.4 would log in its old format; 3.4 and 3.5 would keep 100000 entries in memory, 3.6 has this default itself.
        set.insert("logger", json!("zap"));
        set.insert("snapshot-count", json!(10000));
        set.insert("experimental-initial-corrupt-check", json!(true));
        set.insert("experimental-corrupt-check-time", json!(CORRUPT_CHECK));
    } else {
        set.insert("corrupt-check-time", json!(CORRUPT_CHECK));
    }
    if version.series() == (3, 5) && version.patch >= 5 {
        set.insert("experimental-compact-hash-check-enabled", json!(true));
    }
    if version >= Version::new(3, 5, 8) {
        set.insert("tls-min-version", json!("TLS1.2"));
    }
    set.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The text of `feature-gates`: the user's, then quorate's that the user did not decide.
fn gates(options: &BTreeMap<String, Value>) -> String {
    let typed = options.get("feature-gates").and_then(Value::as_str).unwrap_or_default();
    let mut gates: Vec<String> = typed
        .split(',')
        .filter(|gate| !gate.is_empty())
        .map(str::to_owned)
        .collect();
    for (gate, old_name) in GATES {
        let typed_gate = gates
            .iter()
            .any(|g| g.split('=').next().is_some_and(|name| name.trim() == gate));
        if !typed_gate && !options.contains_key(old_name) {
            gates.push(format!("{gate}=true"));
        }
    }
    gates.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    }

    #[test]
    fn a_key_is_not_written_before_the_release_that_knows_it() {
        let keys = |version| complete(version, &BTreeMap::new(), false).0;
        assert!(!keys(Version::new(3, 4, 23)).contains_key("tls-min-version"));
        assert!(!keys(Version::new(3, 5, 4)).contains_key("experimental-compact-hash-check-enabled"));
        assert!(!keys(Version::new(3, 5, 7)).contains_key("tls-min-version"));
        assert!(keys(Version::new(3, 5, 30)).contains_key("experimental-compact-hash-check-enabled"));
        for version in [Version::new(3, 6, 0), Version::new(3, 7, 1)] {
            assert!(!keys(version).keys().any(|key| key.starts_with("experimental-")));
            assert_eq!(
                keys(version)["feature-gates"],
                json!("CompactHashCheck=true,InitialCorruptCheck=true")
            );
        }
    }

    #[test]
    fn what_the_user_decided_is_never_set_twice_in_any_spelling() {
        let version = Version::new(3, 6, 14);
        let typed = options(&[
            ("experimental-corrupt-check-time", json!(1)),
            ("experimental-initial-corrupt-check", json!(false)),
            ("pre-vote", json!(false)),
        ]);
        let (defaults, kept) = complete(version, &typed, false);
        assert_eq!(kept, typed);
        assert_eq!(defaults["feature-gates"], json!("CompactHashCheck=true"));
        assert!(!defaults.contains_key("corrupt-check-time"));
        assert!(!defaults.contains_key("pre-vote"));
    }

    #[test]
    fn a_retention_without_a_mode_is_periodic_on_every_release() {
        let typed = options(&[("auto-compaction-retention", json!("8h"))]);
        for old in [Version::new(3, 4, 23), Version::new(3, 5, 30)] {
            assert_eq!(
                complete(old, &typed, false).0["auto-compaction-mode"],
                json!("periodic")
            );
            assert!(
                !complete(old, &BTreeMap::new(), false)
                    .0
                    .contains_key("auto-compaction-mode")
            );
        }
        assert!(
            !complete(Version::new(3, 6, 16), &typed, false)
                .0
                .contains_key("auto-compaction-mode")
        );
        let revision = options(&[
            ("auto-compaction-mode", json!("revision")),
            ("auto-compaction-retention", json!("9")),
        ]);
        assert!(
            !complete(Version::new(3, 5, 30), &revision, false)
                .0
                .contains_key("auto-compaction-mode")
        );
    }

    #[test]
    fn the_gateway_is_on_for_those_who_speak_json_and_the_inventory_has_the_last_word() {
        let version = Version::new(3, 5, 30);
        let gateway = |json| complete(version, &BTreeMap::new(), json).0["enable-grpc-gateway"].clone();
        assert_eq!((gateway(false), gateway(true)), (json!(false), json!(true)));
        let typed = options(&[("enable-grpc-gateway", json!(true))]);
        assert!(!complete(version, &typed, false).0.contains_key("enable-grpc-gateway"));
    }

    #[test]
    fn the_users_gates_are_completed() {
        let typed = options(&[("feature-gates", json!("LeaseCheckpoint=true,InitialCorruptCheck=false"))]);
        let (defaults, kept) = complete(Version::new(3, 6, 14), &typed, false);
        assert!(!defaults.contains_key("feature-gates"));
        assert_eq!(
            kept["feature-gates"],
            json!("LeaseCheckpoint=true,InitialCorruptCheck=false,CompactHashCheck=true")
        );
    }
}
