//! How models are explored.

use std::sync::Arc;

use kernel::mca::{Config, Shared, join, start};

use super::machine::{Machine, Processor};

/// Tries every interleaving of a model with at most so many preemptions (switches from a thread that could have gone on).
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// A machine with `P` processors that are up.
pub fn booted<const P: usize>(machine: Machine) -> (Arc<Machine>, Arc<Shared<P>>) {
    let shared = Shared::new();
    shared.configure(Config {
        timeout: 3,
        empty_is_fatal: true,
        corrected_limit: 0,
    });
    let processors = (0..P as u16).map(|number| Processor {
        machine: &machine,
        number,
    });
    processors
        .clone()
        .for_each(|processor| start(&shared, &processor));
    processors.for_each(|processor| join(&shared, &processor));
    machine.events.lock().unwrap().clear();
    (Arc::new(machine), Arc::new(shared))
}
