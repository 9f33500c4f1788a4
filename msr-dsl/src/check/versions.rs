//! The interface and its versions.

use crate::ast::{Interface, Spec, Versions};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::manifest;
use crate::model::View;
use crate::words::suggest;
use proc_macro2::Span;

/// Longest name of an interface: the saved record has eight bytes for it.
pub const LONGEST_NAME: usize = 8;

/// The one interface of the file.
pub fn interface<'a>(
    spec: &'a Spec,
    end: Span,
    diagnostics: &mut Diagnostics,
) -> Option<&'a Interface> {
    let Some(first) = spec.interfaces.first() else {
        if spec.lost_item {
            return None;
        }
        diagnostics.add(
            &codes::NO_INTERFACE,
            end,
            "the file has no `interface NAME { ... }`",
            "begin with `interface NAME { version 1 \"first\"; }`",
        );
        return None;
    };
    for other in &spec.interfaces[1..] {
        let at = start(first.name.span);
        diagnostics.add(
            &codes::NO_INTERFACE,
            other.name.span,
            format!(
                "a second interface in one file (the first at {}:{})",
                at.line, at.column
            ),
            "one file, one interface: move it to a file of its own",
        );
    }
    if first.name.text.len() > LONGEST_NAME {
        diagnostics.add(
            &codes::LONG_NAME,
            first.name.span,
            format!(
                "`{}` has more than {LONGEST_NAME} characters",
                first.name.text
            ),
            "saved records have eight bytes for the name: choose a shorter one",
        );
    }
    let vendors = first.vendor.iter().map(|name| (&name.text, name.span));
    if let Some((vendor, span)) = super::select::single(vendors, "vendor", diagnostics)
        && !["intel", "amd", "any"].contains(&vendor.as_str())
    {
        diagnostics.add(
            &codes::UNKNOWN_NAME,
            span,
            format!("unknown vendor `{vendor}`"),
            suggest(vendor, &["intel", "amd", "any"]),
        );
    }
    Some(first)
}

/// The version numbers, oldest first.
pub fn numbers(interface: &Interface, diagnostics: &mut Diagnostics) -> Vec<u16> {
    if interface.versions.is_empty() && !interface.may_say("version") {
        diagnostics.add(
            &codes::NO_VERSION,
            interface.name.span,
            format!("interface `{}` has no version", interface.name.text),
            "add `version 1 \"what it is\";`",
        );
    }
    let mut numbers: Vec<u16> = Vec::new();
    for line in &interface.versions {
        let number = line.number.value;
        if !(1..=9999).contains(&number) {
            diagnostics.add(
                &codes::VERSION_ORDER,
                line.number.span,
                format!("version {number}"),
                "versions count from 1 to 9999",
            );
            continue;
        }
        let number = number as u16;
        if let Some(last) = numbers.last()
            && *last >= number
        {
            diagnostics.add(
                &codes::VERSION_ORDER,
                line.number.span,
                format!("version {number} after version {last}"),
                "list versions once each, the oldest first",
            );
        }
        if line.text.value.trim().is_empty() {
            diagnostics.add(
                &codes::VERSION_TEXT,
                line.text.span,
                format!("version {number} does not say what is new"),
                "say it in a few words for those who choose a version",
            );
        }
        numbers.push(number);
    }
    if let Some(last) = interface.versions.last()
        && last.restore_only
    {
        diagnostics.add(
            &codes::RESTORE_ONLY_LAST,
            last.number.span,
            format!(
                "version {} is restore_only and the newest",
                last.number.value
            ),
            "a restored guest goes on under a later version: there has to be one",
        );
    }
    numbers
}

/// Version ranges name versions that exist.
pub fn ranges(spec: &Spec, numbers: &[u16], diagnostics: &mut Diagnostics) {
    if spec.interfaces.iter().any(|one| one.may_say("version")) {
        return;
    }
    let mut all: Vec<Versions> = Vec::new();
    let statements = spec
        .registers
        .iter()
        .flat_map(|register| &register.statements);
    all.extend(
        spec.registers
            .iter()
            .filter_map(|register| register.versions),
    );
    all.extend(spec.features.iter().filter_map(|feature| feature.versions));
    for said in statements {
        all.extend(said.versions);
        if let crate::ast::Statement::Field(field) = &said.what {
            all.extend(field.versions);
            all.extend(field.statements.iter().filter_map(|said| said.versions));
        }
    }
    for injection in &spec.injections {
        all.extend(injection.roles.iter().filter_map(|said| said.versions));
        all.extend(injection.pending.iter().filter_map(|said| said.versions));
        all.extend(injection.local.iter().filter_map(|said| said.versions));
    }
    for banks in spec
        .interfaces
        .iter()
        .flat_map(|interface| &interface.banks)
    {
        all.extend(banks.versions);
        all.extend(banks.what.stored.iter().filter_map(|said| said.versions));
    }
    let extras = spec
        .interfaces
        .iter()
        .flat_map(|interface| &interface.extra);
    all.extend(extras.filter_map(|said| said.versions));
    let mut every: Vec<Versions> = Vec::new();
    let mut some_unknown = false;
    for versions in all {
        let unknown = [Some(versions.from).filter(|from| *from != 0), versions.to]
            .into_iter()
            .flatten()
            .find(|n| !numbers.contains(n));
        if let Some(unknown) = unknown {
            some_unknown = true;
            let known: Vec<String> = numbers.iter().map(u16::to_string).collect();
            diagnostics.add(
                &codes::UNKNOWN_VERSION,
                versions.span,
                format!("there is no version {unknown}"),
                format!(
                    "versions of this interface: {}; another one has a line there: `version {unknown} \"what is new\";`",
                    known.join(", ")
                ),
            );
        } else if numbers.iter().all(|n| versions.contain(*n)) {
            every.push(versions);
        }
    }
    // Where a version's line is missing, others are not all there are.
    if !some_unknown {
        for versions in every {
            diagnostics.add(
                &codes::ALL_VERSIONS,
                versions.span,
                "this names every version",
                "leave it out: without `in` a line counts in every version",
            );
        }
    }
}

/// Every version changes something.
pub fn changes(interface: &Interface, views: &[View], diagnostics: &mut Diagnostics) {
    for (pair, line) in views.windows(2).zip(&interface.versions[1..]) {
        let [old, new] = pair else { continue };
        // What an administrator may name is no line of a manifest, and a change all the same.
        if manifest::lines(new) != manifest::lines(old) || new.extra != old.extra {
            continue;
        }
        let mut plain = new.clone();
        plain.version = old.version;
        plain.text.clone_from(&old.text);
        let message = match format!("{plain:?}") == format!("{old:?}") {
            true => format!(
                "version {} is the same as version {}",
                new.version, old.version
            ),
            false => format!(
                "version {} differs from version {} in names and words alone",
                new.version, old.version
            ),
        };
        diagnostics.add(
            &codes::SAME_VERSION,
            line.number.span,
            message,
            "say what is new with `in ...`, or leave the version out",
        );
    }
}
