//! Nothing reaches a terminal around `src/report/print.rs`, which lets nothing through that could steer it.

mod sources;

/// What prints, and where it may be used: bytes that programs verify must not be changed on their way.
const WAYS_OUT: [&str; 6] = ["print!(", "println!(", "eprint!(", "eprintln!(", "stdout()", "stderr()"];
const ALLOWED: [(&str, &str); 11] = [
    ("src/main.rs", "one sentence, where there is no library to print it"),
    ("src/cli/ctl_afar.rs", "what etcdctl prints, byte by byte"),
    ("src/report/print.rs", "the way"),
    ("src/report/mod.rs", "sinks, which make their lines harmless themselves"),
    ("src/report/tty.rs", "the same"),
    ("src/report/table.rs", "whether it is a terminal"),
    ("src/cli/bundle.rs", "the manifest, byte by byte as it was signed"),
    (
        "src/cli/watch/display.rs",
        "whether it is a terminal, and its own cursor movements",
    ),
    (
        "src/cli/watch/mod.rs",
        "made harmless there; a reader that went away is noticed",
    ),
    ("src/cli/gate.rs", "one line that is made harmless there"),
    ("src/cli/session.rs", "whether it is a terminal"),
];

#[test]
fn there_is_one_way_to_the_terminal() {
    let around: Vec<String> = sources::lines(|file| ALLOWED.iter().any(|(allowed, _)| *allowed == file))
        .into_iter()
        .filter(|line| WAYS_OUT.iter().any(|way| line.code.contains(way)))
        .map(|line| format!("{}:{}: {}", line.file, line.number, line.code))
        .collect();
    assert!(
        around.is_empty(),
        "printed around src/report/print.rs:\n{}",
        around.join("\n")
    );
}
