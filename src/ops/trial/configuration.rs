//! A rendered configuration file without what belongs to its host: names, addresses, directories, certificates. What is
//! left is the same for most hosts, and is what etcd is asked about. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::inventory::Version;
use crate::inventory::options::table;

/// Settings that are different on every host and mean nothing on scratch data.
const PLACES: [&str; 9] = [
    "advertise-client-urls",
    "data-dir",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "listen-client-urls",
    "listen-peer-urls",
    "name",
];
/// The same, where they are set at all.
const METRICS: &str = "listen-metrics-urls";
const WAL: &str = "wal-dir";
/// Sections, each with the keys in it that name files.
const TLS: [(&str, &[(&str, &str)]); 4] = [
    (
        "client-transport-security",
        &[("cert-file", CERT), ("key-file", KEY), ("trusted-ca-file", CA)],
    ),
    (
        "peer-transport-security",
        &[("cert-file", CERT), ("key-file", KEY), ("trusted-ca-file", CA)],
    ),
    ("ClientTLSInfo", &[("CRLFile", CRL)]),
    ("PeerTLSInfo", &[("CRLFile", CRL)]),
];
const CERT: &str = "../server.crt";
const KEY: &str = "../server.key";
const CA: &str = "../ca.crt";
const CRL: &str = "../crl.der";
/// The only member of the trial's cluster.
const NAME: &str = "trial";
/// etcd's own default, `embed/config.go`.
const ELECTION: Duration = Duration::from_secs(1);

/// Ports of loopback for one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Ports {
    pub client: u16,
    pub peer: u16,
    pub metrics: u16,
}

/// What etcd is asked about: a release, and every option but the places.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    version: Version,
    settings: BTreeMap<String, Value>,
    typed: BTreeSet<String>,
}

