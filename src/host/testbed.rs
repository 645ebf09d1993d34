//! A host below a temporary directory of this machine, for tests.

use std::sync::Arc;

use super::Host;
use super::local::LocalTransport;
use super::service::launch_text;
use crate::inventory::{DesiredHost, HostPath, Paths, ServiceManager, Version, samples};

/// The release that the fake etcd belongs to.
pub(super) const RELEASE: Version = Version::new(3, 5, 30);

pub(super) struct Testbed {
    dir: tempfile::TempDir,
    pub(super) desired: DesiredHost,
}

impl Testbed {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root: HostPath = dir.path().to_str().unwrap().parse().unwrap();
        let desired = DesiredHost {
            service: "quorate-unit-test".parse().unwrap(),
            user: "nobody".parse().unwrap(),
            paths: Paths {
                config: root.join("etc").join("etcd-config.yml"),
                pki: root.join("etc").join("pki"),
                data: root.join("data"),
                wal: None,
                bin: root.join("bin"),
                run: root.join("run"),
                lock: root.join("locks").join("etcd.lock"),
            },
            service_manager: ServiceManager::Process,
            ..samples::host("here", "127.0.0.1")
        };
        Self { dir, desired }
    }

    pub(super) fn host(&self) -> Host {
        Host::new(&self.desired, Arc::new(LocalTransport::new(self.desired.name.clone())))
    }

    /// The temporary directory itself.
    pub(super) fn root(&self) -> HostPath {
        self.dir.path().to_str().unwrap().parse().unwrap()
    }

    /// `name` (which may have several parts) below the temporary directory.
    pub(super) fn path(&self, name: &str) -> HostPath {
        self.root().join(name)
    }

    /// Writes a file and the directories above it.
    pub(super) fn write(&self, path: &HostPath, text: &str) {
        std::fs::create_dir_all(path.parent()).unwrap();
        std::fs::write(path.as_str(), text).unwrap();
    }

    pub(super) fn read(&self, path: &HostPath) -> String {
        std::fs::read_to_string(path.as_str()).unwrap()
    }

    /// Names in a directory, sorted; empty when it is not there.
    pub(super) fn names(&self, path: &HostPath) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(path.as_str()) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Puts a shell script in etcd's place, with a configuration and all else that starting it needs.
    pub(super) fn install_fake_etcd(&self, script: &str) {
        let exe = self.desired.paths.release(RELEASE).join("etcd");
        self.write(&exe, &format!("#!/bin/sh\n{script}\n"));
        set_mode(&exe, 0o755);
        self.write(&self.desired.paths.config, "name: here\n");
        self.write(&self.desired.paths.pki.join("ca.crt"), "certificate\n");
        self.write(
            &super::service::launch_path(&self.desired.paths),
            &launch_text(&self.desired, RELEASE),
        );
    }
}

pub(super) fn set_mode(path: &HostPath, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path.as_str(), std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn mode_of(path: &HostPath) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path.as_str()).unwrap().permissions().mode() & 0o7777
}
