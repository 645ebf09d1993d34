//! One release of etcd on one machine: starts it with a configuration, sees whether it serves, and if it does not, finds
//! out which options it dies of by leaving them out.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use tokio::time::{Instant, sleep, timeout};

use super::configuration::{Configuration, Ports};
use super::words::last_words;
use crate::etcd::{ClientTls, Dial, Endpoint, EtcdClient, EtcdError, Stream};
use crate::host::{HostError, Transport, TrialProgram, TrialStand};
use crate::inventory::{ClusterName, KeyType, NodeName, UserName};
use crate::ops::safety::trial::Fault;
use crate::pki::{AuthorityError, Throwaway};
use crate::report::chain;

/// What a start may take besides its election, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(30);
const STATUS_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(25);
/// One that serves takes a handshake at once or never.
const TLS_LIMIT: Duration = Duration::from_secs(3);
/// One that has been killed is gone at once.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Somebody may have a port that was drawn.
const DRAWS: usize = 8;
/// Below the ports that systems give out by themselves.
const LOWEST_PORT: u16 = 20_000;

/// Why a configuration could not be tried. (That etcd does not start is what was asked.)
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrialError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("cannot create certificates for the trial")]
    Certificates(#[from] AuthorityError),
    #[error(transparent)]
    Client(#[from] EtcdError),
    #[error("no free ports were found on loopback")]
    Ports,
}

/// A release of etcd on a machine, ready to be asked.
pub struct Bench {
    stand: TrialStand,
    transport: Arc<dyn Transport>,
    tls: ClientTls,
    ports: Ports,
}

/// What came of one start.
enum Start {
    Serves,
    /// It died, in its own words, or it serves nobody.
    Fails(String),
    /// It does not come that far. Asking again and again would take minutes.
    Hangs(String),
}

impl Start {
    fn says(&self, words: &str) -> bool {
        matches!(self, Start::Fails(said) if said == words)
    }
}

impl Bench {
    /// Brings the program there. See [`TrialStand::set_up`].
    ///
    /// # Errors
    /// When nothing can be tried there.
    pub async fn set_up(
        node: &NodeName,
        transport: Arc<dyn Transport>,
        account: Option<&UserName>,
        program: &TrialProgram,
        key_type: KeyType,
    ) -> Result<Self, TrialError> {
        let name: ClusterName = "trial".parse().expect("a good name");
        let made = Throwaway::make(&name, key_type, Timestamp::now())?;
        let mut stand = TrialStand::set_up(node, &transport, account, program).await?;
        for (name, content) in [
            ("ca.crt", made.ca_pem.as_bytes()),
            ("server.crt", made.server.cert_pem.as_bytes()),
            ("server.key", made.server.key.expose_pem().as_bytes()),
            ("crl.der", &made.crl),
        ] {
            stand.file(name, content).await?;
        }
        Ok(Self {
            stand,
            transport,
            tls: ClientTls {
                ca_pem: made.ca_pem,
                cert_pem: made.client.cert_pem,
                key_pem: made.client.key.expose_pem().to_owned().into(),
            },
            ports: draw()?,
        })
    }

    /// Everything that keeps this release from starting with it, as far as it can be told apart; empty when it starts.
    /// What is to blame is left out, and the rest asked again.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub async fn judge(&mut self, asked: &Configuration) -> Result<Vec<Fault>, TrialError> {
        let (mut without, mut faults) = (BTreeSet::new(), Vec::new());
        loop {
            let said = match self.start(asked, &without).await? {
                Start::Serves => return Ok(faults),
                Start::Fails(said) => said,
                Start::Hangs(said) => {
                    let options = Vec::new();
                    faults.push(Fault { options, said });
                    return Ok(faults);
                }
            };
            let options = self.blamed(asked, &without, &said).await?;
            let nobody = options.is_empty();
            without.extend(options.iter().cloned());
            faults.push(Fault { options, said });
            if nobody {
                return Ok(faults);
            }
        }
    }

    /// The options that etcd says this because of: without one of them it says something else. That may be something new
    /// which only comes about without it, so one that it says the same of alone is to blame before all others.
    async fn blamed(
        &mut self,
        asked: &Configuration,
        without: &BTreeSet<String>,
        said: &str,
    ) -> Result<Vec<String>, TrialError> {
        let typed: Vec<&String> = asked.typed().difference(without).collect();
        let (mut involved, mut alone) = (Vec::new(), Vec::new());
        for option in &typed {
            let mut less = without.clone();
            less.insert((*option).clone());
            if !self.start(asked, &less).await?.says(said) {
                involved.push((*option).clone());
            }
        }
        for option in involved.iter().filter(|_| involved.len() > 1) {
            let others = typed
                .iter()
                .filter(|other| ***other != *option)
                .map(|other| (*other).clone());
            let only = without.iter().cloned().chain(others).collect();
            if self.start(asked, &only).await?.says(said) {
                alone.push(option.clone());
            }
        }
        Ok(if alone.is_empty() { involved } else { alone })
    }

    /// Ends it, and waits until nothing is left.
    pub async fn take_down(self) {
        self.stand.take_down().await;
    }

    async fn start(&mut self, asked: &Configuration, without: &BTreeSet<String>) -> Result<Start, TrialError> {
        for _ in 0..DRAWS {
            let file = asked.file(self.ports, without);
            self.stand.file("config.json", file.as_bytes()).await?;
            let client = self.client()?;
            self.stand.start().await?;
            let limit = LIMIT + 2 * asked.election();
            let start = tokio::select! {
                end = self.stand.ended() => Err(end?),
                talk = talks(&client, limit) => Ok(talk),
            };
            self.stand.next().await?;
            let end = match start {
                Err(end) => end,
                Ok(talk) => {
                    // Killed by us: its log is of use only when it never served.
                    let end = timeout(END_LIMIT, self.stand.ended()).await;
                    let log = end.map_or(Ok(String::new()), |end| end.map(|end| end.log))?;
                    return Ok(talk.with(&log));
                }
            };
            if end.log.contains("address already in use") {
                self.ports = draw()?;
                continue;
            }
            let said = last_words(&end.log);
            return Ok(Start::Fails(said.unwrap_or_else(|| match end.status {
                killed @ 129.. => format!("(nothing; it was killed by signal {})", killed - 128),
                status => format!("(nothing; it exited with code {status})"),
            })));
        }
        Err(TrialError::Ports)
    }

    fn client(&self) -> Result<EtcdClient, EtcdError> {
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.ports.client,
        };
        let dial = Loopback {
            transport: self.transport.clone(),
            port: self.ports.client,
        };
        EtcdClient::connect(Arc::new(dial), endpoint, &self.tls)
    }
}

