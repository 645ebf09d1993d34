//! Values as one line of YAML that nothing can break out of.

use std::fmt::Write;

use serde_json::Value;

/// `text` as a double-quoted scalar in plain ASCII.
///
/// Stricter than JSON: YAML 1.1 readers (etcd's among them) take U+0085, U+2028 and U+2029 for line ends inside quotes,
/// and refuse JSON's surrogate pairs, so everything beyond ASCII is written as `\u` or `\U`.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => {
                let code = u32::from(c);
                let written = if code <= 0xffff {
                    write!(out, "\\u{code:04x}")
                } else {
                    write!(out, "\\U{code:08x}")
                };
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
        }
    }
    out.push('"');
    out
}

/// `value` in flow style: `true`, `8589934592`, `"8h"`, `["stderr"]`.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let mut entries: Vec<String> = map.iter().map(|(k, v)| format!("{}: {}", quoted(k), flow(v))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stay_on_one_line_of_ascii() {
        assert_eq!(quoted("a\"b\\c\n#: {"), r##""a\"b\\c\u000a#: {""##);
        assert_eq!(quoted("é\u{2028}\u{1f600}"), r#""\u00e9\u2028\U0001f600""#);
        assert_eq!(
            flow(&json!({"b": ["x", 1], "a": null})),
            r#"{"a": null, "b": ["x", 1]}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_itself_and_brings_no_further_key(text: String) {
            let document = format!("key: {}\n", quoted(&text));
            let read: std::collections::BTreeMap<String, String> = serde_yaml::from_str(&document).unwrap();
            prop_assert_eq!(read, std::collections::BTreeMap::from([("key".to_owned(), text)]));
        }
    }
}
