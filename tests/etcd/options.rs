//! The table of etcd's options, held against the real programs: what each release reads is in it, and what is in it each
//! release starts with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use quorate::inventory::options::table::{self, EtcdOption, Fate, Kind, OPTIONS};
use quorate::inventory::options::{check_options, for_etcd};
use quorate::inventory::{Environment, Severity, Version, parse};
use serde_json::{Value, json};

use crate::cluster::{V36, V37, binary, current, versions};
use crate::trials;

/// Options of etcd's command line that its configuration file has no key of the same name for.
const COMMAND_LINE_ONLY: &[(&str, &str)] = &[
    ("client-cert-allowed-hostname", "no key: etcd's file cannot say it"),
    (
        "client-cert-file",
        "a key of `client-transport-security`, which quorate writes",
    ),
    (
        "client-key-file",
        "a key of `client-transport-security`, which quorate writes",
    ),
    ("discovery-cacert", "a key of `discovery-config`, which quorate refuses"),
    ("discovery-cert", "a key of `discovery-config`"),
    ("discovery-dial-timeout", "a key of `discovery-config`"),
    ("discovery-endpoints", "a key of `discovery-config`"),
    ("discovery-insecure-skip-tls-verify", "a key of `discovery-config`"),
    ("discovery-insecure-transport", "a key of `discovery-config`"),
    ("discovery-keepalive-time", "a key of `discovery-config`"),
    ("discovery-keepalive-timeout", "a key of `discovery-config`"),
    ("discovery-key", "a key of `discovery-config`"),
    ("discovery-password", "a key of `discovery-config`"),
    ("discovery-request-timeout", "a key of `discovery-config`"),
    ("discovery-token", "a key of `discovery-config`"),
    ("discovery-user", "a key of `discovery-config`"),
    (
        "experimental-snapshot-catchup-entries",
        "its key is `experimental-snapshot-catch-up-entries`: a slip of etcd's own",
    ),
    (
        "peer-cert-allowed-cn",
        "a key of `peer-transport-security`, which quorate writes",
    ),
    (
        "peer-cert-allowed-hostname",
        "a key of `peer-transport-security`, which quorate writes",
    ),
    (
        "peer-client-cert-file",
        "a key of `peer-transport-security`, which quorate writes",
    ),
    (
        "peer-client-key-file",
        "a key of `peer-transport-security`, which quorate writes",
    ),
    (
        "peer-skip-client-san-verification",
        "no key from 3.7 on, and a check that must stay",
    ),
    ("raft-read-timeout", "no key: etcd's file cannot say it"),
    ("raft-write-timeout", "no key: etcd's file cannot say it"),
    ("socket-reuse-address", "`reuse-address` in `socket-options`"),
    ("socket-reuse-port", "`reuse-port` in `socket-options`"),
];

/// Keys that a release reads and nobody can give a value to.
const UNUSABLE: &[(&str, &str)] = &[(
    "grpc-additional-server-options",
    "a list of Go functions, for programs that have etcd inside",
)];

/// Options that not everything else goes with: each starts alone.
const ALONE: &[(&str, &str)] = &[
    ("enable-v2", "excludes `v2-deprecation`"),
    ("experimental-enable-v2v3", "needs `enable-v2`"),
    ("log-output", "the old name of `log-outputs`, which is there"),
];

