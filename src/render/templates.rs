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
        (PROMETHEUS, include_str!("../../templates/clients/prometheus.yml.tera")),
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
