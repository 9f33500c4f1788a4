//! Scenario files, right and wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use super::*;
use crate::log::Value;

fn known() -> Known {
    Known {
        images: vec!["broadcast".into(), "bench".into()],
        interfaces: Known::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).interfaces,
        kinds: BTreeMap::from([
            (
                "vmce.injected".into(),
                vec!["cpu".into(), "guest".into(), "addr".into()],
            ),
            ("machine.off".into(), vec!["cpu".into()]),
            (
                "mc.worst".into(),
                vec!["cpu".into(), "class".into(), "owner".into()],
            ),
        ]),
        words: BTreeMap::from([(
            ("mc.worst".into(), "class".into()),
            vec!["srao".into(), "srar".into()],
        )]),
        platform: None,
    }
}

fn parse(source: &str) -> Result<Scenario, String> {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(known);
    Scenario::parse(Path::new("x.toml"), source, known).map_err(|error| error.to_string())
}

const GOOD: &str = r#"
title = "A scenario"
[machine]
processors = 2
[[guest]]
name = "one"
image = "broadcast"
vcpus = 2
args = "a b=c"
[[fault]]
after = { console = 'page (?<gpa>0x[0-9a-f]+)', guest = "one" }
processor = 1
bank = 3
status = 0xbd000000000000cf
mcg_status = 5
guest_physical = "$gpa"
guest = "one"
misc = 0x8c
broadcast = true
[[fault]]
at = 1000
processor = 0
bank = 0
status = 0x9c00000000000000
mcg_status = 0
host_physical = 0x1000
[[expect]]
event = "vmce.injected"
where = { guest = "one", addr = "$gpa", cpu = { most = 1 } }
[[expect]]
event = "vmce.injected"
absent = true
[exit]
one = 0
"#;

#[test]
fn a_whole_scenario() {
    let scenario = parse(GOOD).unwrap();
    assert_eq!(
        (scenario.name.as_str(), scenario.title.as_str()),
        ("x", "A scenario")
    );
    assert_eq!(
        (scenario.machine.banks, scenario.machine.mcg_cap),
        (4, 0x100_0c04)
    );
    assert_eq!(
        scenario.guests[0].module_string(),
        "guest image=pvh name=one vcpus=2 memory=16 interface=vmce@2 delivery=inject args=a b=c"
    );
    assert_eq!(scenario.exit, BTreeMap::from([(0, 0)]));
    assert_eq!(scenario.expects[0].line, 27);

    let mut captures = Captures::default();
    assert_eq!(scenario.faults[0].command(&captures), None);
    let When::After {
        console,
        guest: Some(0),
    } = &scenario.faults[0].when
    else {
        panic!("{:?}", scenario.faults[0].when);
    };
    assert!(!captures.take(console, "page at 0x12"));
    assert!(captures.take(console, "the page 0x12f000 is mine"));
    assert_eq!(captures.get("gpa"), Some(&Value::Hex(0x12_f000)));
    assert_eq!(
        scenario.faults[0].command(&captures).unwrap(),
        "mce cpu=1 bank=3 status=0xbd000000000000cf mcg_status=0x5 addr=0x12f000 misc=0x8c guest=0 broadcast"
    );
    assert_eq!(
        scenario.faults[1].command(&captures).unwrap(),
        "at=1000 mce cpu=0 bank=0 status=0x9c00000000000000 mcg_status=0x0 addr=0x1000 misc=0x0"
    );
}

/// Changes one line of the good scenario, and gives what is said of it.
fn spoilt(line: &str, by: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    parse(&GOOD.replacen(line, by, 1)).expect_err("must be refused")
}

