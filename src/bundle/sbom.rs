//! What is inside a bundle's programs, as a CycloneDX 1.5 list: Go's linker writes the modules of a program, their versions and
//! their checksums into it (`debug/buildinfo` in Go's library), so nothing but the bundle itself is asked.
//!
//! Licences do not stand there, so the list has none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::elf::{Build, Elf};
use super::manifest::{Program, ProgramFile, Release};
use super::{Bundle, BundleError};

/// A module that is linked into a program, as `go.sum` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Module {
    path: String,
    version: String,
    /// `h1:` and base64; empty where Go has none.
    sum: String,
}

impl Module {
    /// The address of a package (purl).
    fn url(&self) -> String {
        format!("pkg:golang/{}@{}", self.path, self.version)
    }

    fn component(&self) -> Value {
        let sum = (!self.sum.is_empty()).then(|| json!({"name": "go:sum", "value": self.sum}));
        json!({
            "type": "library", "bom-ref": self.url(), "name": self.path, "version": self.version, "purl": self.url(),
            "properties": Vec::from_iter(sum),
        })
    }
}

impl Bundle {
    /// The list, the same bytes for the same bundle. Every program is unpacked and compared with the manifest on the way.
    ///
    /// # Errors
    /// A bundle that is damaged, or a program without Go's list: [`BundleError::Damaged`]. No room to unpack a program.
    pub fn sbom(&self) -> Result<Value, BundleError> {
        let (mut programs, mut modules, mut needs) = (Vec::new(), BTreeSet::new(), Vec::new());
        for release in &self.manifest().releases {
            for (program, file) in &release.files {
                let linked = linked(&self.build(release, *program)?);
                let reference = reference(release, *program);
                programs.push(component(&reference, release, *program, file));
                let urls: Vec<String> = linked.iter().map(Module::url).collect();
                needs.push(json!({"ref": reference, "dependsOn": urls}));
                modules.extend(linked);
            }
        }
        // The same module may be in several programs; it is listed once.
        let modules: BTreeMap<String, Value> = modules.iter().map(|m| (m.url(), m.component())).collect();
        programs.extend(modules.into_values());
        Ok(json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {
                "type": "file", "bom-ref": "bundle", "name": "etcd bundle",
                "hashes": [{"alg": "SHA-256", "content": self.digest().to_string()}],
            }},
            "components": programs,
            "dependencies": needs,
        }))
    }

    fn build(&self, release: &Release, program: Program) -> Result<Build, BundleError> {
        let cannot = |why: String| BundleError::Damaged {
            path: self.path().to_owned(),
            problems: vec![format!("{program} {} {}: {why}", release.version, release.arch)],
        };
        let dir = tempfile::tempdir().map_err(BundleError::write(&std::env::temp_dir()))?;
        let path = dir.path().join(program.as_str());
        self.extract(release.version, release.arch, program, &path)?;
        let file = std::fs::File::open(&path).map_err(BundleError::write(&path))?;
        let build = Elf::read(&file).and_then(|elf| elf.build()).map_err(cannot)?;
        build.ok_or_else(|| cannot("Go's list of modules is not in it".into()))
    }
}

/// A name inside the list.
fn reference(release: &Release, program: Program) -> String {
    format!("etcd/{}/{}/{program}", release.version, release.arch)
}

fn component(reference: &str, release: &Release, program: Program, file: &ProgramFile) -> Value {
    json!({
        "type": "application", "bom-ref": reference, "name": program.as_str(), "version": release.version.to_string(),
        "hashes": [{"alg": "SHA-256", "content": file.sha256.to_string()}],
        "properties": [{"name": "arch", "value": release.arch.to_string()}],
    })
}

/// Everything that is linked into a program: its modules, those that replace others in their place, and Go's library.
fn linked(build: &Build) -> Vec<Module> {
    let mut modules = Vec::new();
    for line in build.modules.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let module = Module {
            path: field(),
            version: field(),
            sum: field(),
        };
        match kind {
            "dep" => modules.push(module),
            // Of the one before.
            "=>" => {
                modules.pop();
                modules.push(module);
            }
            _ => {}
        }
    }
    if let Some(version) = build.go.strip_prefix("go") {
        modules.push(Module {
            path: "std".into(),
            version: version.to_owned(),
            sum: String::new(),
        });
    }
    modules.sort();
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_replaces_another_stands_in_its_place_and_gos_library_is_listed() {
        let build = Build {
            go: "go1.24.5".into(),
            modules: "path\tgo.etcd.io/etcd/server/v3\nmod\tgo.etcd.io/etcd/server/v3\t(devel)\t\n\
                      dep\tgo.etcd.io/bbolt\tv1.4.2\th1:abc=\ndep\tgo.etcd.io/etcd/api/v3\tv3.6.16\n\
                      =>\texample.com/api\tv9.9.9\th1:def=\nbuild\t-compiler=gc\n"
                .into(),
        };
        let told: Vec<String> = linked(&build)
            .iter()
            .map(|m| format!("{} {}", m.url(), m.sum))
            .collect();
        let expected = [
            "pkg:golang/example.com/api@v9.9.9 h1:def=",
            "pkg:golang/go.etcd.io/bbolt@v1.4.2 h1:abc=",
            "pkg:golang/std@1.24.5 ",
        ];
        assert_eq!(told, expected);
    }
}
