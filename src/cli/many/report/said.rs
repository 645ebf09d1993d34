//! What both kinds of a report say in the same words.

use super::Report;
use crate::cli::doctor::Examination;
use crate::cli::error::Exit;
use crate::cli::many::part::Answer;
use crate::cli::many::run::Ran;
use crate::ops::doctor::{Finding, Severity};
use crate::ops::plan::count;

/// The first line.
pub fn gist(report: &Report) -> String {
    let well = report.ended.iter().filter(|ran| ran.exit == Exit::Done).count();
    format!(
        "{}, {well} without problems; the worst first",
        count(report.ended.len(), "cluster")
    )
}

/// The last line.
pub fn made(report: &Report) -> String {
    format!(
        "quorate {}, {}",
        env!("CARGO_PKG_VERSION"),
        report.now.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

/// What was found, and where.
pub fn finding(finding: &Finding) -> String {
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
pub fn failures(ran: &Ran) -> Vec<(String, String)> {
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

/// What `doctor` found.
pub fn examination(ran: &Ran) -> Option<&Examination> {
    ran.answers.iter().find_map(|answer| match answer {
        Answer::Examination(found) => Some(&**found),
        _ => None,
    })
}
