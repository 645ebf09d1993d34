//! The jobs of `examples/ci` as a runner runs them: the real program and real hosts, with a viewer's certificate and without the
//! CA key. Only `gh` and `glab` are none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::ci_scripts::script;
use crate::harness::{Lab, bundle};
use crate::viewers::Bob;

/// How a script ends, and what it said on standard error.
fn ends(lab: &Lab, bob: &Bob, script: &str) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_quorate")).parent().expect("a directory");
    let ended = lab
        .as_operator("sh")
        .args(["-e", "-c", script])
        .env("HOME", &bob.home)
        .env("QUORATE_BUNDLE", bundle())
        .env(
            "PATH",
            format!(
                "{}:{}:/usr/sbin:/usr/bin:/sbin:/bin",
                lab.dir().join("forges").display(),
                program.display()
            ),
        )
        .env("GITHUB_STEP_SUMMARY", lab.dir().join("summary"))
        .env("PULL_REQUEST", "7")
        .env("CI_MERGE_REQUEST_IID", "7")
        .output()
        .expect("a shell");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn the_jobs_of_the_examples_run_as_they_stand_and_need_no_ca_key() {
    let lab = Lab::cluster(3);
    let bob = Bob::of(&lab);
    lab.quorate(&["pki", "viewer", "ci", "--recipient", "bob/.ssh/id_ed25519.pub"])
        .ok();
    for forge in ["gh", "glab"] {
        let path = lab.write(&format!("forges/{forge}"), "#!/bin/sh\necho \"$*\" >> told\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    let sealed = lab.dir().join("pki/ca.key.age");
    let key = fs::read(&sealed).expect("the CA key");
    fs::remove_file(&sealed).expect("it goes");
    // The same cluster as one of a fleet.
    lab.write("clusters/defaults.yml", "pki: {dir: ../pki}\n");
    let also_in_a_fleet = || {
        let own = fs::read_to_string(lab.dir().join("inventory.yml")).expect("an inventory");
        lab.write("clusters/lab/inventory.yml", &own);
    };
    also_in_a_fleet();
    let files = ["github.yml", "gitlab.yml", "github-fleet.yml", "gitlab-fleet.yml"];

    for file in files {
        let (code, said) = ends(&lab, &bob, &script(file, "plan"));
        assert_eq!(code, Some(0), "{file}: {said}");
        let (code, said) = ends(&lab, &bob, &script(file, "drift"));
        assert_eq!(code, Some(0), "{file}: {said}");
    }
    lab.edit("hosts:", "pki: {leaf_validity: 300d}\nhosts:");
    also_in_a_fleet();
    lab.host("n2").sh("rm /etc/etcd/pki/server.crt");
    for file in files {
        let (code, said) = ends(&lab, &bob, &script(file, "plan"));
        assert_eq!(code, Some(0), "{file}: {said}");
        let plan = fs::read_to_string(lab.dir().join("plan.md")).expect("a plan");
        assert!(plan.contains("n2") && plan.contains("certificates"), "{plan}");
        let (code, said) = ends(&lab, &bob, &script(file, "drift"));
        assert_eq!(code, Some(10), "{file}: {said}");
        assert!(said.contains("differ from"), "{said}");
    }
    let told = fs::read_to_string(lab.dir().join("told")).expect("what the forges were told");
    assert_eq!(told.matches("pr comment 7").count(), 4, "{told}");
    assert_eq!(told.matches("mr note 7").count(), 4, "{told}");

    // The runner cannot do it, the person with the key does exactly that.
    let (code, said) = ends(&lab, &bob, "quorate up --plan etcd.plan.json --yes");
    assert!(code == Some(4) && said.contains("this needs the CA key"), "{said}");
    fs::write(&sealed, key).expect("the CA key");
    lab.quorate(&["up", "--plan", "etcd.plan.json", "--yes"]).ok();
    assert_eq!(ends(&lab, &bob, &script("github.yml", "drift")).0, Some(0));
}
