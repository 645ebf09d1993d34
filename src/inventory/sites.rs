//! Where things stand in the file of an inventory that can be used: for what is found wrong with it only later.

use std::collections::BTreeMap;

use super::problem::{InventoryError, Place, Problem};
use super::raw::RawInventory;
use super::read::FromNode;
use super::{Loaded, options};

/// Places in section `etcd`.
#[derive(Debug, Clone)]
pub struct Sites {
    /// The release.
    pub version: Place,
    /// The value of each option of `etcd.config`; its name where the value has no text of its own.
    pub options: BTreeMap<String, Place>,
}

impl Loaded {
    /// Where what etcd is told stands.
    pub fn sites(&self) -> Sites {
        let raw = self.document();
        let raw = raw.and_then(|tree| RawInventory::from_node(&tree, &mut Vec::new()));
        let etcd = raw.and_then(|raw| raw.etcd);
        let version = etcd.as_ref().and_then(|etcd| etcd.version.as_ref());
        Sites {
            version: version.map_or(Place::START, |version| version.at),
            options: etcd
                .iter()
                .flat_map(|etcd| &etcd.config)
                .flat_map(|typed| &typed.0)
                .map(|entry| (entry.key.clone(), options::site(entry)))
                .collect(),
        }
    }

    /// `problems` of this inventory as one error that shows each in its place.
    pub fn wrong(&self, problems: Vec<Problem>) -> InventoryError {
        InventoryError::Invalid(Box::new(self.report(problems)))
    }
}
