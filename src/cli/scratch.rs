//! Directories for what must be a file while a command runs. All of a user's lie in one place, `quorate-UID`, which nobody
//! else can enter; each is removed when its command ends, and by any later run when the command was killed. Where there may be
//! some is written down, for `--scratch` and TMPDIR name another directory each time.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{Exit, Failure};

/// In each directory: locked for as long as its owner lives, whatever ends it.
const OWNER: &str = "owner";
/// Beside them: locked while one is made or cleared away, so that none is taken for dead before it has its owner.
const GATE: &str = ".lock";

/// A directory of this run's own.
pub(super) struct Scratch {
    dir: PathBuf,
    /// The lock goes with the process.
    _owner: File,
}

impl Scratch {
    /// In memory where programs can be run from there, else where temporary files go.
    ///
    /// # Errors
    /// When neither place can be used.
    pub(super) fn in_memory() -> Result<Self, Failure> {
        let shm = Path::new("/dev/shm");
        if shm.is_dir()
            && !noexec(shm)
            && let Ok(made) = Self::below(shm)
        {
            return Ok(made);
        }
        Self::below(&std::env::temp_dir())
    }

    /// Below this directory.
    ///
    /// # Errors
    /// When it cannot be made there, or somebody else has the place.
    pub(super) fn below(root: &Path) -> Result<Self, Failure> {
        Self::noted_in(register().as_deref(), root)
    }

    fn noted_in(register: Option<&Path>, root: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                Exit::Usage,
                format!("cannot make a scratch directory in {}: {error}", root.display()),
            )
            .hint("name another place with TMPDIR, or with --scratch where the command has it")
        };
        let root = root.canonicalize().map_err(failed)?;
        let all = place(&root);
        make(&all).map_err(failed)?;
        let gate = File::create(all.join(GATE)).map_err(failed)?;
        gate.lock().map_err(failed)?;
        if let Some(register) = register {
            note(register, &root).map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    format!("cannot note in {} where secrets may be left: {error}", register.display()),
                )
                .hint("later runs clear away what a killed one has left: let this directory be written, or set XDG_STATE_HOME")
            })?;
        }
        clear(&all);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&all)
            .map_err(failed)?;
        let owner = File::create(dir.path().join(OWNER)).map_err(failed)?;
        owner.lock().map_err(failed)?;
        Ok(Self {
            dir: dir.keep(),
            _owner: owner,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left then, the next run clears away.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Clears away what commands that were killed have left, in the usual places and where any has been before. What cannot be
/// cleared is not this run's business.
pub(super) fn clear_dead() {
    for root in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        clear_below(root);
    }
    if let Some(register) = register() {
        clear_noted(&register);
    }
}

/// The same where it was written down; a place that is empty, or gone, need not be remembered.
fn clear_noted(register: &Path) {
    for note in fs::read_dir(register).into_iter().flatten().flatten() {
        let note = note.path();
        let Ok(root) = fs::read_link(&note) else { continue };
        clear_below(&root);
        let all = place(&root);
        let gate = File::open(all.join(GATE));
        let free = gate.as_ref().is_ok_and(|gate| gate.try_lock().is_ok());
        let is_empty =
            || fs::read_dir(&all).is_ok_and(|mut left| !left.any(|entry| entry.is_ok_and(|e| e.path().is_dir())));
        // Of a disk that is not there now, it is not known.
        if free && is_empty() {
            let _ = fs::remove_file(&note);
        }
    }
}

fn clear_below(root: &Path) {
    let all = place(root);
    if is_ours(&all)
        && let Ok(gate) = File::open(all.join(GATE))
        && gate.try_lock().is_ok()
    {
        clear(&all);
    }
}

/// Where it is written down: links to the directories, which outlive a restart as what they lead to may. `None` for an
/// account without a home.
fn register() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("quorate/scratch"))
}

fn note(register: &Path, root: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(register)?;
    let name = hex::encode(Sha256::digest(root.as_os_str().as_encoded_bytes()));
    match symlink(root, register.join(&name[..16])) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn place(root: &Path) -> PathBuf {
    root.join(format!("quorate-{}", rustix::process::getuid().as_raw()))
}

/// Made, or seen to be this user's and closed to everybody else: others may write where it lies.
fn make(all: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(all) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if is_ours(all) => Ok(()),
        _ => Err(io::Error::other(format!("{} is not yours alone", all.display()))),
    }
}

fn is_ours(all: &Path) -> bool {
    fs::symlink_metadata(all)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o077 == 0)
}

/// Whoever made a directory without a locked owner is gone. Called with the gate locked.
fn clear(all: &Path) {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let lives = File::open(dir.join(OWNER)).is_ok_and(|owner| owner.try_lock().is_err());
        if !lives {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn noexec(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == dir.to_str()
            && fields
                .nth(1)
                .is_some_and(|options| options.split(',').any(|o| o == "noexec"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(root: &Path) -> usize {
        let all = fs::read_dir(place(root)).unwrap().flatten();
        all.filter(|entry| entry.path().is_dir()).count()
    }

    #[test]
    fn what_a_dead_owner_left_goes_and_what_lives_stays() {
        let root = tempfile::tempdir().unwrap();
        let first = Scratch::noted_in(None, root.path()).unwrap();
        fs::write(first.path().join("file"), "x").unwrap();
        let dead = place(root.path()).join("1-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(OWNER), "").unwrap();
        let half = place(root.path()).join("2-never-owned");
        fs::create_dir(&half).unwrap();
        let second = Scratch::noted_in(None, root.path()).unwrap();
        assert!(!dead.exists() && !half.exists() && first.path().join("file").exists());
        assert_eq!(entries(root.path()), 2);
        drop((first, second));
        assert_eq!(entries(root.path()), 0);
    }

    /// `--scratch /mnt/big` once, and never again.
    #[test]
    fn where_a_killed_run_has_been_is_found_again() {
        let (home, big, lives) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let register = home.path().join("state/quorate/scratch");
        let noted = || fs::read_dir(&register).unwrap().count();
        let (killed, alive) = (
            Scratch::noted_in(Some(&register), big.path()).unwrap(),
            Scratch::noted_in(Some(&register), lives.path()).unwrap(),
        );
        let again = Scratch::noted_in(Some(&register), big.path()).unwrap();
        drop(again);
        let left = killed.path().join("client.key");
        fs::write(&left, "key").unwrap();
        // What SIGKILL leaves: the files, and no lock.
        let Scratch { dir: _, _owner } = &killed;
        _owner.unlock().unwrap();
        assert_eq!((noted(), left.exists()), (2, true));
        clear_noted(&register);
        assert!(!left.exists() && alive.path().exists());
        assert_eq!(noted(), 1, "of the one that lives");
        drop((killed, alive));
        clear_noted(&register);
        assert_eq!(noted(), 0);
    }

    #[test]
    fn a_place_that_others_can_enter_or_lead_elsewhere_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place(root.path())).unwrap();
        assert!(Scratch::noted_in(None, root.path()).is_err());
        fs::remove_file(place(root.path())).unwrap();
        fs::create_dir(place(root.path())).unwrap();
        fs::set_permissions(place(root.path()), Permissions::from_mode(0o755)).unwrap();
        let failure = Scratch::noted_in(None, root.path()).err().unwrap();
        assert!(failure.message.contains("is not yours alone"), "{}", failure.message);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
