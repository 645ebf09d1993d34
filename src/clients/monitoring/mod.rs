//! What Prometheus and Grafana need: scrape configuration, targets by file, alerts, a dashboard.
//!
//! Alerts and dashboard are the same for every cluster, which its label tells apart; targets are a file each.

mod dashboard;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::endpoints::hosts;
use super::lb::reachable_metrics_port;
use crate::inventory::{Desired, DesiredHost};
use crate::render::{RenderError, templates};

pub use dashboard::{dashboard, expressions};

/// Alert rules, for every cluster.
pub const RULES: &str = include_str!("../../../templates/monitoring/etcd.rules.yml");

/// The first words of a scrape configuration that quorate wrote, and may write anew.
pub const SCRAPE_HEADER: &str = "# Written by `quorate monitoring`";

/// One cluster as the scrape configuration knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Scraped {
    /// The cluster's name: its job is `etcd-NAME`, its targets are `targets/NAME.json`.
    pub name: String,
    /// Whether a client certificate is needed, in `tls/NAME/`.
    pub tls: bool,
}

/// How this cluster is scraped.
pub fn scraped(desired: &Desired) -> Scraped {
    Scraped {
        name: desired.cluster.to_string(),
        tls: hosts(desired).any(|host| reachable_metrics_port(host).is_none()),
    }
}

/// The targets of file-based service discovery: every member of the inventory, so that one that is down is missed.
pub fn targets(desired: &Desired) -> String {
    let groups: Vec<_> = hosts(desired).map(|host| target(desired, host)).collect();
    format!("{:#}\n", serde_json::Value::Array(groups))
}

fn target(desired: &Desired, host: &DesiredHost) -> serde_json::Value {
    let (scheme, port) = match reachable_metrics_port(host) {
        Some(port) => ("http", port),
        None => ("https", host.client_port),
    };
    json!({
        "targets": [format!("{}:{port}", host.address.in_url())],
        "labels": {"cluster": desired.cluster.as_str(), "member": host.name.as_str(), "__scheme__": scheme},
    })
}

/// A whole Prometheus configuration that scrapes these clusters.
///
/// # Errors
/// [`RenderError::Template`]: a mistake in the program.
pub fn scrape(clusters: &BTreeSet<Scraped>) -> Result<String, RenderError> {
    #[derive(Serialize)]
    struct View<'a> {
        clusters: &'a BTreeSet<Scraped>,
    }
    templates::render(templates::PROMETHEUS, &View { clusters })
}

/// Whether a targets file asks for a client certificate; `None` when it is no file of targets.
pub fn asks_for_tls(targets: &str) -> Option<bool> {
    let groups: Vec<serde_json::Value> = serde_json::from_str(targets).ok()?;
    Some(groups.iter().any(|group| group["labels"]["__scheme__"] == "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::samples::{cluster_of, host};
    use crate::inventory::{MetricsListen, Version};

    fn desired() -> Desired {
        let mut hosts = vec![
            host("etcd-1", "10.0.0.11"),
            host("etcd-2", "fd00::2"),
            host("etcd-3", "10.0.0.13"),
        ];
        let listen = |address: &str| MetricsListen {
            address: address.parse().unwrap(),
            port: 2381,
        };
        hosts[0].metrics = Some(listen("0.0.0.0"));
        hosts[2].metrics = Some(listen("127.0.0.1"));
        cluster_of(Version::new(3, 6, 16), hosts)
    }

    #[test]
    fn targets_go_to_the_port_that_other_machines_reach() {
        insta::assert_snapshot!(targets(&desired()));
        assert_eq!(asks_for_tls(&targets(&desired())), Some(true));
        assert_eq!(asks_for_tls("{}"), None);
    }

    #[test]
    fn several_clusters_share_one_configuration() {
        let other = Scraped {
            name: "events".to_owned(),
            tls: false,
        };
        insta::assert_snapshot!(scrape(&[scraped(&desired()), other].into()).unwrap());
    }

    #[test]
    fn every_alert_says_what_to_do_and_whom_it_is_about() {
        let rules: serde_json::Value = serde_yaml::from_str(RULES).unwrap();
        let groups = rules["groups"].as_array().unwrap();
        let alerts: Vec<_> = groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
        assert!(alerts.len() > 20);
        for alert in alerts {
            let name = alert["alert"].as_str().unwrap();
            let annotations = &alert["annotations"];
            assert!(annotations["action"].is_string(), "{name}");
            let summary = annotations["summary"].as_str().unwrap();
            assert!(
                name == "EtcdNotScraped" || summary.contains("$labels.cluster"),
                "{name}"
            );
            assert!(["info", "warning", "critical"].contains(&alert["labels"]["severity"].as_str().unwrap()));
        }
    }
}
