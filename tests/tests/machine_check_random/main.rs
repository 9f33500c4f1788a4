//! Random machine checks on machines of 1 to 4096 processors: what must hold in every one of them.
//!
//! `BANKSHOT_SEED=N cargo test -p tests --test machine_check_random` runs one seed of each test alone.

mod check;
mod foresee;
mod guests;
mod meaning;
mod receivers;
mod trial;

use std::collections::BTreeMap;

use kernel::mca::FatalReason;
use tests::random::seeds;
use tests::sim::Order;

use check::check;

#[test]
fn small_machines_in_any_order() {
    let mut ends = BTreeMap::new();
    for seed in seeds(3_000) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        let end = check(seed, processors, false, Order::Random(seed));
        *ends.entry(end.map(FatalReason::word)).or_insert(0) += 1;
    }
    // The trials are of every kind.
    if seeds(3_000).count() > 1 {
        assert!(ends[&None] > 1_000, "{ends:?}");
        for reason in [
            "bank",
            "unknown-required",
            "hypervisor-consumed",
            "hypervisor-page",
            "no-bank",
        ] {
            assert!(ends.get(&Some(reason)) > Some(&10), "{reason} in {ends:?}");
        }
    }
}

#[test]
fn small_machines_with_missing_processors() {
    for seed in seeds(300) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        check(seed, processors, true, Order::Turns);
        check(seed, processors, true, Order::Random(seed));
    }
}

#[test]
fn large_machines_with_missing_processors() {
    for seed in seeds(12) {
        let (processors, order) = match seed {
            0..10 => ([64, 250][seed as usize % 2], Order::Random(seed)),
            _ => (1000, Order::Turns),
        };
        check(seed, processors, true, order);
    }
}

#[test]
fn middling_machines_in_any_order() {
    for seed in seeds(100) {
        check(
            seed,
            [16, 64, 100][seed as usize % 3],
            false,
            Order::Random(seed),
        );
    }
}

#[test]
fn large_machines() {
    for seed in seeds(12) {
        let processors = [1000, 2048, 4096][seed as usize % 3];
        let order = if seed < 9 {
            Order::Turns
        } else {
            Order::Random(seed)
        };
        check(seed, processors, false, order);
    }
}
