//! How long the planner takes: a measurement for `make bench`, not a test.

use std::time::{Duration, Instant};

use super::chaos::case;
use super::dice::Dice;
use crate::ops::plan::plan;

const CLUSTERS: u64 = 1_000;

#[test]
#[ignore = "a measurement: lab/bench/run plans"]
fn a_thousand_clusters_are_planned() {
    let cases: Vec<_> = (0..CLUSTERS).map(|seed| case(&mut Dice::new(seed))).collect();
    let mut took: Vec<Duration> = cases
        .iter()
        .map(|case| {
            let (seen, supplies) = (case.world.observe(&case.desired), case.world.supplies());
            let begun = Instant::now();
            let made = plan(&case.intent, &case.desired, &seen, case.policy, &supplies);
            let took = begun.elapsed();
            std::hint::black_box(made.is_ok());
            took
        })
        .collect();
    took.sort();
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    let all: Duration = took.iter().sum();
    println!(
        "planning {CLUSTERS} simulated clusters: {:.0} ms; median {:.2} ms, 99 of 100 within {:.2} ms, at most {:.2} ms",
        ms(all),
        ms(took[took.len() / 2]),
        ms(took[took.len() * 99 / 100]),
        ms(took[took.len() - 1]),
    );
}
