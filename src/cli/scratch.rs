//! Directories for what must be a file while a command runs. All of a user's lie in one place, `quorate-UID`, which nobody
//! else can enter; each is removed when its command ends, and by any later run when the command was killed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
        let failed = |error: io::Error| {
            Failure::new(
                Exit::Usage,
                format!("cannot make a scratch directory in {}: {error}", root.display()),
            )
            .hint("name another place with TMPDIR, or with --scratch where the command has it")
        };
        let all = place(root);
        make(&all).map_err(failed)?;
        let gate = File::create(all.join(GATE)).map_err(failed)?;
        gate.lock().map_err(failed)?;
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

/// Clears away what commands that were killed have left in the usual places. What cannot be cleared is not this run's
/// business.
pub(super) fn clear_dead() {
    for root in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        let all = place(root);
        if is_ours(&all)
            && let Ok(gate) = File::open(all.join(GATE))
            && gate.try_lock().is_ok()
        {
            clear(&all);
        }
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
        let first = Scratch::below(root.path()).unwrap();
        fs::write(first.path().join("file"), "x").unwrap();
        let dead = place(root.path()).join("1-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(OWNER), "").unwrap();
        let half = place(root.path()).join("2-never-owned");
        fs::create_dir(&half).unwrap();
        let second = Scratch::below(root.path()).unwrap();
        assert!(!dead.exists() && !half.exists() && first.path().join("file").exists());
        assert_eq!(entries(root.path()), 2);
        drop((first, second));
        assert_eq!(entries(root.path()), 0);
    }

    #[test]
    fn a_place_that_others_can_enter_or_lead_elsewhere_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place(root.path())).unwrap();
        assert!(Scratch::below(root.path()).is_err());
        fs::remove_file(place(root.path())).unwrap();
        fs::create_dir(place(root.path())).unwrap();
        fs::set_permissions(place(root.path()), Permissions::from_mode(0o755)).unwrap();
        let failure = Scratch::below(root.path()).err().unwrap();
        assert!(failure.message.contains("is not yours alone"), "{}", failure.message);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