#[test]
fn mistakes_are_named_with_their_place_and_mend() {
    for (line, by, place, message, help) in [
        (
            "processors = 2",
            "procesors = 2",
            "4:1",
            "unknown key `procesors` in [machine]",
            "did you mean `processors`?",
        ),
        (
            "processors = 2",
            "processors = 0",
            "4:14",
            "`processors` must be 1 to 15, not 0",
            "",
        ),
        (
            "processors = 2",
            "processors = \"2\"",
            "4:14",
            "`processors` must be a number, not the text \"2\"",
            "",
        ),
        ("processors = 2", "processors = 2x", "4:14", "", ""),
        (
            "processors = 2",
            "processors = 2\nmemory = 32",
            "5:10",
            "`memory` must be 64 to 2048, not 32",
            "",
        ),
        (
            "processors = 2",
            "processors = 2\nbanks = 3\nmcg_cap = 0x1000c04",
            "6:11",
            "says 4 banks",
            "mcg_cap = 0x1000c03",
        ),
        (
            "vcpus = 2",
            "vcpus = 17",
            "8:9",
            "`vcpus` must be 1 to 16, not 17",
            "",
        ),
        (
            "vcpus = 2",
            "vcpus = 2\nmemory = 120",
            "5:1",
            "120 MiB do not fit",
            "112 MiB are left",
        ),
        (
            "vcpus = 2",
            "vcpus = 2\nmemory = 5",
            "9:10",
            "multiple of 2 MiB",
            "",
        ),
        (
            "vcpus = 2",
            "interface = 'vmce'",
            "8:13",
            "`vmce` names no version",
            "write it as `vmce@",
        ),
        (
            "vcpus = 2",
            "interface = 'vcme@2'",
            "8:13",
            "no interface is called `vcme`",
            "did you mean `vmce`?",
        ),
        (
            "vcpus = 2",
            "interface = 'vmce@9'",
            "8:13",
            "`vmce` has no version `9`",
            "its versions: 2, 3",
        ),
        (
            "vcpus = 2",
            "interface = 'vmce@1'",
            "8:13",
            "no guest starts under version 1 of `vmce`: it is only restored",
            "its versions: 2, 3",
        ),
        (
            "vcpus = 2",
            "interface = 'vmce@3+LCME'",
            "8:13",
            "`vmce@3` has no feature `LCME`",
            "did you mean `LMCE`?",
        ),
        (
            "vcpus = 2",
            "interface = 'vmce@2+LMCE'",
            "8:13",
            "`vmce@2` has no feature `LMCE`",
            "",
        ),
        (
            "processors = 2",
            "processors = 2\nmcg_cap = 0x2001c04",
            "5:11",
            "`mcg_cap` has bits set that the SDM does not define: 0x2001000",
            "mcg_cap = 0xc04",
        ),
        (
            "vcpus = 2",
            "delivery = 'monitor'",
            "8:12",
            "unknown delivery",
            "inject",
        ),
        (
            "image = \"broadcast\"",
            "image = \"brodcast\"",
            "7:9",
            "no guest program",
            "did you mean `broadcast`?",
        ),
        (
            "(?<gpa>0x",
            "(?<gpa>[0x",
            "11:21",
            "`console` is no regular expression: unclosed",
            "",
        ),
        (
            "page (?<gpa>0x[0-9a-f]+)",
            "page",
            "16:18",
            "nothing captures `$gpa`",
            "(?<gpa>...)",
        ),
        (
            "at = 1000",
            "after = 5",
            "21:9",
            "`after` must be a table, not 5",
            "",
        ),
        (
            "at = 1000",
            "",
            "20:1",
            "nothing says when",
            "`at` a time stamp",
        ),
        (
            "bank = 3",
            "bank = 4",
            "13:8",
            "`bank` must be 0 to 3, not 4",
            "",
        ),
        (
            "processor = 1",
            "processor = 2",
            "12:13",
            "`processor` must be 0 to 1, not 2",
            "",
        ),
        (
            "host_physical = 0x1000",
            "host_physical = \"$gpa\"",
            "20:1",
            "`at` cannot use a captured",
            "use `after`",
        ),
        (
            "guest = \"one\"\nmisc",
            "misc",
            "16:18",
            "in which guest?",
            "guest = \"NAME\"",
        ),
        (
            "guest = \"one\"\nmisc",
            "guest = \"oen\"\nmisc",
            "17:9",
            "no guest is called `oen`",
            "did you mean `one`?",
        ),
        (
            "broadcast = true",
            "broadcast = 1",
            "19:13",
            "`broadcast` must be true or false, not 1",
            "",
        ),
        (
            "status = 0xbd000000000000cf",
            "status = -1",
            "14:10",
            "64 bits without a sign, not -1",
            "",
        ),
        (
            "event = \"vmce.injected\"",
            "event = \"vmce.injectd\"",
            "28:9",
            "no event is called",
            "did you mean `vmce.injected`?",
        ),
        (
            "addr = \"$gpa\"",
            "adr = \"$gpa\"",
            "29:26",
            "`vmce.injected` has no field `adr`",
            "did you mean `addr`?",
        ),
        (
            "{ most = 1 }",
            "{ moist = 1 }",
            "29:49",
            "unknown key `moist`",
            "did you mean `most`?",
        ),
        (
            "absent = true",
            "absent = true\ncount = 2",
            "30:1",
            "only one can hold",
            "",
        ),
        ("one = 0", "two = 0", "34:1", "no guest is called `two`", ""),
        (
            "one = 0",
            "one = 'x'",
            "34:7",
            "an exit code is a number",
            "",
        ),
        (
            "title = \"A scenario\"",
            "",
            "1:1",
            "the file has no `title`",
            "",
        ),
    ] {
        let said = spoilt(line, by);
        let first = format!("x.toml:{place}: ");
        let found = said
            .split("\nx.toml:")
            .map(|one| {
                if one.starts_with("x.toml:") {
                    one.to_owned()
                } else {
                    format!("x.toml:{one}")
                }
            })
            .any(|one| one.starts_with(&first) && one.contains(message) && one.contains(help));
        assert!(
            found,
            "{line} -> {by}: expected {place} {message} {help} in\n{said}"
        );
    }
}

