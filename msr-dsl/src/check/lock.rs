//! A released version stays as it was.

use crate::ast::{Name, Spec};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::manifest::{self, Lines, Manifest};
use crate::model::{Model, View};
use proc_macro2::Span;
use std::collections::BTreeSet;

/// Compares the released versions of a manifest with the model.
pub fn lock(spec: &Spec, model: &Model, manifest: &str, diagnostics: &mut Diagnostics) {
    let Some(interface) = spec.interfaces.first().map(|interface| &interface.name) else {
        return;
    };
    let released = match Manifest::parse(manifest) {
        Ok(released) => released,
        Err(broken) => {
            diagnostics.add(
                &codes::LOCK_FILE,
                interface.span,
                broken.to_string(),
                "restore the file from version control; `cargo msr lock` alone writes it",
            );
            return;
        }
    };
    if released.vendor != model.vendor {
        let span = spec.interfaces.iter().find_map(|one| one.vendor.first());
        diagnostics.add(
            &codes::LOCKED,
            span.map_or(interface.span, |vendor| vendor.span),
            format!(
                "versions are released for vendor {}, and this would make them those of {}",
                released.vendor, model.vendor
            ),
            "put it back: another vendor's interface is another interface",
        );
    }
    for gone in &released.removed {
        if !model.removed.contains(gone) {
            diagnostics.add(
                &codes::LOCKED,
                interface.span,
                format!("the tombstone of {gone} is released and gone from the spec"),
                "put its `removed` line back: old records and old guests know it by its old meaning",
            );
        }
    }
    let mut altered: Vec<Altered> = Vec::new();
    for (version, lines) in &released.versions {
        match model.version(*version) {
            Some(view) => changes(spec, interface, view, lines, &mut altered),
            None => diagnostics.add(
                &codes::LOCKED,
                interface.span,
                format!("version {version} is released and gone from the spec"),
                "guests of it may be alive: put it back",
            ),
        }
    }
    for one in altered {
        diagnostics.add(
            &codes::LOCKED,
            one.span,
            one.message(),
            "keep the version as it was with `in ... { ... }`, and put what is new into a later version",
        );
    }
}

/// What would be altered in one place of the spec.
struct Altered {
    span: Span,
    name: String,
    /// Each change, and the versions in which it is one.
    changes: Vec<(String, Vec<u16>)>,
}

impl Altered {
    fn message(&self) -> String {
        /// More are counted.
        const TOLD: usize = 6;
        let versions: BTreeSet<u16> = self.versions().collect();
        let versions: Vec<String> = versions.iter().map(u16::to_string).collect();
        let (first, many) = (versions.join(", "), versions.len() > 1);
        let mut message = format!(
            "version{} {first} {} released, and this would alter {}: ",
            if many { "s" } else { "" },
            if many { "are" } else { "is" },
            self.name,
        );
        let told = self.changes.iter().take(TOLD);
        let told: Vec<String> = told
            .map(|(change, of)| match of.len() == versions.len() {
                true => change.clone(),
                false => {
                    let of: Vec<String> = of.iter().map(u16::to_string).collect();
                    format!("{change} (in {})", of.join(", "))
                }
            })
            .collect();
        message += &told.join("; ");
        let more = self.changes.len().saturating_sub(TOLD);
        if more > 0 {
            message += &format!("; and {more} more");
        }
        message
    }

    fn versions(&self) -> impl Iterator<Item = u16> {
        self.changes.iter().flat_map(|(_, of)| of.iter().copied())
    }
}

fn changes(
    spec: &Spec,
    interface: &Name,
    view: &View,
    released: &Lines,
    altered: &mut Vec<Altered>,
) {
    let now = manifest::lines(view);
    for change in manifest::compare(released, &now) {
        let key = change.register.as_ref();
        let about = key.and_then(|key| {
            let mut all = view.registers.iter();
            all.find(|register| manifest::register_key(register) == *key)
        });
        let place = about.and_then(|register| {
            let own = |ast: &&crate::ast::Register| {
                super::select::lives(ast.versions, view.version) && ast.name.text == register.name
            };
            spec.registers.iter().find(own)
        });
        let (name, span, text) = match (place, key) {
            (Some(ast), Some(key)) => (
                format!("{} ({key})", ast.name.text),
                ast.name.span,
                change.to_string(),
            ),
            (_, Some(key)) => (
                "the interface".to_owned(),
                interface.span,
                format!("{key}: {change}"),
            ),
            _ => (
                "the interface".to_owned(),
                interface.span,
                change.to_string(),
            ),
        };
        let at = altered
            .iter()
            .position(|one| start(one.span) == start(span));
        let one = match at {
            Some(at) => &mut altered[at],
            None => {
                altered.push(Altered {
                    span,
                    name,
                    changes: Vec::new(),
                });
                let last = altered.len() - 1;
                &mut altered[last]
            }
        };
        match one.changes.iter_mut().find(|(known, _)| *known == text) {
            Some((_, of)) => of.push(view.version),
            None => one.changes.push((text, vec![view.version])),
        }
    }
}
