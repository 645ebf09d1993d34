//! The one place where real parts are wired together: inventory, bundle, connections, CA.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::args::{Global, OutputFormat};
use super::draft::{self, Draft};
use super::error::{Detail, Exit, Failure};
use super::{bundle_trust, key_files, open_files, probe, scratch};
use crate::bundle::{Bundle, BundleError, Found};
use crate::host::ssh::{SshEnvironment, connect};
use crate::host::{HostError, LocalTransport, SecretPlace, SecretSource, Secrets, Transport};
use crate::inventory::{self, Connection, Desired, DesiredHost, Loaded, NodeName, Problem};
use crate::ops::fleet::{Connector, Fleet};
use crate::ops::model::{Observed, Policy, Supplies};
use crate::ops::observe::{observe_cluster, observe_hosts};
use crate::ops::vault::Vault;
use crate::pki::{Recipient, RecipientError};
use crate::report::print::tell;
use crate::report::{Event, OutputMode, ProbeReport, Reporter, quiet, reporter};

/// What a command works with.
pub struct Session {
    /// The flags every command takes.
    pub global: Global,
    /// The inventory's text and what it means.
    pub loaded: Loaded,
    /// Where events go.
    pub reporter: Arc<dyn Reporter>,
    /// When the command began.
    pub begun: Instant,
    /// `upgrade` or `downgrade` was typed ([`Policy::way_chosen`]).
    pub way_chosen: bool,
    /// `--clients-ready` ([`Policy::clients_ready`]).
    pub clients_ready: bool,
    /// What follows the plan that is made now and can only be planned after it, a sentence each: said where a plan is only
    /// shown.
    pub later: Vec<String>,
    /// An edit of the inventory that is not in the file yet.
    pub draft: std::sync::Mutex<Option<Draft>>,
    /// Seconds by phase, so far.
    phases: std::sync::Mutex<Vec<(String, f64)>>,
    /// What the write probe saw, so far.
    probe: std::sync::Mutex<Option<ProbeReport>>,
    /// What etcd was seen to start with during this command.
    tried: std::sync::Mutex<BTreeSet<String>>,
    stop: CancellationToken,
    /// Whether Ctrl-C stops instead of ending the program.
    stops: OnceLock<()>,
    secrets: Arc<dyn SecretSource>,
    /// Whether it was told which bundle lay beside the inventory.
    bundle_told: OnceLock<()>,
    fleet: OnceLock<Arc<Fleet>>,
    vault: OnceLock<Arc<Vault>>,
}

/// Whatever goes wrong with a command is printed after this: what its steps had to say comes first, and the live
/// display is gone by then.
impl Drop for Session {
    fn drop(&mut self) {
        self.reporter.end();
    }
}

impl Session {
    /// Reads the inventory.
    ///
    /// # Errors
    /// Every problem in it at once; `--limit` names that it does not know.
    pub fn open(global: &Global) -> Result<Self, Failure> {
        Self::of(global, inventory::load(&global.inventory)?)
    }

