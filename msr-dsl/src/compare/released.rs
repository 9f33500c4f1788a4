//! A released version from its manifest: what `msr lock` wrote, read back as a version that can be compared. Names are not
//! in it, so registers are called by their MSRs; MCG_STATUS's bits are where the SDM has them.

mod expression;

use crate::manifest::Lines;
use crate::model::{
    Absent, Address, Banks, BitRule, Expr, Feature, Field, FieldType, GlobalBits, Hook, Illegal,
    Injection, Legal, Migrate, Offer, Read, Register, RegisterId, Rule, Scope, Set, View, Write,
    mask,
};
use expression::{Reader, arguments};
use std::collections::BTreeMap;

/// The version of some lines. None if a line is none of a manifest.
pub fn view(name: &str, version: u16, lines: &Lines) -> Option<View> {
    let mut registers: BTreeMap<String, Lines> = BTreeMap::new();
    let mut view = Lines::new();
    for (key, value) in lines {
        match register_key(lines, key) {
            Some((own, rest)) => {
                registers
                    .entry(own.to_owned())
                    .or_default()
                    .insert(rest.to_owned(), value.clone());
            }
            None => {
                view.insert(key.clone(), value.clone());
            }
        }
    }
    Released {
        name,
        version,
        view,
        keys: registers.keys().cloned().collect(),
        registers,
        hooks: Vec::new(),
    }
    .read()
}

/// `0x179 read`, `tag 10 read` and, of a register without MSRs that is in no record, `NAME read` are lines of a register: one
/// that has a line of its addresses. `tag 4` is not.
fn register_key<'k>(lines: &Lines, key: &'k str) -> Option<(&'k str, &'k str)> {
    let words = if key.starts_with("tag ") { 2 } else { 1 };
    let at = key.match_indices(' ').nth(words - 1)?.0;
    let (own, rest) = (&key[..at], &key[at + 1..]);
    let says = WORDS.contains(&rest) || rest.starts_with("bits ") || rest.starts_with("rule ");
    (says && lines.contains_key(&format!("{own} addresses"))).then_some((own, rest))
}

/// What a register's lines say, its bits and rules apart.
const WORDS: &[&str] = &[
    "addresses",
    "read",
    "write",
    "reset",
    "migrates",
    "present",
    "state",
    "scope",
];

/// What a write does to a bit; in a guest for which the condition does not hold, the other.
type Written = (BitRule, Option<(Expr, BitRule)>);

struct Released<'l> {
    name: &'l str,
    version: u16,
    view: Lines,
    keys: Vec<String>,
    registers: BTreeMap<String, Lines>,
    hooks: Vec<Hook>,
}

