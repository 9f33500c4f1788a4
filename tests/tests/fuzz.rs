//! The fuzzers run for some seconds in every test run. `cargo boot fuzz --time 3600` is for longer.

use std::time::Duration;

use boot::fuzz::{Fuzzers, Target};
use boot::workspace::Workspace;

/// For each.
const TIME: Duration = Duration::from_secs(8);

#[test]
fn hostile_records_and_specs_are_answered() {
    let fuzzers = Fuzzers::build(&Workspace::find().unwrap()).unwrap_or_else(|why| panic!("{why}"));
    for target in Target::ALL {
        let said = match fuzzers
            .run(target, TIME)
            .unwrap_or_else(|why| panic!("{why}"))
        {
            Ok(said) => said,
            Err(finding) => panic!("found {}:\n{}", finding.file.display(), finding.said),
        };
        // Without the counters it would only guess.
        let number = |before: &str| -> u64 {
            let (_, rest) = said
                .split_once(before)
                .unwrap_or_else(|| panic!("no {before}: {said}"));
            let digits: String = rest
                .trim_start()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            digits
                .parse()
                .unwrap_or_else(|_| panic!("{before}: {said}"))
        };
        assert!(number("Loaded 1 modules   (") > 10_000, "{said}");
        assert!(number("stat::number_of_executed_units:") > 1000, "{said}");
        let coverage = said
            .lines()
            .filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
        let coverage: Vec<u64> = coverage.filter_map(|number| number.parse().ok()).collect();
        assert!(
            coverage.last() > coverage.first(),
            "it learns nothing: {coverage:?}"
        );
    }
}
