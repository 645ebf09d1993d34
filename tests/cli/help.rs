//! Every command explains itself.

use crate::program::Desk;

/// The commands that `help` lists for this one, by topic or not: they come before the options.
fn listed(help: &str) -> Vec<String> {
    let before = help.split_once("\nOptions:\n").map_or("", |(before, _)| before);
    before
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help" && name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Every command and its subcommands, as they are typed.
fn commands(desk: &Desk, above: &[String]) -> Vec<Vec<String>> {
    let mut typed: Vec<&str> = above.iter().map(String::as_str).collect();
    typed.push("--help");
    let help = desk.run(&typed).code(0).stdout;
    let mut found = vec![above.to_vec()];
    for name in listed(&help) {
        let below = [above, &[name]].concat();
        found.extend(commands(desk, &below));
    }
    found
}

#[test]
fn every_command_has_help_on_stdout_that_fits_a_terminal() {
    let desk = Desk::new();
    let commands = commands(&desk, &[]);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let mut typed: Vec<&str> = command.iter().map(String::as_str).collect();
        typed.push("--help");
        let said = desk.run(&typed).code(0);
        assert_eq!(said.stderr, "", "{command:?}");
        assert!(said.stdout.contains("Usage: quorate"), "{command:?}\n{}", said.stdout);
        let about = said.stdout.lines().next().unwrap_or_default();
        assert!(
            about.len() > 10 && !about.starts_with("Usage"),
            "{command:?} says what it does first"
        );
        // An option that does not say what it is for is followed by another option or by nothing.
        let lines: Vec<&str> = said.stdout.lines().collect();
        let is_option = |line: &str| line.trim_start().starts_with('-') && !line.trim_start().starts_with("- ");
        let mute = lines
            .windows(2)
            .find(|pair| is_option(pair[0]) && !pair[0].trim().contains("  ") && is_option(pair[1]));
        assert_eq!(mute, None, "{command:?}");
    }
}

#[test]
fn help_needs_no_inventory_and_no_bundle_and_is_the_same_each_way() {
    let desk = Desk::new();
    let long = desk.run(&["up", "--help"]).code(0).stdout;
    assert_eq!(desk.run(&["help", "up"]).code(0).stdout, long);
    assert!(desk.run(&["--version"]).code(0).stdout.starts_with("quorate "));
}

#[test]
fn completions_know_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.run(&["completions", shell]).code(0).stdout;
        for command in commands(&desk, &[]).into_iter().filter_map(|c| c.first().cloned()) {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
}

#[test]
fn man_pages_are_written_for_every_command() {
    let desk = Desk::new();
    assert!(desk.run(&["man"]).code(0).stdout.contains(".TH quorate 1"));
    desk.run(&["man", "--out", "man1"]).code(0);
    assert!(desk.read("man1/quorate-up.1").contains("quorate\\-up"));
    assert!(desk.path("man1/quorate-bundle-create.1").exists());
}

#[test]
fn commands_are_listed_by_topic_and_global_options_come_last() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]).code(0).stdout;
    let topics = [
        "Set up:",
        "Look:",
        "Members:",
        "Data:",
        "Certificates:",
        "This tool:",
        "Options:",
        "Global options:",
    ];
    let found: Vec<_> = topics.iter().map(|topic| help.find(&format!("\n{topic}\n"))).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{help}");
    let restart = desk.run(&["restart", "--help"]).code(0).stdout;
    assert!(
        restart.contains("--accept-outage") && restart.contains("--dry-run"),
        "{restart}"
    );
    // What means nothing to a command is not offered.
    let status = desk.run(&["status", "--help"]).code(0).stdout;
    assert!(
        status.contains("--limit") && !status.contains("--accept-outage"),
        "{status}"
    );
    let schema = desk.run(&["schema", "--help"]).code(0).stdout;
    assert!(!schema.contains("--limit") && schema.contains("--output"), "{schema}");
    let own = status.find("\n      --watch").expect("its own option");
    assert!(own < status.find("Global options:").expect("a heading"), "{status}");
}

/// At 3 a.m. there may be no browser, no inventory and no host that answers.
#[test]
fn a_finding_is_explained_without_anything_else() {
    let desk = Desk::new();
    let said = desk.run(&["doctor", "--explain", "no-stream"]).code(0).stdout;
    assert!(said.starts_with("no-stream: Both members are healthy"), "{said}");
    let json = desk
        .run(&["doctor", "--explain", "no-stream", "--output", "json"])
        .code(0)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["id"], &json["topic"]), (&"no-stream".into(), &"network".into()));
    let refused = desk.run(&["doctor", "--explain", "no-streams"]).code(2).stderr;
    assert!(refused.contains("no-stream"), "the nearest is named: {refused}");
    desk.run(&["doctor", "--explain", "no-stream", "--for", "30s"]).code(2);
}

#[test]
fn a_dry_run_is_refused_where_it_would_be_unheeded() {
    let desk = Desk::new();
    for command in [&["schema"][..], &["trust"], &["pki", "seal"], &["backup", "create"]] {
        let typed = [command, &["--dry-run"]].concat();
        assert!(
            desk.run(&typed).code(2).stderr.contains("omit --dry-run"),
            "{command:?}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let desk = Desk::new();
    for command in ["--help", "schema", "man"] {
        let piped = desk.piped_to_nobody(&[command]);
        assert_eq!(piped.stderr, "", "{command}");
    }
}