impl Configuration {
    /// Of a file that quorate has written for `version`. `typed` are the options that the operator chose.
    ///
    /// # Errors
    /// What is in it that quorate does not write: with the wrong one a start would not stay on scratch data.
    pub fn of<'a>(version: Version, file: &str, typed: impl Iterator<Item = &'a String>) -> Result<Self, String> {
        let read: BTreeMap<String, Value> =
            serde_yaml::from_str(file).map_err(|error| format!("its configuration is not readable: {error}"))?;
        let mut settings = BTreeMap::new();
        for (key, value) in read {
            if let Some(kept) = without_place(&key, value)? {
                settings.insert(key, kept);
            }
        }
        let typed = typed.filter(|option| settings.contains_key(*option)).cloned().collect();
        Ok(Self {
            version,
            settings,
            typed,
        })
    }

    /// The release.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The options that the operator chose.
    pub fn typed(&self) -> &BTreeSet<String> {
        &self.typed
    }

    /// The same text for two that ask etcd the same.
    pub fn key(&self) -> String {
        format!("{} {}", self.version, json!(self.settings))
    }

    /// What in it is about the machine that etcd runs on, so that no other machine can tell whether it works.
    pub fn is_of_its_host(&self) -> Option<&'static str> {
        let text = |key: &str| self.settings.get(key).and_then(Value::as_str).unwrap_or_default();
        let on = |key: &str| self.settings.get(key) == Some(&Value::Bool(true));
        let outputs = self.settings.get("log-outputs").and_then(Value::as_array);
        if text("auth-token").starts_with("jwt") {
            Some("`auth-token` refers to files on the hosts")
        } else if on("memory-mlock") || on("experimental-memory-mlock") {
            Some("how much memory etcd may lock depends on the hosts")
        } else if outputs.is_some_and(|all| all.iter().any(|output| output == "systemd/journal")) {
            Some("the journal is on the hosts")
        } else {
            None
        }
    }

    /// How long it may take until it leads itself.
    pub fn election(&self) -> Duration {
        let millis = self.settings.get("election-timeout").and_then(Value::as_u64);
        millis.map_or(ELECTION, Duration::from_millis)
    }

    /// The file for a start on these ports, in the directory `run` beside the certificates; without some of the options.
    pub fn file(&self, ports: Ports, without: &BTreeSet<String>) -> String {
        let mut file: Map<String, Value> = self
            .settings
            .iter()
            .filter(|(key, _)| !without.contains(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let (client, peer) = (url("https", ports.client), url("https", ports.peer));
        let places = [
            ("name", NAME.to_owned()),
            ("data-dir", "data".to_owned()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer.clone()),
            ("initial-cluster", format!("{NAME}={peer}")),
            ("initial-cluster-state", "new".to_owned()),
            ("initial-cluster-token", "quorate-trial".to_owned()),
        ];
        file.extend(places.map(|(key, value)| (key.to_owned(), value.into())));
        if let Some(metrics) = file.get_mut(METRICS) {
            *metrics = url("http", ports.metrics).into();
        }
        // JSON is YAML, and nothing can break out of it.
        format!("{}\n", Value::Object(file))
    }
}

fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

/// The value as it is asked about; `None` for what every start sets anew.
fn without_place(key: &str, value: Value) -> Result<Option<Value>, String> {
    if PLACES.contains(&key) {
        return Ok(None);
    }
    match key {
        METRICS => return Ok(Some(Value::Null)),
        WAL => return Ok(Some("wal".into())),
        "log-outputs" | "log-output" => return Ok(Some(outputs(value))),
        _ => {}
    }
    if let Some((_, files)) = TLS.iter().find(|(section, _)| *section == key) {
        return section(key, value, files).map(Some);
    }
    // etcd takes names in any case, and those of its own structures: only what is known to be harmless is tried.
    let harmless = table::find(key).is_some_and(|option| !matches!(option.fate, table::Fate::Managed(_)));
    match harmless {
        true => Ok(Some(value)),
        false => Err(format!(
            "its configuration has `{}`, which quorate does not write",
            key.escape_debug()
        )),
    }
}

/// Files become files of the trial, as many as there were: etcd counts them.
fn outputs(value: Value) -> Value {
    let Value::Array(outputs) = value else { return value };
    let kept = outputs
        .into_iter()
        .enumerate()
        .map(|(number, output)| match output.as_str() {
            Some("default" | "stderr" | "stdout" | "systemd/journal") | None => output,
            Some(_) => format!("out-{number}.log").into(),
        });
    kept.collect()
}

fn section(name: &str, value: Value, files: &[(&str, &str)]) -> Result<Value, String> {
    let Value::Object(map) = value else {
        return Err(format!("its configuration has no mapping `{name}`"));
    };
    let kept = map
        .into_iter()
        .map(|(key, value)| match files.iter().find(|(file, _)| *file == key) {
            Some((_, scratch)) => Ok((key, (*scratch).into())),
            None if value.is_boolean() => Ok((key, value)),
            None => Err(format!(
                "its configuration has `{name}.{}`, which quorate does not write",
                key.escape_debug()
            )),
        });
    kept.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::plan::initial_new;
    use crate::ops::samples;
    use crate::render::render_host;

    const PORTS: Ports = Ports {
        client: 1,
        peer: 2,
        metrics: 3,
    };

    fn rendered(desired: &crate::inventory::Desired) -> Vec<Configuration> {
        let of = |host: &crate::inventory::DesiredHost| {
            let files = render_host(desired, host, &initial_new(desired)).unwrap();
            let file = files.into_iter().find(|file| file.path == host.paths.config).unwrap();
            Configuration::of(desired.version, &file.text, desired.options.keys()).unwrap()
        };
        desired.hosts.values().map(of).collect()
    }

    #[test]
    fn hosts_that_differ_in_places_only_ask_the_same_and_nothing_of_a_place_is_left() {
        let mut desired = samples::desired(3);
        desired.pki.crl = true;
        desired.options.insert("snapshot-count".to_owned(), json!(7));
        let asked = rendered(&desired);
        assert!(asked.iter().all(|one| one.key() == asked[0].key()));
        assert_eq!(asked[0].typed().iter().collect::<Vec<_>>(), ["snapshot-count"]);
        let file = asked[0].file(PORTS, &BTreeSet::new());
        for host in desired.hosts.values() {
            for place in [
                host.name.as_str(),
                host.paths.data.as_str(),
                host.paths.pki.as_str(),
                &host.address.to_string(),
            ] {
                assert!(!file.contains(place), "{place} in {file}");
            }
        }
        // All else is there, as etcd will read it.
        let read: BTreeMap<String, Value> = serde_json::from_str(&file).unwrap();
        assert_eq!(read["snapshot-count"], json!(7));
        assert_eq!(read["strict-reconfig-check"], json!(true));
        assert_eq!(read["client-transport-security"]["client-cert-auth"], json!(true));
        assert_eq!(read["PeerTLSInfo"]["CRLFile"], json!("../crl.der"));
        assert_eq!(read["listen-client-urls"], json!("https://127.0.0.1:1"));
        let less = asked[0].file(PORTS, &BTreeSet::from(["snapshot-count".to_owned()]));
        assert!(!less.contains("snapshot-count"), "{less}");
    }

    #[test]
    fn a_file_that_could_leave_the_scratch_directory_is_not_tried() {
        for foreign in [
            "Data-Dir: /var/lib/etcd",
            "force-new-cluster: true",
            "discovery: https://example.com",
            "ListenPeerUrls: [x]",
            "client-transport-security: {auto-tls: yes please}",
            "client-transport-security: [x]",
            "[no map",
        ] {
            let file = format!("name: a\n{foreign}\n");
            let refused = Configuration::of(Version::new(3, 6, 16), &file, std::iter::empty());
            assert!(refused.is_err(), "{foreign}");
        }
    }

    #[test]
    fn logs_stay_below_the_scratch_directory_and_what_is_of_the_host_is_known() {
        let of = |file: &str| Configuration::of(Version::new(3, 5, 30), file, std::iter::empty()).unwrap();
        let logs = of("log-outputs: [stderr, /var/log/etcd.log]\n");
        assert!(logs.file(PORTS, &BTreeSet::new()).contains(r#"["stderr","out-1.log"]"#));
        assert_eq!(logs.is_of_its_host(), None);
        assert!(of("auth-token: 'jwt,pub-key=/x'\n").is_of_its_host().is_some());
        assert!(of("experimental-memory-mlock: true\n").is_of_its_host().is_some());
        assert!(of("log-outputs: [systemd/journal]\n").is_of_its_host().is_some());
        assert_eq!(of("election-timeout: 5000\n").election(), Duration::from_secs(5));
    }
}
