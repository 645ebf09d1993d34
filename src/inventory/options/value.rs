//! One option's value: from what people write to the form etcd's configuration file wants.
//!
//! etcd dies at a wrong type: durations are integers in nanoseconds, the retention is a text, lists are lists and URL
//! lists are one text (docs/etcd.md, "Configuration file"). Converting twice is the same as converting once.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::leaf::{all_of, nearest, one_of};
use super::super::names::Version;
use super::super::quantity;
use super::table::{self, Kind};

/// What a value should have been, and how to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongValue {
    /// What is wrong.
    pub message: String,
    /// How to write it.
    pub help: String,
}

fn wrong(value: &Value, what: &str, help: impl Into<String>) -> WrongValue {
    let shown = match value {
        Value::String(text) => text.escape_debug().to_string(),
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        other => other.to_string(),
    };
    WrongValue {
        message: format!("`{shown}` is not {what}"),
        help: help.into(),
    }
}

/// `value` in the form `version` of etcd reads for an option of this kind.
pub fn convert(kind: Kind, version: Version, value: &Value) -> Result<Value, WrongValue> {
    match kind {
        Kind::Bool => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(wrong(value, "true or false", "write `true` or `false`, without quotes")),
        },
        Kind::Count => match value.as_u64() {
            Some(_) => Ok(value.clone()),
            None => Err(wrong(value, "a whole number", "write a number without quotes: `10000`")),
        },
        Kind::Bytes => bytes(value),
        Kind::BytesOrOff if value.as_i64() == Some(-1) => Ok(value.clone()),
        Kind::BytesOrOff => bytes(value),
        Kind::Nanos => time(value, "ns", Duration::from_nanos(1)),
        Kind::Millis => time(value, "ms", Duration::from_millis(1)),
        Kind::Seconds => time(value, "s", Duration::from_secs(1)),
        Kind::Text => text(value).map(Value::String),
        Kind::Choice(choices) => {
            let typed = text(value)?;
            if choices.contains(&typed.as_str()) {
                return Ok(Value::String(typed));
            }
            let shown: Vec<&str> = choices.iter().copied().filter(|c| !c.is_empty()).collect();
            Err(wrong(value, "one of its values", format!("use {}", one_of(&shown))))
        }
        Kind::List => strings(value).map(Value::from),
        Kind::Commas => match value {
            Value::Array(_) => Ok(Value::String(strings(value)?.join(","))),
            _ => text(value).map(Value::String),
        },
        Kind::Retention => retention(value),
        Kind::Gates => gates(version, value),
        Kind::JsonText => json_text(value),
        Kind::Switches(names) => switches(names, value),
    }
}

fn text(value: &Value) -> Result<String, WrongValue> {
    match value {
        Value::String(text) if text.chars().any(char::is_control) => {
            Err(wrong(value, "usable text", "remove the control characters"))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(wrong(
            value,
            "a text",
            "write one value, in quotes if it looks like something else",
        )),
    }
}

fn bytes(value: &Value) -> Result<Value, WrongValue> {
    let count = match value {
        Value::String(text) => quantity::size(text),
        other => other.as_u64(),
    };
    match count {
        // etcd holds it in an int64.
        Some(count) if i64::try_from(count).is_ok() => Ok(count.into()),
        _ => Err(wrong(
            value,
            "a size",
            "write bytes, or a number with KiB, MiB or GiB: `8GiB`",
        )),
    }
}

fn time(value: &Value, unit: &str, step: Duration) -> Result<Value, WrongValue> {
    let help = format!("write a duration like `10s`, or the number of {unit} that etcd reads");
    let nanos = match value {
        Value::String(text) => quantity::duration(text).map(|d| d.as_nanos()),
        other => other.as_u64().map(|n| u128::from(n) * step.as_nanos()),
    };
    let nanos = nanos.ok_or_else(|| wrong(value, "a duration", help.as_str()))?;
    if nanos % step.as_nanos() != 0 {
        return Err(wrong(value, &format!("a whole number of {unit}"), help));
    }
    // Go holds durations as int64 nanoseconds.
    if i64::try_from(nanos).is_err() {
        return Err(wrong(value, "a duration etcd can hold", "etcd's longest is 292 years"));
    }
    u64::try_from(nanos / step.as_nanos())
        .map(Value::from)
        .map_err(|_| wrong(value, "a duration", help))
}

fn strings(value: &Value) -> Result<Vec<String>, WrongValue> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        // People write one entry bare, and several with commas as on etcd's command line.
        Value::String(_) => Ok(text(value)?.split(',').map(|s| s.trim().to_owned()).collect()),
        _ => Err(wrong(value, "a list", "write `[a, b]`")),
    }
}

