//! Several clusters at once: `--fleet DIR`. Three clusters of one member each; two of them share a host.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Lab, Outcome, Terminal, current};

/// `a` and `b` on n1, `c` on n2.
fn fleet() -> Lab {
    let lab = Lab::start(2);
    let inventory = |name: &str, etcd: &str, host: &str| {
        let host = lab.host(host);
        let text = format!(
            "cluster: {name}\netcd:\n  version: \"{}\"\n{etcd}hosts:\n  - {{name: {name}-1, address: {}}}\n",
            current(),
            host.address
        );
        lab.write(&format!("fleet/{name}/inventory.yml"), &text);
        let path = format!("fleet/{name}/inventory.yml");
        lab.quorate(&["-i", &path, "trust", "--yes"]).ok();
    };
    inventory("a", "", "n1");
    inventory(
        "b",
        "  client_port: 12379\n  peer_port: 12380\n  service: etcd-b\n",
        "n1",
    );
    inventory("c", "", "n2");
    lab
}

fn run(lab: &Lab, arguments: &[&str]) -> Outcome {
    lab.quorate(&[&["--fleet", "fleet"], arguments].concat())
}

/// The object of each cluster.
#[track_caller]
fn by_cluster(outcome: &Outcome) -> BTreeMap<String, Value> {
    let objects = outcome.events();
    let named = objects
        .into_iter()
        .map(|object| (object["cluster"].as_str().expect("a cluster").to_owned(), object));
    let clusters: BTreeMap<_, _> = named.collect();
    assert_eq!(
        clusters.len(),
        outcome.stdout.lines().count(),
        "one object a cluster\n{outcome}"
    );
    clusters
}

/// The processes of the three members.
fn pids(lab: &Lab) -> [String; 3] {
    let pid = |host: &str, unit: &str| {
        lab.host(host)
            .sh(&format!("systemctl show --property MainPID --value {unit}"))
    };
    [pid("n1", "etcd"), pid("n1", "etcd-b"), pid("n2", "etcd")]
}

