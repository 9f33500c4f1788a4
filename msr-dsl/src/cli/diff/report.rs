//! What all forms of output show.

use msr_dsl::compare::finding::{About, Finding, Fingerprint};
use msr_dsl::compare::rules;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::verdict::verdict;
use msr_dsl::compare::{Comparison, compare};

/// All comparisons of one run.
pub struct Report {
    /// By interface, if the sides are directories.
    pub comparisons: Vec<Comparison>,
    /// Findings that are meant, by fingerprint, with their reasons.
    pub waived: Vec<(Fingerprint, String)>,
}

impl Report {
    /// Compares sides pair by pair: one with one, or by interface.
    pub fn new(old: &[Side], new: &[Side]) -> Self {
        let mut comparisons = Vec::new();
        if let ([old], [new]) = (old, new) {
            comparisons.push(compare(old, new));
        } else {
            for old in old {
                match new.iter().find(|new| new.view.name == old.view.name) {
                    Some(new) => comparisons.push(compare(old, new)),
                    None => comparisons.push(alone(old, 0)),
                }
            }
            let added = new
                .iter()
                .filter(|new| !old.iter().any(|old| old.view.name == new.view.name));
            comparisons.extend(added.map(|new| alone(new, 1)));
        }
        Self {
            comparisons,
            waived: Vec::new(),
        }
    }

    /// What altered released versions: each as it was, and as it is. None if all are alike.
    pub fn of_altered(pairs: &[[Side; 2]]) -> Option<Self> {
        let pairs = pairs.iter();
        let mut comparisons: Vec<Comparison> = pairs.map(|[was, is]| compare(was, is)).collect();
        comparisons.retain(|comparison| !comparison.findings.is_empty());
        (!comparisons.is_empty()).then_some(Self {
            comparisons,
            waived: Vec::new(),
        })
    }

    /// What could not be decided, of which comparison; none if all was.
    pub fn undecided(&self) -> Option<String> {
        let all = self.comparisons.iter().flat_map(|one| {
            let [old, new] = &one.names;
            one.undecided
                .iter()
                .map(move |question| format!("{old} and {new}: {question}"))
        });
        let all: Vec<String> = all.collect();
        (!all.is_empty()).then(|| all.join("\n"))
    }

    /// The reason why a finding is meant.
    pub fn reason(&self, finding: &Finding) -> Option<&str> {
        let fingerprint = finding.fingerprint();
        self.waived
            .iter()
            .find(|(known, _)| *known == fingerprint)
            .map(|(_, reason)| reason.as_str())
    }

    /// Findings that are not waived.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings()
            .filter(|finding| self.reason(finding).is_none())
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.comparisons
            .iter()
            .flat_map(|comparison| &comparison.findings)
    }
}

/// An interface that one side alone has.
fn alone(side: &Side, at: usize) -> Comparison {
    let rule = if at == 0 {
        &rules::INTERFACE_REMOVED
    } else {
        &rules::INTERFACE_ADDED
    };
    let about = About {
        name: Some(side.view.name.clone()),
        ..About::default()
    };
    let mut finding = Finding::new(rule, about, format!("interface {}", side.view.name));
    finding.lines[at] = side.line(&finding, at);
    let names = [0, 1].map(|own| {
        if own == at {
            side.name.clone()
        } else {
            "nothing".to_owned()
        }
    });
    let findings = vec![finding];
    let verdicts = [0, 1].map(|direction| verdict(&findings, true, direction));
    Comparison {
        names,
        findings,
        undecided: Vec::new(),
        verdicts,
        default_guests: [None, None],
        work: 0,
    }
}
