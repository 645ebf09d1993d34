//! Points of a run at which the lab kills the program, or holds it while something befalls the hosts. They do something
//! only in a build with the feature `fault`.
//!
//! A point is passed as `KIND:WAVE.PLACE` (`after:w2.n1`, with the id of the wave's first step), and `QUORATE_FAULT` names
//! it like that, as `after:w2`, as `after:n1` (the first one of that host), or as `#3`, the third that the run passes.
//! With `hold:` in front the program stops itself there until it gets SIGCONT; otherwise it ends without any clean-up.

/// Passes a point.
#[cfg(feature = "fault")]
pub fn point(name: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    static HELD: AtomicUsize = AtomicUsize::new(0);

    let number = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
    let Ok(wanted) = std::env::var("QUORATE_FAULT") else {
        return;
    };
    match wanted.strip_prefix("hold:") {
        Some(wanted) if is(wanted, name, number) && HELD.fetch_add(1, Ordering::Relaxed) == 0 => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        }
        None if is(&wanted, name, number) => std::process::abort(),
        _ => {}
    }
}

/// Whether this is the point that is meant.
#[cfg(feature = "fault")]
fn is(wanted: &str, name: &str, number: usize) -> bool {
    let Some((kind, (wave, place))) = name
        .split_once(':')
        .and_then(|(kind, step)| Some((kind, step.split_once('.')?)))
    else {
        return wanted == name;
    };
    [
        name.to_owned(),
        format!("{kind}:{wave}"),
        format!("{kind}:{place}"),
        format!("#{number}"),
    ]
    .iter()
    .any(|known| known == wanted)
}

/// Does nothing: this build has no fault points.
#[cfg(not(feature = "fault"))]
pub fn point(_name: &str) {}

#[cfg(all(test, feature = "fault"))]
mod tests {
    use super::is;

    #[test]
    fn a_point_is_named_by_step_by_wave_by_host_or_by_number() {
        for wanted in ["after:w2.n1", "after:w2", "after:n1", "#3"] {
            assert!(is(wanted, "after:w2.n1", 3), "{wanted}");
        }
        for other in ["after:w2.n2", "before:w2", "after:w1", "done:n1", "#4", ""] {
            assert!(!is(other, "after:w2.n1", 3), "{other}");
        }
    }
}
