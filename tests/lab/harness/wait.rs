//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Looks again and again until `holds`; fails the test, naming `what`, when `limit` has passed. The longer it has taken, the
/// longer the pause (50 ms to half a second): most looks start processes, and others need the processor meanwhile.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        let waited = start.elapsed();
        assert!(waited < limit, "waited {limit:?} for: {what}");
        thread::sleep((waited / 10).clamp(Duration::from_millis(50), Duration::from_millis(500)));
    }
}
