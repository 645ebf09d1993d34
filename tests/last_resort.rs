//! Commands that give up what a cluster has are named to an operator by one file, which only tells while every host was
//! looked at (`src/ops/sight.rs`). Said anywhere else, they would be read by somebody whose healthy cluster is merely out of
//! sight.

mod sources;

/// Where these commands may be named: by the file that is there for it, and where no cluster is spoken of.
const MAY_NAME_THEM: &[&str] = &[
    "src/ops/last_resort.rs",
    // Help texts.
    "src/cli/args.rs",
    "src/cli/backup_args.rs",
    // The names of the commands themselves.
    "src/ops/model.rs",
    // Which commands there are, by topic.
    "src/cli/help.rs",
    // What an option of etcd does; offline.
    "src/inventory/options/table.rs",
];

const LAST_RESORTS: &[&str] = &[
    "quorate restore",
    "quorate recover",
    "`restore",
    "`recover",
    "replace-node",
];

#[test]
fn what_gives_up_a_cluster_is_named_in_one_place() {
    let elsewhere: Vec<String> = sources::lines(|file| MAY_NAME_THEM.contains(&file))
        .into_iter()
        .filter(|line| LAST_RESORTS.iter().any(|named| line.code.contains(named)))
        .map(|line| format!("{}:{}: {}", line.file, line.number, line.code))
        .collect();
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}
