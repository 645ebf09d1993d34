//! Which release a program belongs to, read from the program itself: it may be for another architecture.

use std::fs::File;

use super::elf::Elf;
use super::manifest::Program;
use crate::inventory::{Arch, Version};

/// etcd's `version.MinClusterVersion`, a string variable beside `version.Version` in every release so far.
const MIN_CLUSTER_VERSION: &str = "3.0.0";
/// The module whose version is etcd's own (from 3.5).
const API_MODULE: &str = "go.etcd.io/etcd/api/v3";

/// What a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub version: Version,
    pub arch: Arch,
}

/// Reads architecture and version; the error is the rest of a sentence that begins with the program.
///
/// The architecture stands in the ELF header. The version is the initial value of the variable `version.Version`
/// (api/version/version.go, version/version.go in 3.4): Go keeps it as address and length in the data segment, also in
/// a stripped program. Where several variables look like a version, the module list that Go's linker leaves decides.
pub(super) fn identify(file: &File, program: Program) -> Result<Identity, String> {
    let elf = Elf::read(file)?;
    let info = elf.build()?.map(|build| build.modules).unwrap_or_default();
    if let Some(other) = built_as(&info).filter(|built| *built != program) {
        return Err(format!("it is {other}"));
    }
    let variables = elf.string_variables(5..=24, looks_like_a_version)?;
    let version = decide(variables, api_module(&info))?;
    Ok(Identity {
        version,
        arch: elf.arch,
    })
}

/// Chooses among what was found.
fn decide(mut variables: Vec<String>, module: Option<&str>) -> Result<Version, String> {
    variables.retain(|text| text != MIN_CLUSTER_VERSION);
    variables.sort();
    variables.dedup();
    let text = match (variables.as_slice(), module) {
        ([one], _) => one.as_str(),
        ([], None) => return Err("it contains no etcd version".into()),
        (_, Some(module)) if variables.is_empty() || variables.iter().any(|v| v == module) => module,
        _ => return Err(format!("it could be any of {}", variables.join(", "))),
    };
    text.parse()
        .map_err(|_| format!("it is {text}, a pre-release or private build; use a release"))
}

/// `3.N.N`, perhaps with `-rc.1` or `+git` after it.
fn looks_like_a_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    core.starts_with("3.") && core.parse::<Version>().is_ok()
}

/// The program that the build says it is, by the path of its main package.
fn built_as(info: &str) -> Option<Program> {
    let path = info.lines().find_map(|line| line.strip_prefix("path\t"))?;
    match path.strip_prefix("go.etcd.io/etcd")?.trim_end_matches("/v3") {
        "" | "/server" => Some(Program::Etcd),
        "/etcdctl" => Some(Program::Etcdctl),
        "/etcdutl" => Some(Program::Etcdutl),
        _ => None,
    }
}

fn api_module(info: &str) -> Option<&str> {
    let dependency = info.lines().find_map(|line| {
        let mut fields = line.strip_prefix("dep\t")?.split('\t');
        fields.next().filter(|module| *module == API_MODULE)?;
        fields.next()
    })?;
    dependency
        .strip_prefix('v')
        .filter(|version| looks_like_a_version(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(variables: &[&str], module: Option<&str>) -> Result<Version, String> {
        decide(variables.iter().map(|v| (*v).to_owned()).collect(), module)
    }

    #[test]
    fn the_version_variable_decides_and_the_module_list_settles_doubt() {
        let expected = Ok(Version::new(3, 5, 30));
        assert_eq!(decided(&["3.0.0", "3.5.30"], None), expected);
        assert_eq!(decided(&["3.0.0", "3.5.30"], Some("3.5.29")), expected);
        assert_eq!(decided(&["3.4.0", "3.5.30"], Some("3.5.30")), expected);
        assert_eq!(decided(&[], Some("3.5.30")), expected);
        assert!(
            decided(&["3.4.0", "3.5.30"], None)
                .unwrap_err()
                .contains("any of 3.4.0, 3.5.30")
        );
        assert!(
            decided(&["3.4.0", "3.5.30"], Some("3.6.0"))
                .unwrap_err()
                .contains("any of")
        );
        assert!(decided(&["3.0.0"], None).unwrap_err().contains("no etcd version"));
        assert!(decided(&["3.6.0-rc.1"], None).unwrap_err().contains("pre-release"));
    }

    #[test]
    fn only_whole_versions_of_etcd_look_like_one() {
        for yes in ["3.4.23", "3.5.30", "3.6.0-rc.1", "3.5.1+git"] {
            assert!(looks_like_a_version(yes), "{yes}");
        }
        for no in ["3.5", "13.5.1", "3.5.30.1", "v3.5.1", "3.5.x", "1.2.3", "3.5.30 "] {
            assert!(!looks_like_a_version(no), "{no}");
        }
    }

    #[test]
    fn upstreams_and_debians_build_paths_are_known() {
        for (path, program) in [
            ("go.etcd.io/etcd", Some(Program::Etcd)),
            ("go.etcd.io/etcd/server", Some(Program::Etcd)),
            ("go.etcd.io/etcd/server/v3", Some(Program::Etcd)),
            ("go.etcd.io/etcd/etcdctl/v3", Some(Program::Etcdctl)),
            ("go.etcd.io/etcd/etcdutl", Some(Program::Etcdutl)),
            ("example.com/fork", None),
        ] {
            assert_eq!(built_as(&format!("path\t{path}\nmod\tx\n")), program, "{path}");
        }
    }
}
