//! Open files: each connection to a host is one, and a process may have only so many. Found out before anything is begun:
//! in mid-run the limit would look like a host that cannot be reached, or a key that cannot be read.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::{Exit, Failure};

/// For one host: its connection, a second one where its sshd allows few sessions, or the pipes of a `ProxyCommand`.
const PER_HOST: usize = 4;
/// For everything else: streams, the runtime's own, an inventory, a key and a bundle that are being read.
const BASE: usize = 32;

/// Makes room for connections to `hosts` hosts at the same time. Of the two limits of a process it may raise the soft one
/// itself, up to the hard one; that is done as far as it is needed.
///
/// # Errors
/// When the hard limit is lower. `fewer` says how to be content with less, where that is possible.
pub fn room_for(hosts: usize, fewer: Option<&str>) -> Result<(), Failure> {
    let wanted = u64::try_from(BASE + PER_HOST * hosts).unwrap_or(u64::MAX);
    let limits = getrlimit(Resource::Nofile);
    match room(wanted, limits.current, limits.maximum) {
        Room::Enough => Ok(()),
        Room::Raise => {
            let raised = Rlimit {
                current: Some(wanted),
                ..limits
            };
            // What refuses that although it is allowed has reasons of its own: the limit as it is may still do.
            let _ = setrlimit(Resource::Nofile, raised);
            Ok(())
        }
        Room::TooFew(most) => {
            let hint = format!("raise the limit: `ulimit -n {wanted}` as root, in the shell that starts quorate");
            let hint = match fewer {
                Some(fewer) => format!("{hint}; or {fewer}"),
                None => hint,
            };
            Err(Failure::new(
                Exit::Unexpected,
                format!("a process may have {most} open files here, and this command may need {wanted}"),
            )
            .hint(hint))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Room {
    Enough,
    Raise,
    TooFew(u64),
}

/// `None` is no limit.
fn room(wanted: u64, soft: Option<u64>, hard: Option<u64>) -> Room {
    match (soft, hard) {
        (None, _) => Room::Enough,
        (Some(soft), _) if soft >= wanted => Room::Enough,
        (Some(_), Some(hard)) if hard < wanted => Room::TooFew(hard),
        (Some(_), _) => Room::Raise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_the_hard_one_is_the_end() {
        assert_eq!(room(100, Some(100), Some(100)), Room::Enough);
        assert_eq!(room(100, None, None), Room::Enough);
        assert_eq!(room(100, Some(99), Some(100)), Room::Raise);
        assert_eq!(room(100, Some(99), None), Room::Raise);
        assert_eq!(room(100, Some(64), Some(99)), Room::TooFew(99));
    }
}