#[test]
fn features_of_an_interface_are_taken() {
    let text = GOOD.replacen("vcpus = 2", "vcpus = 2\ninterface = 'vmce@3+LMCE'", 1);
    let string = parse(&text).unwrap().guests[0].module_string();
    assert!(string.contains(" interface=vmce@3+LMCE "), "{string}");
}

#[test]
fn a_scenario_that_expects_nothing_is_none() {
    let text = "title = 't'\n[machine]\nprocessors = 1\n[[guest]]\nimage = 'bench'\n";
    let said = parse(text).unwrap_err();
    assert!(
        said.starts_with("x.toml:1:1: nothing is expected of this run"),
        "{said}"
    );
    assert!(parse(&format!("{text}[exit]\n")).is_err());
    assert!(parse(&format!("{text}[exit]\ng0 = 0\n")).is_ok());
}

/// One mistake, one error: what follows from it is not said.
#[test]
fn one_guest_at_most_is_privileged() {
    let other = "[[guest]]\nimage = \"broadcast\"\nprivileged = true\n";
    let one = GOOD.replacen("[[fault]]", &format!("{other}[[fault]]"), 1);
    let guests = parse(&one).unwrap().guests;
    assert!(
        guests[1]
            .module_string()
            .contains(" delivery=inject privileged=yes args=")
    );
    assert!(!guests[0].module_string().contains("privileged"));
    let two = one.replacen("vcpus = 2", "vcpus = 2\nprivileged = true", 1);
    let said = parse(&two).unwrap_err();
    assert!(
        said.contains("x.toml:11:1: `one` and `g1` are both privileged"),
        "{said}"
    );
    assert!(said.contains("leave `privileged` out of one"), "{said}");
}

