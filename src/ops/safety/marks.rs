//! What a newer quorate left on a host is not misread by an older one: it says so, and changes nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Blocked, Rule};
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, HostPath, NodeName};
use crate::ops::model::Fact;
use crate::ops::rest::{RestNote, TurnNote};
use crate::ops::restore::RestoreNote;

/// The format of marker and notes that this version writes and reads. It stands in none of them: a mark without `format` has
/// format 1. Who changes what a field means writes the next number, and `quorate` with its version.
pub const FORMAT: u64 = 1;

/// What every format of every mark begins with being able to say.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: Option<u64>,
    #[serde(default)]
    quorate: Option<String>,
}

/// Are all marks on all hosts of a format that this version knows? Asked before anything else, of every change. What cannot be
/// parsed at all is for those who read it.
///
/// # Errors
/// Every mark of a newer format.
pub fn are_known(desired: &Desired, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Result<(), Vec<Blocked>> {
    let seen = desired
        .hosts
        .values()
        .filter_map(|host| Some((host, hosts.get(&host.name).and_then(Fact::known)?)));
    let newer: Vec<Blocked> = seen.flat_map(|(host, facts)| newer(host, facts)).collect();
    if newer.is_empty() { Ok(()) } else { Err(newer) }
}

fn newer(host: &DesiredHost, facts: &HostFacts) -> Vec<Blocked> {
    let notes = [RestoreNote::path(host), RestNote::path(host), TurnNote::path(host)];
    let notes = notes.into_iter().map(|path| {
        let text = facts.files.get(&path).and_then(|file| file.content.as_deref());
        (path, text)
    });
    let marker = (host.paths.marker(), facts.data.marker.as_deref());
    let each = std::iter::once(marker).chain(notes);
    each.filter_map(|(path, text)| refusal(&path, text?).map(|refusal| refusal.on(&host.name)))
        .collect()
}

fn refusal(path: &HostPath, text: &str) -> Option<Blocked> {
    let head: Head = serde_json::from_str(text).ok()?;
    let format = head.format.filter(|format| *format > FORMAT)?;
    let by = head.quorate.filter(|version| {
        let is_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        version.len() < 40 && version.chars().all(is_version)
    });
    let (writer, hint) = match by {
        Some(version) => (
            format!(", written by quorate {version}"),
            format!("use quorate {version} or a later version"),
        ),
        None => (
            String::new(),
            "use the version of quorate that wrote it, or a later one".to_owned(),
        ),
    };
    let reason = format!("{path} has format {format}{writer}; this version reads format {FORMAT}");
    Some(Blocked::new(Rule::NewerMark, reason, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileFacts;
    use crate::ops::samples::{desired, name, observed};

    fn with(change: impl FnOnce(&DesiredHost, &mut HostFacts)) -> Result<(), Vec<Blocked>> {
        let desired = desired(3);
        let mut seen = observed(&desired);
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) {
            change(&desired.hosts[&name(2)], facts);
        }
        are_known(&desired, &seen.hosts)
    }

    #[test]
    fn a_mark_of_a_newer_format_stops_every_change_wherever_it_is() {
        assert_eq!(with(|_, _| {}), Ok(()));
        let newer = r#"{"format":2,"quorate":"0.9.0","whose":"ours"}"#;
        let marker = with(|_, facts| facts.data.marker = Some(newer.into())).expect_err("a refusal");
        assert_eq!(marker[0].rule, Rule::NewerMark);
        assert_eq!(
            marker[0].reason,
            "/var/lib/etcd/.quorate-cluster has format 2, written by quorate 0.9.0; this version reads format 1"
        );
        assert_eq!(marker[0].hint, "use quorate 0.9.0 or a later version");
        for path in [RestoreNote::path, RestNote::path, TurnNote::path] {
            let file = FileFacts {
                sha256: "00".repeat(32),
                mode: 0o644,
                owner: "root".into(),
                content: Some(newer.into()),
            };
            let note = with(|host, facts| _ = facts.files.insert(path(host), file)).expect_err("a refusal");
            assert_eq!((note.len(), note[0].node.clone()), (1, Some(name(2))));
        }
    }

    #[test]
    fn what_is_of_this_format_or_cannot_be_parsed_is_for_those_who_read_it() {
        for text in [
            r#"{"format":1,"cluster":"a"}"#,
            "{}",
            "",
            "{\"format\":",
            r#"{"format":"two"}"#,
        ] {
            assert_eq!(with(|_, facts| facts.data.marker = Some(text.into())), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_host_cannot_have_anything_printed_as_a_version() {
        let text = r#"{"format":7,"quorate":"1.0\u001b[2K; run rm"}"#;
        let refused = with(|_, facts| facts.data.marker = Some(text.into())).expect_err("a refusal");
        assert_eq!(
            refused[0].hint,
            "use the version of quorate that wrote it, or a later one"
        );
    }
}
