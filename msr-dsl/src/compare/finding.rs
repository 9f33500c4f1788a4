//! One difference: its rule, where both sides say it, what shows it, and what it means in each direction.

use super::condition::{Condition, Demand};
use super::content::{Content, hash};
use super::phrases::msrs;
use super::product::Before;
use super::rules::{Effect, Rule};
use super::steps::{Start, Step};
use crate::model::View;
use std::fmt;
use std::str::FromStr;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// What a finding is about, apart from names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// MSRs, lowest first.
    pub msrs: Vec<u32>,
    /// Bits of the register or of the written value; all zero if it is not about bits.
    pub bits: u64,
    /// The tag of an item.
    pub tag: Option<u16>,
    /// Another name: a feature, a file.
    pub name: Option<String>,
    /// The registers' names on both sides.
    pub registers: [Option<String>; 2],
    /// What of the register, for its source line.
    pub aspect: Aspect,
}

/// Which line of a register (or of what else has one) a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The whole.
    #[default]
    Whole,
    /// Its presence.
    Presence,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Power-on.
    Reset,
    /// INIT.
    Init,
    /// Whose state it is.
    Scope,
    /// Whether the hypervisor holds it.
    Held,
    /// What is saved.
    Migrate,
    /// What a restore accepts.
    Accepts,
    /// Banks.
    Banks,
    /// The injection section.
    Injection,
    /// The interface itself.
    Interface,
}

/// What tells the two sides apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The guest, on each side.
    pub start: [Start; 2],
    /// What happens; the answers to the last step differ, or one of the guests does not exist.
    pub steps: Vec<Step>,
    /// The last answers.
    pub answers: [String; 2],
    /// What the guest of a record in the first steps did before it was saved.
    pub before: Option<Before>,
}

impl Witness {
    /// Two guests to whom the same happens.
    pub fn of(views: [&View; 2], start: [Start; 2], steps: Vec<Step>) -> Self {
        let steps: Vec<Step> = steps.iter().flat_map(Step::lines).collect();
        let answers = [0, 1].map(|side| match start[side].guest_of(views, side) {
            Ok(mut guest) => {
                let answers = steps.iter().filter_map(|step| guest.execute(step));
                answers.last().unwrap_or_default()
            }
            Err(reason) => format!("no such guest: {reason}"),
        });
        Self {
            start,
            steps,
            answers,
            before: None,
        }
    }

    /// Two new guests.
    pub fn new(views: [&View; 2], steps: Vec<Step>) -> Self {
        Self::of(views, [Start::default(), Start::default()], steps)
    }

    /// Says where `--from` takes records from, which is known when the sides have names.
    pub fn name_sides(&mut self, names: [&str; 2]) {
        for (start, other) in self.start.iter_mut().zip([names[1], names[0]]) {
            start.from = start.from.take().map(|_| other.to_owned());
        }
    }

    /// What to type into `msr sim`, with the options of both guests as a comment where there are any.
    pub fn commands(&self) -> Vec<String> {
        let options = self.start.clone().map(|start| start.options().join(" "));
        let said = |options: &str| match options {
            "" => "no option".to_owned(),
            _ => options.to_owned(),
        };
        let guests = match &options {
            [old, new] if old == new && old.is_empty() => None,
            [old, new] if old == new => Some(format!("# both: {old}")),
            [old, new] => Some(format!("# old: {}; new: {}", said(old), said(new))),
        };
        let lived = self.before.as_ref().map(|before| match before {
            Before::Record => {
                "# a record that no guest of this version comes to by itself".to_owned()
            }
            Before::Lived(steps) if steps.is_empty() => "# the record of a new guest".to_owned(),
            Before::Lived(steps) => {
                let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
                format!("# the record of a guest after: {}", steps.join("; "))
            }
        });
        let steps = self.steps.iter().map(ToString::to_string);
        guests.into_iter().chain(lived).chain(steps).collect()
    }

    /// It tells the sides apart: the reasons why both refuse something are no difference.
    pub fn tells(&self) -> bool {
        let kind = |answer: &str| {
            let kinds = ["refused: ", "no such guest: "];
            kinds.into_iter().find(|kind| answer.starts_with(kind))
        };
        let [old, new] = &self.answers;
        old != new && (kind(old).is_none() || kind(old) != kind(new))
    }
}

