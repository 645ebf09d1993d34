//! The report as a page: pure. Whatever a name or a host says is text there, never markup: HTML is made only by [`tag`].

use std::fmt::Write;

use jiff::Timestamp;

use super::part::Answer;
use super::rows::{Rows, rows};
use super::run::Ran;
use crate::cli::doctor::Examination;
use crate::cli::error::Exit;
use crate::cli::show_markdown::{plain, prose};
use crate::cli::status::{Glance, MemberGlance, role};
use crate::ops::doctor::{Finding, Severity};
use crate::ops::plan::count;
use crate::report::{Tone, human_bytes, one_line};

/// Nothing of it comes from elsewhere, nothing runs.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>etcd clusters</title>\n<style>\n\
    :root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--warn:#9a6700;--bad:#cf222e}\n\
    @media(prefers-color-scheme:dark){:root{--good:#3fb950;--warn:#d29922;--bad:#f85149}}\n\
    body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}\n\
    h2{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1rem}\n\
    .wide{overflow-x:auto}\ntable{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}\n\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);white-space:nowrap}\n\
    th{font-size:12px}\n.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad);font-weight:600}\n\
    li{margin:.4rem 0}.help{display:block;opacity:.8}.small{opacity:.7;font-size:13px}\n</style>\n</head>\n<body>\n";

/// A piece of HTML. Text becomes one by [`text`] alone, which leaves no markup in it.
struct Html(String);

fn text(text: &str) -> Html {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Html(out)
}

