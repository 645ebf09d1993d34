//! Every command explains itself.

use crate::program::Desk;

/// The commands that `help` lists for this one.
fn listed(help: &str) -> Vec<String> {
    let rest = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    rest.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
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
