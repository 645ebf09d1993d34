//! etcd's own options, by version: which exist, what became of the others, and what their values must be.
//!
//! etcd ignores keys it does not know, and starts with the default instead (plain HTTP, for a misspelt certificate
//! option), so quorate has to be the one that is strict.

pub mod table;
pub mod value;

mod fading;
mod rules;

use std::collections::BTreeMap;

use serde_json::Value;

use super::leaf::nearest;
use super::names::Version;
use super::problem::Place;
use super::problem::Severity;
use super::tree::Entry;
use table::{EtcdOption, Fate, OPTIONS};

/// Which half of `option: value` a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// The option's name.
    Name,
    /// Its value.
    Value,
}

/// Something wrong with one of etcd's options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OptionProblem {
    /// The option.
    pub option: String,
    /// Name or value.
    pub half: Half,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl OptionProblem {
    fn new(option: &str, half: Half, severity: Severity, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            option: option.to_owned(),
            half,
            severity,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Where the value of an option stands. A mapping or a null value has no text of its own to underline.
pub(super) fn site(entry: &Entry) -> Place {
    match entry.value.at.length {
        0 => entry.key_at,
        _ => entry.value.at,
    }
}

/// Everything that is wrong with `options` under `version`; ordered by option.
pub fn check_options(version: Version, options: &BTreeMap<String, Value>) -> Vec<OptionProblem> {
    let mut problems = Vec::new();
    let mut converted = BTreeMap::new();
    for (name, value) in options {
        match for_etcd(version, name, value) {
            Ok(value) => {
                converted.insert(name.as_str(), value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(rules::check(&converted));
    problems.extend(fading::check(version, &converted));
    problems.sort_by(|a, b| (&a.option, a.half).cmp(&(&b.option, b.half)));
    problems
}

/// `value` of `option` in the form that `version` of etcd reads. Converting twice is the same as converting once.
///
/// # Errors
/// When `version` has no such option, when it is quorate's to set, or when the value does not fit.
pub fn for_etcd(version: Version, option: &str, value: &Value) -> Result<Value, OptionProblem> {
    let known = usable(version, option)?;
    value::convert(known.kind, version, value).map_err(|wrong| {
        let message = format!("{}, as `{option}` requires", wrong.message);
        OptionProblem::new(option, Half::Value, Severity::Error, message, wrong.help)
    })
}

/// What `to` has renamed, removed or made a feature gate among `options`, which are right under `from`.
pub fn check_upgrade(options: &BTreeMap<String, Value>, from: Version, to: Version) -> Vec<OptionProblem> {
    let before = check_options(from, options);
    let mut after = check_options(to, options);
    after.retain(|problem| {
        let had_it = |p: &OptionProblem| p.option == problem.option && p.half == problem.half;
        problem.severity == Severity::Error && !before.iter().any(had_it)
    });
    after
}

/// The option of this name, if `version` has it and the operator may set it.
fn usable(version: Version, name: &str) -> Result<&'static EtcdOption, OptionProblem> {
    let refuse =
        |message: String, help: String| Err(OptionProblem::new(name, Half::Name, Severity::Error, message, help));
    let Some(option) = table::find(name) else {
        let here = OPTIONS
            .iter()
            .filter(|o| o.exists_in(version) && matches!(o.fate, Fate::Free));
        let help = match nearest(name, here.map(|o| o.name)) {
            Some(near) => format!("did you mean `{near}`? etcd itself would silently ignore it"),
            None => "etcd itself would silently ignore it; see `etcd --help` of that release".to_owned(),
        };
        return refuse(format!("etcd {version} has no option `{}`", name.escape_debug()), help);
    };
    let exists = option.exists_in(version);
    match option.fate {
        Fate::Managed(instead) => refuse(format!("quorate sets `{name}` itself"), instead.to_owned()),
        // 3.6 still reads the old names with a warning; taking both would only make the next upgrade harder.
        Fate::Renamed(to) if exists && !table::find(to).is_some_and(|new| new.exists_in(version)) => Ok(option),
        Fate::Renamed(to) if table::find(to).is_some_and(|new| new.exists_in(version)) => refuse(
            format!("`{name}` is called `{to}` in etcd {version}"),
            format!("write `{to}`, with the same value"),
        ),
        Fate::Gate(gate) if !table::gates(version).is_empty() => refuse(
            format!("`{name}` is a feature gate in etcd {version}"),
            format!("write `feature-gates: {{{gate}: true}}` (or false)"),
        ),
        Fate::Removed(advice) if !exists && option.gone_since().is_some_and(|gone| gone <= version.series()) => {
            refuse(format!("etcd {version} no longer has `{name}`"), advice.to_owned())
        }
        _ if exists => Ok(option),
        _ => {
            let help = match (old_name(version, name), option.appears_after(version)) {
                (Some(old), _) => format!("write `{old}`, its name in etcd {version}"),
                (None, Some(first)) => format!("it came with etcd {first}"),
                (None, None) => "remove it".to_owned(),
            };
            refuse(format!("etcd {version} has no option `{name}`"), help)
        }
    }
}

/// What `name` is called in `version`, where that is an older name.
fn old_name(version: Version, name: &str) -> Option<&'static str> {
    OPTIONS
        .iter()
        .find(|o| o.fate == Fate::Renamed(table::find(name).map_or("", |n| n.name)) && o.exists_in(version))
        .map(|o| o.name)
}

#[cfg(test)]
mod tests;
