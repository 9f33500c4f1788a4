//! Generated code and reference interpreter answer every access alike.
mod common;

use common::{Pair, capabilities, model, msrs, values, watched};
use msr_dsl::model::Model;
use msr_runtime::{Interface, Reset};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;

/// Every register, under every capability word: each value at which rules turn, then all registers again.
fn each_access<S: Interface + Copy>(model: &Model)
where
    S::Hook: Debug,
{
    let (msrs, values, watched) = (msrs(model), values(), watched(model, S::VERSION));
    for word in capabilities(model, S::VERSION) {
        let born = Pair::<S>::new(model).with_capability(word);
        born.same(&msrs);
        // Whole sweeps for the plain guest; a few values for every other.
        let every = if word == S::create().capability_word() {
            1
        } else {
            37
        };
        for msr in &watched {
            let mut pair = born.clone();
            for value in values.iter().step_by(every) {
                pair.write(*msr, *value);
                pair.read(*msr);
            }
            pair.same(&watched);
        }
    }
}

#[test]
fn every_register_and_interesting_value() {
    every_version!(each_access);
}

/// A step of a random trace.
#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Write(usize, u64),
    Reset(bool),
}

fn step(msrs: usize) -> impl Strategy<Value = Step> {
    let known = values();
    let value = prop_oneof![4 => (0..known.len()).prop_map(move |i| known[i]), 1 => any::<u64>(), 1 => 0u64..8];
    prop_oneof![
        4 => (0..msrs).prop_map(Step::Read),
        8 => (0..msrs, value).prop_map(|(msr, value)| Step::Write(msr, value)),
        1 => any::<bool>().prop_map(Step::Reset),
    ]
}

fn random_traces<S: Interface + Copy>(model: &Model)
where
    S::Hook: Debug,
{
    // Listed MSRs alone: a trace is about what registers do to each other.
    let view = model
        .version(S::VERSION)
        .expect("the version is in the spec");
    let addresses = view
        .registers
        .iter()
        .flat_map(|register| &register.addresses);
    let msrs: Vec<u32> = addresses
        .flat_map(|address| address.msrs())
        .map(|(msr, _)| msr)
        .collect();
    let words = capabilities(model, S::VERSION);
    let steps = proptest::collection::vec(step(msrs.len()), 1..60);
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&(0..words.len(), steps), |(word, steps)| {
        let mut pair = Pair::<S>::new(model).with_capability(words[word]);
        for step in steps {
            match step {
                Step::Read(i) => drop(pair.read(msrs[i])),
                Step::Write(i, value) => drop(pair.write(msrs[i], value)),
                Step::Reset(power_on) => pair.reset(if power_on {
                    Reset::PowerOn
                } else {
                    Reset::Init
                }),
            }
        }
        pair.same(&msrs);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_traces_agree() {
    every_version!(random_traces);
}

#[test]
fn the_test_sees_a_difference() {
    let vmce = model("vmce");
    let pair = Pair::<specs::vmce::v3::State>::new(&vmce);
    let mut other = pair.clone();
    other.reference.set_capability(0);
    let differs = std::panic::catch_unwind(|| other.same(&[0x179]));
    assert!(
        differs.is_err(),
        "a guest with another MCG_CAP was taken for the same"
    );
}
