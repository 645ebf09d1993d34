//! A plan as Markdown, for the comment of a pull request. Names and texts come from inventories and hosts: none of them may
//! become markup, a link or a mention there.

use std::fmt::Write;

use super::show::{change, gist, tolerance};
use crate::ops::authorization::AuthChange;
use crate::ops::plan::{Action, Plan, Step, Target, Wave, count};
use crate::report::printable;

/// The plan: what matters first, then wave by wave, with what changes inside files folded away.
pub fn plan(plan: &Plan) -> String {
    let mut text = format!("### etcd cluster {}\n\n", code(plan.header.cluster.as_str()));
    let _ = writeln!(text, "**{}**", headline(plan));
    for (index, wave) in plan.waves.iter().enumerate() {
        self::wave(&mut text, index + 1, wave);
    }
    for note in &plan.notes {
        let _ = write!(text, "\n> note: {}\n", prose(note));
    }
    text
}

/// What restarts and what clients notice; where nothing runs yet, how much there is to do.
fn headline(plan: &Plan) -> String {
    let gist = gist(plan);
    match (plan.is_empty(), gist.is_empty()) {
        (true, _) => "Up to date: nothing to do".to_owned(),
        (false, false) => prose(&gist),
        (false, true) => format!(
            "{} in {}",
            count(plan.steps().count(), "step"),
            count(plan.waves.len(), "wave")
        ),
    }
}

fn wave(text: &mut String, number: usize, wave: &Wave) {
    let _ = write!(text, "\n#### {number}. {}\n\n", prose(&wave.title));
    if let Some(told) = wave.tolerance {
        let _ = write!(text, "{}\n\n", tolerance(told));
    }
    for step in &wave.steps {
        let _ = writeln!(
            text,
            "- **{}**: {}",
            prose(&target(step)),
            prose(&step.action.describe())
        );
        for why in &step.why {
            let _ = writeln!(text, "  - because {}", prose(why));
        }
    }
    for step in &wave.steps {
        for (what, diff) in diffs(&step.action) {
            folded(text, &format!("{}: {what}", target(step)), &diff);
        }
    }
}

fn target(step: &Step) -> String {
    match &step.target {
        Target::Node(name) => name.to_string(),
        Target::Cluster => "cluster".to_owned(),
        Target::Operator => "this machine".to_owned(),
    }
}

/// What changes, by file; of users and roles all in one.
fn diffs(action: &Action) -> Vec<(String, String)> {
    if let Action::Authorize { changes } = action {
        let lines: Vec<String> = changes.iter().map(AuthChange::describe).collect();
        return vec![("users and roles".to_owned(), lines.join("\n"))];
    }
    let files = change(action).into_iter().flat_map(|change| &change.files);
    files
        .filter(|file| !file.diff.is_empty())
        .map(|file| (file.path.to_string(), file.diff.clone()))
        .collect()
}

fn folded(text: &mut String, summary: &str, diff: &str) {
    // A fence ends at one that is as long: this one is longer than any in the text.
    let longest = diff.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let diff: Vec<String> = diff.lines().map(printable).collect();
    let _ = write!(
        text,
        "\n<details><summary>{}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n",
        html(summary),
        diff.join("\n")
    );
}

/// A sentence of quorate's: what it has between backticks stays code, everything else is only text.
pub(super) fn prose(text: &str) -> String {
    let text = one_line(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return plain(&text);
    }
    let shown = parts.iter().enumerate().map(|(index, part)| match index % 2 {
        0 => plain(part),
        _ => code(part),
    });
    shown.collect()
}

/// Code, which holds no markup; without backticks in it, for they would end it.
fn code(text: &str) -> String {
    let text = one_line(text).replace('`', "'");
    match text.trim().is_empty() {
        true => plain(&text),
        false => format!("`{text}`"),
    }
}

/// Text in which nothing means anything to Markdown, HTML, or what a forge makes of names and numbers.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '|' | '~' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    // A bare address would become a link.
    out.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

/// Text within HTML, which Markdown does not look into.
fn html(text: &str) -> String {
    let text = one_line(text);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "&#64;")
}

fn one_line(text: &str) -> String {
    printable(&text.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scenes::all;

    fn scene(wanted: &str) -> Plan {
        let (_, _, scene) = all().into_iter().find(|(name, ..)| *name == wanted).unwrap();
        scene.plan().unwrap()
    }

    #[test]
    fn plans_of_small_worlds() {
        for name in ["changed-option", "nothing-to-do"] {
            insta::with_settings!({snapshot_path => "snapshots/markdown", prepend_module_to_snapshot => false}, {
                insta::assert_snapshot!(name, plan(&scene(name)));
            });
        }
    }

    #[test]
    fn of_a_new_cluster_nothing_restarts_so_its_size_comes_first() {
        let text = plan(&scene("bare-hosts"));
        assert!(
            text.starts_with("### etcd cluster `prod-a`\n\n**14 steps in 6 waves**\n"),
            "{text}"
        );
        assert!(
            text.contains("<details><summary>etcd-3: /etc/systemd/system/etcd.service</summary>"),
            "{text}"
        );
    }

    #[test]
    fn names_that_are_markup_stay_names() {
        let mut hostile = scene("changed-option");
        let evil =
            "<img src=x onerror=alert(1)> **bold** [x](http://evil.example) @team #1 | `<b>`\n\n# Title \u{1b}[2J";
        hostile.notes = vec![evil.to_owned(), "an open ` backtick <i>".to_owned()];
        hostile.waves[0].title = evil.to_owned();
        for wave in &mut hostile.waves {
            for step in &mut wave.steps {
                step.why = vec![evil.to_owned()];
                if let Action::Restart { change, .. } | Action::Provision { change } = &mut step.action {
                    for file in &mut change.files {
                        file.diff = "+a\n```\n</details><script>\n````\n".to_owned();
                    }
                }
            }
        }
        let text = plan(&hostile);
        // Outside of code, of which the fences are longer than those within.
        let mut outside = String::new();
        let mut within = false;
        for line in text.lines() {
            match line.starts_with("`````") {
                true => within = !within,
                false if !within => outside += &format!("{line}\n"),
                false => {}
            }
        }
        assert!(!within && text.contains("`````diff"), "{text}");
        let mut spans = outside.split('`').step_by(2).collect::<Vec<_>>().join("");
        for own in ["<details>", "</details>", "<summary>", "</summary>"] {
            spans = spans.replace(own, "");
        }
        for markup in [
            "<",
            "[x](",
            " @team",
            " #1",
            "\n# Title",
            "http://",
            "\u{1b}",
            " **bold",
        ] {
            assert!(!spans.contains(markup), "{markup:?}: {spans}");
        }
        assert!(outside.contains("&lt;img src=x"), "{outside}");
    }
}
