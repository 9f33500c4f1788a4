//! Judging made-up runs.

use std::path::Path;

use super::*;
use crate::log::Level;
use crate::scenario::Known;

fn scenario(expects: &str) -> Scenario {
    let text = format!(
        "title = 't'\n[machine]\nprocessors = 2\n[[guest]]\nimage = 'x'\n\
         [[fault]]\nafter = {{ console = 'page (?<gpa>\\S+)' }}\nprocessor = 0\nbank = 0\nstatus = 0\nmcg_status = 0\n{expects}"
    );
    let known = Known {
        images: vec!["x".into()],
        ..Known::default()
    };
    Scenario::parse(Path::new("t.toml"), &text, &known).unwrap()
}

/// `TIME kind key=value ...`, a line each.
fn events(text: &str) -> Vec<Event> {
    text.lines()
        .map(|line| line.trim().split_once(' ').unwrap())
        .map(|(t, text)| Event::parse(text, t.parse().ok(), Level::Info))
        .collect()
}

fn verdict(expects: &str, run: &str) -> Result<(), String> {
    let scenario = scenario(expects);
    let mut captures = Captures::default();
    if let crate::scenario::When::After { console, .. } = &scenario.faults[0].when {
        captures.take(console, "page 0x1000");
    }
    judge(&scenario, events(run), &captures).map_err(|unmet| unmet.to_string())
}

const TWO: &str = "[[expect]]\nevent = 'a.one'\n[[expect]]\nevent = 'a.two'\nwhere = { n = 5 }\n";

#[test]
fn order_is_that_of_time_not_of_arrival() {
    assert_eq!(verdict(TWO, "20 a.two n=5\n10 a.one"), Ok(()));
    assert_eq!(
        verdict(TWO, "1 b.other\n10 a.one\n15 a.two n=4\n20 a.two n=0x5"),
        Ok(())
    );
    let said = verdict(TWO, "10 a.two n=5\n20 a.one").unwrap_err();
    assert!(
        said.contains("a.two n=5\n  instead: a.two n=5 at 10 (too early)"),
        "{said}"
    );
}

#[test]
fn one_event_meets_one_expectation() {
    let twice = "[[expect]]\nevent = 'a.one'\ncount = 2\n";
    assert_eq!(verdict(twice, "1 a.one\n2 a.one"), Ok(()));
    assert!(verdict(twice, "1 a.one").unwrap_err().contains("line 12"));
    let anywhere = "[[expect]]\nevent = 'a.one'\nanywhere = true\ncount = 2\n";
    assert_eq!(verdict(anywhere, "1 a.one\n2 a.one"), Ok(()));
    assert!(verdict(anywhere, "1 a.one").is_err());
}

#[test]
fn a_group_is_met_in_any_order_between_its_neighbours() {
    let group = "[[expect]]\nevent = 'a.start'\n\
                 [[expect]]\nevent = 'a.vcpu'\nwhere = { n = 0 }\ngroup = 'g'\n\
                 [[expect]]\nevent = 'a.vcpu'\nwhere = { n = 1 }\ngroup = 'g'\n\
                 [[expect]]\nevent = 'a.end'\n";
    assert_eq!(
        verdict(group, "1 a.start\n2 a.vcpu n=1\n3 a.vcpu n=0\n4 a.end"),
        Ok(())
    );
    assert!(verdict(group, "1 a.vcpu n=1\n2 a.start\n3 a.vcpu n=0\n4 a.end").is_err());
    assert!(verdict(group, "1 a.start\n2 a.vcpu n=1\n3 a.end\n4 a.vcpu n=0").is_err());
}

#[test]
fn absence_is_of_the_whole_run() {
    let absent = "[[expect]]\nevent = 'a.bad'\nabsent = true\nwhere = { n = 1 }\n";
    assert_eq!(verdict(absent, "1 a.one\n2 a.bad n=2"), Ok(()));
    let said = verdict(absent, "1 a.one\n2 a.bad n=1").unwrap_err();
    assert!(
        said.contains("no event a.bad n=1\n  instead: a.bad n=1 at 2"),
        "{said}"
    );
}

#[test]
fn values_may_be_captured_bounded_or_matched() {
    let wants = "[[expect]]\nevent = 'a.one'\nwhere = { addr = '$gpa', n = { least = 2, most = 3 }, text = { matches = '^x' } }\n";
    assert_eq!(verdict(wants, "1 a.one addr=0x1000 n=3 text=xy"), Ok(()));
    for wrong in [
        "addr=0x1001 n=3 text=xy",
        "addr=0x1000 n=4 text=xy",
        "addr=0x1000 n=2 text=yx",
        "addr=0x1000 n=2",
    ] {
        let said = verdict(wants, &format!("1 a.one {wrong}")).unwrap_err();
        assert!(
            said.contains("a.one addr=0x1000 n=2..3 text=~'^x'"),
            "{said}"
        );
    }
}

#[test]
fn a_capture_may_stand_within_a_text() {
    let wants = "[[expect]]\nevent = 'a.one'\nwhere = { text = 'page $gpa, size 8' }\n";
    assert_eq!(verdict(wants, "1 a.one text=page 0x1000, size 8"), Ok(()));
    let said = verdict(wants, "1 a.one text=page 0x1001, size 8").unwrap_err();
    assert!(said.contains("a.one text=page 0x1000, size 8"), "{said}");
}

#[test]
fn guests_must_end_as_said() {
    let exit = "[exit]\ng0 = 0\n";
    assert_eq!(verdict(exit, "1 guest.shutdown guest=0 code=0"), Ok(()));
    let wrong = verdict(exit, "1 guest.shutdown guest=0 code=3").unwrap_err();
    assert!(wrong.contains("code=3"), "{wrong}");
    assert!(
        verdict(exit, "1 guest.shutdown guest=1 code=0")
            .unwrap_err()
            .contains("never shut down")
    );
}
