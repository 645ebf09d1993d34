use super::*;
use serde_json::json;

const V34: Version = Version::new(3, 4, 45);
const V35: Version = Version::new(3, 5, 30);
const V36: Version = Version::new(3, 6, 14);
const V37: Version = Version::new(3, 7, 1);

fn refused(version: Version, option: &str, value: Value) -> (String, String) {
    let problem = for_etcd(version, option, &value).expect_err(option);
    (problem.message, problem.help)
}

fn config(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

#[test]
fn human_values_become_what_etcd_reads() {
    for (option, typed, read) in [
        ("quota-backend-bytes", json!("8GiB"), json!(8_589_934_592_u64)),
        ("quota-backend-bytes", json!(-1), json!(-1)),
        ("backend-batch-interval", json!("100ms"), json!(100_000_000)),
        ("backend-batch-interval", json!(5), json!(5)),
        ("heartbeat-interval", json!("200ms"), json!(200)),
        ("election-timeout", json!("2s"), json!(2000)),
        ("auth-token-ttl", json!("5m"), json!(300)),
        ("auto-compaction-retention", json!("8h"), json!("8h")),
        ("auto-compaction-retention", json!("30d"), json!("720h")),
        ("auto-compaction-retention", json!("1h30m"), json!("90m")),
        ("auto-compaction-retention", json!(8), json!("8")),
        ("log-outputs", json!("stderr"), json!(["stderr"])),
        ("cipher-suites", json!(["A", "B"]), json!(["A", "B"])),
        ("cors", json!(["https://a", "https://b"]), json!("https://a,https://b")),
        (
            "socket-options",
            json!({"reuse-port": true}),
            json!({"reuse-port": true}),
        ),
        (
            "log-rotation-config-json",
            json!({"maxsize": 100}),
            json!("{\"maxsize\":100}"),
        ),
    ] {
        let converted = for_etcd(V35, option, &typed).unwrap();
        assert_eq!(converted, read, "{option}");
        assert_eq!(for_etcd(V35, option, &converted).unwrap(), read, "{option}, twice");
    }
    let gates = for_etcd(V36, "feature-gates", &json!({"CompactHashCheck": true})).unwrap();
    assert_eq!(gates, json!("CompactHashCheck=true"));
}

#[test]
fn values_etcd_would_die_of_are_refused() {
    for (option, typed) in [
        ("snapshot-count", json!("10000")),
        ("pre-vote", json!("yes")),
        ("quota-backend-bytes", json!("8 gigs")),
        ("quota-backend-bytes", json!(u64::MAX)),
        ("backend-batch-interval", json!("400y")),
        ("heartbeat-interval", json!("1us")),
        ("log-level", json!("verbose")),
        ("log-outputs", json!({"a": 1})),
        ("auto-compaction-retention", json!(-1)),
        ("auto-compaction-retention", json!("soon")),
        ("socket-options", json!({"reuse-everything": true})),
        ("log-rotation-config-json", json!("{")),
        ("metrics", json!(null)),
        ("auth-token", json!("simple\nname: x")),
    ] {
        let problem = for_etcd(V35, option, &typed).expect_err(option);
        assert_eq!(problem.half, Half::Value, "{option}: {problem:?}");
        assert!(!problem.help.is_empty());
    }
    let (_, help) = refused(V36, "feature-gates", json!("CompactHashChek=true"));
    assert!(help.contains("CompactHashCheck"), "{help}");
    refused(V36, "feature-gates", json!("LeaseCheckpointPersist=true"));
}

#[test]
fn each_release_has_its_own_names() {
    // Misspelt.
    let (message, help) = refused(V35, "qouta-backend-bytes", json!(1));
    assert_eq!(message, "etcd 3.5.30 has no option `qouta-backend-bytes`");
    assert!(help.contains("did you mean `quota-backend-bytes`?"), "{help}");
    // Managed.
    let (message, help) = refused(V35, "data-dir", json!("/x"));
    assert_eq!(
        (message.as_str(), help.as_str()),
        ("quorate sets `data-dir` itself", "use `paths.data`")
    );
    refused(V35, "cert-file", json!("/x"));
    refused(V36, "initial-cluster", json!("x"));
    // Renamed, and not yet renamed.
    assert!(for_etcd(V35, "experimental-corrupt-check-time", &json!("4h")).is_ok());
    for version in [V36, V37] {
        let (message, _) = refused(version, "experimental-corrupt-check-time", json!("4h"));
        assert!(message.contains("is called `corrupt-check-time`"), "{message}");
    }
    let (_, help) = refused(V35, "corrupt-check-time", json!("4h"));
    assert_eq!(help, "write `experimental-corrupt-check-time`, its name in etcd 3.5.30");
    assert!(for_etcd(V34, "experimental-backend-bbolt-freelist-type", &json!("map")).is_ok());
    refused(V35, "experimental-backend-bbolt-freelist-type", json!("map"));
    // Became a feature gate.
    let (_, help) = refused(V36, "experimental-initial-corrupt-check", json!(true));
    assert!(help.contains("feature-gates: {InitialCorruptCheck: true}"), "{help}");
    let (_, help) = refused(V35, "feature-gates", json!("InitialCorruptCheck=true"));
    assert_eq!(help, "it came with etcd 3.6.0");
    // Removed.
    assert!(for_etcd(V35, "enable-v2", &json!(false)).is_ok());
    let (message, _) = refused(V36, "enable-v2", json!(false));
    assert_eq!(message, "etcd 3.6.14 no longer has `enable-v2`");
    // Came with a patch release.
    let (_, help) = refused(Version::new(3, 5, 4), "max-concurrent-streams", json!(100));
    assert_eq!(help, "it came with etcd 3.5.5");
    assert!(for_etcd(V34, "tls-min-version", &json!("TLS1.2")).is_ok());
    refused(Version::new(3, 4, 23), "tls-min-version", json!("TLS1.2"));
}

#[test]
fn options_that_do_not_go_together_are_found() {
    let errors = |pairs: &[(&str, Value)]| -> Vec<String> {
        let problems = check_options(V35, &config(pairs));
        let errors = problems.into_iter().filter(|p| p.severity == Severity::Error);
        errors.map(|p| p.option).collect()
    };
    let revision = ("auto-compaction-mode", json!("revision"));
    assert_eq!(
        errors(&[revision.clone(), ("auto-compaction-retention", json!("1h"))]),
        ["auto-compaction-retention"]
    );
    assert!(errors(&[revision, ("auto-compaction-retention", json!(1000))]).is_empty());
    assert_eq!(errors(&[("heartbeat-interval", json!(300))]), ["heartbeat-interval"]);
    assert_eq!(errors(&[("heartbeat-interval", json!(0))]), ["heartbeat-interval"]);
    assert_eq!(
        errors(&[("heartbeat-interval", json!(300)), ("election-timeout", json!("1s"))]),
        ["election-timeout"]
    );
    assert_eq!(errors(&[("election-timeout", json!("51s"))]), ["election-timeout"]);
    assert!(errors(&[("heartbeat-interval", json!(300)), ("election-timeout", json!("3s"))]).is_empty());
    assert_eq!(
        errors(&[("tls-min-version", json!("TLS1.3")), ("cipher-suites", json!(["X"]))]),
        ["cipher-suites"]
    );
}

#[test]
fn what_etcd_only_warns_of_is_a_warning() {
    for (option, value) in [
        ("quota-backend-bytes", json!("9GiB")),
        ("quota-backend-bytes", json!(-1)),
        ("max-request-bytes", json!("11MiB")),
        ("unsafe-no-fsync", json!(true)),
        ("strict-reconfig-check", json!(false)),
    ] {
        let problems = check_options(V35, &config(&[(option, value)]));
        assert_eq!(problems.len(), 1, "{option}");
        assert_eq!(problems[0].severity, Severity::Warning, "{option}");
    }
    assert!(check_options(V35, &config(&[("quota-backend-bytes", json!("8GiB"))])).is_empty());
}

#[test]
fn an_upgrade_names_what_the_next_release_changed() {
    let options = config(&[
        ("enable-v2", json!(true)),
        ("experimental-initial-corrupt-check", json!(true)),
        ("experimental-corrupt-check-time", json!(14_400_000_000_000_u64)),
        ("quota-backend-bytes", json!(9_u64 << 30)),
        ("snapshot-count", json!(10_000)),
    ]);
    let names: Vec<String> = check_upgrade(&options, V35, V36)
        .into_iter()
        .map(|p| p.option)
        .collect();
    assert_eq!(
        names,
        [
            "enable-v2",
            "experimental-corrupt-check-time",
            "experimental-initial-corrupt-check"
        ]
    );
    assert!(check_upgrade(&options, V35, Version::new(3, 5, 33)).is_empty());
    // And the other way: a downgrade loses what is new.
    let options = config(&[("corrupt-check-time", json!("4h")), ("max-learners", json!(1))]);
    assert_eq!(check_upgrade(&options, V36, V35).len(), 2);
}

#[test]
fn the_table_has_no_repeated_and_no_dangling_names() {
    for (i, option) in OPTIONS.iter().enumerate() {
        assert!(
            OPTIONS[..i].iter().all(|o| o.name != option.name),
            "{} twice",
            option.name
        );
        match option.fate {
            Fate::Renamed(to) => assert!(table::find(to).is_some(), "{to}"),
            Fate::Gate(gate) => assert!(table::gates(V36).contains(&gate), "{gate}"),
            _ => {}
        }
    }
}

/// The counts of `json:` tags in etcd's own source at these tags, without what cannot be typed in a file (`-`,
/// `grpc-additional-server-options`) and the keys below the two transport-security sections.
#[test]
fn the_table_is_as_long_as_etcds_own() {
    let count = |version| OPTIONS.iter().filter(|o| o.exists_in(version)).count();
    assert_eq!([V34, V35, V36, V37].map(count), [74, 89, 102, 77]);
}
