//! The report as a page of HTML: pure.

use super::html::{Html, tag, text};
use super::{Report, chart, said, timeline};
use crate::cli::many::rows::{Rows, rows};
use crate::cli::many::run::Ran;
use crate::cli::status::{Glance, MemberGlance, role};
use crate::ops::doctor::{Finding, Severity};
use crate::report::{Tone, human_bytes};

/// Nothing of it comes from elsewhere, nothing runs.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>etcd clusters</title>\n<style>\n";

const STYLE: &str = include_str!("style.css");

/// One page.
pub fn html(report: &Report) -> String {
    let mut page = format!("{HEAD}{STYLE}</style>\n</head>\n<body>\n");
    let mut add = |html: Html| page.push_str(&format!("{}\n", html.0));
    add(tag("h1", "", [text("etcd clusters")]));
    add(tag("p", "", [text(&said::gist(report))]));
    if !report.clashes.is_empty() {
        let clashes = report.clashes.iter();
        add(tag("ul", "", clashes.map(|clash| tag("li", "bad", [text(clash)]))));
    }
    add(table("", &rows(&report.ended, report.now)));
    for ran in &report.ended {
        add(tag("h2", "", [text(&ran.name)]));
        cluster(report, ran).into_iter().for_each(&mut add);
    }
    add(tag("p", "small", [text(&said::made(report))]));
    page + "</body>\n</html>\n"
}

fn table(kind: &'static str, rows: &Rows) -> Html {
    let head = tag("tr", "", rows.header.iter().map(|name| tag("th", "", [text(name)])));
    let body = rows.rows.iter().map(|row| {
        tag(
            "tr",
            "",
            row.iter().map(|(said, tone)| tag("td", class(*tone), [text(said)])),
        )
    });
    let whole = tag("table", kind, std::iter::once(head).chain(body));
    tag("div", "wide", [whole])
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Plain | Tone::Dim => "",
    }
}

fn cluster(report: &Report, ran: &Ran) -> Vec<Html> {
    let mut parts = vec![tag("p", "small", [text(&ran.path.display().to_string())])];
    if let Some(glance) = ran.glance() {
        parts.push(table("", &members(glance)));
    }
    if let Some(found) = said::examination(ran) {
        parts.push(match found.findings.is_empty() {
            true => tag("p", "good", [text("doctor: nothing to report")]),
            false => tag("ul", "", found.findings.iter().map(finding)),
        });
    }
    if ran.failure.is_some() {
        let items = said::failures(ran)
            .into_iter()
            .map(|(says, help)| item("bad", &says, &help));
        parts.push(tag("ul", "", items));
    }
    let charts = chart::charts(report.history.of(&ran.name));
    if !charts.is_empty() {
        parts.push(tag("h3", "", [text("over past reports")]));
        parts.push(tag("div", "charts", charts.iter().map(chart::Chart::draw)));
    }
    for run in report.runs(&ran.name) {
        parts.extend(timeline::html(run));
        parts.push(table("steps", &timeline::steps(run)));
    }
    parts
}

fn finding(finding: &Finding) -> Html {
    let class = match finding.severity {
        Severity::Problem => "bad",
        Severity::Unknown => "warn",
        Severity::Advice => "",
    };
    item(class, &said::finding(finding), &finding.help)
}

fn item(class: &'static str, says: &str, help: &str) -> Html {
    let mut inside = vec![tag("span", class, [text(says)])];
    if !help.is_empty() {
        inside.push(tag("span", "help", [text(&format!("help: {help}"))]));
    }
    tag("li", "", inside)
}

/// A row a member.
pub fn members(glance: &Glance) -> Rows {
    let or_dash = |text: Option<String>| (text.unwrap_or_else(|| "-".to_owned()), Tone::Plain);
    let row = |member: &MemberGlance| {
        let health = match member.healthy {
            Some(true) => ("healthy", Tone::Good),
            Some(false) => ("DOWN", Tone::Bad),
            None => ("UNKNOWN", Tone::Warn),
        };
        vec![
            (member.name.clone(), Tone::Plain),
            (member.address.trim_start_matches("https://").to_owned(), Tone::Plain),
            (health.0.to_owned(), health.1),
            (role(member).to_owned(), Tone::Plain),
            or_dash(member.version.clone()),
            or_dash(member.db_size.map(human_bytes)),
            or_dash(member.certificate_days.map(|days| format!("{days}d"))),
        ]
    };
    Rows {
        header: vec!["NAME", "ADDRESS", "HEALTH", "ROLE", "VERSION", "DB", "CERT"],
        rows: glance.members.iter().map(row).collect(),
    }
}