/// How it went to talk to one that runs.
enum Talk {
    Well,
    /// It does not take the client's handshake, and will not.
    Refused(String),
    /// It has not answered a read in time.
    Silent(Duration, String),
}

/// Asks until it answers reads, or until that is clearly not to be.
async fn talks(client: &EtcdClient, limit: Duration) -> Talk {
    let begun = Instant::now();
    let mut refused = None;
    loop {
        let asked = match client.status(STATUS_LIMIT).await {
            Ok(_) => client.linearizable_ping().await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = asked else { return Talk::Well };
        let why = chain(&error);
        match error {
            EtcdError::Tls { .. } => {
                let since = *refused.get_or_insert_with(Instant::now);
                if since.elapsed() > TLS_LIMIT {
                    return Talk::Refused(why);
                }
            }
            _ => refused = None,
        }
        if begun.elapsed() > limit {
            return Talk::Silent(limit, why);
        }
        sleep(POLL).await;
    }
}

impl Talk {
    /// What that means for the start, with what etcd had to say.
    fn with(self, log: &str) -> Start {
        let words = last_words(log)
            .map(|words| format!("; it says: {words}"))
            .unwrap_or_default();
        match self {
            Talk::Well => Start::Serves,
            Talk::Refused(why) => Start::Fails(format!("(it runs, but quorate cannot connect to it: {why})")),
            Talk::Silent(limit, why) => Start::Hangs(format!(
                "(it runs, but did not become ready within {} s: {why}{words})",
                limit.as_secs()
            )),
        }
    }
}

/// Three ports that are most likely free.
fn draw() -> Result<Ports, TrialError> {
    let mut random = [0; 2];
    let source = aws_lc_rs::default_provider().secure_random;
    source.fill(&mut random).map_err(|_| TrialError::Ports)?;
    let first = LOWEST_PORT + u16::from_be_bytes(random) % 12_000;
    Ok(Ports {
        client: first,
        peer: first + 1,
        metrics: first + 2,
    })
}

/// A port of the loopback of wherever scripts run.
struct Loopback {
    transport: Arc<dyn Transport>,
    port: u16,
}

#[async_trait]
impl Dial for Loopback {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = self.transport.tunnel("127.0.0.1", self.port).await;
        Ok(Box::new(stream.map_err(io::Error::other)?))
    }
}
