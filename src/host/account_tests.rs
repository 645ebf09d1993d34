//! `scripts/account.sh`: how root works where somebody else may write. Without root there is one account only, and nothing to
//! see.

use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PRELUDE: &str = include_str!("scripts/prelude.sh");
const ACCOUNT: &str = include_str!("scripts/account.sh");
/// nobody, and its group.
const THEM: u32 = 65534;

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// What a script says that has `account.sh`, with its arguments.
fn run(script: &str, arguments: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{PRELUDE}{ACCOUNT}{script}"), "quorate"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("a shell")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_runs_as_another_account_gets_nothing_that_root_has_open() {
    if !is_root() {
        return;
    }
    let open = "for fd in 0 1 3 4 5 6 7 8 9; do \
                    if [ -e /proc/$$/fd/$fd ]; then echo \"$fd $(readlink /proc/$$/fd/$fd)\" >&2; fi; done";
    for call in [
        "apart 65534:65534",
        "with_groups 65534:65534",
        "hear it 9 99 65534:65534",
    ] {
        let said = run(
            &format!(
                "exec 3</etc/passwd 5</etc/group 7</etc/fstab 9</etc/hosts\n\
                 echo the rest of a transfer | {{ {call} sh -c '{open}'; }}"
            ),
            &[],
        );
        let said = err(&said);
        // readlink's own output; `hear` listens.
        let foreign: Vec<&str> = said
            .lines()
            .filter(|line| !line.ends_with(" /dev/null"))
            .filter(|line| !call.starts_with("hear") || !line.starts_with("1 pipe:"))
            .collect();
        assert!(said.contains("0 /dev/null"), "{call}: {said}");
        assert_eq!(foreign, [""; 0], "{call}");
    }
}

/// A new place where something runs as another account has to say what that is given.
#[test]
fn whoever_lends_an_input_to_another_account_names_it() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host/scripts");
    let mut lent = Vec::new();
    for entry in std::fs::read_dir(scripts).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let calls = text.lines().filter(|line| line.contains("apart_with \"$"));
        let open =
            calls.filter(|line| !line.contains("</dev/null") && !line.contains("\" | ") && !line.contains("<\"$"));
        lent.extend(open.map(|line| format!("{}: {}", path.file_name().unwrap().display(), line.trim())));
    }
    lent.sort();
    // The input of the script that runs as the owner is what that one is to have, and nothing else.
    assert_eq!(
        lent,
        ["as_owner.sh: apart_with \"$keeper\" sh -c \"$script\" quorate \"$@\""]
    );
}

#[test]
fn what_another_account_says_is_held_up_to_its_limit() {
    let hear = |command: &str| {
        run(
            "hear 'looking there' 2 2048 '' sh -c \"$1\"; echo \"$status $said\"",
            &[command],
        )
    };
    assert_eq!(out(&hear("echo a; echo b; exit 3")), "3 a\nb\n");
    assert_eq!(out(&hear("head -c 2048 /dev/zero | tr '\\000' x")).len(), 2 + 2048 + 1);
    for (command, limit) in [
        (
            "head -c 2049 /dev/zero | tr '\\000' x",
            "looking there: the answer is longer than 2 KiB, which is the limit",
        ),
        (
            "yes",
            "looking there: the answer is longer than 2 KiB, which is the limit",
        ),
        ("sleep 60", "looking there takes longer than 2 s, which is the limit"),
        // Something else has its output open.
        (
            "sleep 60 2>/dev/null & echo ok",
            "looking there takes longer than 2 s, which is the limit",
        ),
    ] {
        let refused = hear(command);
        assert_eq!(refused.status.code(), Some(70), "{command}: {}", out(&refused));
        assert!(err(&refused).contains(limit), "{command}: {}", err(&refused));
    }
}

#[test]
fn a_file_is_given_out_up_to_its_limit_and_as_whom_it_should() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let path = file.to_str().unwrap();
    std::fs::write(&file, vec![b'x'; (1 << 20) + 5]).unwrap();
    let given = run("give_out '' \"$1\"", &[path]);
    assert_eq!((given.status.code(), given.stdout.len()), (Some(0), 1 << 20));
    assert_eq!(
        run("give_out '' \"$1\" && echo given || echo not", &["/no/such"]).stdout,
        b"not\n"
    );
    if is_root() {
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let closed = run("give_out 65534:65534 \"$1\" && echo given || echo not", &[path]);
        assert_eq!(out(&closed), "not\n");
    }
}

#[test]
fn a_tree_is_cleared_away_by_whom_its_parts_belong_to() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    let theirs = root.join("ours/theirs");
    for path in ["ours/deep", "ours/theirs/below", "ours/theirs/kept"] {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    let canary = dir.path().join("canary");
    std::fs::create_dir(&canary).unwrap();
    for file in [
        root.join(".hidden"),
        root.join("ours/deep/..odd"),
        theirs.join("below/file"),
        canary.join("file"),
    ] {
        std::fs::write(file, "").unwrap();
    }
    for link in [root.join("link"), theirs.join("link")] {
        symlink(&canary, link).unwrap();
    }
    for path in [theirs.clone(), theirs.join("below")] {
        chown(path, Some(THEM), Some(THEM)).unwrap();
    }
    // A directory of root's with something in it, which its own account could not have filled: it is not root that empties
    // it through a directory of theirs.
    std::fs::write(theirs.join("kept/file"), "").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let clear = || run("clear_away \"$1\"", &[root.to_str().unwrap()]);
    assert!(!clear().status.success());
    assert!(theirs.join("kept/file").exists() && !theirs.join("below").exists() && !root.join("link").exists());
    std::fs::remove_file(theirs.join("kept/file")).unwrap();
    assert!(clear().status.success());
    assert!(!root.exists() && canary.join("file").exists());
}
