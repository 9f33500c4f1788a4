//! Nothing is dropped without a word: what is kept and what is counted as lost are together what so many errors make.

use std::collections::BTreeMap;

use boot::log::Event;

use super::{BOCHS, console, log, met};

/// An error's MCi_STATUS and MCG_STATUS, and whether there was a corrected one before it.
type Kind = (u64, u64, bool);

const SCRUBBED: u64 = 0xbd00_0000_0000_00cf;
const LOADED: u64 = 0xbd80_0000_0000_0134;

#[test]
fn endurance() {
    let events = met("endurance", &BOCHS);
    add_up(&events, &[((SCRUBBED, 5, false), 10_000)]);
}

#[test]
fn endurance_mixed() {
    let events = met("endurance-mixed", &BOCHS);
    let lines = console(&events);
    let counts = lines.iter().find(|line| line.starts_with("scrub="));
    let counts: Vec<u64> = counts
        .unwrap()
        .split(' ')
        .map(|word| word.split_once('=').unwrap().1.parse().unwrap())
        .collect();
    let [scrub, consumed, local, beside] = counts[..] else {
        panic!("{lines:?}")
    };
    assert!(counts.iter().all(|&count| count > 600), "{counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 3000);
    add_up(
        &events,
        &[
            ((SCRUBBED, 5, false), scrub),
            ((LOADED, 7, false), consumed),
            ((LOADED, 15, false), local),
            ((SCRUBBED, 5, true), beside),
        ],
    );
    let not_local = lines
        .iter()
        .find_map(|line| line.strip_prefix("broadcast="));
    let handled = format!("vcpu=1 handled={}", not_local.unwrap());
    assert!(lines.contains(&handled), "{lines:?}");
}

/// Before a reset each of the two processors has half of what is written: the newest that its ring has kept.
#[test]
fn last_words() {
    const HALF: usize = 128;
    let events = met("last-words", &BOCHS);
    let first_boot = |event: &&Event| event.boot == 1 && is_from_a_ring(event);
    for cpu in [0, 1] {
        let of_one = |event: &&Event| event.number("cpu") == Some(cpu);
        let kept: Vec<_> = events.iter().filter(first_boot).filter(of_one).collect();
        assert_eq!(kept.len(), HALF, "{}", log(&events));
        if cpu == 1 {
            assert_eq!(kept.last().unwrap().kind, "mc.fatal");
        }
    }
}

/// The events that the first errors of each kind make, on all processors, times the errors, are those that were kept and those that were lost.
fn add_up(events: &[Event], errors: &[(Kind, u64)]) {
    let mut kept: Vec<_> = events.iter().filter(is_from_a_ring).collect();
    kept.sort_by_key(|event| event.t);
    let lost: u64 = events
        .iter()
        .filter(|event| event.kind == "records.lost")
        .filter_map(|event| event.number("count"))
        .sum();

    // An error begins where it is raised; of a corrected one and the one behind it the first is the beginning. The last that processor 0 has kept is cut off.
    let is_first = |event: &Event| event.kind == "fault.raised";
    let starts: Vec<_> = (0..kept.len())
        .filter(|&at| is_first(kept[at]) && (at == 0 || !is_first(kept[at - 1])))
        .collect();
    let mut made: BTreeMap<Kind, u64> = BTreeMap::new();
    for ends in starts.windows(2) {
        let of_one = &kept[ends[0]..ends[1]];
        let raised: Vec<_> = of_one.iter().filter(|event| is_first(event)).collect();
        let last = raised.last().unwrap();
        let kind = (
            last.number("status").unwrap(),
            last.number("mcg_status").unwrap(),
            raised.len() == 2,
        );
        // Once for each page.
        let count = of_one.iter().filter(|event| event.kind != "page.retired");
        let count = count.count() as u64;
        let before = *made.entry(kind).or_insert(count);
        assert_eq!(before, count, "{kind:x?}\n{}", log(events));
    }
    let pages = kept.iter().filter(|event| event.kind == "page.retired");
    let expected: u64 = errors.iter().map(|(kind, count)| made[kind] * count).sum();
    assert_eq!(
        expected + pages.clone().count() as u64,
        kept.len() as u64 + lost,
        "{made:x?}"
    );
    assert!(pages.count() == 16 && lost > 10_000, "{lost}");
}

/// It was kept in a processor's ring before it was written to the log.
fn is_from_a_ring(event: &&Event) -> bool {
    ["mc.", "vmce.", "fault.", "page."]
        .iter()
        .any(|kind| event.kind.starts_with(kind))
}
