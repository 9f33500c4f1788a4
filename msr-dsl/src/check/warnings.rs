//! What may be right but deserves a second look, and the waivers that silence it.

use super::migration::holdable;
use super::register::{ranges, writable};
use crate::ast::{Interface, Name, Spec, Statement, Waiver};
use crate::codes;
use crate::diagnostics::{Diagnostics, Severity};
use crate::model::{Expr, Migrate, Offer, Read, Register, View, Write};

/// Notes them all.
pub fn warnings(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    for register in &spec.registers {
        let cited = register
            .statements
            .iter()
            .any(|said| matches!(said.what, Statement::Cite(_)));
        if !cited {
            diagnostics.warn(
                &codes::NO_CITE,
                &register.name,
                format!(
                    "`{}` does not say where its behaviour is laid down",
                    register.name.text
                ),
                "add `cite \"SDM vol. 3, ...\";`",
            );
        }
    }
    delivery(spec, diagnostics);
    super::told::told(spec, views, diagnostics);
    let documented = spec
        .registers
        .iter()
        .map(|register| (&register.name, &register.doc));
    let documented = documented.chain(
        spec.features
            .iter()
            .map(|feature| (&feature.name, &feature.doc)),
    );
    for (name, _) in documented.filter(|(_, doc)| doc.trim().is_empty()) {
        diagnostics.warn(
            &codes::NO_DOC,
            name,
            format!("`{}` is not documented", name.text),
            "put a `///` comment before it",
        );
    }
    for (number, hook) in spec.hooks.iter().enumerate() {
        let used = views.iter().flat_map(|view| &view.registers).any(|register| {
            matches!(register.read, Read::Hook(n) if n == number)
                || matches!(register.write, Write::Hook(n) | Write::Bits(Some(n)) if n == number)
        });
        if !used {
            diagnostics.warn(
                &codes::UNUSED_HOOK,
                &hook.name,
                format!("no access calls hook `{}`", hook.name.text),
                "use it (`write hook NAME;`), or take it out",
            );
        }
    }
    for feature in &spec.features {
        let mut lives = views
            .iter()
            .filter(|view| super::select::lives(feature.versions, view.version));
        if lives.all(|view| !is_asked_for(view, &feature.name.text)) {
            diagnostics.warn(
                &codes::FEATURE_WITHOUT_EFFECT,
                &feature.name,
                format!(
                    "nothing depends on feature `{}`: every guest has what it brings",
                    feature.name.text
                ),
                format!(
                    "add `when {} else fault;` to its registers",
                    feature.name.text
                ),
            );
        }
    }
    for (at, view) in views.iter().enumerate() {
        for (id, register) in view.ids().filter(|(id, _)| view.capability != Some(*id)) {
            let injected = view
                .injection
                .iter()
                .flat_map(|i| [i.global, i.status, i.address, i.misc]);
            let injected = injected
                .filter(|(to, _)| *to == id)
                .fold(0, |all, (_, mask)| all | mask);
            let extra = register.accepts
                & !(register.reset
                    | register.init.unwrap_or(0)
                    | writable(register)
                    | holdable(register)
                    | injected
                    | saved_by(&views[..at], register));
            let ast = spec.registers.iter().find(|ast| {
                ast.name.text == register.name && super::select::lives(ast.versions, view.version)
            });
            if let (Migrate::Saved { .. }, true, Some(ast)) = (&register.migrate, extra != 0, ast) {
                diagnostics.warn(
                    &codes::ACCEPTS_UNWRITABLE,
                    &ast.name,
                    format!(
                        "a restore brings bits {} into `{}`, which nothing else sets",
                        ranges(extra),
                        register.name
                    ),
                    "take them out of `restore accepts`",
                );
            }
        }
    }
}

/// Bits that records of some versions may have under the tag of a register.
fn saved_by(older: &[View], register: &Register) -> u64 {
    let tag = |one: &Register| match one.migrate {
        Migrate::Saved { tag, .. } => Some(tag),
        _ => None,
    };
    let own = older.iter().flat_map(|view| &view.registers);
    let own = own.filter(|one| tag(one).is_some() && tag(one) == tag(register));
    own.fold(0, |all, one| all | one.accepts)
}

/// Who is told of a machine check, against whose processors these are.
fn delivery(spec: &Spec, diagnostics: &mut Diagnostics) {
    let vendor = spec.interfaces.iter().find_map(|one| one.vendor.first());
    let deliver = spec.injections.iter().find_map(|one| one.deliver.first());
    let (Some(vendor), Some(deliver)) = (vendor, deliver) else {
        return;
    };
    let usual = match vendor.text.as_str() {
        "intel" => "broadcast",
        "amd" => "one",
        _ => return,
    };
    if deliver.text != usual {
        let (told, whose) = match usual {
            "one" => ("the one that met the error", "AMD"),
            _ => ("every processor", "Intel"),
        };
        diagnostics.warn(
            &codes::DELIVERY,
            deliver,
            format!("a machine check of {whose}'s processors is told to {told}"),
            format!("write `deliver {usual};`, or `vendor any;`"),
        );
    }
}

/// Whether the answers depend on a feature that guests can be given or not. Every guest has a default one.
fn is_asked_for(view: &View, name: &str) -> bool {
    let Some(feature) = view.features.iter().find(|feature| feature.name == name) else {
        return false;
    };
    let asks = |expr: &Expr| {
        let mut found = false;
        expr.walk(&mut |one| {
            found |= matches!(one, Expr::Field(of, hi, lo)
                if matches!(**of, Expr::Register(id) if view.capability == Some(id))
                    && (*lo..=*hi).contains(&feature.bit));
        });
        found
    };
    feature.offer == Offer::Default || view.expressions().any(asks)
}

/// Takes the waived warnings away. A waiver that matches nothing is an error.
pub fn waivers(spec: &Spec, diagnostics: &mut Diagnostics) {
    let mut waivers: Vec<(Option<&Name>, &Waiver)> = Vec::new();
    waivers.extend(
        spec.interfaces
            .iter()
            .flat_map(|Interface { waivers, .. }| waivers)
            .map(|waiver| (None, waiver)),
    );
    for register in &spec.registers {
        let own = register
            .statements
            .iter()
            .filter_map(|said| match &said.what {
                Statement::Waive(waiver) => Some((Some(&register.name), waiver)),
                _ => None,
            });
        waivers.extend(own);
    }
    for feature in &spec.features {
        waivers.extend(
            feature
                .waivers
                .iter()
                .map(|waiver| (Some(&feature.name), waiver)),
        );
    }
    for (owner, waiver) in waivers {
        let mut matched = false;
        diagnostics.retain(|one| {
            let about = owner.is_none_or(|owner| one.owner.as_deref() == Some(owner.text.as_str()));
            let waived =
                one.severity() == Severity::Warning && one.code.id == waiver.code.text && about;
            matched |= waived;
            !waived
        });
        if !matched {
            diagnostics.add(
                &codes::WAIVER,
                waiver.code.span,
                match codes::find(&waiver.code.text) {
                    Some(code) if code.id.starts_with('E') => {
                        format!("{} is an error, and errors cannot be waived", code.id)
                    }
                    _ => format!("there is no warning {} here to waive", waiver.code.text),
                },
                "leave the waiver out",
            );
        } else if waiver.reason.trim().is_empty() {
            diagnostics.add(
                &codes::WAIVER,
                waiver.code.span,
                "a waiver without a reason",
                "say why the warning does not apply",
            );
        }
    }
}
