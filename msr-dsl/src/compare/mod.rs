//! `msr diff`: what changed between two versions of an interface, and what it means for guests that run.
//!
//! It compares behaviour and decides it: both sides run at once over all their states ([`product`]), so a difference that it
//! names can be shown by accesses, and one that it does not name is none. docs/diff.md has the argument.

pub mod accesses;
mod alike;
mod bitwise;
mod capability;
pub mod carried;
pub mod condition;
mod content;
pub mod conversion;
pub mod convert;
mod crossing;
pub mod default_guest;
mod delivery;
mod differences;
mod documentation;
mod features;
pub mod finding;
pub mod groups;
mod hidden;
pub mod items;
mod known;
mod likeness;
pub mod lines;
mod merge;
mod migrated;
mod moved;
mod newcomers;
mod parallel;
pub mod phrases;
pub mod pool;
pub mod product;
mod records;
pub mod released;
pub mod rules;
pub mod side;
pub mod steps;
pub mod symbols;
pub mod truth;
pub mod undecided;
mod values;
pub mod verdict;
pub mod word;

use accesses::Setting;
use default_guest::{DefaultGuest, default_guest};
use finding::Finding;
use product::TooLarge;
use side::Side;
use undecided::Undecided;
use verdict::{Verdict, verdict};

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The sides, as they were named.
    pub names: [String; 2],
    /// All differences, by subject.
    pub findings: Vec<Finding>,
    /// What could not be decided, so that findings may be missing.
    pub undecided: Vec<TooLarge>,
    /// Old to new, and new to old.
    pub verdicts: [Verdict; 2],
    /// What they mean for a guest as it is created by default; none if none is created there.
    pub default_guests: [Option<DefaultGuest>; 2],
    /// The steps that its decisions took ([`truth::Table::work`]): the same on every machine, however many processors it has.
    pub work: u64,
}

impl Comparison {
    /// Itself, if nothing was left open.
    ///
    /// # Errors
    /// The sides, and the first question that was too large.
    pub fn decided(self) -> Result<Self, String> {
        match self.undecided.first() {
            None => Ok(self),
            Some(question) => Err(format!(
                "{} and {}: {question}",
                self.names[0], self.names[1]
            )),
        }
    }
}

/// Compares two sides.
pub fn compare(old: &Side, new: &Side) -> Comparison {
    let setting = Setting::new([&old.view, &new.view]);
    let mut undecided = Undecided::default();
    let mut findings = accesses::accesses(&setting, &mut undecided);
    moved::moved(&setting, &mut findings);
    findings.extend(capability::capability(&setting));
    findings.extend(delivery::delivery(&setting, &mut undecided));
    let mut findings = merge::merge(findings);
    newcomers::newcomers(&setting, &mut findings);
    findings.extend(records::records(&setting));
    let moved = migrated::migrated(&setting, &findings, &mut undecided);
    findings.extend(moved);
    findings.extend(features::features(&setting));
    findings.extend(documentation::documentation(&setting));
    for finding in &mut findings {
        finding.lines = [old.line(finding, 0), new.line(finding, 1)];
        finding.name_msrs();
        if let Some(witness) = &mut finding.witness {
            witness.name_sides([&old.name, &new.name]);
        }
    }
    let key = |finding: &Finding| {
        (
            finding.rule.subject,
            finding.about.msrs.clone(),
            finding.rule.id,
            finding.about.tag,
        )
    };
    findings.sort_by_key(key);
    let work = undecided.work();
    let undecided = undecided.questions();
    let verdicts = [0, 1].map(|direction| verdict(&findings, undecided.is_empty(), direction));
    let default_guests = [
        default_guest([&old.view, &new.view], &verdicts[0]),
        default_guest([&new.view, &old.view], &verdicts[1]),
    ];
    Comparison {
        names: [old.name.clone(), new.name.clone()],
        findings,
        undecided,
        verdicts,
        default_guests,
        work,
    }
}
