//! One of quorate's parsers of foreign bytes (`quorate::fuzz::TARGETS`) under libFuzzer: `QUORATE_FUZZ` names it. `fuzz/run` starts
//! it, once for each.
#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn target() -> fn(&[u8]) {
    let name = std::env::var("QUORATE_FUZZ").unwrap_or_default();
    match quorate::fuzz::TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, parse)) => *parse,
        None => panic!("QUORATE_FUZZ names no parser of quorate::fuzz::TARGETS: `{name}`"),
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(target)(bytes));