    /// The same; events go to `reporter`.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_with(global: &Global, reporter: Arc<dyn Reporter>) -> Result<Self, Failure> {
        scratch::clear_dead();
        let loaded = inventory::load(&global.inventory)?;
        Self::with(global, reporter, loaded)
    }

    /// One with an inventory that is not in the file yet.
    ///
    /// # Errors
    /// When `--limit` names a host that it does not know.
    pub fn of(global: &Global, loaded: Loaded) -> Result<Self, Failure> {
        scratch::clear_dead();
        let reporter = reporter_for(global, Some(&loaded.desired));
        Self::with(global, reporter, loaded)
    }

    fn with(global: &Global, reporter: Arc<dyn Reporter>, loaded: Loaded) -> Result<Self, Failure> {
        warn(global, reporter.as_ref(), &loaded, &[]);
        for name in &global.limit {
            known(&loaded.desired, name)?;
        }
        // Of a fleet it was asked for all clusters together.
        if global.part.is_none() {
            open_files::room_for(loaded.desired.hosts.len(), None)?;
        }
        let (secrets, stop, stops) = match &global.part {
            // One Ctrl-C is for all clusters; a lock that one of them loses is not.
            Some(part) => (part.secrets(), part.stop().child_token(), OnceLock::from(())),
            None => (secrets(global, &reporter), CancellationToken::new(), OnceLock::new()),
        };
        Ok(Self {
            global: global.clone(),
            loaded,
            reporter,
            begun: Instant::now(),
            way_chosen: false,
            clients_ready: false,
            later: Vec::new(),
            draft: Default::default(),
            phases: Default::default(),
            probe: Default::default(),
            tried: Default::default(),
            stop,
            stops,
            secrets,
            bundle_told: Default::default(),
            fleet: OnceLock::new(),
            vault: OnceLock::new(),
        })
    }

    /// What the inventory means.
    pub fn desired(&self) -> &Desired {
        &self.loaded.desired
    }

    /// The directory of the inventory.
    pub fn base(&self) -> &Path {
        match self.loaded.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        }
    }

    /// What the operator allowed.
    pub fn policy(&self) -> Policy {
        Policy {
            accept_outage: self.global.accept_outage,
            accept_data_loss: self.global.accept_data_loss,
            no_snapshot: self.global.no_snapshot,
            way_chosen: self.way_chosen,
            clients_ready: self.clients_ready,
        }
    }

    /// True for `--output json`.
    pub fn json(&self) -> bool {
        self.global.output == OutputFormat::Json
    }

    /// Runs a phase and keeps its time for the summary.
    pub async fn phase<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        self.reporter.event(&Event::PhaseStarted { phase: name.into() });
        let begun = Instant::now();
        let done = work.await;
        let seconds = begun.elapsed().as_secs_f64();
        self.reporter.event(&Event::PhaseFinished {
            phase: name.into(),
            seconds,
        });
        if let Ok(mut phases) = self.phases.lock() {
            phases.push((name.into(), seconds));
        }
        done
    }

    /// Does one step outside a plan, told as it goes; `work` gives what it saw.
    ///
    /// # Errors
    /// The work's own, which has been told.
    pub async fn step(
        &self,
        step: &str,
        node: Option<&NodeName>,
        what: &str,
        work: impl Future<Output = Result<String, Failure>>,
    ) -> Result<(), Failure> {
        let (step, node) = (step.to_owned(), node.cloned());
        self.reporter.event(&Event::StepStarted {
            step: step.clone(),
            node: node.clone(),
            what: what.to_owned(),
        });
        let begun = Instant::now();
        let done = work.await;
        self.reporter.event(&match &done {
            Ok(saw) => Event::StepFinished {
                step,
                node,
                seconds: begun.elapsed().as_secs_f64(),
                saw: saw.clone(),
            },
            Err(failure) => Event::StepFailed {
                step,
                node,
                error: failure.message.clone(),
                hint: failure.hint.clone(),
                journal: Vec::new(),
            },
        });
        done.map(drop)
    }

    /// Says how it ended, with what the write probe saw if there was one.
    pub fn finish(&self, ok: bool, changed: usize, summary: impl Into<String>) {
        let phases = self.phases.lock().map(|p| p.clone()).unwrap_or_default();
        let probe = self.probe.lock().ok().and_then(|mut p| p.take());
        let seconds = self.begun.elapsed().as_secs_f64();
        self.reporter.event(&Event::Finished {
            ok,
            seconds,
            phases,
            changed,
            summary: summary.into(),
            round_trips: self.round_trips(),
            probe,
        });
    }

    /// Keeps what a write probe saw, for [`Session::finish`]; a command may run several.
    pub fn probed(&self, seen: ProbeReport) {
        if let Ok(mut probe) = self.probe.lock() {
            *probe = Some(match probe.take() {
                Some(before) => probe::together(&before, &seen),
                None => seen,
            });
        }
    }

    /// Keeps in mind that etcd starts with this, for the length of the command.
    pub fn tried(&self, configuration: String) {
        if let Ok(mut tried) = self.tried.lock() {
            tried.insert(configuration);
        }
    }

    /// Whether etcd was seen to start with this.
    pub fn has_tried(&self, configuration: &str) -> bool {
        self.tried.lock().is_ok_and(|tried| tried.contains(configuration))
    }

    /// Cancelled by the first Ctrl-C from now on.
    pub fn stop(&self) -> &CancellationToken {
        self.stops.get_or_init(|| super::interrupt::cancels(self.stop.clone()));
        &self.stop
    }

    /// Goes on with another text of the inventory, which is not written to the file yet.
    ///
    /// # Errors
    /// Every problem in it at once.
    pub fn read_as(&mut self, text: &str) -> Result<(), Failure> {
        let loaded = draft::read(&self.loaded.path, text)?;
        warn(&self.global, self.reporter.as_ref(), &loaded, &self.loaded.warnings);
        self.loaded = loaded;
        self.fleet = Default::default();
        Ok(())
    }

    /// Exchanges with each host so far, for those who asked to be told more.
    fn round_trips(&self) -> BTreeMap<NodeName, u64> {
        match (self.global.verbose, self.fleet.get()) {
            (1.., Some(fleet)) => fleet.round_trips(),
            _ => BTreeMap::new(),
        }
    }

    /// The bundle, wherever it is, if the inventory allows it.
    ///
    /// # Errors
    /// When there is none, it is damaged, or not the one that the inventory wants.
    pub fn bundle(&self) -> Result<Bundle, Failure> {
        self.admitted(Bundle::find(self.global.bundle.as_deref(), self.base())?)
    }

    /// The same; `None` where there is none.
    ///
    /// # Errors
    /// When there is one that is damaged, or not the one that the inventory wants.
    pub fn bundle_if_any(&self) -> Result<Option<Bundle>, Failure> {
        match Bundle::find(self.global.bundle.as_deref(), self.base()) {
            Ok(found) => self.admitted(found).map(Some),
            Err(BundleError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn admitted(&self, (bundle, found): (Bundle, Found)) -> Result<Bundle, Failure> {
        let told = bundle_trust::admit(self.desired(), &bundle)?;
        if found == Found::Beside {
            self.bundle_told.get_or_init(|| self.name_bundle(&told));
        }
        Ok(bundle)
    }

    /// Which file it is that merely lay there, once a run. Beside the inventory anybody may have put it.
    fn name_bundle(&self, told: &str) {
        match self.json() {
            // Standard output is one document of some commands.
            true => tell!("note: {told}"),
            false => self.note(told),
        }
    }

    /// The CA of this cluster, opened once for the whole command.
    pub fn vault(&self) -> Arc<Vault> {
        self.vault.get_or_init(|| self.new_vault()).clone()
    }

    fn new_vault(&self) -> Arc<Vault> {
        let secrets = self.secrets.clone();
        let ask = Arc::new(move |path: &Path| secrets.passphrase(path));
        Vault::new(self.desired(), self.base(), key_files::of(self), ask)
    }

    /// Who the inventory says can open the CA key.
    ///
    /// # Errors
    /// Every entry that cannot be used.
    pub fn recipients(&self) -> Result<Vec<Recipient>, Failure> {
        Recipient::parse_all(&self.desired().pki.recipients, self.base())
            .map_err(|errors| unusable(Exit::Inventory, "`pki.recipients`: not every one can be used", errors))
    }

    /// The operator's side of SSH connections.
    pub fn ssh(&self) -> (Arc<SshEnvironment>, Arc<dyn SecretSource>) {
        let agent = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
        let mut environment = SshEnvironment::new(home().unwrap_or_default(), agent);
        environment.stop = self.stop.clone();
        let reporter = self.reporter.clone();
        environment.told = Arc::new(move |node, what| {
            reporter.event(&Event::Note {
                text: format!("{node}: {what}"),
            });
        });
        (Arc::new(environment), self.secrets.clone())
    }

    /// The hosts, each connected when it is first needed.
    pub fn fleet(&self) -> Arc<Fleet> {
        self.fleet.get_or_init(|| self.new_fleet()).clone()
    }

    fn new_fleet(&self) -> Arc<Fleet> {
        let desired = Arc::new(self.desired().clone());
        let (environment, _) = self.ssh();
        let permits = match &self.global.part {
            Some(part) => part.permits(),
            None => permits(self.global.parallel),
        };
        Fleet::new(
            desired,
            Box::new(RealConnector {
                environment,
                secrets: self.secrets.clone(),
                permits,
            }),
        )
    }

    /// What lies ready on this machine for the planner.
    ///
    /// # Errors
    /// When `ca.crt` cannot be read, or a recipient cannot be used.
    pub fn supplies(&self, bundle: Option<&Bundle>, vault: &Vault) -> Result<Supplies, Failure> {
        self.recipients()?;
        let mut releases: BTreeMap<_, BTreeMap<_, BTreeMap<String, String>>> = BTreeMap::new();
        for release in bundle.iter().flat_map(|b| &b.manifest().releases) {
            let files = release
                .files
                .iter()
                .map(|(program, file)| (program.as_str().to_owned(), file.sha256.to_string()))
                .collect();
            releases.entry(release.version).or_default().insert(release.arch, files);
        }
        Ok(Supplies {
            releases,
            ca_pem: vault.trusted_pem()?,
            next_ca: vault.next_ca()?,
            clients: vault.clients()?,
            crl: vault.crl_digest()?,
            keyless: vault.is_keyless(),
        })
    }

    /// Opens the CA, or what the operator has to look with, while the hosts are inspected; then asks etcd.
    ///
    /// # Errors
    /// When the CA has expired, or a file of it is damaged.
    pub async fn look(&self, fleet: &Arc<Fleet>, vault: &Arc<Vault>) -> Result<Observed, Failure> {
        let (hosts, viewer) = tokio::join!(observe_hosts(fleet), vault.viewer());
        let viewer = viewer?;
        Ok(viewer.explain(observe_cluster(fleet, viewer.tls(), hosts).await))
    }

    /// The same, for commands that mend certificates: an expired CA only means that etcd cannot be talked to.
    ///
    /// # Errors
    /// When a file of the CA is damaged.
    pub async fn look_past_expiry(&self, fleet: &Arc<Fleet>, vault: &Arc<Vault>) -> Result<Observed, Failure> {
        let (hosts, viewer) = tokio::join!(observe_hosts(fleet), vault.viewer_past_expiry());
        let viewer = viewer?;
        Ok(viewer.explain(observe_cluster(fleet, viewer.tls(), hosts).await))
    }

    /// Refuses an operator who can only look, before any host is touched. What only shows a plan may go on.
    ///
    /// # Errors
    /// Who can open the CA key.
    pub async fn may_change(&self) -> Result<(), Failure> {
        match self.global.dry_run {
            true => Ok(()),
            false => Ok(self.vault().may_change().await?),
        }
    }

    /// The hosts of `--limit`, or all.
    pub fn within_limit(&self) -> impl Iterator<Item = &DesiredHost> {
        let limit = &self.global.limit;
        let hosts = self.desired().hosts.values();
        hosts.filter(|spec| limit.is_empty() || limit.contains(&spec.name))
    }

    /// Says something worth knowing.
    pub fn note(&self, text: &str) {
        self.reporter.event(&Event::Note { text: text.to_owned() });
    }

    /// The host of this name.
    ///
    /// # Errors
    /// When the inventory has none, with the nearest name.
    pub fn spec(&self, name: &NodeName) -> Result<&DesiredHost, Failure> {
        known(self.desired(), name)
    }
}

/// Shows the warnings of an inventory that were not shown before. Some commands promise exactly one JSON object on
/// standard output, so there they go to standard error.
fn warn(global: &Global, reporter: &dyn Reporter, loaded: &Loaded, shown: &[Problem]) {
    let fresh = |w: &&Problem| !shown.iter().any(|s| s.message == w.message);
    for warning in loaded.warnings.iter().filter(fresh) {
        let (file, line, _) = warning.place();
        let text = format!("{}:{line}: {}", loaded.file(file).display(), warning.message);
        match global.output {
            OutputFormat::Json => tell!("warning: {text} (help: {})", warning.help),
            OutputFormat::Human => reporter.event(&Event::Warning {
                node: None,
                text,
                hint: Some(warning.help.clone()),
            }),
        }
    }
}

/// Recipients that cannot be used, each with what to do.
pub fn unusable(exit: Exit, message: &str, errors: Vec<RecipientError>) -> Failure {
    let details = errors.into_iter().map(|error| Detail {
        node: None,
        message: error.to_string(),
        hint: error.hint,
    });
    Failure {
        details: details.collect(),
        ..Failure::new(exit, message)
    }
}

fn known<'a>(desired: &'a Desired, name: &NodeName) -> Result<&'a DesiredHost, Failure> {
    desired.hosts.get(name).ok_or_else(|| {
        let near = inventory::leaf::nearest(name.as_str(), desired.order.iter().map(NodeName::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "its hosts are {}",
                desired
                    .order
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        Failure::new(Exit::Usage, format!("the inventory has no host `{name}`")).hint(hint)
    })
}

/// Where events go for these flags, of a run for this cluster.
pub fn reporter_for(global: &Global, cluster: Option<&Desired>) -> Arc<dyn Reporter> {
    if let Some(part) = &global.part {
        return part.reporter();
    }
    let mode = match global.output {
        OutputFormat::Human => OutputMode::Human,
        OutputFormat::Json => OutputMode::Json,
    };
    let cluster = cluster.map(|desired| desired.cluster.to_string());
    reporter(mode, std::io::stderr().is_terminal(), cluster)
}

/// Where passwords come from: the terminal, unless a flag names another place. A host that asks at its login is only
/// heard where somebody sees the question.
pub(super) fn secrets(global: &Global, reporter: &Arc<dyn Reporter>) -> Arc<dyn SecretSource> {
    let secrets = match std::io::stderr().is_terminal() {
        true => Secrets::new().with_login(SecretPlace::Terminal),
        false => Secrets::new(),
    };
    let secrets = match (global.sudo_password_fd, &global.sudo_password_env) {
        (Some(fd), _) => secrets.with_sudo(SecretPlace::Descriptor(fd)),
        (None, Some(name)) => secrets.with_sudo(SecretPlace::Variable(name.clone())),
        (None, None) => secrets,
    };
    Arc::new(Prompts {
        secrets,
        reporter: reporter.clone(),
    })
}

/// How many hosts are logged in to at the same time.
pub(super) fn permits(typed: Option<u16>) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::from(typed.unwrap_or(16))))
}

