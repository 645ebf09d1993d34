//! What a bundle says of itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::known_bad::USUAL;
use super::packing::Packing;
use crate::inventory::{Arch, Version};

/// The format this program writes and reads.
pub(super) const FORMAT: u32 = 2;

/// Largest program that is taken, bytes. etcd 3.5.30, the largest so far, has 27 MB.
pub(super) const LARGEST_PROGRAM: u64 = 256 << 20;

/// One of the programs of an etcd release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Program {
    Etcd,
    Etcdctl,
    Etcdutl,
}

impl Program {
    /// All of them, in the order of their names.
    pub const ALL: [Program; 3] = [Program::Etcd, Program::Etcdctl, Program::Etcdutl];

    /// The file's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Program::Etcd => "etcd",
            Program::Etcdctl => "etcdctl",
            Program::Etcdutl => "etcdutl",
        }
    }

    /// The program with this file name.
    pub fn from_name(name: &str) -> Option<Program> {
        Program::ALL.into_iter().find(|program| program.as_str() == name)
    }

    /// The programs a release must have: etcdutl came with 3.5.
    pub fn required(version: Version) -> &'static [Program] {
        if version < Version::new(3, 5, 0) {
            &[Program::Etcd, Program::Etcdctl]
        } else {
            &Program::ALL
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 2: every program in each [`Packing`].
    pub format: u32,
    /// The program and its version, as in "quorate 0.1.0".
    pub created_by: String,
    /// Ordered by version, then architecture; no two alike.
    pub releases: Vec<Release>,
}

/// One etcd release for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// As the programs themselves say.
    pub version: Version,
    /// As their ELF headers say.
    pub arch: Arch,
    /// The names of the files it was made from, for people.
    pub origin: String,
    /// The programs.
    pub files: BTreeMap<Program, ProgramFile>,
}

/// One program of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramFile {
    /// Of the program itself: what a host must show after a push.
    pub sha256: Digest,
    /// Bytes of the program.
    pub size: u64,
    /// Packed with zstd.
    pub zstd: PackedFile,
    /// Packed with gzip.
    pub gzip: PackedFile,
}

/// A program as it is in the bundle, and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedFile {
    /// Bytes.
    pub size: u64,
    /// Of these bytes.
    pub sha256: Digest,
}

impl ProgramFile {
    /// What it is when it is packed.
    pub fn packed(&self, packing: Packing) -> PackedFile {
        match packing {
            Packing::Zstd => self.zstd,
            Packing::Gzip => self.gzip,
        }
    }
}

/// Why `manifest.json` is not read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is another quorate's: older or newer.
    #[error("it has format {0}, but this quorate reads format {FORMAT}")]
    Format(u32),
    /// One sentence.
    #[error("{0}")]
    Other(String),
}

impl ManifestError {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Format(format) if *format > FORMAT => "use the quorate that made it, or a newer one".into(),
            Self::Format(_) => format!(
                "create it again with this quorate: quorate bundle create --out etcd.qbundle etcd-v{USUAL}-linux-amd64.tar.gz"
            ),
            Self::Other(_) => "copy or create the bundle again; `quorate bundle verify` checks every byte".into(),
        }
    }
}

impl From<String> for ManifestError {
    fn from(sentence: String) -> Self {
        Self::Other(sentence)
    }
}

