//! What of etcd's log says why it ended: one line, made harmless. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use serde_json::Value;

use crate::report::printable;

/// More says nothing that the first words did not.
const LONGEST: usize = 300;

/// etcd's own words for its end; `None` when it had none.
pub(super) fn last_words(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Its first panic is the cause; of what it logs, the last error is.
    let panic = lines.iter().find_map(|line| line.strip_prefix("panic: "));
    let said = panic
        .map(str::to_owned)
        .or_else(|| lines.iter().rev().find_map(|line| logged(line)));
    said.map(|text| bounded(&text))
}

/// The error in one line of a log, in any of the forms that etcd has: JSON, zap's console, and that of 3.4.
fn logged(line: &str) -> Option<String> {
    if let Ok(entry) = serde_json::from_str::<Value>(line) {
        let level = entry.get("level")?.as_str()?;
        return bad(level)
            .then(|| error_of(&entry, entry.get("msg").and_then(Value::as_str)))
            .flatten();
    }
    let columns: Vec<&str> = line.split('\t').collect();
    if let [_, level, .., message, fields] = columns.as_slice()
        && bad(level)
        && let Ok(fields) = serde_json::from_str::<Value>(fields)
    {
        return error_of(&fields, Some(message));
    }
    // `2026-11-30 03:14:23.098877 E | etcdmain: error verifying flags, ...`
    let (head, text) = line.split_once(" | ")?;
    let level = head.rsplit(' ').next()?;
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    matches!(level, "E" | "C").then(|| text.trim_end_matches(" See 'etcd --help'.").to_owned())
}

fn bad(level: &str) -> bool {
    // What keeps it from starting is a mere warning in some releases.
    ["warn", "error", "panic", "fatal", "dpanic"].contains(&level.to_ascii_lowercase().as_str())
}

fn error_of(fields: &Value, message: Option<&str>) -> Option<String> {
    let error = fields
        .get("error")
        .and_then(Value::as_str)
        .filter(|error| !error.is_empty());
    error.or(message).map(str::to_owned)
}

fn bounded(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&line.join(" "));
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As real etcd said it: 3.5.30, 3.4.23, 3.6.16.
    #[test]
    fn the_cause_is_found_in_every_form_of_log() {
        let json = r#"{"level":"info","ts":"2026-11-30T03:07:17Z","caller":"embed/etcd.go:375","msg":"closed etcd server"}
{"level":"warn","ts":"2026-11-30T03:07:17Z","caller":"etcdmain/etcd.go:146","msg":"failed to start etcd","error":"unsupported compaction mode "}
{"level":"fatal","ts":"2026-11-30T03:07:17Z","caller":"etcdmain/etcd.go:204","msg":"discovery failed","error":"unsupported compaction mode ","stacktrace":"go.etcd.io/etcd"}"#;
        assert_eq!(last_words(json).unwrap(), "unsupported compaction mode");
        let old = "2026-11-30 03:14:23.098838 I | etcdmain: Loading server configuration from \"c.yml\".\n\
                   2026-11-30 03:14:23.098877 E | etcdmain: error verifying flags, can't find journal. See 'etcd --help'.";
        assert_eq!(last_words(old).unwrap(), "error verifying flags, can't find journal.");
        let panic = "{\"level\":\"info\",\"msg\":\"x\"}\npanic: new UniqueURLs should never fail: http://a.example\n\n\
                     goroutine 1 [running]:\nmain.main()\n\tgo.etcd.io/etcd/main.go:28 +0x17\n";
        assert_eq!(
            last_words(panic).unwrap(),
            "new UniqueURLs should never fail: http://a.example"
        );
        let console = "2026-11-30T03:14:23.771Z\twarn\tetcdmain/etcd.go:75\tfailed to verify flags\t{\"error\": \"no \\\"x\\\"\"}";
        assert_eq!(last_words(console).unwrap(), "no \"x\"");
        assert_eq!(last_words("{\"level\":\"info\",\"msg\":\"all is well\"}\n"), None);
    }

    #[test]
    fn a_value_cannot_steer_the_terminal_or_fill_it() {
        let hostile = serde_json::json!({"level": "fatal", "error": format!("\u{1b}[2Jx\ny {}", "z".repeat(5000))});
        let words = last_words(&hostile.to_string()).unwrap();
        assert!(!words.chars().any(char::is_control), "{words:?}");
        assert!(words.len() < 400 && words.contains("x y"), "{words}");
    }
}
