//! Options that a release still takes and does not heed, or not any more for long: etcd says nothing of it, or one line
//! among many in its log.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::names::Version;
use super::super::problem::Severity;
use super::{Half, OptionProblem};

const V2: &str = "v2-deprecation";
/// What every release from 3.6 on does, whatever it is told (`etcdmain/config.go`).
const V2_ENFORCED: &str = "write-only";
/// The one value that 3.6 heeds besides: it starts in spite of v2 data that it would not serve.
const V2_UNCHECKED: &str = "write-only-skip-check";

/// What is wrong with them in `version`; `options` are each right by themselves.
pub(super) fn check(version: Version, options: &BTreeMap<&str, Value>) -> Vec<OptionProblem> {
    let mut problems = Vec::new();
    problems.extend(
        options
            .get(V2)
            .and_then(Value::as_str)
            .and_then(|stage| v2(version, stage)),
    );
    for files in ["max-snapshots", "max-wals"] {
        problems.extend(options.get(files).and_then(|kept| unlimited(files, kept)));
    }
    if version.series() >= (3, 6) && options.contains_key("max-snapshots") {
        problems.push(OptionProblem::new(
            "max-snapshots",
            Half::Name,
            Severity::Warning,
            format!("`max-snapshots` still works in etcd {version}, but 3.8 removes it"),
            "remove it: the default of 5 is enough",
        ));
    }
    problems
}

/// The stage of the v2 store: an operator's choice in 3.5, a formality from 3.6 on.
fn v2(version: Version, stage: &str) -> Option<OptionProblem> {
    let problem =
        |severity, message: String, help: &str| Some(OptionProblem::new(V2, Half::Value, severity, message, help));
    if version.series() < (3, 6) {
        return match stage {
            V2_UNCHECKED => problem(
                Severity::Warning,
                "v2 data is not checked for: etcd 3.6 and later neither serve nor export it".to_owned(),
                "remove it once the cluster holds no v2 data",
            ),
            "write-only-drop-data" | "gone" => problem(
                Severity::Error,
                format!("`{stage}` is a stage that no etcd release implements: 3.5 treats it as `write-only`"),
                "write `write-only`",
            ),
            _ => None,
        };
    }
    match stage {
        V2_ENFORCED => problem(
            Severity::Warning,
            format!("etcd {version} does that anyway, and 3.8 removes the option"),
            "remove it",
        ),
        V2_UNCHECKED if version.series() == (3, 6) => problem(
            Severity::Warning,
            "v2 data is not checked for: this release does not serve it, and 3.7 does not even read its log".to_owned(),
            "remove it once the cluster has come up without v2 data",
        ),
        _ => problem(
            Severity::Error,
            format!("etcd {version} ignores it: it is at `{V2_ENFORCED}`, whatever is set here"),
            "remove it",
        ),
    }
}

/// Old files that are never removed fill the disk.
fn unlimited(option: &str, kept: &Value) -> Option<OptionProblem> {
    (kept.as_u64() == Some(0)).then(|| {
        OptionProblem::new(
            option,
            Half::Value,
            Severity::Warning,
            format!("`{option}` of 0 keeps every one of them: they will fill the disk"),
            "5 is the default, and enough",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check_options;
    use super::*;

    fn told(version: Version, option: &str, value: Value) -> Vec<Severity> {
        let options = BTreeMap::from([(option.to_owned(), value)]);
        check_options(version, &options)
            .into_iter()
            .map(|problem| problem.severity)
            .collect()
    }

    #[test]
    fn a_stage_of_the_v2_store_is_refused_where_it_is_not_heeded() {
        let (v35, v36, v37) = (Version::new(3, 5, 30), Version::new(3, 6, 16), Version::new(3, 7, 3));
        for (version, stage, severity) in [
            (v35, "not-yet", None),
            (v35, "write-only", None),
            (v35, "write-only-skip-check", Some(Severity::Warning)),
            (v35, "gone", Some(Severity::Error)),
            (v36, "not-yet", Some(Severity::Error)),
            (v36, "write-only", Some(Severity::Warning)),
            (v36, "write-only-skip-check", Some(Severity::Warning)),
            (v36, "write-only-drop-data", Some(Severity::Error)),
            (v37, "write-only", Some(Severity::Warning)),
            (v37, "write-only-skip-check", Some(Severity::Error)),
        ] {
            assert_eq!(
                told(version, V2, json!(stage)),
                Vec::from_iter(severity),
                "{version} {stage}"
            );
        }
    }

    #[test]
    fn files_that_pile_up_and_options_that_go_are_warned_of() {
        let (v35, v37) = (Version::new(3, 5, 30), Version::new(3, 7, 3));
        assert_eq!(told(v35, "max-snapshots", json!(5)), []);
        assert_eq!(told(v35, "max-snapshots", json!(0)), [Severity::Warning]);
        assert_eq!(told(v35, "max-wals", json!(0)), [Severity::Warning]);
        assert_eq!(told(v37, "max-wals", json!(5)), []);
        assert_eq!(told(v37, "max-snapshots", json!(5)), [Severity::Warning]);
    }
}