/// A number stays a number (hours under `periodic`, revisions under `revision`); a duration becomes one Go can read.
fn retention(value: &Value) -> Result<Value, WrongValue> {
    let help = "write a duration for `periodic` (`8h`), or a number of revisions for `revision`";
    let typed = match value {
        Value::Number(_) if value.as_u64().is_none() => return Err(wrong(value, "a retention", help)),
        Value::Number(_) | Value::String(_) => text(value)?,
        _ => return Err(wrong(value, "a retention", help)),
    };
    if typed.parse::<u64>().is_ok() {
        return Ok(Value::String(typed));
    }
    let duration = quantity::duration(&typed).ok_or_else(|| wrong(value, "a retention", help))?;
    let seconds = duration.as_secs();
    let go = match seconds {
        _ if duration.subsec_nanos() > 0 => format!("{}ns", duration.as_nanos()),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    };
    Ok(Value::String(go))
}

fn gates(version: Version, value: &Value) -> Result<Value, WrongValue> {
    let help = "write `\"InitialCorruptCheck=true,CompactHashCheck=true\"`, or a mapping of gates to true or false";
    let pairs: Vec<(String, bool)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, on)| Some((name.clone(), on.as_bool()?)))
            .collect::<Option<_>>(),
        Value::String(text) => text
            .split(',')
            .map(|pair| {
                let (name, on) = pair.split_once('=')?;
                Some((name.trim().to_owned(), on.trim().parse().ok()?))
            })
            .collect::<Option<_>>(),
        _ => None,
    }
    .ok_or_else(|| wrong(value, "a set of feature gates", help))?;
    let known = table::gates(version);
    for (name, _) in &pairs {
        if !known.contains(&name.as_str()) {
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("this release has {}", all_of(known)),
            };
            let gate = Value::String(name.clone());
            return Err(wrong(&gate, &format!("a feature gate of etcd {version}"), help));
        }
    }
    let on = |gate: &str| pairs.iter().any(|(name, on)| name == gate && *on);
    if on("LeaseCheckpointPersist") && !on("LeaseCheckpoint") {
        return Err(WrongValue {
            message: "`LeaseCheckpointPersist` needs `LeaseCheckpoint`: etcd would not start".to_owned(),
            help: "add `LeaseCheckpoint=true`".to_owned(),
        });
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, on)| format!("{name}={on}")).collect();
    Ok(Value::String(pairs.join(",")))
}

fn json_text(value: &Value) -> Result<Value, WrongValue> {
    let parsed = match value {
        Value::String(text) => serde_json::from_str::<Map<String, Value>>(text).ok(),
        Value::Object(map) => Some(map.clone()),
        _ => None,
    };
    match parsed {
        Some(map) => Ok(Value::String(Value::Object(map).to_string())),
        None => Err(wrong(value, "a JSON object", "write a mapping: `{maxsize: 100}`")),
    }
}

fn switches(names: &[&str], value: &Value) -> Result<Value, WrongValue> {
    let fits = |map: &Map<String, Value>| map.iter().all(|(k, v)| names.contains(&k.as_str()) && v.is_boolean());
    match value {
        Value::Object(map) if fits(map) => Ok(value.clone()),
        _ => Err(wrong(
            value,
            "a mapping of switches",
            format!("{} can be true or false here", one_of(names)),
        )),
    }
}
