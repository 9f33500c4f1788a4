//! Words for people: documentation and citations. Names are not compared: a rename is no difference.

use super::accesses::Setting;
use super::content::Content;
use super::finding::{About, Finding};
use super::rules;
use crate::model::Register;

/// All findings about them. A side that has no words (a manifest) has no other words either.
pub fn documentation(setting: &Setting) -> Vec<Finding> {
    let [old, new] = setting.views;
    let mut findings = Vec::new();
    // Two interfaces have their own words.
    if old.name != new.name {
        return findings;
    }
    for (id, register) in new.ids() {
        let msr = register.addresses.first().map(|address| address.first);
        let Some(other) = msr.and_then(|msr| setting.places[0].get(&msr)) else {
            continue;
        };
        let other = old.register(other.0);
        let parts = parts(other, register);
        if parts.is_empty() {
            continue;
        }
        let about = About {
            msrs: msr.into_iter().collect(),
            registers: [
                Some(other.name.clone()),
                Some(new.register(id).name.clone()),
            ],
            ..About::default()
        };
        let (names, said): (Vec<&str>, Vec<[String; 2]>) = parts.into_iter().unzip();
        let text = format!("other words: {}", names.join(", "));
        let finding = Finding::new(&rules::DOCUMENTATION, about, text);
        findings.push(finding.saying(Content::of(said)));
    }
    for feature in &new.features {
        let other = old.features.iter().find(|other| other.bit == feature.bit);
        if let Some(other) = other.filter(|other| differ(&other.doc, &feature.doc)) {
            let about = About {
                name: Some(feature.name.clone()),
                ..About::default()
            };
            let text = format!("other words: feature {}", feature.name);
            let finding = Finding::new(&rules::DOCUMENTATION, about, text);
            findings.push(finding.saying(Content::of([&other.doc, &feature.doc])));
        }
    }
    findings
}

fn differ(old: &str, new: &str) -> bool {
    !old.is_empty() && !new.is_empty() && old != new
}

/// What is said otherwise, by its name, and what was and is said.
fn parts<'r>(old: &'r Register, new: &'r Register) -> Vec<(&'r str, [String; 2])> {
    let mut parts = Vec::new();
    if differ(&old.doc, &new.doc) {
        parts.push((
            "documentation",
            [old, new].map(|register| register.doc.clone()),
        ));
    }
    let [was, is] = [old, new].map(|register| register.cite.join("\n"));
    if differ(&was, &is) {
        parts.push(("citation", [was, is]));
    }
    for field in &new.fields {
        let mut others = old.fields.iter();
        let other = others.find(|other| (other.hi, other.lo) == (field.hi, field.lo));
        if let Some(other) = other.filter(|other| differ(&other.doc, &field.doc)) {
            parts.push((
                field.name.as_str(),
                [other, field].map(|one| one.doc.clone()),
            ));
        }
    }
    parts
}
