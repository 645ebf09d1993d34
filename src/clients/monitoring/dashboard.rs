//! A Grafana dashboard, as its JSON model has it. One row a panel in [`PANELS`]; the rest is layout.

use serde_json::{Value, json};

/// One graph.
struct Panel {
    title: &'static str,
    /// What a reader should know about it.
    about: &'static str,
    unit: &'static str,
    /// Expression and legend.
    lines: &'static [(&'static str, &'static str)],
}

const C: &str = "$cluster";

const PANELS: &[Panel] = &[
    Panel {
        title: "Members that answer",
        about: "By Prometheus' own scrapes; the line below is what a quorum takes.",
        unit: "short",
        lines: &[
            ("sum(up{cluster=\"$cluster\"})", "answer"),
            ("floor(count(up{cluster=\"$cluster\"}) / 2) + 1", "quorum"),
        ],
    },
    Panel {
        title: "Members with a leader",
        about: "A member without one takes no writes.",
        unit: "short",
        lines: &[("sum(etcd_server_has_leader{cluster=\"$cluster\"})", "have a leader")],
    },
    Panel {
        title: "Changes of the leader in an hour",
        about: "A rolling restart makes one. More are slow disks or networks.",
        unit: "short",
        lines: &[(
            "max(increase(etcd_server_leader_changes_seen_total{cluster=\"$cluster\"}[1h]))",
            "changes",
        )],
    },
    Panel {
        title: "Calls a second",
        about: "Unary calls that were answered, by method.",
        unit: "reqps",
        lines: &[(
            "sum by (grpc_method) (rate(grpc_server_handled_total{cluster=\"$cluster\", grpc_type=\"unary\"}[5m])) > 0",
            "{{grpc_method}}",
        )],
    },
    Panel {
        title: "Calls that failed a second",
        about: "Unary calls that did not end with OK, by code.",
        unit: "reqps",
        lines: &[(
            "sum by (grpc_code) (rate(grpc_server_handled_total{cluster=\"$cluster\", grpc_type=\"unary\", grpc_code!=\"OK\"}[5m]))",
            "{{grpc_code}}",
        )],
    },
    Panel {
        title: "Open watches",
        about: "Watchers of every member.",
        unit: "short",
        lines: &[("etcd_debugging_mvcc_watcher_total{cluster=\"$cluster\"}", "{{member}}")],
    },
    Panel {
        title: "Database",
        about: "The file, what is in use of it, and the quota at which writes end.",
        unit: "bytes",
        lines: &[
            (
                "etcd_mvcc_db_total_size_in_bytes{cluster=\"$cluster\"}",
                "{{member}} file",
            ),
            (
                "etcd_mvcc_db_total_size_in_use_in_bytes{cluster=\"$cluster\"}",
                "{{member}} in use",
            ),
            (
                "min(etcd_server_quota_backend_bytes{cluster=\"$cluster\"} > 0)",
                "quota",
            ),
        ],
    },
    Panel {
        title: "Keys",
        about: "Live keys of every member: the same everywhere.",
        unit: "short",
        lines: &[("etcd_debugging_mvcc_keys_total{cluster=\"$cluster\"}", "{{member}}")],
    },
    Panel {
        title: "Writing to the WAL, slowest of a hundred",
        about: "Below 10 ms is good.",
        unit: "s",
        lines: &[(
            "histogram_quantile(0.99, sum by (member, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{cluster=\"$cluster\"}[5m])))",
            "{{member}}",
        )],
    },
    Panel {
        title: "Commits of the database, slowest of a hundred",
        about: "Below 25 ms is good.",
        unit: "s",
        lines: &[(
            "histogram_quantile(0.99, sum by (member, le) (rate(etcd_disk_backend_commit_duration_seconds_bucket{cluster=\"$cluster\"}[5m])))",
            "{{member}}",
        )],
    },
    Panel {
        title: "Round trips between members, slowest of a hundred",
        about: "The election timeout should be ten of these or more.",
        unit: "s",
        lines: &[(
            "histogram_quantile(0.99, sum by (member, To, le) (rate(etcd_network_peer_round_trip_time_seconds_bucket{cluster=\"$cluster\"}[15m])))",
            "{{member}} to {{To}}",
        )],
    },
    Panel {
        title: "Proposals",
        about: "Waiting to be committed, committed and not applied yet, and failed in five minutes.",
        unit: "short",
        lines: &[
            (
                "etcd_server_proposals_pending{cluster=\"$cluster\"}",
                "{{member}} pending",
            ),
            (
                "etcd_server_proposals_committed_total{cluster=\"$cluster\"} - etcd_server_proposals_applied_total{cluster=\"$cluster\"}",
                "{{member}} not applied",
            ),
            (
                "increase(etcd_server_proposals_failed_total{cluster=\"$cluster\"}[5m])",
                "{{member}} failed",
            ),
        ],
    },
    Panel {
        title: "Traffic of clients",
        about: "Received below, sent above.",
        unit: "Bps",
        lines: &[
            (
                "rate(etcd_network_client_grpc_sent_bytes_total{cluster=\"$cluster\"}[5m])",
                "{{member}} sent",
            ),
            (
                "- rate(etcd_network_client_grpc_received_bytes_total{cluster=\"$cluster\"}[5m])",
                "{{member}} received",
            ),
        ],
    },
    Panel {
        title: "Traffic between members",
        about: "Sent, by member.",
        unit: "Bps",
        lines: &[(
            "sum by (member) (rate(etcd_network_peer_sent_bytes_total{cluster=\"$cluster\"}[5m]))",
            "{{member}}",
        )],
    },
    Panel {
        title: "Memory",
        about: "Resident memory of etcd.",
        unit: "bytes",
        lines: &[(
            "process_resident_memory_bytes{cluster=\"$cluster\", job=~\"etcd-.+\"}",
            "{{member}}",
        )],
    },
    Panel {
        title: "Releases",
        about: "How many members run each.",
        unit: "short",
        lines: &[(
            "count by (server_version) (etcd_server_version{cluster=\"$cluster\"})",
            "{{server_version}}",
        )],
    },
];

