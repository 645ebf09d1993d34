//! Programs of the bundle on their way to a host.

use std::sync::Arc;

use super::RealWorld;
use crate::bundle::{Packing, Program};
use crate::host::{Content, Opener, PushFile, Unpacker};
use crate::inventory::{Arch, HostPath, NodeName, Version};
use crate::ops::exec::StepError;
use crate::ops::model::Fact;

/// What unpacks what, the best first.
const UNPACKERS: [(Packing, Unpacker); 2] = [(Packing::Zstd, Unpacker::Zstd), (Packing::Gzip, Unpacker::Gzip)];

impl RealWorld {
    /// A program, executable, in `directory`: packed as the host can unpack it, plain where that is not known.
    pub(super) async fn program_file(
        &self,
        node: &NodeName,
        directory: &HostPath,
        (version, arch): (Version, Arch),
        program: Program,
    ) -> Result<PushFile, StepError> {
        let bundle = self
            .bundle
            .clone()
            .ok_or_else(|| StepError::new("there is no bundle to install etcd from"))?;
        let file = *bundle
            .file(version, arch, program)
            .map_err(|error| StepError::new(error.to_string()))?;
        let best = match self.seen.lock().await.hosts.get(node) {
            Some(Fact::Known(facts)) => UNPACKERS.into_iter().find(|(_, unpacker)| facts.system.has(*unpacker)),
            _ => None,
        };
        let open: Opener = match best {
            Some((packing, _)) => Arc::new(move || Ok(Box::new(bundle.open_packed(version, arch, program, packing)?))),
            None => Arc::new(move || bundle.open_program(version, arch, program)),
        };
        Ok(PushFile {
            path: directory.join(program.as_str()),
            mode: 0o755,
            owner: None,
            sha256: file.sha256.to_string(),
            content: Content::Stream {
                open,
                len: best.map_or(file.size, |(packing, _)| file.packed(packing).size),
                unpacker: best.map(|(_, unpacker)| unpacker),
            },
            keep_previous: false,
        })
    }
}
