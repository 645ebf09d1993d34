//! The machines and members of one cluster: one connection a host, opened once, shared by everything.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::etcd::{ClientTls, Dial, Endpoint, EtcdClient, EtcdError, EtcdHttp, Member, Stream};
use crate::host::{Host, HostError, Transport};
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName, Version};
use crate::ops::listening::Listening;

/// `/version` is answered from memory.
const VERSION_LIMIT: Duration = Duration::from_secs(2);

/// Opens the connection to a host. The command line wires in SSH, or this machine itself.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Names the host and what to do.
    async fn connect(&self, host: &DesiredHost) -> Result<Arc<dyn Transport>, HostError>;
}

/// Every host of an inventory, connected when first needed.
pub struct Fleet {
    desired: Arc<Desired>,
    connector: Box<dyn Connector>,
    slots: BTreeMap<NodeName, Slot>,
    /// gRPC channels to members that are no hosts of the inventory, each through the host that it was made with.
    strangers: Mutex<BTreeMap<(NodeName, MemberId), EtcdClient>>,
}

#[derive(Default)]
struct Slot {
    /// One connection attempt at a time; a lost connection is opened again.
    host: Mutex<Option<Arc<Host>>>,
    /// gRPC channels over that connection, one for each client identity that was used.
    client: Mutex<Option<EtcdClient>>,
    /// Where the member was last seen to listen, when that is not where the inventory has it.
    listening: std::sync::Mutex<Option<Listening>>,
}

impl Fleet {
    /// A fleet without a single connection yet.
    pub fn new(desired: Arc<Desired>, connector: Box<dyn Connector>) -> Arc<Self> {
        let slots = desired
            .hosts
            .keys()
            .map(|name| (name.clone(), Slot::default()))
            .collect();
        Arc::new(Self {
            desired,
            connector,
            slots,
            strangers: Mutex::default(),
        })
    }

    /// What the fleet was made from.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The connection to a host, opened now if it is not yet.
    ///
    /// # Errors
    /// When it cannot be reached or will not let us in.
    pub async fn host(&self, spec: &DesiredHost) -> Result<Arc<Host>, HostError> {
        let mut slot = self.slot(&spec.name).host.lock().await;
        if let Some(host) = slot.as_ref() {
            return Ok(host.clone());
        }
        let transport = self.connector.connect(spec).await?;
        let host = Arc::new(Host::new(spec, transport));
        *slot = Some(host.clone());
        Ok(host)
    }