#[test]
fn every_key_that_a_release_reads_is_in_the_table_and_no_other() {
    let wrong: Vec<String> = trials::in_parallel(versions(), |release| {
        let version: Version = release.parse().unwrap();
        let read = keys_read(release);
        assert!(read.len() > 60, "{release} reads {read:?}");
        let listed: BTreeSet<String> = OPTIONS
            .iter()
            .filter(|o| o.exists_in(version))
            .map(|o| o.name.to_owned())
            .collect();
        let unusable: BTreeSet<String> = UNUSABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
        let missing = read.difference(&listed).filter(|key| !unusable.contains(*key));
        let missing = missing.map(|key| format!("etcd {release} reads `{key}`, which the table lacks"));
        let invented = listed
            .difference(&read)
            .map(|key| format!("etcd {release} does not read `{key}`"));
        missing.chain(invented).collect::<Vec<_>>()
    })
    .concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_option_of_the_help_is_in_the_table_or_has_a_reason() {
    let mut reasons: BTreeSet<&str> = COMMAND_LINE_ONLY.iter().map(|(name, _)| *name).collect();
    for release in versions() {
        let flags = flags(release);
        assert!(flags.len() > 60, "{release} has {flags:?}");
        for flag in &flags {
            let known = table::find(flag).is_some();
            let excused = COMMAND_LINE_ONLY.iter().any(|(name, _)| name == flag);
            assert!(
                known != excused,
                "--{flag} of etcd {release}: known {known}, excused {excused}"
            );
            reasons.remove(flag.as_str());
        }
    }
    let all = [V36, V37].iter().all(|later| versions().contains(later));
    assert!(reasons.is_empty() || !all, "no release has {reasons:?} any more");
}

#[tokio::test]
async fn every_option_at_once_starts_on_each_release() {
    for release in versions() {
        let version: Version = release.parse().unwrap();
        let usable = OPTIONS.iter().filter(|option| option.exists_in(version));
        let typed: BTreeMap<String, Value> = usable
            .filter(|option| !matches!(option.fate, Fate::Managed(_)))
            .filter(|option| for_etcd(version, option.name, &sample(version, option)).is_ok() || is_free(option))
            .map(|option| (option.name.to_owned(), sample(version, option)))
            .collect();
        let (alone, together): (BTreeMap<_, _>, BTreeMap<_, _>) = typed
            .into_iter()
            .partition(|(name, _)| ALONE.iter().any(|(alone, _)| alone == name));
        assert!(together.len() > 25, "{release}: {together:?}");
        let mut bench = trials::bench(release).await;
        starts(&mut bench, version, &together).await;
        for (name, value) in alone {
            starts(&mut bench, version, &BTreeMap::from([(name, value)])).await;
        }
        bench.take_down().await;
    }
}

/// What etcd dies of and no list of values would know, each alone and all at once, with the option to blame.
#[tokio::test]
async fn what_etcd_dies_of_is_told_in_its_own_words_with_the_options_to_blame() {
    for release in versions() {
        let version: Version = release.parse().unwrap();
        let mut bench = trials::bench(release).await;
        let deadly = BTreeMap::from([
            ("cors".to_owned(), json!("http://a.example")),
            ("cipher-suites".to_owned(), json!(["TLS_NO_SUCH_THING"])),
            ("auth-token".to_owned(), json!("none-such")),
        ]);
        let words = [
            ("cors", "a.example"),
            ("cipher-suites", "TLS_NO_SUCH_THING"),
            ("auth-token", "auth"),
        ];
        for (option, said) in words {
            let one = BTreeMap::from([
                (option.to_owned(), deadly[option].clone()),
                ("snapshot-count".to_owned(), json!(9)),
            ]);
            let faults = bench.judge(&trials::configuration(version, &one)).await.unwrap();
            assert_eq!(faults.len(), 1, "{release} {option}: {faults:?}");
            assert_eq!(faults[0].options, [option], "{release}: {faults:?}");
            assert!(faults[0].said.contains(said), "{release} {option}: {faults:?}");
        }
        let faults = bench.judge(&trials::configuration(version, &deadly)).await.unwrap();
        let blamed: BTreeSet<&str> = faults
            .iter()
            .flat_map(|fault| &fault.options)
            .map(String::as_str)
            .collect();
        assert_eq!(blamed.len(), 3, "{release}: {faults:?}");
        assert!(
            faults.iter().all(|fault| fault.options.len() == 1),
            "{release}: {faults:?}"
        );
        bench.take_down().await;
    }
}

/// etcd's ports take no client of quorate's own: found within seconds, and not only when a member has been stopped for it.
#[tokio::test]
async fn a_member_that_quorate_could_not_talk_to_is_found() {
    let mut bench = trials::bench(current()).await;
    // A suite for RSA keys, and the cluster's are not.
    let rsa_only = BTreeMap::from([
        (
            "cipher-suites".to_owned(),
            json!(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
        ),
        ("tls-max-version".to_owned(), json!("TLS1.2")),
    ]);
    let faults = bench
        .judge(&trials::configuration(current().parse().unwrap(), &rsa_only))
        .await
        .unwrap();
    bench.take_down().await;
    assert!(faults[0].said.contains("quorate cannot connect to it"), "{faults:?}");
    assert_eq!(faults[0].options, ["cipher-suites", "tls-max-version"], "{faults:?}");
}

async fn starts(bench: &mut quorate::ops::trial::Bench, version: Version, typed: &BTreeMap<String, Value>) {
    let errors: Vec<_> = check_options(version, typed)
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "etcd {version}: {errors:#?}");
    let faults = bench.judge(&trials::configuration(version, typed)).await.unwrap();
    assert!(faults.is_empty(), "etcd {version} with {typed:#?}: {faults:#?}");
}

fn is_free(option: &EtcdOption) -> bool {
    matches!(option.fate, Fate::Free)
}

/// A value that is right for an option, and where there is a choice not etcd's default.
fn sample(version: Version, option: &EtcdOption) -> Value {
    match option.name.trim_start_matches("experimental-") {
        "election-timeout" => return json!(1000),
        "backend-batch-interval" => return json!("50ms"),
        "compaction-sleep-interval" => return json!("20ms"),
        "auth-token" => return json!("simple"),
        "cors" => return json!("http://a.example:80"),
        "host-whitelist" => return json!("a.example"),
        "log-outputs" | "log-output" => return json!(["/var/log/etcd.log"]),
        "cipher-suites" => return json!(["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]),
        "distributed-tracing-address" => return json!("127.0.0.1:4317"),
        "v2-deprecation" => return json!("write-only"),
        "auto-compaction-mode" => return json!("periodic"),
        "tls-max-version" => return json!("TLS1.3"),
        "tls-min-version" => return json!("TLS1.2"),
        "log-package-levels" => return json!("etcdserver=DEBUG"),
        "enable-v2v3" => return json!("/v2"),
        "bcrypt-cost" => return json!(11),
        _ => {}
    }
    match option.kind {
        Kind::Bool => json!(true),
        Kind::Count => json!(100),
        Kind::Bytes => json!("2MiB"),
        Kind::BytesOrOff => json!("1GiB"),
        Kind::Nanos => json!("10s"),
        Kind::Millis => json!(100),
        Kind::Seconds => json!(600),
        Kind::Text => json!("quorate"),
        Kind::Choice(words) => json!(words.last()),
        Kind::List => json!(["one"]),
        Kind::Commas => json!("one,two"),
        Kind::Retention => json!("8h"),
        Kind::Gates => {
            let gates = table::gates(version)
                .iter()
                .map(|gate| ((*gate).to_owned(), json!(true)));
            Value::Object(gates.collect())
        }
        Kind::JsonText => json!({"maxsize": 100}),
        Kind::Switches(names) => Value::Object(names.iter().map(|name| ((*name).to_owned(), json!(true))).collect()),
    }
}

/// The options that a release lists with `--help`.
fn flags(release: &str) -> BTreeSet<String> {
    let output = Command::new(binary(release)).arg("--help").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let flag = |line: &str| {
        let name = line.trim_start().strip_prefix("--")?;
        let end = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(name.len());
        (line.starts_with(' ') && end > 0).then(|| name[..end].to_owned())
    };
    text.lines().filter_map(flag).collect()
}

/// The keys that a release reads from its configuration file, as the program itself tells: a key with a value of the
/// wrong type is an error that names it, a key that is not read is passed over in silence. Candidates are all names that
/// stand in the program as those of fields, which Go keeps as text, and all that anybody could think of.
fn keys_read(release: &str) -> BTreeSet<String> {
    let mut candidates = field_names(&std::fs::read(binary(release)).unwrap());
    candidates.extend(flags(release));
    candidates.extend(OPTIONS.iter().map(|option| option.name.to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let mut read = BTreeSet::new();
    for end in ENDS {
        while let Some(key) = first_complaint(release, dir.path(), &candidates, end) {
            assert!(candidates.remove(&key), "etcd {release} complains of `{key}` again");
            read.insert(key);
        }
    }
    read
}

/// Values of the right type that end it as soon as the file was read: once by its own options, and a second time by those
/// of the proxy that 3.4 and 3.5 had. It makes nothing before that.
const ENDS: [(&str, &str); 2] = [("listen-peer-urls", ":::"), ("data-dir", "/dev/null/x")];

/// The first key that a release complains of when each has a list of lists, which no option is; `None`: of none of them.
fn first_complaint(release: &str, dir: &Path, keys: &BTreeSet<String>, end: (&str, &str)) -> Option<String> {
    let mut config: BTreeMap<&str, Value> = keys.iter().map(|key| (key.as_str(), json!([[1]]))).collect();
    config.entry(end.0).or_insert_with(|| json!(end.1));
    let file = dir.join("config.json");
    std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    let output = Command::new(binary(release))
        .arg("--config-file")
        .arg(&file)
        .env_clear()
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let field = said
        .split("Go struct field ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    match field {
        Some(field) => field.rsplit('.').next().map(str::to_owned),
        None => {
            assert!(said.contains(end.1), "etcd {release} does not end with {end:?}: {said}");
            None
        }
    }
}

/// `json:"NAME` as it stands in a Go program.
fn field_names(program: &[u8]) -> BTreeSet<String> {
    const TAG: &[u8] = b"json:\"";
    let mut names = BTreeSet::new();
    for (at, _) in program
        .windows(TAG.len())
        .enumerate()
        .filter(|(_, window)| *window == TAG)
    {
        let name: String = program[at + TAG.len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || **byte == b'-')
            .map(|byte| char::from(*byte))
            .collect();
        if name.chars().any(|c| c.is_ascii_alphanumeric()) && !name.starts_with('-') {
            names.insert(name);
        }
    }
    names
}

/// Whoever reads our documents copies what stands there.
#[tokio::test]
async fn every_example_starts_on_every_release_that_quorate_knows() {
    let examples = trials::examples();
    assert!(examples.len() > 10, "{:?}", examples.keys());
    for release in versions() {
        let version: Version = release.parse().unwrap();
        let mut bench = trials::bench(release).await;
        let mut asked = BTreeSet::new();
        for (name, text) in &examples {
            let path = Path::new(name);
            let environment = Environment::of_process(path).unwrap();
            // Examples with options that an older release lacks are not for it.
            let text = quorate::inventory::edit::set_version(text, version).unwrap();
            let Ok(loaded) = parse(path, &text, &environment) else {
                assert!(version.series() < (3, 5), "{name} is no inventory for etcd {release}");
                continue;
            };
            for configuration in trials::configurations(&loaded.desired) {
                if asked.insert(configuration.key()) {
                    let faults = bench.judge(&configuration).await.unwrap();
                    assert!(faults.is_empty(), "{name} on etcd {release}: {faults:#?}");
                }
            }
        }
        bench.take_down().await;
        assert!(asked.len() > 3, "{release}: {asked:?}");
    }
}