impl Released<'_> {
    fn id(&self, key: &str) -> Option<RegisterId> {
        self.keys
            .iter()
            .position(|known| known == key)
            .map(RegisterId)
    }

    fn expression(&self, text: &str) -> Option<Expr> {
        Reader::new(text, &|key| self.id(key)).whole()
    }

    /// An expression, and what follows it.
    fn leading<'t>(&self, text: &'t str) -> Option<(Expr, &'t str)> {
        let (read, left) = Reader::new(text, &|key| self.id(key)).leading()?;
        Some((read, &text[text.len() - left..]))
    }

    fn read(mut self) -> Option<View> {
        let registers = std::mem::take(&mut self.registers);
        let read = registers
            .iter()
            .map(|(key, lines)| self.register(key, lines));
        let read = read.collect::<Option<Vec<Register>>>()?;
        let dropped = self
            .view
            .keys()
            .filter_map(|key| key.strip_prefix("tag ")?.parse().ok());
        Some(View {
            name: self.name.to_owned(),
            version: self.version,
            text: String::new(),
            restore_only: self
                .view
                .get("restored guests only")
                .is_some_and(|text| text == "true"),
            capability: self.view.get("capability").and_then(|key| self.id(key)),
            banks: match self.view.get("banks") {
                Some(text) => Some(self.banks(text)?),
                None => None,
            },
            features: self.features()?,
            injection: match self.view.get("injection") {
                Some(text) => Some(self.injection(text)?),
                None => None,
            },
            dropped_tags: dropped.collect(),
            // What an administrator may name is the host's affair and in no manifest.
            extra: None,
            // Nor are names.
            known: [].into(),
            hooks: self.hooks,
            registers: read,
        })
    }

    fn banks(&self, text: &str) -> Option<Banks> {
        let (count, rest) = self.leading(text.strip_prefix("count ")?)?;
        Some(Banks {
            count,
            limit: number(part(rest, "limit ")?)? as u32,
            stored: number(part(rest, "stored ")?)? as u32,
            beyond: absent(part(rest, "beyond ")?)?,
        })
    }

    fn features(&self) -> Option<Vec<Feature>> {
        let all = self
            .view
            .iter()
            .filter_map(|(key, text)| Some((key.strip_prefix("feature of bit ")?, text)));
        all.map(|(bit, text)| {
            let lists = part(text, "requires ")?;
            let lists = lists.split(" and ").filter(|list| *list != "nothing");
            let lists = lists.map(|list| list.split(" or ").map(str::to_owned).collect());
            let host = text.rsplit_once("host ")?.1;
            Some(Feature {
                name: format!("bit {bit}"),
                doc: String::new(),
                bit: bit.parse().ok()?,
                offer: if text.starts_with("default") {
                    Offer::Default
                } else {
                    Offer::Offered
                },
                requires: lists.collect(),
                host: (host != "none").then(|| host.to_owned()),
            })
        })
        .collect()
    }

    fn injection(&self, text: &str) -> Option<Injection> {
        let role = |role: &str| {
            let (key, bits) = self
                .view
                .get(&format!("injection {role}"))?
                .split_once(" sets ")?;
            Some((self.id(key)?, number(bits)?))
        };
        let global = role("global")?;
        let local = self
            .view
            .get("injection local")
            .map(|text| self.expression(text));
        Some(Injection {
            broadcast: text.starts_with("broadcast"),
            bank: number(part(text, "bank ")?)? as u32,
            global,
            status: role("status")?,
            address: role("address")?,
            misc: role("misc")?,
            pending: self
                .view
                .get("injection pending")
                .and_then(|key| self.id(key)),
            local: match local {
                Some(read) => Some(read?),
                None => None,
            },
            bits: GlobalBits {
                ripv: 1 & global.1,
                eipv: 2 & global.1,
                mcip: 4,
                lmce_s: 8 & global.1,
            },
        })
    }

    fn register(&mut self, key: &str, lines: &Lines) -> Option<Register> {
        let (mut addresses, banked) = addresses(lines.get("addresses")?)?;
        // They are in order, and the key is the one that the spec names first.
        if let Some(first) = addresses
            .iter()
            .position(|address| format!("{:#x}", address.first) == key)
        {
            addresses.swap(0, first);
        }
        let saved = lines.get("migrates").map_or("", String::as_str);
        let (mut reset, mut init) = (0, None);
        if let Some(text) = lines.get("reset") {
            let (value, after) = text.split_once(", INIT ")?;
            (reset, init) = (
                number(value)?,
                if after == "kept" {
                    None
                } else {
                    Some(number(after)?)
                },
            );
        }
        let (fields, reserved) = self.bits(lines)?;
        Some(Register {
            name: key.to_owned(),
            doc: String::new(),
            line: 0,
            cite: Vec::new(),
            banked,
            addresses,
            stored: lines.contains_key("reset"),
            scope: match lines.get("scope").map(String::as_str) {
                None => Scope::Vcpu,
                Some("guest") => Scope::Guest,
                Some(_) => return None,
            },
            held: lines.contains_key("state"),
            present: match lines.get("present") {
                Some(text) => {
                    let (condition, otherwise) = text.rsplit_once(" else ")?;
                    Some((self.expression(condition)?, absent(otherwise)?))
                }
                None => None,
            },
            reset,
            init,
            read: match lines.get("read")?.as_str() {
                "fault" => Read::Fault,
                "unlisted" => Read::Unlisted,
                "pass" => Read::Pass,
                text => match text.strip_prefix("hook ") {
                    Some(hook) => Read::Hook(self.hook(hook)?),
                    None => Read::Value(self.expression(text)?),
                },
            },
            write: match lines.get("write")?.as_str() {
                "fault" => Write::Fault,
                "unlisted" => Write::Unlisted,
                "pass" => Write::Pass,
                "by bits" => Write::Bits(None),
                text => match text.strip_prefix("by bits, then hook ") {
                    Some(hook) => Write::Bits(Some(self.hook(hook)?)),
                    None => Write::Hook(self.hook(text.strip_prefix("hook ")?)?),
                },
            },
            rules: self.rules(lines, "")?,
            reserved_mask: !fields
                .iter()
                .fold(0, |mask, field: &Field| mask | field.mask()),
            fields,
            reserved,
            migrate: match saved {
                "" => Migrate::Derived,
                "transient" => Migrate::Transient("as released".to_owned()),
                text => Migrate::Saved {
                    tag: number(part(text, "tag ")?)? as u16,
                    default: number(part(text, "default ")?)?,
                },
            },
            accepts: if saved.starts_with("tag") {
                number(part(saved, "accepts ")?)?
            } else {
                0
            },
            after: match saved.split_once("after ") {
                Some((_, keys)) => keys.split(" and ").filter_map(|key| self.id(key)).collect(),
                None => Vec::new(),
            },
        })
    }

    fn hook(&mut self, text: &str) -> Option<usize> {
        let (name, list) = text.split_once('(')?;
        if let Some(known) = self.hooks.iter().position(|hook| hook.name == name) {
            return Some(known);
        }
        self.hooks.push(Hook {
            name: name.to_owned(),
            doc: String::new(),
            arguments: arguments(list)?,
        });
        Some(self.hooks.len() - 1)
    }

    fn rules(&self, lines: &Lines, before: &str) -> Option<Vec<Rule>> {
        let rule = |number: usize| lines.get(&format!("{before}rule {number}"));
        (1..).map_while(rule).map(|text| self.rule(text)).collect()
    }

    fn rule(&self, text: &str) -> Option<Rule> {
        let (legal, otherwise) = text.rsplit_once(" else ")?;
        let sets: Option<Vec<Set>> = legal.split(", ").map(set).collect();
        Some(Rule {
            legal: match sets {
                Some(sets) => Legal::Sets(sets),
                None => Legal::Holds(self.expression(legal)?),
            },
            otherwise: match otherwise {
                "fault" => Illegal::Fault,
                "ignore" => Illegal::Ignore,
                "keep" => Illegal::Keep,
                _ => return None,
            },
        })
    }

    /// Fields where something is said of one, or where writes differ from those to reserved bits.
    fn bits(&self, lines: &Lines) -> Option<(Vec<Field>, BitRule)> {
        let mut written: Vec<Option<Written>> = vec![None; 64];
        let mut places: Vec<(u32, u32)> = Vec::new();
        for (key, text) in lines {
            let Some((hi, lo, what)) = place(key) else {
                continue;
            };
            if what == "written" {
                let rule = self.bit_rule(text)?;
                (lo..=hi).for_each(|bit| written[bit as usize] = Some(rule.clone()));
            } else if !places.contains(&(hi, lo)) {
                places.push((hi, lo));
            }
        }
        let conditional = written
            .iter()
            .flatten()
            .find_map(|(_, other)| other.as_ref().map(|(_, rule)| rule.clone()));
        let reserved = conditional.unwrap_or(BitRule::Ignore);
        // What is written in other bits needs a field of its own; one for each bit is as good as any.
        let said = |bit: u32| places.iter().any(|(hi, lo)| (*lo..=*hi).contains(&bit));
        let own = (0..64).filter(|bit| written[*bit as usize].is_some() && !said(*bit));
        let own: Vec<(u32, u32)> = own.map(|bit| (bit, bit)).collect();
        places.extend(own);
        places.sort_unstable_by(|a, b| b.cmp(a));
        let fields: Option<Vec<Field>> = places
            .into_iter()
            .map(|(hi, lo)| self.field(lines, hi, lo, written[lo as usize].as_ref()))
            .collect();
        Some((fields?, reserved))
    }

    fn field(&self, lines: &Lines, hi: u32, lo: u32, written: Option<&Written>) -> Option<Field> {
        let at = format!("bits {hi}:{lo}");
        let optional = |key: &str| match lines.get(&format!("{at} {key}")) {
            Some(text) => self.expression(text).map(Some),
            None => Some(None),
        };
        let listed = lines.get(&format!("{at} restored"));
        let closed = match listed {
            Some(text) => Some(closed(text)?),
            None => None,
        };
        let present = match (optional("present")?, written) {
            (Some(condition), _) => Some(condition),
            (None, Some((_, Some((condition, _))))) => Some(condition.clone()),
            _ => None,
        };
        Some(Field {
            name: format!("[{hi}:{lo}]"),
            doc: String::new(),
            hi,
            lo,
            restored: closed.clone(),
            ty: closed
                .filter(|_| !listed.is_some_and(|text| text.contains("..=")))
                .map_or(FieldType::Unsigned, named),
            present,
            read: optional("read")?,
            write: written.map_or(BitRule::Ignore, |(rule, _)| rule.clone()),
            rules: self.rules(lines, &format!("{at} "))?,
        })
    }

    /// `store`, or `store if CONDITION else ignore`.
    fn bit_rule(&self, text: &str) -> Option<Written> {
        let (own, rest) = self.plain(text)?;
        if rest.is_empty() {
            return Some((own, None));
        }
        let (condition, rest) = self.leading(rest.strip_prefix(" if ")?)?;
        let (other, rest) = self.plain(rest.strip_prefix(" else ")?)?;
        rest.is_empty().then_some((own, Some((condition, other))))
    }

    /// What a write does to a bit, and what follows it.
    fn plain<'t>(&self, text: &'t str) -> Option<(BitRule, &'t str)> {
        if let Some(by) = text.strip_prefix("locked by ") {
            let (by, rest) = self.leading(by)?;
            return Some((BitRule::Locked(by), rest));
        }
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        let rule = match word {
            "store" => BitRule::Store,
            "ignore" => BitRule::Ignore,
            "fault_if_set" => BitRule::FaultIfSet,
            "fault_on_change" => BitRule::FaultOnChange,
            "one_clears" => BitRule::OneClears,
            "one_sets" => BitRule::OneSets,
            "zero_clears" => BitRule::ZeroClears,
            "sticky" => BitRule::Sticky,
            _ => return None,
        };
        Some((rule, rest))
    }
}

