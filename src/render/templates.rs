//! The files below `templates/`, built into the program.

use std::sync::LazyLock;

use serde::Serialize;
use tera::{Context, Kwargs, State, Tera};

use super::RenderError;
use super::yaml;

/// etcd's configuration file.
pub(super) const CONFIG: &str = "etcd-config.yml.tera";
/// The systemd unit.
pub(super) const UNIT: &str = "etcd.service.tera";
/// The environment file for etcdctl.
pub(super) const ETCDCTL: &str = "etcdctl.env.tera";
/// The unit of scheduled backups.
pub(super) const BACKUP: &str = "etcd-backup.service.tera";
/// Its timer.
pub(super) const BACKUP_TIMER: &str = "etcd-backup.timer.tera";
/// HAProxy's section for one cluster.
pub(crate) const HAPROXY: &str = "clients/haproxy.cfg.tera";
/// Prometheus' configuration.
pub(crate) const PROMETHEUS: &str = "clients/prometheus.yml.tera";
/// Patroni's section about etcd.
pub(crate) const PATRONI: &str = "clients/patroni.yml.tera";

/// A table for nftables.
pub(crate) const NFTABLES: &str = "clients/nftables.tera";
// For Kubernetes and what runs beside it.
pub(crate) const KUBEADM_V1BETA4: &str = "clients/kube/kubeadm-v1beta4.yaml.tera";
pub(crate) const KUBEADM_V1BETA3: &str = "clients/kube/kubeadm-v1beta3.yaml.tera";
pub(crate) const K3S: &str = "clients/kube/k3s.yaml.tera";
pub(crate) const K0S: &str = "clients/kube/k0s.yaml.tera";
pub(crate) const CAPI_SECRETS: &str = "clients/kube/capi-secrets.yaml.tera";
pub(crate) const CAPI: &str = "clients/kube/capi.yaml.tera";
pub(crate) const CILIUM_SECRET: &str = "clients/kube/cilium-secret.yaml.tera";
pub(crate) const CILIUM_CONFIG: &str = "clients/kube/cilium-etcd.config.tera";
pub(crate) const CILIUM_VALUES: &str = "clients/kube/cilium-values.yaml.tera";
pub(crate) const CALICOCTL: &str = "clients/kube/calicoctl.cfg.tera";
pub(crate) const CALICO_SECRET: &str = "clients/kube/calico-secret.yaml.tera";
pub(crate) const CALICO_CONFIG: &str = "clients/kube/calico-config.yaml.tera";

static ENGINE: LazyLock<Result<Tera, tera::Error>> = LazyLock::new(|| {
    let mut engine = Tera::new();
    // These are no HTML files; what could break out of a value is kept in by the `yaml` filter and checked newtypes.
    engine.autoescape_on(Vec::<&str>::new());
    engine.register_filter("yaml", |text: &str, _: Kwargs, _: &State| yaml::quoted(text));
    engine.add_raw_templates([
        (CONFIG, include_str!("../../templates/etcd-config.yml.tera")),
        (UNIT, include_str!("../../templates/etcd.service.tera")),
        (ETCDCTL, include_str!("../../templates/etcdctl.env.tera")),
        (BACKUP, include_str!("../../templates/etcd-backup.service.tera")),
        (BACKUP_TIMER, include_str!("../../templates/etcd-backup.timer.tera")),
        (HAPROXY, include_str!("../../templates/clients/haproxy.cfg.tera")),
        (PATRONI, include_str!("../../templates/clients/patroni.yml.tera")),
        (PROMETHEUS, include_str!("../../templates/clients/prometheus.yml.tera")),
        (NFTABLES, include_str!("../../templates/clients/nftables.tera")),
        (
            KUBEADM_V1BETA4,
            include_str!("../../templates/clients/kube/kubeadm-v1beta4.yaml.tera"),
        ),
        (
            KUBEADM_V1BETA3,
            include_str!("../../templates/clients/kube/kubeadm-v1beta3.yaml.tera"),
        ),
        (K3S, include_str!("../../templates/clients/kube/k3s.yaml.tera")),
        (K0S, include_str!("../../templates/clients/kube/k0s.yaml.tera")),
        (
            CAPI_SECRETS,
            include_str!("../../templates/clients/kube/capi-secrets.yaml.tera"),
        ),
        (CAPI, include_str!("../../templates/clients/kube/capi.yaml.tera")),
        (
            CILIUM_SECRET,
            include_str!("../../templates/clients/kube/cilium-secret.yaml.tera"),
        ),
        (
            CILIUM_CONFIG,
            include_str!("../../templates/clients/kube/cilium-etcd.config.tera"),
        ),
        (
            CILIUM_VALUES,
            include_str!("../../templates/clients/kube/cilium-values.yaml.tera"),
        ),
        (
            CALICOCTL,
            include_str!("../../templates/clients/kube/calicoctl.cfg.tera"),
        ),
        (
            CALICO_SECRET,
            include_str!("../../templates/clients/kube/calico-secret.yaml.tera"),
        ),
        (
            CALICO_CONFIG,
            include_str!("../../templates/clients/kube/calico-config.yaml.tera"),
        ),
    ])?;
    Ok(engine)
});

/// The text of `template` filled with `values`.
///
/// # Errors
/// [`RenderError::Template`] when the template uses something that `values` lacks.
pub(crate) fn render<T: Serialize>(template: &'static str, values: &T) -> Result<String, RenderError> {
    let failed = |error: &tera::Error| RenderError::Template {
        template,
        why: error.to_string(),
    };
    let engine = ENGINE.as_ref().map_err(failed)?;
    let context = Context::from_serialize(values).map_err(|e| failed(&e))?;
    engine.render(template, &context).map_err(|e| failed(&e))
}
