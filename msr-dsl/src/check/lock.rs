//! A released version stays as it was.

use crate::ast::{Name, Spec};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::manifest::{self, Lines, Manifest};
use crate::model::{Model, View};

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
    for (version, lines) in &released.versions {
        match model.version(*version) {
            Some(view) => changes(spec, interface, view, lines, diagnostics),
            None => diagnostics.add(
                &codes::LOCKED,
                interface.span,
                format!("version {version} is released and gone from the spec"),
                "guests of it may be alive: put it back",
            ),
        }
    }
}

fn changes(
    spec: &Spec,
    interface: &Name,
    view: &View,
    released: &Lines,
    diagnostics: &mut Diagnostics,
) {
    let now = manifest::lines(view);
    for change in manifest::compare(view.version, released, &now) {
        let about = view.registers.iter().find(|register| {
            change
                .key
                .strip_prefix(&manifest::register_key(register))
                .is_some_and(|rest| rest.starts_with(' '))
        });
        let place = about.and_then(|register| {
            let lives =
                |ast: &&crate::ast::Register| super::select::lives(ast.versions, view.version);
            spec.registers
                .iter()
                .filter(lives)
                .find(|ast| ast.name.text == register.name)
        });
        let (name, span) = place.map_or(("the interface", interface.span), |ast| {
            (ast.name.text.as_str(), ast.name.span)
        });
        diagnostics.add(
            &codes::LOCKED,
            span,
            format!("version {} is released, and this would alter {name}: {change}", view.version),
            "keep the version as it was with `in ... { ... }`, and put what is new into a later version",
        );
    }
}
