//! What a version changed since the one before, with what shows it: the findings of `msr diff`.

use crate::compare::default_guest::DefaultGuest;
use crate::compare::finding::Finding;
use crate::compare::rules::Subject;
use crate::compare::side::Side;
use crate::compare::verdict::Verdict;
use crate::compare::{Comparison, compare};
use crate::model::{Model, View};
use maud::{Markup, html};

/// The part of a version's section; nothing for the first version.
pub fn section(model: &Model, view: &View) -> Markup {
    let older = model
        .views
        .iter()
        .rev()
        .find(|one| one.version < view.version);
    let Some(older) = older else {
        return html! {};
    };
    let side = |view: &View| {
        let name = format!("{}@{}", model.name, view.version);
        Side::of_spec(&name, "", "", view)
    };
    html! {
        section.changes id=(format!("v{}.changes", view.version)) {
            h3 { "What changed since version " (older.version) }
            @let comparison = compare(&side(older), &side(view));
            @for question in &comparison.undecided { p { "Not decided: " (question) "." } }
            (findings(&comparison))
        }
    }
}

fn findings(comparison: &Comparison) -> Markup {
    let [forward, back] = [0, 1].map(|direction| {
        let guest = comparison.default_guests[direction].as_ref();
        (&comparison.verdicts[direction], guest)
    });
    html! {
        (verdict("A guest of the older version goes on under this one", forward))
        (verdict("A guest of this version goes on under the older one", back))
        @for subject in Subject::ALL {
            @let own = comparison.findings.iter().filter(|one| one.rule.subject == subject).collect::<Vec<_>>();
            @if !own.is_empty() {
                h4 { (subject) }
                ol.changes { @for one in own { (finding(one)) } }
            }
        }
    }
}

fn verdict(direction: &str, (verdict, guest): (&Verdict, Option<&DefaultGuest>)) -> Markup {
    html! {
        p.verdict {
            (direction) ": " strong { (verdict) } "."
            @if let Some(guest) = guest.filter(|_| *verdict != Verdict::Safe) {
                " A guest as created by default: " (guest) "."
            }
        }
        @if !verdict.reasons().is_empty() {
            ul { @for reason in verdict.reasons() { li { (reason.text) } } }
        }
    }
}

fn finding(finding: &Finding) -> Markup {
    html! {
        li {
            strong { (finding.subject()) } " " (finding.text)
            @if let Some(guests) = &finding.guests { " (guests with " (guests) ")" }
            " " code.rule title=(finding.rule.explanation) { (finding.rule.id) }
            @if let Some(witness) = &finding.witness {
                @let [old, new] = &witness.answers;
                pre {
                    @for line in witness.commands() { (line) "\n" }
                    span.answer { "# before: " (old) "\n# now: " (new) }
                }
            }
        }
    }
}