impl Manifest {
    /// Reads and checks `manifest.json`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        /// Read first, so that a newer format is named as such and not by whichever key it added.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.format != FORMAT {
            return Err(ManifestError::Format(head.format));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        // One manifest has one spelling: a repeated key or a digest in capitals is somebody else's work.
        if manifest.to_json().ok().as_deref() != Some(bytes) {
            return Err("it is not in the canonical form that quorate writes".to_owned().into());
        }
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.releases.is_empty() {
            return Err("it lists no releases".into());
        }
        let key = |release: &Release| (release.version, release.arch);
        if !self.releases.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
            return Err("its releases are not in order, or one is listed twice".into());
        }
        // These two are shown on terminals; a control sequence there could hide or forge other lines.
        let texts = self.releases.iter().map(|r| &r.origin).chain([&self.created_by]);
        if let Some(text) = texts.into_iter().find(|text| text.chars().any(char::is_control)) {
            return Err(format!("`{}` contains control characters", text.escape_debug()));
        }
        self.releases.iter().try_for_each(Release::check)
    }

    /// The JSON that goes into the bundle.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl Release {
    fn check(&self) -> Result<(), String> {
        let Release { version, arch, .. } = self;
        if let Some(missing) = Program::required(*version).iter().find(|p| !self.files.contains_key(p)) {
            return Err(format!("{missing} of {version} for {arch} is missing"));
        }
        let sizes_fit = |file: &ProgramFile| {
            let sizes = [file.size, file.zstd.size, file.gzip.size];
            sizes.iter().all(|size| (1..=LARGEST_PROGRAM).contains(size))
        };
        match self.files.iter().find(|(_, file)| !sizes_fit(file)) {
            Some((program, _)) => Err(format!("the size of {program} of {version} for {arch} is impossible")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> serde_json::Value {
        let packed = serde_json::json!({"size": 5, "sha256": "11".repeat(32)});
        let file = serde_json::json!({"sha256": "00".repeat(32), "size": 5, "zstd": packed, "gzip": packed});
        serde_json::json!({
            "format": 2,
            "created_by": "quorate 0.1.0",
            "releases": [{"version": "3.4.23", "arch": "amd64", "origin": "x", "files": {"etcd": file, "etcdctl": file}}],
        })
    }

    fn parse(value: &serde_json::Value) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        Manifest::parse(&manifest.to_json().unwrap()).map_err(|error| error.to_string())
    }

    fn refusal(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut value = manifest();
        change(&mut value);
        parse(&value).unwrap_err()
    }

    #[test]
    fn a_manifest_survives_the_round_trip() {
        let read = parse(&manifest()).unwrap();
        assert_eq!(Manifest::parse(&read.to_json().unwrap()).unwrap(), read);
    }

    #[test]
    fn a_newer_format_is_named_before_its_unknown_keys() {
        let newer = br#"{"format": 3, "signature": "x"}"#;
        assert!(matches!(Manifest::parse(newer), Err(ManifestError::Format(3))));
    }

    #[test]
    fn another_spelling_of_the_same_manifest_is_refused() {
        let other = manifest().to_string();
        let refused = Manifest::parse(other.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("canonical"), "{refused}");
    }

    #[test]
    fn a_manifest_that_says_anything_unexpected_is_refused() {
        assert!(refusal(|m| m["format"] = 3.into()).contains("format 3"));
        assert!(refusal(|m| m["extra"] = 2.into()).contains("unknown field"));
        assert!(refusal(|m| m["releases"] = serde_json::json!([])).contains("no releases"));
        assert!(refusal(|m| m["releases"][0]["version"] = "3.5.30".into()).contains("etcdutl of 3.5.30"));
        assert!(refusal(|m| m["releases"][0]["origin"] = "a\u{1b}[2K".into()).contains("control characters"));
        assert!(refusal(|m| m["releases"][0]["files"]["etcd"]["size"] = 0.into()).contains("impossible"));
        assert!(refusal(|m| m["releases"][0]["files"]["etcd"]["gzip"]["size"] = 0.into()).contains("impossible"));
        assert!(refusal(|m| m["releases"][0]["files"]["etcd"]["sha256"] = "00".into()).contains("64 hexadecimal"));
        assert!(refusal(|m| m["releases"][0]["files"]["sh"] = serde_json::json!({})).contains("unknown variant"));
        let twice = refusal(|m| {
            let first = m["releases"][0].clone();
            m["releases"].as_array_mut().unwrap().push(first);
        });
        assert!(twice.contains("listed twice"));
    }
}