    /// Asks a host, over a fresh connection if the one at hand turns out to be dead: it may have been rebooted meanwhile.
    ///
    /// # Errors
    /// When it cannot be reached, or what the question makes of the answer.
    pub async fn ask<'a, T>(
        &self,
        spec: &DesiredHost,
        question: impl Fn(Arc<Host>) -> BoxFuture<'a, Result<T, HostError>> + Send,
    ) -> Result<T, HostError> {
        let host = self.host(spec).await?;
        match question(host.clone()).await {
            Err(HostError::Lost { .. }) => {
                self.forget(&spec.name, &host).await;
                question(self.host(spec).await?).await
            }
            other => other,
        }
    }

    /// The same; a connection that stays silent for `limit` is given up, so that the next question opens a new one. Opening
    /// one takes as long as it takes.
    ///
    /// # Errors
    /// As [`Fleet::ask`].
    pub async fn ask_within<'a, T>(
        &self,
        spec: &DesiredHost,
        limit: Option<Duration>,
        question: impl Fn(Arc<Host>) -> BoxFuture<'a, Result<T, HostError>> + Send,
    ) -> Result<T, HostError> {
        let Some(limit) = limit else {
            return self.ask(spec, question).await;
        };
        let host = self.host(spec).await?;
        match tokio::time::timeout(limit, question(host.clone())).await {
            Ok(Err(HostError::Lost { .. })) => {
                self.forget(&spec.name, &host).await;
                self.ask(spec, question).await
            }
            Ok(other) => other,
            Err(_) => {
                self.forget(&spec.name, &host).await;
                Err(no_answer(spec, limit))
            }
        }
    }

    /// Forgets a connection that was lost, so that the next use opens a new one; one that somebody else has opened in its
    /// place meanwhile stays.
    async fn forget(&self, name: &NodeName, lost: &Arc<Host>) {
        let slot = self.slot(name);
        let mut host = slot.host.lock().await;
        if host.as_ref().is_some_and(|host| Arc::ptr_eq(host, lost)) {
            *host = None;
            *slot.client.lock().await = None;
        }
    }

    /// Forgets the gRPC clients, so that the next ones are made with another identity. Connections to hosts stay.
    pub async fn forget_clients(&self) {
        for slot in self.slots.values() {
            *slot.client.lock().await = None;
        }
        self.strangers.lock().await.clear();
    }

    /// A gRPC client for the member on a host, through that host's connection.
    ///
    /// # Errors
    /// When the identity cannot be used.
    pub async fn client(self: &Arc<Self>, spec: &DesiredHost, tls: &ClientTls) -> Result<EtcdClient, EtcdError> {
        let mut slot = self.slot(&spec.name).client.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let port = spec.client_port;
        let client = EtcdClient::connect(self.dial(spec, port), self.endpoint(spec, port), tls)?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// A gRPC client for a member that is no host of the inventory, by the client URL it publishes and through the
    /// connection of a host that is.
    ///
    /// # Errors
    /// When it publishes no usable URL, or the identity cannot be used.
    pub async fn stranger(
        self: &Arc<Self>,
        member: &Member,
        via: &DesiredHost,
        tls: &ClientTls,
    ) -> Result<EtcdClient, EtcdError> {
        let mut strangers = self.strangers.lock().await;
        let key = (via.name.clone(), member.id);
        if let Some(client) = strangers.get(&key) {
            return Ok(client.clone());
        }
        let published = member.client_urls.iter().find_map(|url| Endpoint::of_url(url));
        let endpoint = published.ok_or_else(|| EtcdError::Unreachable {
            endpoint: member.client_urls.join(","),
            why: "it publishes no https client URL".into(),
        })?;
        let dial = Tunnel {
            fleet: self.clone(),
            node: via.name.clone(),
            to: To::Endpoint(endpoint.clone()),
        };
        let client = EtcdClient::connect(Arc::new(dial), endpoint, tls)?;
        strangers.insert(key, client.clone());
        Ok(client)
    }

    /// etcd's HTTP side on one of the member's two ports.
    ///
    /// # Errors
    /// When the identity cannot be used.
    pub fn http(self: &Arc<Self>, spec: &DesiredHost, port: u16, tls: &ClientTls) -> Result<EtcdHttp, EtcdError> {
        EtcdHttp::new(self.dial(spec, port), self.endpoint(spec, port), tls)
    }

    /// Opens streams to a port of the member, as seen from its own host.
    pub fn dial(self: &Arc<Self>, spec: &DesiredHost, port: u16) -> Arc<dyn Dial> {
        Arc::new(Tunnel {
            fleet: self.clone(),
            node: spec.name.clone(),
            to: To::Member { port },
        })
    }

    /// The name that the member's certificate must carry there.
    pub fn endpoint(&self, spec: &DesiredHost, port: u16) -> Endpoint {
        let name = self.listening(spec).map(|listening| listening.at(spec, port).0);
        name.unwrap_or_else(|| endpoint(spec, port))
    }

    fn listening(&self, spec: &DesiredHost) -> Option<Listening> {
        let seen = self.slot(&spec.name).listening.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in where a member listens, as a look at its host has told: `None` for where the inventory has it.
    pub async fn listens(&self, spec: &DesiredHost, listening: Option<Listening>) {
        let slot = self.slot(&spec.name);
        let mut client = slot.client.lock().await;
        let before = std::mem::replace(
            &mut *slot.listening.lock().unwrap_or_else(PoisonError::into_inner),
            listening.clone(),
        );
        if before != listening {
            *client = None;
        }
    }

    /// A port where the inventory has it, as seen from the host of another member.
    pub fn dial_from(self: &Arc<Self>, from: &DesiredHost, spec: &DesiredHost, port: u16) -> Arc<dyn Dial> {
        Arc::new(Tunnel {
            fleet: self.clone(),
            node: from.name.clone(),
            to: To::Endpoint(endpoint(spec, port)),
        })
    }

    /// A client for a private etcd on the host's own loopback, which shows the member's certificate.
    ///
    /// # Errors
    /// When the identity cannot be used.
    pub fn private_client(
        self: &Arc<Self>,
        spec: &DesiredHost,
        port: u16,
        tls: &ClientTls,
    ) -> Result<EtcdClient, EtcdError> {
        let dial = Arc::new(Tunnel {
            fleet: self.clone(),
            node: spec.name.clone(),
            to: To::Endpoint(Endpoint {
                host: "127.0.0.1".to_owned(),
                port,
            }),
        });
        EtcdClient::connect(dial, endpoint(spec, port), tls)
    }

    /// The version that the cluster as a whole works at, from the first member that knows. It follows the oldest member
    /// within some seconds (`monitorVersions`, server.go).
    pub async fn cluster_version(self: &Arc<Self>, tls: &ClientTls) -> Option<Version> {
        for spec in self.desired.hosts.values() {
            if let Some(version) = self.works_at(spec, tls).await {
                return Some(version);
            }
        }
        None
    }

    /// The same, as the member on one host says it.
    pub async fn works_at(self: &Arc<Self>, spec: &DesiredHost, tls: &ClientTls) -> Option<Version> {
        let http = self.http(spec, spec.client_port, tls).ok()?;
        http.version(VERSION_LIMIT).await.ok()?.cluster
    }

    /// How many exchanges each open connection has carried.
    pub fn round_trips(&self) -> BTreeMap<NodeName, u64> {
        let connected = |slot: &Slot| Some(slot.host.try_lock().ok()?.as_ref()?.transport().round_trips());
        self.slots
            .iter()
            .filter_map(|(name, slot)| Some((name.clone(), connected(slot)?)))
            .collect()
    }

    fn slot(&self, name: &NodeName) -> &Slot {
        self.slots
            .get(name)
            .expect("every DesiredHost given to a fleet is one of its own")
    }
}

/// A port of a member where the inventory has it.
pub fn endpoint(spec: &DesiredHost, port: u16) -> Endpoint {
    Endpoint {
        host: spec.address.to_string(),
        port,
    }
}

/// What is said of a host that did not answer within `limit`.
pub fn no_answer(spec: &DesiredHost, limit: Duration) -> HostError {
    HostError::Lost {
        node: spec.name.clone(),
        operation: "look".to_owned(),
        why: format!("no answer within {} s", limit.as_secs()),
    }
}

/// A port of a member, dialled from a host (its own, where that is in the inventory) through the fleet's connection.
struct Tunnel {
    fleet: Arc<Fleet>,
    node: NodeName,
    to: To,
}

/// Where a tunnel leads.
enum To {
    /// To a port of the host's own member, as the inventory numbers it: wherever that listens when the tunnel is opened.
    Member {
        port: u16,
    },
    Endpoint(Endpoint),
}

#[async_trait]
impl Dial for Tunnel {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let Some(spec) = self.fleet.desired.hosts.get(&self.node) else {
            return Err(io::Error::other("the host left the inventory"));
        };
        let to = &match &self.to {
            To::Endpoint(to) => to.clone(),
            To::Member { port } => {
                let there = self.fleet.listening(spec).map(|listening| listening.at(spec, *port).1);
                there.unwrap_or_else(|| endpoint(spec, *port))
            }
        };
        let stream = self.fleet.ask(spec, |host| {
            Box::pin(async move { host.transport().tunnel(&to.host, to.port).await })
        });
        Ok(Box::new(stream.await.map_err(io::Error::other)?))
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
