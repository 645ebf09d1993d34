//! Real releases of etcd that are asked whether they start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use quorate::host::{LocalTransport, TrialProgram};
use quorate::inventory::{Desired, Environment, KeyType, NodeName, Version, parse};
use quorate::ops::plan::initial_new;
use quorate::ops::trial::{Bench, Configuration};
use quorate::render::render_host;
use serde_json::{Value, json};

use crate::cluster::binary;

/// A release on this machine.
pub async fn bench(release: &str) -> Bench {
    let node: NodeName = "this-machine".parse().unwrap();
    let program = TrialProgram::Installed(binary(release).to_str().unwrap().parse().unwrap());
    let transport = Arc::new(LocalTransport::new(node.clone()));
    Bench::set_up(&node, transport, None, &program, KeyType::EcdsaP256)
        .await
        .unwrap()
}

/// What one host of a plain inventory with these options gets.
pub fn configuration(version: Version, typed: &BTreeMap<String, Value>) -> Configuration {
    let text = json!({
        "cluster": "trials",
        "etcd": {"version": version.to_string(), "metrics_port": 2381, "config": typed, "paths": {"wal": "/wal"}},
        "pki": {"crl": true},
        "hosts": [{"name": "etcd-1", "address": "10.0.0.1"}],
    });
    let path = Path::new("inventory.yml");
    let environment = Environment::of_process(path).unwrap();
    let loaded = parse(path, &text.to_string(), &environment).unwrap_or_else(|e| panic!("{:#?}", e.problems()));
    configurations(&loaded.desired).remove(0)
}

/// What the hosts of an inventory get, each of those that differ.
pub fn configurations(desired: &Desired) -> Vec<Configuration> {
    let mut keys = BTreeSet::new();
    let mut all = Vec::new();
    for host in desired.hosts.values() {
        let files = render_host(desired, host, &initial_new(desired)).unwrap();
        let file = files.iter().find(|file| file.path == host.paths.config).unwrap();
        let one = Configuration::of(desired.version, &file.text, desired.options.keys()).unwrap();
        if keys.insert(one.key()) {
            all.push(one);
        }
    }
    all
}

/// Every inventory in `examples/` and every whole one in the documents, by where it stands.
pub fn examples() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |dir: &str, extension: &str| -> Vec<(String, String)> {
        let entries = std::fs::read_dir(root.join(dir))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|e| e == extension));
        files
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
            .collect()
    };
    let mut all: BTreeMap<String, String> = read("examples/inventories", "yml").into_iter().collect();
    for (path, text) in read("docs", "md").into_iter().chain(read(".", "md")) {
        let blocks = text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        for (number, block) in blocks.enumerate().filter(|(_, block)| block.contains("cluster:")) {
            all.insert(format!("{path}#{}", number + 1), block.to_owned());
        }
    }
    all
}

/// The same for each, two at a time: machines have that many processors at least.
pub fn in_parallel<T: Send>(releases: Vec<&'static str>, work: impl Fn(&'static str) -> T + Sync) -> Vec<T> {
    let next = std::sync::Mutex::new(releases.into_iter());
    let found = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(release) = next.lock().unwrap().next() else {
                        return;
                    };
                    let done = work(release);
                    found.lock().unwrap().push(done);
                }
            });
        }
    });
    found.into_inner().unwrap()
}