fn tag(name: &'static str, class: &'static str, inside: impl IntoIterator<Item = Html>) -> Html {
    let class = match class {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    let inside: String = inside.into_iter().map(|html| html.0).collect();
    Html(format!("<{name}{class}>{inside}</{name}>"))
}

/// One page.
pub fn html(ended: &[Ran], clashes: &[String], now: Timestamp) -> String {
    let mut page = String::from(HEAD);
    let mut add = |html: Html| page.push_str(&format!("{}\n", html.0));
    add(tag("h1", "", [text("etcd clusters")]));
    add(tag("p", "", [text(&gist(ended))]));
    if !clashes.is_empty() {
        add(tag(
            "ul",
            "",
            clashes.iter().map(|clash| tag("li", "bad", [text(clash)])),
        ));
    }
    add(table(&rows(ended, now)));
    for ran in ended {
        add(tag("h2", "", [text(&ran.name)]));
        for html in cluster(ran) {
            add(html);
        }
    }
    add(tag("p", "small", [text(&made(now))]));
    page + "</body>\n</html>\n"
}

fn gist(ended: &[Ran]) -> String {
    let well = ended.iter().filter(|ran| ran.exit == Exit::Done).count();
    format!(
        "{}, {well} without problems; the worst first",
        count(ended.len(), "cluster")
    )
}

fn made(now: Timestamp) -> String {
    format!(
        "quorate {}, {}",
        env!("CARGO_PKG_VERSION"),
        now.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

fn table(rows: &Rows) -> Html {
    let head = tag("tr", "", rows.header.iter().map(|name| tag("th", "", [text(name)])));
    let body = rows.rows.iter().map(|row| {
        tag(
            "tr",
            "",
            row.iter().map(|(said, tone)| tag("td", class(*tone), [text(said)])),
        )
    });
    let whole = tag("table", "", std::iter::once(head).chain(body));
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

fn cluster(ran: &Ran) -> Vec<Html> {
    let mut parts = vec![tag("p", "small", [text(&ran.path.display().to_string())])];
    if let Some(glance) = ran.glance() {
        parts.push(table(&members(glance)));
    }
    if let Some(found) = examination(ran) {
        parts.push(match found.findings.is_empty() {
            true => tag("p", "good", [text("doctor: nothing to report")]),
            false => tag("ul", "", found.findings.iter().map(finding)),
        });
    }
    if ran.failure.is_some() {
        let items = failures(ran).into_iter().map(|(says, help)| item("bad", &says, &help));
        parts.push(tag("ul", "", items));
    }
    parts
}

fn finding(finding: &Finding) -> Html {
    let class = match finding.severity {
        Severity::Problem => "bad",
        Severity::Unknown => "warn",
        Severity::Advice => "",
    };
    item(class, &said(finding), &finding.help)
}

fn item(class: &'static str, says: &str, help: &str) -> Html {
    let mut inside = vec![tag("span", class, [text(says)])];
    if !help.is_empty() {
        inside.push(tag("span", "help", [text(&format!("help: {help}"))]));
    }
    tag("li", "", inside)
}

fn said(finding: &Finding) -> String {
    let what = match finding.severity {
        Severity::Problem => "problem",
        Severity::Unknown => "unknown",
        Severity::Advice => "advice",
    };
    match &finding.node {
        Some(node) => format!("{what}: {node}: {}", finding.says),
        None => format!("{what}: {}", finding.says),
    }
}

/// Why there is no answer, and what to do.
fn failures(ran: &Ran) -> Vec<(String, String)> {
    let Some(failure) = &ran.failure else { return Vec::new() };
    let mut said = vec![(failure.message.clone(), failure.hint.clone().unwrap_or_default())];
    said.extend(
        failure
            .details
            .iter()
            .map(|detail| (detail.message.clone(), detail.hint.clone())),
    );
    let problems = failure.spans.iter().flat_map(|error| error.problems());
    said.extend(problems.map(|p| (format!("{}: {}", p.whereabouts(), p.message), p.help.clone())));
    said
}

fn examination(ran: &Ran) -> Option<&Examination> {
    ran.answers.iter().find_map(|answer| match answer {
        Answer::Examination(found) => Some(&**found),
        _ => None,
    })
}

fn members(glance: &Glance) -> Rows {
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

/// The same as Markdown.
pub fn markdown(ended: &[Ran], clashes: &[String], now: Timestamp) -> String {
    let mut page = format!("# etcd clusters\n\n{}\n\n", prose(&gist(ended)));
    for clash in clashes {
        let _ = writeln!(page, "- **{}**", plain(clash));
    }
    page += &markdown_table(&rows(ended, now));
    for ran in ended {
        let _ = write!(page, "\n## {}\n\n", plain(&ran.name));
        if let Some(glance) = ran.glance() {
            page += &format!("{}\n", markdown_table(&members(glance)));
        }
        for found in examination(ran).iter().flat_map(|found| &found.findings) {
            let _ = writeln!(page, "- {}\n  - help: {}", prose(&said(found)), prose(&found.help));
        }
        if examination(ran).is_some_and(|found| found.findings.is_empty()) {
            page += "doctor: nothing to report\n";
        }
        for (says, help) in failures(ran) {
            let _ = writeln!(page, "- {}: {}", prose(&says), prose(&help));
        }
    }
    page + &format!("\n{}\n", prose(&made(now)))
}

fn markdown_table(rows: &Rows) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = line(rows.header.iter().map(|name| plain(name)).collect());
    table += &line(rows.header.iter().map(|_| "---".to_owned()).collect());
    for row in &rows.rows {
        table += &line(row.iter().map(|(said, _)| plain(&one_line(said))).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::examination;
    use crate::cli::error::Failure;
    use crate::cli::status::glance;
    use crate::ops::doctor::Kind;
    use crate::ops::samples;

    const EVIL: &str = "</td><script>alert(1)</script><a href=\"http://evil.example\" onclick='x'>|\n# Title `<i>`";

    fn hostile() -> Vec<Ran> {
        let desired = samples::desired(3);
        let mut shown = glance(&desired, &samples::observed(&desired));
        shown.alarms = vec![EVIL.to_owned()];
        shown.members[0].name = EVIL.to_owned();
        let found = examination(
            &desired,
            vec![Finding::problem(Kind::ClockOff, EVIL, EVIL).on(EVIL)],
            None,
        );
        let ran = |answers, failure| Ran {
            name: EVIL.to_owned(),
            path: EVIL.into(),
            exit: Exit::Unhealthy,
            answers,
            failure,
            finished: None,
            warnings: Vec::new(),
            seconds: 0.0,
        };
        vec![
            ran(
                vec![Answer::Glance(Box::new(shown)), Answer::Examination(Box::new(found))],
                None,
            ),
            ran(Vec::new(), Some(Failure::new(Exit::Unexpected, EVIL).hint(EVIL))),
        ]
    }

    #[test]
    fn names_that_are_markup_stay_names() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let page = html(&hostile(), &[EVIL.to_owned()], now);
        let tags: std::collections::BTreeSet<&str> = page
            .split('<')
            .skip(1)
            .map(|tag| {
                tag.split(|c: char| !c.is_alphanumeric() && c != '!' && c != '/')
                    .next()
                    .unwrap()
            })
            .collect();
        for tag in tags {
            let own = [
                "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "span",
                "div", "table", "tr", "th", "td",
            ];
            assert!(own.contains(&tag.trim_start_matches('/')), "<{tag}: {page}");
        }
        assert!(!page.contains("onclick='") && page.contains("&lt;script&gt;"), "{page}");
        let text = markdown(&hostile(), &[EVIL.to_owned()], now);
        let spans = text.split('`').step_by(2).collect::<Vec<_>>().join("");
        for markup in ["<", "http://", "\n# Title"] {
            assert!(!spans.contains(markup), "{markup:?}: {text}");
        }
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!([8, 17].contains(&cells), "{cells} in {line}");
        }
    }
}