/// `0x0 or 0x1f`: the values of a field that has no others.
fn closed(text: &str) -> Option<Vec<u64>> {
    let values = text.split(" or ").filter(|value| *value != "nothing");
    let runs = values.map(|value| match value.split_once("..=") {
        Some((first, last)) => Some((number(first)?..=number(last)?).collect()),
        None => Some(vec![number(value)?]),
    });
    Some(runs.collect::<Option<Vec<Vec<u64>>>>()?.concat())
}

/// The enumeration that has these values.
fn named(values: Vec<u64>) -> FieldType {
    let values = values
        .into_iter()
        .map(|value| (format!("{value:x}"), value));
    FieldType::Enum {
        values: values.collect(),
        other: false,
    }
}

/// What stands behind a word, up to the next comma.
fn part<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.split_once(word)?.1;
    Some(rest.split(", ").next().unwrap_or(rest))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn absent(text: &str) -> Option<Absent> {
    Some(match text {
        "fault" => Absent::Fault,
        "zero" => Absent::Zero,
        "unlisted" => Absent::Unlisted,
        _ => return None,
    })
}

fn set(text: &str) -> Option<Set> {
    if let Some(bits) = text.strip_prefix("all ones less ") {
        return Some(Set::AllOnesLess(number(bits)?));
    }
    match text.split_once(" to ") {
        Some((low, high)) => Some(Set::Range(number(low)?, number(high)?)),
        None => number(text).map(|value| Set::Range(value, value)),
    }
}

