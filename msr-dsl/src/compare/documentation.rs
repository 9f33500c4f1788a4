//! Words for people: documentation and citations. Names are not compared: a rename is no difference.

use super::accesses::Setting;
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
        findings.push(Finding::new(
            &rules::DOCUMENTATION,
            about,
            format!("other words: {}", parts.join(", ")),
        ));
    }
    for feature in &new.features {
        let other = old.features.iter().find(|other| other.bit == feature.bit);
        if other.is_some_and(|other| differ(&other.doc, &feature.doc)) {
            let about = About {
                name: Some(feature.name.clone()),
                ..About::default()
            };
            let text = format!("other words: feature {}", feature.name);
            findings.push(Finding::new(&rules::DOCUMENTATION, about, text));
        }
    }
    findings
}

fn differ(old: &str, new: &str) -> bool {
    !old.is_empty() && !new.is_empty() && old != new
}

fn parts(old: &Register, new: &Register) -> Vec<String> {
    let mut parts = Vec::new();
    if differ(&old.doc, &new.doc) {
        parts.push("documentation".to_owned());
    }
    if !old.cite.is_empty() && !new.cite.is_empty() && old.cite != new.cite {
        parts.push("citation".to_owned());
    }
    for field in &new.fields {
        let other = old
            .fields
            .iter()
            .find(|other| (other.hi, other.lo) == (field.hi, field.lo));
        if other.is_some_and(|other| differ(&other.doc, &field.doc)) {
            parts.push(field.name.clone());
        }
    }
    parts
}
