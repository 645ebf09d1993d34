//! `kube check`: whether API servers of a Kubernetes release can use every member of this cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use futures::future::join_all;
use serde::Serialize;

use super::super::args::{Global, KubeCheck};
use super::super::doctor::{Examination, examination, text};
use super::super::error::{Exit, Failure};
use super::super::session::Session;
use super::super::status;
use crate::clients::endpoints::endpoints;
use crate::etcd::ClientTls;
use crate::inventory::NodeName;
use crate::ops::doctor::Examined;
use crate::ops::doctor::kubernetes::{Release, findings};
use crate::ops::inspect;
use crate::ops::model::{Fact, Observed};
use crate::ops::vault::Viewer;
use crate::report::print::{say, say_all};
use crate::report::{Paint, terminal_width};

const LOOKED_AT: &str = "members, releases, addresses, alarms, the client certificate at every member, databases, request size, \
                         authentication";

/// What was found, as `--output json` prints it.
#[derive(Serialize)]
struct Fit {
    kubernetes: String,
    endpoints: Vec<String>,
    #[serde(flatten)]
    examination: Examination,
}

/// `kube check`; exit code 11 when something keeps API servers from using it.
///
/// # Errors
/// When the inventory, the CA or the certificate cannot be read.
pub async fn check(global: &Global, args: &KubeCheck) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let release = args.kubernetes.unwrap_or(Release::NEWEST);
    let given = certificate(args)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.look_past_expiry(&fleet, &vault).await?;
    let tls = match given {
        Some(tls) => Viewer::Certified(tls),
        None => vault.viewer_past_expiry().await?,
    };
    let answers = answers(&session, &seen, tls.tls()).await;
    let examined = Examined {
        desired: session.desired(),
        seen: &seen,
        metrics: BTreeMap::new(),
        hashes: Fact::Absent,
        causes: BTreeMap::new(),
        backups: None,
    };
    let found = findings(&examined, release, &answers);
    let mut fit = Fit {
        kubernetes: release.to_string(),
        endpoints: endpoints(session.desired()),
        examination: examination(session.desired(), found, None),
    };
    fit.examination.looked_at = LOOKED_AT;
    tell(&session, &fit)?;
    Ok(Exit::of_health(fit.examination.healthy))
}

fn tell(session: &Session, fit: &Fit) -> Result<(), Failure> {
    if session.json() {
        return status::json(fit);
    }
    let width = terminal_width().map_or(usize::MAX, usize::from);
    say_all!("{}", text(&fit.examination, Paint::from_env(true), width));
    say!(
        "for Kubernetes {}: --etcd-servers={}",
        fit.kubernetes,
        fit.endpoints.join(",")
    );
    Ok(())
}

/// The files that API servers are given, where they were named.
fn certificate(args: &KubeCheck) -> Result<Option<ClientTls>, Failure> {
    let (Some(ca), Some(cert), Some(key)) = (&args.cacert, &args.cert, &args.key) else {
        return Ok(None);
    };
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|e| {
            Failure::new(Exit::Usage, format!("cannot read {}: {e}", path.display()))
                .hint("name the files that the API servers are given")
        })
    };
    Ok(Some(ClientTls {
        ca_pem: read(ca)?,
        cert_pem: read(cert)?,
        key_pem: read(key)?.into(),
    }))
}

/// How each member that runs takes a read through a quorum with this certificate.
async fn answers(
    session: &Session,
    seen: &Observed,
    tls: Option<&ClientTls>,
) -> BTreeMap<NodeName, Result<(), String>> {
    let Some(tls) = tls else {
        return BTreeMap::new();
    };
    let fleet = session.fleet();
    let asked = status::askable(session.desired(), seen).map(|spec| {
        let fleet = fleet.clone();
        async move {
            let answer = inspect::reads(&fleet, spec, tls).await;
            (spec.name.clone(), answer.map_err(|error| error.to_string()))
        }
    });
    join_all(asked).await.into_iter().collect()
}
