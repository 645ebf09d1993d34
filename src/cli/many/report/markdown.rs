//! The report as Markdown, for a pull request or a ticket: pure.

use std::fmt::Write;

use super::page::members;
use super::{Report, chart, said, timeline};
use crate::cli::many::rows::{Rows, rows};
use crate::cli::many::run::Ran;
use crate::cli::show_markdown::{plain, prose};
use crate::report::one_line;

/// The same as the page.
pub fn markdown(report: &Report) -> String {
    let mut page = format!("# etcd clusters\n\n{}\n\n", prose(&said::gist(report)));
    for clash in &report.clashes {
        let _ = writeln!(page, "- **{}**", plain(clash));
    }
    if !report.clashes.is_empty() {
        page.push('\n');
    }
    page += &table(&rows(&report.ended, report.now));
    for ran in &report.ended {
        page += &cluster(report, ran);
    }
    page + &format!("\n{}\n", prose(&said::made(report)))
}

fn cluster(report: &Report, ran: &Ran) -> String {
    let mut text = format!("\n## {}\n\n", plain(&ran.name));
    if let Some(glance) = ran.glance() {
        text += &format!("{}\n", table(&members(glance)));
    }
    for found in said::examination(ran).iter().flat_map(|found| &found.findings) {
        let _ = writeln!(
            text,
            "- {}\n  - help: {}",
            prose(&said::finding(found)),
            prose(&found.help)
        );
    }
    if said::examination(ran).is_some_and(|found| found.findings.is_empty()) {
        text += "doctor: nothing to report\n";
    }
    for (says, help) in said::failures(ran) {
        let _ = writeln!(text, "- {}: {}", prose(&says), prose(&help));
    }
    let charts = chart::charts(report.history.of(&ran.name));
    if !charts.is_empty() {
        text += "\n### over past reports\n\n";
        charts
            .iter()
            .for_each(|chart| text += &format!("- {}\n", prose(&chart.says())));
    }
    for run in report.runs(&ran.name) {
        let _ = write!(text, "\n### {}\n\n", prose(&timeline::title(run)));
        timeline::told(run)
            .iter()
            .for_each(|said| text += &format!("- {}\n", prose(said)));
        text += &format!("\n{}", table(&timeline::steps(run)));
    }
    text
}

fn table(rows: &Rows) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = line(rows.header.iter().map(|name| plain(name)).collect());
    table += &line(rows.header.iter().map(|_| "---".to_owned()).collect());
    for row in &rows.rows {
        table += &line(row.iter().map(|(said, _)| plain(&one_line(said))).collect());
    }
    table
}