/// Asks while the live display holds still.
struct Prompts {
    secrets: Secrets,
    reporter: Arc<dyn Reporter>,
}

impl SecretSource for Prompts {
    fn passphrase(&self, key: &Path) -> Option<SecretString> {
        let _quiet = quiet(self.reporter.as_ref());
        self.secrets.passphrase(key)
    }

    fn sudo_password(&self, who: &str) -> Option<SecretString> {
        let _quiet = quiet(self.reporter.as_ref());
        self.secrets.sudo_password(who)
    }

    fn login_password(&self, who: &str) -> Option<SecretString> {
        let _quiet = quiet(self.reporter.as_ref());
        self.secrets.login_password(who)
    }

    fn code(&self, question: &str) -> Option<SecretString> {
        let _quiet = quiet(self.reporter.as_ref());
        self.secrets.code(question)
    }
}

/// The operator's home directory.
pub(super) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

/// SSH, or this machine itself.
struct RealConnector {
    environment: Arc<SshEnvironment>,
    secrets: Arc<dyn SecretSource>,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl Connector for RealConnector {
    async fn connect(&self, host: &DesiredHost) -> Result<Arc<dyn Transport>, HostError> {
        match &host.connection {
            Connection::Local => Ok(Arc::new(LocalTransport::new(host.name.clone()))),
            Connection::Ssh(target) => {
                let _permit = self.permits.acquire().await;
                Ok(Arc::new(
                    connect(&host.name, target, &self.environment, self.secrets.clone()).await?,
                ))
            }
        }
    }
}
