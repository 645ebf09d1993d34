//! What members wrote in their journals about slow requests.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::inventory::NodeName;

/// Different requests that are kept.
const KEPT: usize = 200;
/// Of them, the slowest that are told.
const TOLD: usize = 5;

/// A request that etcd itself calls slow.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SlowRequest {
    /// Who wrote it down.
    pub member: Option<NodeName>,
    /// etcd's words: `apply request took too long`, ...
    pub message: String,
    /// The request, as etcd prints it: keys, never values.
    pub request: String,
    /// What etcd prints of the answer: how many keys, how many bytes.
    pub response: String,
    /// The longest one took.
    pub seconds: f64,
    /// How often it is there.
    pub count: u64,
}

/// All of one member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlowRequests {
    by_text: BTreeMap<(String, String), SlowRequest>,
}

impl SlowRequests {
    /// Another line of the journal; most are about something else.
    pub fn add(&mut self, line: &str) {
        let Some(slow) = slow_request(line) else {
            return;
        };
        let key = (slow.message.clone(), slow.request.clone());
        if self.by_text.len() >= KEPT && !self.by_text.contains_key(&key) {
            return;
        }
        let known = self.by_text.entry(key).or_default();
        let count = known.count + 1;
        if slow.seconds >= known.seconds {
            *known = slow;
        }
        known.count = count;
    }

    /// The slowest.
    pub fn worst(&self, member: &NodeName) -> Vec<SlowRequest> {
        let mut all: Vec<SlowRequest> = self.by_text.values().cloned().collect();
        all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        all.truncate(TOLD);
        for slow in &mut all {
            slow.member = Some(member.clone());
        }
        all
    }
}

/// A line in which etcd complains of a request (`warnOfExpensiveRequest` and its like, server/etcdserver/txn/util.go), and not one
/// of its traces, which repeat that.
fn slow_request(line: &str) -> Option<SlowRequest> {
    let line: Value = serde_json::from_str(line.trim()).ok()?;
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = text("msg");
    let complains = ["took too long", "slow fdatasync", "read index", "ReadIndex"];
    if !complains.iter().any(|word| message.contains(word)) || message.starts_with("trace[") {
        return None;
    }
    Some(SlowRequest {
        member: None,
        message: message.to_owned(),
        request: text("request").trim().to_owned(),
        response: text("response").trim().to_owned(),
        seconds: go_duration(text("took")).unwrap_or_default(),
        count: 1,
    })
}

/// As Go prints durations: `1.5s`, `120.5ms`, `1m2.5s`, `80µs`.
fn go_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = rest[..unit_at].parse().ok()?;
        rest = &rest[unit_at..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "µs" | "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.6.16 wrote it, shortened.
    const LINE: &str = r#"{"level":"warn","ts":"2026-11-30T11:00:00Z","caller":"txn/util.go:93","msg":"apply request took too long","took":"1.2045s","expected-duration":"100ms","prefix":"read-only range ","request":"key:\"\\000\" range_end:\"\\000\" ","response":"range_response_count:2000 size:2100000"}"#;

    #[test]
    fn the_same_request_stands_once_with_its_longest_time() {
        let mut told = SlowRequests::default();
        for line in [
            LINE,
            &LINE.replace("1.2045s", "310ms"),
            "not JSON",
            r#"{"msg":"sending buffered request"}"#,
        ] {
            told.add(line);
        }
        let worst = told.worst(&"n1".parse().unwrap());
        assert_eq!(worst.len(), 1);
        let slow = &worst[0];
        assert_eq!((slow.count, slow.seconds), (2, 1.2045));
        assert_eq!(slow.request, r#"key:"\000" range_end:"\000""#);
        assert_eq!(slow.response, "range_response_count:2000 size:2100000");
    }

    #[test]
    fn durations_are_read_as_go_prints_them() {
        for (text, seconds) in [("1.5s", 1.5), ("120.5ms", 0.1205), ("1m2s", 62.0), ("80µs", 8e-5)] {
            assert!((go_duration(text).unwrap() - seconds).abs() < 1e-9, "{text}");
        }
        assert_eq!(go_duration("soon"), None);
        assert_eq!(go_duration(""), None);
    }
}
