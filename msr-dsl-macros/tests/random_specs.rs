//! Generated code and reference interpreter agree on random specs, which use every rule of the language in any combination.
//!
//! All specs are modules of a few programs, each compiled once. `MSR_RANDOM_SEED=N` tries other specs than those from seed 1 on, and
//! `MSR_RANDOM_SPECS=N` as many: the seed that a failure names and one spec give the same spec again.

#[path = "random/bare.rs"]
mod bare;
#[path = "random/generate.rs"]
mod generate;
#[path = "random/package.rs"]
mod package;
#[path = "random/trace.rs"]
mod trace;

use generate::{Random, spec};
use msr_dsl::source::compile_text;
use package::{Code, Package, Source};
use trace::{Trace, trace};

/// Specs of one program. More would not be faster, and take the compiler more memory.
const GROUP: usize = 125;
/// How many go through the macro, the others through the generator that it calls.
const THROUGH_MACRO: usize = 25;

struct Case {
    seed: u64,
    spec: String,
    code: Code,
    trace: Trace,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// The spec of a seed, and what the interpreter makes of some accesses to it.
fn case(seed: u64, number: usize) -> Case {
    let mut random = Random::new(seed);
    let spec = spec(&mut random);
    let compiled = compile_text(&spec);
    let model = compiled.model.unwrap_or_else(|| {
        let why: Vec<String> = compiled.diagnostics.iter().map(|one| one.text()).collect();
        panic!("{spec}\nseed {seed}: {}", why.join("\n"))
    });
    let source = match number < THROUGH_MACRO {
        true => Source::Macro(spec.clone()),
        false => Source::Generated(bare::bare(msr_dsl::generate::generate(&model))),
    };
    let code = Code {
        source,
        is_shared: model.newest().is_shared(),
        version: model.newest().version,
    };
    let trace = trace(number % GROUP, &model, &mut random);
    Case {
        seed,
        spec,
        code,
        trace,
    }
}

/// All cases, made by two threads.
fn cases(first: u64, count: usize) -> Vec<Case> {
    let half = |numbers: std::ops::Range<usize>| -> Vec<Case> {
        numbers
            .map(|number| case(first.wrapping_add(number as u64), number))
            .collect()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(count / 2..count));
        let mut all = half(0..count / 2);
        all.extend(other.join().expect("cases"));
        all
    })
}

#[test]
fn generated_code_and_interpreter_agree_on_random_specs() {
    let count = number("MSR_RANDOM_SPECS", 1000) as usize;
    let cases = cases(number("MSR_RANDOM_SEED", 1), count);
    let package = Package::write(
        cases
            .chunks(GROUP)
            .map(|group| group.iter().map(|case| &case.code).collect()),
    );
    package.build().unwrap_or_else(|why| panic!("{why}"));
    let mut compared = 0;
    for (program, group) in cases.chunks(GROUP).enumerate() {
        let lines: String = group.iter().map(|case| case.trace.lines.as_str()).collect();
        let answers = package.run(program, &lines);
        let mut answers = answers.lines();
        for case in group {
            compared += agree(case, &mut answers);
        }
        assert_eq!(answers.next(), None, "more answers than questions");
    }
    let registers: usize = cases
        .iter()
        .map(|case| case.spec.matches("register R").count())
        .sum();
    let shared = cases.iter().filter(|case| case.code.is_shared).count();
    let two = cases.iter().filter(|case| case.code.version == 2).count();
    let [given, taken] = cases.iter().fold([0; 2], |all, case| {
        [0, 1].map(|at| all[at] + case.trace.older[at])
    });
    println!(
        "{count} specs ({shared} with shared state, {two} with two versions), {registers} random registers, {compared} lines compared; \
         {given} records of older versions, {taken} taken"
    );
    assert!(two > count / 4, "{two} specs of {count} have two versions");
    // Some are harmed, and what is gone and not accepted is refused.
    assert!(
        taken > 20 * two && given - taken > 20 * two,
        "{taken} of {given} records of older versions were taken"
    );
    assert!(shared > count / 5, "{shared} specs of {count} share state");
    assert!(
        registers > 3 * count,
        "only {registers} registers in {count} specs"
    );
    assert!(
        compared >= count * 2000,
        "only {compared} accesses compared"
    );
}

/// Gives the number of accesses compared.
fn agree<'a>(case: &Case, answers: &mut impl Iterator<Item = &'a str>) -> usize {
    let expected = case.trace.lines.lines().zip(case.trace.answers.lines());
    let mut guest = 0;
    for (at, (line, expected)) in expected.enumerate() {
        if line.starts_with("guest") {
            guest = at;
        }
        let got = answers.next().unwrap_or("nothing: the program ended");
        assert!(
            got == expected,
            "{}",
            failure(case, guest, at, got, expected)
        );
    }
    case.trace.lines.lines().count()
}

/// Everything that shows the disagreement again.
fn failure(case: &Case, guest: usize, at: usize, got: &str, expected: &str) -> String {
    let lines: Vec<&str> = case
        .trace
        .lines
        .lines()
        .skip(guest)
        .take(at + 1 - guest)
        .collect();
    format!(
        "MSR_RANDOM_SEED={} MSR_RANDOM_SPECS=1\n{}\n{}\ngenerated code: {got}\ninterpreter:    {expected}",
        case.seed,
        case.spec,
        lines.join("\n")
    )
}