#[test]
fn a_mistake_brings_no_others_with_it() {
    for (line, by) in [
        ("processors = 2", "procesors = 2"),
        ("title = ", "titel = "),
        ("(?<gpa>0x[0-9a-f]+)", "(?<gpa>0x[0-9a-f]+"),
        (
            "{ console = 'page (?<gpa>0x[0-9a-f]+)', guest = \"one\" }",
            "5",
        ),
        ("console = 'page", "consol = 'page"),
        ("image = \"broadcast\"", "image = 5"),
        ("vcpus = 2", "vcpus = 17"),
    ] {
        let said = spoilt(line, by);
        assert_eq!(said.matches("x.toml:").count(), 1, "{line} -> {by}: {said}");
    }
}

#[test]
fn a_wrong_guest_does_not_hide_later_mistakes() {
    let text = GOOD.replacen("image = \"broadcast\"", "imgae = \"broadcast\"", 1);
    let text = text.replacen("broadcast = true", "broadcast = 1", 1);
    let said = parse(&text.replacen("one = 0", "tow = 0", 1)).unwrap_err();
    for place in ["x.toml:7:1", "x.toml:19:13", "x.toml:34:1"] {
        assert!(said.contains(place), "{place}: {said}");
    }
    assert_eq!(said.matches("x.toml:").count(), 3, "{said}");
}

#[test]
fn a_field_that_holds_one_of_a_few_words_is_given_no_other() {
    let expect = |value: &str| {
        let text = format!("{GOOD}[[expect]]\nevent = 'mc.worst'\nwhere = {{ class = {value} }}\n");
        parse(&text).map(drop)
    };
    assert_eq!(expect("'srao'"), Ok(()));
    assert_eq!(expect("{ matches = 'sra.' }"), Ok(()));
    let said = expect("'srra'").unwrap_err();
    assert!(
        said.contains("37:19: `class` of `mc.worst` is never `srra`\n")
            && said.contains("did you mean `srar`?"),
        "{said}"
    );
    assert!(expect("5").unwrap_err().contains("known: srao, srar"));
}

#[test]
fn several_mistakes_are_said_at_once() {
    let said = parse("title = 1\n[machine]\nprocessors = 0\nbakns = 2\n").unwrap_err();
    for place in ["x.toml:1:9", "x.toml:3:14", "x.toml:4:1"] {
        assert!(said.contains(place), "{said}");
    }
    assert!(
        said.contains(" 3 | processors = 0\n   |              ^\n"),
        "{said}"
    );
}

#[test]
fn no_text_makes_it_panic() {
    // Every prefix, and every single character dropped or doubled.
    for at in 0..GOOD.len() {
        let _ = parse(&GOOD[..at]);
        let _ = parse(&format!("{}{}", &GOOD[..at], &GOOD[at + 1..]));
        let _ = parse(&format!("{}{}", &GOOD[..=at], &GOOD[at..]));
    }
}

#[test]
fn every_key_that_is_read_is_in_the_table_and_the_other_way_round() {
    // Each key of the table, set to something wrong, must be said to be wrong: none is accepted and ignored.
    for (header, section) in [
        ("", &keys::TOP),
        ("[machine]", &keys::MACHINE),
        ("[[guest]]", &keys::GUEST),
        ("[[fault]]", &keys::FAULT),
        ("[[expect]]", &keys::EXPECT),
    ] {
        for key in section.keys {
            let wrong = format!("{header}\n{} = 1979-05-27\n", key.name);
            let said = parse(&wrong).unwrap_err();
            let place = "x.toml:2:";
            assert!(
                said.contains(place) && !said.contains("unknown key"),
                "{header} {}: {said}",
                key.name
            );
        }
    }
}

#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (by_hand, _) = text.split_once("\n## The file\n").unwrap_or((&text, ""));
    let whole = format!("{by_hand}\n{}", manual());
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == whole,
        "docs/scenarios.md is not what the table of keys says: run this test with ACCEPT=1"
    );
}
