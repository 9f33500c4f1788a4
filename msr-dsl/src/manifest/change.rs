//! What of a released version a spec would alter.

use super::Lines;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

/// Something that a manifest says and the spec does not, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The register that it is about, as the manifest names it; none: the interface.
    pub register: Option<String>,
    /// What it is about: `reset`, `bits 7:4 written`; empty: the register as a whole.
    pub what: String,
    /// What the manifest says.
    pub was: Option<String>,
    /// What the spec says.
    pub is: Option<String>,
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.was, &self.is) {
            (_, None) if what.is_empty() => write!(f, "it would be gone"),
            (_, _) if what.is_empty() => write!(f, "it would be new"),
            (Some(was), Some(is)) => write!(f, "{what} was {was}, would be {is}"),
            (Some(was), None) => write!(f, "{what} was {was}, would be gone"),
            (None, is) => write!(f, "{what} would be new ({})", is.as_deref().unwrap_or("")),
        }
    }
}

/// What differs: of each register the reset value first and what follows from it last.
pub fn compare(released: &Lines, now: &Lines) -> Vec<Change> {
    let mut changes = Vec::new();
    let registers: BTreeSet<&str> = registers(released).chain(registers(now)).collect();
    let of = |lines: &Lines, key: &str| -> Lines {
        // They stand together.
        let first = format!("{key} ");
        let own = |(line, value): (&String, &String)| {
            let rest = line.strip_prefix(&first)?;
            Some((rest.to_owned(), value.clone()))
        };
        lines.range(first.clone()..).map_while(own).collect()
    };
    for key in &registers {
        let (was, is) = (of(released, key), of(now, key));
        for mut change in of_register(&was, &is) {
            change.register = Some((*key).to_owned());
            changes.push(change);
        }
    }
    let of_interface = |lines: &Lines| -> Lines {
        let own = |line: &String| {
            let mut spaces = line.match_indices(' ');
            !spaces.any(|(at, _)| registers.contains(&line[..at]))
        };
        let all = lines.iter().filter(|(line, _)| own(line));
        all.map(|(line, value)| (line.clone(), value.clone()))
            .collect()
    };
    changes.extend(lines(&of_interface(released), &of_interface(now)));
    changes
}

/// Every register has a line of its addresses.
fn registers(lines: &Lines) -> impl Iterator<Item = &str> {
    lines
        .keys()
        .filter_map(|key| key.strip_suffix(" addresses"))
}

/// Lines that differ, as they are.
fn lines(was: &Lines, is: &Lines) -> Vec<Change> {
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differ = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    let change = |key: &String| Change {
        register: None,
        what: key.clone(),
        was: was.get(key).cloned(),
        is: is.get(key).cloned(),
    };
    differ.map(change).collect()
}

fn of_register(was: &Lines, is: &Lines) -> Vec<Change> {
    if was.is_empty() || is.is_empty() {
        let there = |lines: &Lines| (!lines.is_empty()).then(String::new);
        return vec![Change {
            register: None,
            what: String::new(),
            was: there(was),
            is: there(is),
        }];
    }
    let (was_bits, was) = split(was);
    let (is_bits, is) = split(is);
    let mut changes = bits(&was_bits, &is_bits);
    changes.extend(lines(&was, &is).into_iter().flat_map(parts));
    changes.sort_by_key(|change| match change.what.as_str() {
        "reset" => 0,
        what if what.starts_with("migrates") => 2,
        _ => 1,
    });
    changes
}

/// The rule of each bit, and the other lines.
fn split(lines: &Lines) -> (BTreeMap<u32, &str>, Lines) {
    let (mut bits, mut others) = (BTreeMap::new(), Lines::new());
    for (key, rule) in lines {
        let range = key.strip_prefix("bits ");
        let range = range.and_then(|rest| rest.strip_suffix(" written"));
        let ends = range.and_then(|range| {
            let (hi, lo) = range.split_once(':')?;
            Some((hi.parse().ok()?, lo.parse().ok()?))
        });
        match ends {
            Some((hi, lo)) => bits.extend((lo..=hi).map(|bit: u32| (bit, rule.as_str()))),
            None => {
                others.insert(key.clone(), rule.clone());
            }
        }
    }
    (bits, others)
}

/// Bits whose rule differs, neighbours of one kind together.
fn bits(was: &BTreeMap<u32, &str>, is: &BTreeMap<u32, &str>) -> Vec<Change> {
    let rules = |bit: u32| (was.get(&bit), is.get(&bit));
    let mut all: Vec<u32> = (0..64).rev().collect();
    all.retain(|bit| rules(*bit).0 != rules(*bit).1);
    let runs = all.chunk_by(|high, low| high - low == 1 && rules(*high) == rules(*low));
    let change = |run: &[u32]| {
        let (hi, lo) = (*run.first()?, *run.last()?);
        let (was, is) = rules(hi);
        let bits = match hi == lo {
            true => format!("bit {hi}"),
            false => format!("bits {hi}:{lo}"),
        };
        Some(Change {
            register: None,
            what: format!("{bits} written"),
            was: was.map(|rule| (*rule).to_owned()),
            is: is.map(|rule| (*rule).to_owned()),
        })
    };
    runs.filter_map(change).collect()
}

/// Of what migrates, what differs of it.
fn parts(change: Change) -> Vec<Change> {
    let (Some(was), Some(is), "migrates") = (&change.was, &change.is, change.what.as_str()) else {
        return vec![change];
    };
    let (old, new): (Vec<&str>, Vec<&str>) = (was.split(", ").collect(), is.split(", ").collect());
    if old.len() != new.len() {
        return vec![change];
    }
    let differ = old.into_iter().zip(new).filter(|(old, new)| old != new);
    let part = |(old, new): (&str, &str)| {
        let (name, old) = old.split_once(' ')?;
        let (_, new) = new.split_once(' ')?;
        Some(Change {
            register: None,
            what: format!("migrates: {name}"),
            was: Some(old.to_owned()),
            is: Some(new.to_owned()),
        })
    };
    differ.filter_map(part).collect()
}
