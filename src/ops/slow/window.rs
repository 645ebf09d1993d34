//! What was collected in a window of time, as it came.

use std::collections::BTreeMap;

use super::{Keys, Sightings, SlowRequests};
use crate::etcd::Span;
use crate::host::Pressure;
use crate::inventory::{MemberId, NodeName};
use crate::ops::model::Fact;

/// Everything that was seen between the beginning and the end.
#[derive(Debug, Clone)]
pub struct Window {
    /// How long it was watched, seconds.
    pub seconds: f64,
    /// The operator ended it early.
    pub interrupted: bool,
    /// Every host of the inventory; `Unknown` where it could not be inspected.
    pub hosts: BTreeMap<NodeName, Fact<HostWindow>>,
    /// Which host has which member.
    pub members: BTreeMap<MemberId, NodeName>,
    /// What opening a TCP connection took, from the first host to the peer port of the second.
    pub trips: BTreeMap<(NodeName, NodeName), Fact<Trip>>,
    /// What is stored.
    pub keys: Fact<Keys>,
}

/// Measured while the window was open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trip {
    /// What it took from our end, through that host.
    pub seconds: f64,
}

/// One host and the member on it.
#[derive(Debug, Clone)]
pub struct HostWindow {
    /// Between the two readings of the metrics, seconds.
    pub seconds: f64,
    /// etcd's counters; `Absent` where it does not run.
    pub counters: Fact<Span>,
    /// The kernel's, at both ends.
    pub pressure: Fact<(Pressure, Pressure)>,
    /// Its connections; `Absent` where the host cannot show them.
    pub traffic: Fact<Sightings>,
    /// What the member wrote in its journal meanwhile.
    pub journal: Fact<SlowRequests>,
}
