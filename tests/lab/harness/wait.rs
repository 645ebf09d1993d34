//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Looks every 50 ms until `holds`; fails the test, naming `what`, when `limit` has passed.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "waited {limit:?} for: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