/// `bits 14:0 written` in its parts.
fn place(key: &str) -> Option<(u32, u32, &str)> {
    let (bits, what) = key.strip_prefix("bits ")?.split_once(' ')?;
    let (hi, lo) = bits.split_once(':')?;
    let (hi, lo) = (hi.parse().ok()?, lo.parse().ok()?);
    (lo <= hi && hi < 64 && mask(hi, lo) != 0).then_some((hi, lo, what))
}

/// Addresses, and whether there is one for each bank.
fn addresses(text: &str) -> Option<(Vec<Address>, bool)> {
    let mut banked = false;
    let parts = text.split("; ").filter(|part| !part.is_empty());
    let addresses: Option<Vec<Address>> = parts
        .map(|part| {
            if let Some((first, rest)) = part.split_once(" + ") {
                banked = true;
                let (stride, count) = rest.strip_suffix(" of them")?.split_once(" * i, ")?;
                return Some(Address {
                    first: number(first)? as u32,
                    stride: number(stride)? as u32,
                    count: number(count)? as u32,
                });
            }
            let (first, last) = part.split_once(" to ").unwrap_or((part, part));
            let (first, last) = (number(first)? as u32, number(last)? as u32);
            Some(Address {
                first,
                count: last.checked_sub(first)? + 1,
                stride: 1,
            })
        })
        .collect();
    addresses.map(|addresses| (addresses, banked))
}