/// What a finding is known by: `3f2a91c0-77d1e402`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint {
    /// Which difference: the rule, and its first MSR, its tag, or its name.
    pub which: u32,
    /// What exactly it says.
    pub what: u32,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.which, self.what)
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let half = |digits: &str| match digits.len() {
            8 => u32::from_str_radix(digits, 16).map_err(|_| ()),
            _ => Err(()),
        };
        let (which, what) = text.split_once('-').ok_or(())?;
        Ok(Self {
            which: half(which)?,
            what: half(what)?,
        })
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its rule.
    pub rule: &'static Rule,
    /// What it is about.
    pub about: About,
    /// What is different, in words.
    pub text: String,
    /// Which guests meet it; none if all do.
    pub guests: Option<String>,
    /// Where each side says it.
    pub lines: [Option<Line>; 2],
    /// What shows it.
    pub witness: Option<Witness>,
    /// What exactly is different: what of it neither the rule nor the subject says.
    pub content: Content,
    /// Which guests are safe from it, old to new and new to old, where the rule asks for a condition.
    pub conditions: [Option<Condition>; 2],
}

impl Finding {
    /// A finding without witness, lines and conditions.
    pub fn new(rule: &'static Rule, about: About, text: impl Into<String>) -> Self {
        Self {
            rule,
            about,
            text: text.into(),
            guests: None,
            lines: [None, None],
            witness: None,
            content: Content::default(),
            conditions: [None, None],
        }
    }

    /// The same, with what exactly is different.
    #[must_use]
    pub fn saying(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// What it is about: `MCG_EXT_CTL 0x4d0`.
    pub fn subject(&self) -> String {
        let about = &self.about;
        let names: Vec<&str> = about
            .registers
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let name = match names.as_slice() {
            // A manifest has no names.
            [old, new] if old != new && old.starts_with("0x") => (*new).to_owned(),
            [old, new] if old != new && new.starts_with("0x") => (*old).to_owned(),
            [old, new] if old != new => format!("{old} (now {new})"),
            [.., one] => (*one).to_owned(),
            [] => about.name.clone().unwrap_or_default(),
        };
        let place = match about.msrs.is_empty() {
            true => String::new(),
            false => format!(" {}", msrs(&about.msrs)),
        };
        let subject = format!("{name}{place}").trim().to_owned();
        if !subject.is_empty() {
            return subject;
        }
        match (about.aspect, about.tag) {
            (_, Some(tag)) => format!("item {tag}"),
            (Aspect::Injection, _) => "injection".to_owned(),
            (Aspect::Banks, _) => "banks".to_owned(),
            _ => "interface".to_owned(),
        }
    }

    /// What a guest meets: old to new, and new to old.
    pub fn effects(&self) -> [Effect; 2] {
        let effects = [self.rule.effect, self.rule.mirrored().effect];
        std::array::from_fn(|direction| match &self.conditions[direction] {
            Some(condition) if condition.is_about_nobody() => Effect::Safe,
            _ => effects[direction],
        })
    }

    /// Puts the MSRs, which are known when all is merged, into the words of the conditions.
    pub fn name_msrs(&mut self) {
        let all = msrs(&self.about.msrs);
        for condition in self.conditions.iter_mut().flatten() {
            if let Demand::Not(what) | Demand::Only(what) = &mut condition.demand {
                *what = what.replace("{msrs}", &all);
            }
        }
    }

    /// Which difference it is, and what exactly it says, as two numbers. Both stay the same over renames, moved lines and other words; the
    /// second one is another as soon as the difference is larger or smaller: other MSRs, bits, values, guests or states.
    pub fn fingerprint(&self) -> Fingerprint {
        let About {
            msrs,
            bits,
            tag,
            name,
            ..
        } = &self.about;
        // More bits of a register are the same difference grown; a feature, or what is said of a bit alone, is its bit.
        let grows = self.content != Content::default() && !(msrs.is_empty() && tag.is_none());
        let own = if grows { 0 } else { *bits };
        let named = msrs.is_empty() && *bits == 0 && tag.is_none();
        let name = name.as_ref().filter(|_| named);
        let first = msrs.first();
        let which = format!("{} {first:x?} {own:x} {tag:?} {name:?}", self.rule.id);
        let affected = self.conditions.iter().flatten();
        let guests = affected.filter_map(|one| one.affected.as_ref());
        let guests: Vec<&[(u64, u64)]> = guests
            .map(|guests| guests.cases.as_slice())
            .take(1)
            .collect();
        let what = format!("{msrs:x?} {bits:x} {guests:x?} {:?}", self.content);
        Fingerprint {
            which: hash(&which) as u32,
            what: hash(&what) as u32,
        }
    }
}