/// Every expression of the dashboard, for this cluster: what a test has a real Prometheus answer.
pub fn expressions(cluster: &str) -> Vec<String> {
    let lines = PANELS.iter().flat_map(|panel| panel.lines);
    lines.map(|(expression, _)| expression.replace(C, cluster)).collect()
}

/// The dashboard, to be imported; it asks for the Prometheus data source and offers the clusters that it finds there.
pub fn dashboard() -> String {
    let panels: Vec<Value> = PANELS.iter().enumerate().map(|(at, panel)| graph(at, panel)).collect();
    let dashboard = json!({
        "uid": "quorate-etcd",
        "title": "etcd",
        "description": "Written by `quorate monitoring`",
        "tags": ["etcd"],
        "schemaVersion": 36,
        "version": 1,
        "editable": true,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            {
                "name": "cluster", "label": "Cluster", "type": "query", "datasource": source(),
                "query": {"query": "label_values(etcd_server_has_leader, cluster)", "refId": "cluster"},
                "refresh": 2, "sort": 1
            },
        ]},
        "annotations": {"list": []},
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Three in a row of Grafana's 24 columns.
fn graph(at: usize, panel: &Panel) -> Value {
    let letters = ["A", "B", "C", "D"];
    let targets: Vec<Value> = std::iter::zip(panel.lines, letters)
        .map(|((expression, legend), letter)| {
            json!({"refId": letter, "expr": expression, "legendFormat": legend, "datasource": source()})
        })
        .collect();
    json!({
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": source(),
        "gridPos": {"x": at % 3 * 8, "y": at / 3 * 8, "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"fillOpacity": 0}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_panel_has_its_place_and_asks_for_one_cluster() {
        let dashboard: Value = serde_json::from_str(&dashboard()).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let places: BTreeSet<String> = panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
        assert_eq!(places.len(), panels.len());
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                assert!(
                    target["expr"].as_str().unwrap().contains("cluster=\"$cluster\""),
                    "{target}"
                );
            }
        }
        assert!(
            expressions("prod")
                .iter()
                .all(|e| e.contains("cluster=\"prod\"") && !e.contains('$'))
        );
    }
}