#[test]
fn a_fleet_is_created_looked_at_and_reported_on_with_one_command_each() {
    let lab = fleet();
    let plans = by_cluster(&run(&lab, &["plan", "--output", "json"]).code(10));
    assert_eq!(plans.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(
        plans
            .values()
            .all(|plan| !plan["waves"].as_array().expect("waves").is_empty())
    );
    let unasked = run(&lab, &["up"]).code(2);
    unasked.says(&["order: first a, then one at a time: b, c", "pass --yes"]);

    let up = run(&lab, &["up", "--yes", "--parallel", "3", "--output", "json"]).ok();
    for (name, object) in by_cluster(&up) {
        assert_eq!(
            (&object["event"], &object["ok"]),
            (&json!("finished"), &json!(true)),
            "{name}: {object}"
        );
    }
    let before = pids(&lab);
    let again = run(&lab, &["up", "--yes"]).ok();
    assert_eq!(again.stdout.matches("nothing to do").count(), 3, "{again}");
    assert_eq!(pids(&lab), before);

    let status = by_cluster(&run(&lab, &["status", "--output", "json"]).ok());
    assert!(
        status
            .values()
            .all(|glance| glance["healthy"] == true && glance["members"][0]["leader"] == true)
    );
    run(&lab, &["backup", "create"]).ok();
    let backups = by_cluster(&run(&lab, &["backup", "list", "--output", "json"]).ok());
    assert!(
        backups.values().all(|list| list["backups"][0]["counts"] == true),
        "{backups:?}"
    );

    // One inventory is broken, one host cannot be reached: neither hides the others, and nothing is changed.
    lab.write(
        "fleet/d.yml",
        "cluster: d\netcd:\n  version: \"3.6.16\"\nhosts:\n  - {name: d-1, adress: 10.0.0.1}\n",
    );
    run(&lab, &["up", "--yes"])
        .code(3)
        .says(&["fleet/d.yml", "adress", "--skip d"]);
    lab.host("n2").cut();
    let report = run(&lab, &["report", "--out", "out", "--output", "json"]).code(3);
    let told = by_cluster(&report);
    let healthy = |name: &str| told[name]["healthy"].clone();
    assert_eq!(
        [healthy("a"), healthy("b"), healthy("c")],
        [json!(true), json!(true), Value::Null]
    );
    assert_eq!(told["d"]["problems"][0]["line"], json!(5), "{}", told["d"]);
    let page = std::fs::read_to_string(lab.dir().join("out/index.html")).expect("a page");
    let order: Vec<Option<usize>> = ["d", "c", "a", "b"]
        .map(|name| page.find(&format!("<h2>{name}</h2>")))
        .to_vec();
    assert!(
        order.is_sorted() && order[0].is_some(),
        "the worst first: {order:?}\n{page}"
    );
    let dark = run(&lab, &["--skip", "d", "restart", "--yes", "--accept-outage"]).code(5);
    dark.says(&["nothing was changed: no plan for c", "--skip c"]);
    assert_eq!(pids(&lab)[..2], before[..2]);
    lab.host("n2").mend();
}

#[test]
fn the_first_failure_ends_a_change_and_what_is_left_can_be_continued() {
    let lab = fleet();
    run(&lab, &["up", "--yes", "--canary", "c", "--parallel", "2"]).ok();
    let before = pids(&lab);
    run(&lab, &["restart", "--yes"]).code(4).says(&["--accept-outage"]);

    // Somebody else is at b.
    let theirs = ["-i", "fleet/b/inventory.yml", "restart", "--yes", "--accept-outage"];
    let other = lab.hold(&theirs, "before:w1.b-1");
    let stopped = run(&lab, &["restart", "--yes", "--accept-outage", "--output", "json"]).code(8);
    let last = stopped.events().pop().expect("objects");
    assert_eq!((&last["cluster"], &last["ok"]), (&json!("b"), &json!(false)), "{last}");
    let told = by_cluster(&stopped);
    assert_eq!(told["a"]["ok"], json!(true), "{stopped}");
    assert_eq!(
        (&told["c"]["ok"], &told["c"]["error"]),
        (&json!(false), &json!("not begun"))
    );
    let after = pids(&lab);
    assert_ne!(after[0], before[0], "the canary had its turn");
    assert_eq!(after[1..], before[1..], "nothing else was touched");
    let table = run(&lab, &["status"]).stdout;
    let row = table.lines().find(|line| line.starts_with("b ")).expect("a row");
    assert!(row.contains("restart by "), "who holds the lock\n{table}");

    other.go_on();
    other.wait().ok();
    let middle = pids(&lab);
    run(&lab, &["restart", "--yes", "--accept-outage", "--skip", "a"]).ok();
    let end = pids(&lab);
    assert_eq!(end[0], after[0], "a is done");
    assert!(end[1] != middle[1] && end[2] != middle[2]);

    // Ctrl-C between two clusters: what runs comes to its end, nothing else begins.
    let held = lab.hold(
        &["--fleet", "fleet", "restart", "--yes", "--accept-outage"],
        "after:w1.a-1",
    );
    held.interrupt();
    held.go_on();
    let ended = held.wait().code(130);
    assert!(ended.stdout.contains("not begun"), "{ended}");
    assert_eq!(pids(&lab)[1..], end[1..]);
    run(&lab, &["status"]).ok();

    // b is changed by somebody else while a has its turn: it needs more than what was agreed to.
    let held = lab.hold(
        &["--fleet", "fleet", "restart", "--yes", "--accept-outage"],
        "before:w1.a-1",
    );
    let before = pids(&lab);
    let text = std::fs::read_to_string(lab.dir().join("fleet/b/inventory.yml")).expect("an inventory");
    lab.write(
        "fleet/b/inventory.yml",
        &text.replace("hosts:", "  config: {snapshot-count: 5000}\nhosts:"),
    );
    held.go_on();
    held.wait()
        .code(7)
        .says(&["b: FAILED", "needs more than that now", "--skip a"]);
    let after = pids(&lab);
    assert!(after[0] != before[0] && after[1..] == before[1..]);

    // Two inventories that claim the same are no fleet that can be changed.
    let text = std::fs::read_to_string(lab.dir().join("fleet/a/inventory.yml")).expect("an inventory");
    lab.write("fleet/twin.yml", &text.replace("cluster: a", "cluster: twin"));
    run(&lab, &["up", "--yes"]).code(3).says(&["both claim"]);
}

/// CI plans the fleet, and a person does exactly that from another checkout; what all clusters share is said once.
#[test]
fn a_plan_of_the_fleet_travels_and_what_is_stale_or_done_is_told_apart() {
    let lab = fleet();
    run(&lab, &["up", "--yes", "--parallel", "3"]).ok();
    let before = pids(&lab);
    // A change of what they share is one of every inventory.
    lab.write("fleet/defaults.yml", "etcd: {config: {snapshot-count: 5000}}\n");
    run(&lab, &["plan", "--out", "fleet.plan"])
        .code(4)
        .says(&["fleet.plan was not written: no plan for a, b, c"]);
    run(&lab, &["plan", "--out", "fleet.plan", "--markdown", "--accept-outage"])
        .code(10)
        .says(&["saved fleet.plan: 3 clusters, 3 to be changed"]);
    assert_eq!(pids(&lab), before, "a plan changes nothing");
    let at_once = [
        "--fleet",
        "checkout",
        "up",
        "--plan",
        "fleet.plan",
        "--yes",
        "--accept-outage",
    ];
    let copied = std::process::Command::new("cp")
        .args(["-r", "fleet", "checkout"])
        .current_dir(lab.dir())
        .status();
    assert!(copied.is_ok_and(|copied| copied.success()));
    lab.quorate(&["-i", "checkout/a/inventory.yml", "up", "--plan", "fleet.plan"])
        .code(2)
        .says(&["--fleet DIR up --plan"]);

    // Somebody is killed in the middle of the first cluster; another one has a cluster more in the checkout.
    let mut killed = lab.hold(&at_once, "after:w1.a-1");
    killed.kill();
    lab.write(
        "checkout/d/inventory.yml",
        "cluster: d\netcd:\n  version: \"3.6.16\"\nhosts:\n  - {name: d-1, address: 10.9.9.9}\n",
    );
    // c's inventory has changed since: nothing more is done, not even where it has not.
    let own = std::fs::read_to_string(lab.dir().join("checkout/c/inventory.yml")).expect("an inventory");
    lab.write(
        "checkout/c/inventory.yml",
        &format!("{own}pki: {{renew_before: 40d}}\n"),
    );
    let middle = pids(&lab);
    lab.quorate(&at_once).code(7).says(&["c: its inventory", "--skip c"]);
    assert_eq!(pids(&lab), middle);

    // Without it the rest follows: what is left of a, and b.
    let rest = [&at_once[..], &["--skip", "c"]].concat();
    lab.quorate(&rest)
        .ok()
        .says(&["not part of the saved plan, and not touched: d"]);
    let after = pids(&lab);
    assert!(after[0] != before[0] && after[1] != before[1]);
    assert_eq!(after[2], before[2]);
    lab.write("checkout/c/inventory.yml", &own);
    lab.quorate(&at_once).ok();
    let end = pids(&lab);
    assert!(end[2] != before[2] && end[..2] == after[..2]);
    assert_eq!(lab.quorate(&at_once).ok().stdout.matches("nothing to do").count(), 3);
    // From the first checkout it is the same.
    run(&lab, &["plan"]).code(0);
}

/// Into the fleet, a cluster and a member, while somebody restarts that cluster, and out again by each way there is.
#[test]
fn whoever_watches_a_fleet_follows_what_others_do_and_gets_the_terminal_back() {
    let lab = fleet();
    run(&lab, &["up", "--yes", "--parallel", "3"]).ok();
    let status = by_cluster(&run(&lab, &["status", "--output", "json"]).ok());
    for (name, glance) in &status {
        assert_eq!(glance["drift_steps"], json!(0), "{name}: {glance}");
        assert_eq!(glance["not_told"], json!([]), "{name}: {glance}");
        assert_eq!(glance["releases"][0]["version"], json!(current()), "{name}: {glance}");
    }
    // Another setting: the hosts are not as the inventory says.
    let text = std::fs::read_to_string(lab.dir().join("fleet/b/inventory.yml")).expect("an inventory");
    lab.write(
        "fleet/b/inventory.yml",
        &text.replace("hosts:", "  config: {snapshot-count: 5000}\nhosts:"),
    );
    let status = by_cluster(&run(&lab, &["status", "--output", "json"]).ok());
    assert!(status["b"]["drift_steps"].as_u64() > Some(0), "{}", status["b"]);
    // A plan that is refused: the rule, and why.
    let own = std::fs::read_to_string(lab.dir().join("fleet/c/inventory.yml")).expect("an inventory");
    lab.write("fleet/c/inventory.yml", &own.replace(&current(), "3.4.23"));
    let refused = by_cluster(&run(&lab, &["--skip", "a", "status", "--skip", "b", "--output", "json"]).ok());
    let why = refused["c"]["not_told"][0].as_str().expect("a sentence");
    assert!(
        refused["c"]["drift_steps"].is_null() && why.contains("refused by `"),
        "{why}"
    );
    lab.write("fleet/c/inventory.yml", &own);

    let mut terminal = Terminal::sized(&lab, 80, 24, "--fleet fleet status --watch");
    terminal.sees(&["3 clusters, 3 healthy", "> b", "step", "Enter opens"]);
    // Seen once the way leads back: whoever waits for a host need not be watched.
    lab.host("n2").cut();
    terminal.types("\r");
    terminal.sees(&["b healthy", "> b-1", "from its inventory", "Esc goes back"]);
    let theirs = ["-i", "fleet/b/inventory.yml", "up", "--yes", "--accept-outage"];
    let other = lab.hold(&theirs, "after:w1.b-1");
    terminal.sees(&["in progress: `quorate -i fleet/b/inventory.yml up", "up by "]);
    other.go_on();
    other.wait().ok();
    terminal.sees(&["up has ended: the lock is free"]);
    terminal.types("\r");
    terminal.sees(&["b-1, member of b", "raft index"]);
    terminal.types("\x1b");
    terminal.sees(&["> b-1"]);
    terminal.types("\x7f");
    terminal.sees(&["3 clusters", "UNKNOWN"]);
    lab.host("n2").mend();
    terminal.types("q");
    let (code, shown) = terminal.ends();
    given_back(&shown);
    assert_eq!(code, Some(0), "{shown}");

    let mut terminal = Terminal::sized(&lab, 40, 15, "--fleet fleet status --watch");
    terminal.sees(&["3 clusters", "q quits"]);
    terminal.types("\x03");
    let (code, shown) = terminal.ends();
    given_back(&shown);
    assert_eq!(code, Some(130), "{shown}");
}

/// The screen of before, the cursor, and the modes in which a shell reads lines.
#[track_caller]
fn given_back(shown: &str) {
    let (_, after) = shown.rsplit_once("\x1b[?25h\x1b[?1049l").expect(shown);
    for mode in ["icanon", "echo", "isig"] {
        assert!(after.split_whitespace().any(|word| word == mode), "{mode}: {after}");
    }
}
