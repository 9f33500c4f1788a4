//! State that all vCPUs of a guest share (`scope guest`): what can be shared, and what it may depend on.

use super::Context;
use super::expression::each_expression;
use super::register::the;
use crate::ast::Statement;
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Read, RegisterId, Scope, View, Write};
use crate::words::suggest;
use proc_macro2::Span;

/// Whose state a register has.
pub fn scope(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) -> Scope {
    let Some((name, span)) = said(cx, id, diagnostics) else {
        return Scope::Vcpu;
    };
    match name {
        "guest" => return Scope::Guest,
        "vcpu" => {}
        _ => diagnostics.add(
            &codes::UNKNOWN_NAME,
            span,
            format!("unknown scope `{name}`"),
            suggest(name, &["vcpu", "guest"]),
        ),
    }
    Scope::Vcpu
}

/// The word behind `scope`, and where it stands.
fn said<'a>(
    cx: &Context<'a>,
    id: RegisterId,
    diagnostics: &mut Diagnostics,
) -> Option<(&'a str, Span)> {
    let said = the(cx, id, "scope", diagnostics, |s| {
        if let Statement::Scope(name) = s {
            Some(name)
        } else {
            None
        }
    });
    said.map(|(name, _)| (name.text.as_str(), name.span))
}

/// Every register of scope `guest` has state that can be shared and depends on no vCPU.
pub fn consistent(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids().filter(|(_, one)| one.scope == Scope::Guest) {
        let Some((_, span)) = said(cx, id, &mut Diagnostics::default()) else {
            continue;
        };
        if let Some((why, help)) = unshareable(view, id) {
            diagnostics.add(
                &codes::SCOPE,
                span,
                format!("`{}` {why}", register.name),
                help,
            );
        } else if let Some(other) = of_a_vcpu(view, registers_of(view, id)) {
            diagnostics.add(
                &codes::SCOPE_DEPENDS,
                span,
                format!(
                    "`{}` is the guest's and depends on `{}`, of which each vCPU has its own",
                    register.name,
                    view.register(other).name
                ),
                format!(
                    "give `{}` the scope `guest` too, or leave `scope guest;` out",
                    view.register(other).name
                ),
            );
        }
    }
    local(cx, view, diagnostics);
}

/// Why the state of a register cannot be the whole guest's, and what to do about it.
fn unshareable(view: &View, id: RegisterId) -> Option<(&'static str, &'static str)> {
    const OWN: &str = "leave `scope guest;` out: each vCPU has its own";
    let register = view.register(id);
    let injected = view
        .injection
        .as_ref()
        .is_some_and(|injection| injection.shown().iter().any(|(role, _)| *role == id));
    if view.capability == Some(id) {
        return Some((
            "is the capability register: the hypervisor gives each vCPU its word",
            OWN,
        ));
    }
    if register.hidden() {
        return Some((
            "is hidden: it belongs to the vCPU whose machine check it notes",
            OWN,
        ));
    }
    if matches!(register.read, Read::Pass) || matches!(register.write, Write::Pass) {
        return Some(("passes to hardware, where each processor has its own", OWN));
    }
    if injected {
        return Some(("is set by a machine check, which is one vCPU's", OWN));
    }
    if !register.stored {
        return Some((
            "has no state that vCPUs could share",
            "leave `scope guest;` out: what it reads is the same on every vCPU as far as what it is computed from is",
        ));
    }
    None
}

/// The registers to which a register refers.
fn registers_of(view: &View, id: RegisterId) -> Vec<RegisterId> {
    let mut found = Vec::new();
    each_expression(view.register(id), &mut |expr| {
        found.extend(expr.registers())
    });
    if let (true, Some(banks)) = (view.register(id).banked, &view.banks) {
        found.extend(banks.count.registers());
    }
    found
}

/// Of these and of all from which they are computed, one with state of which each vCPU has its own.
fn of_a_vcpu(view: &View, from: Vec<RegisterId>) -> Option<RegisterId> {
    view.computed_from(from).into_iter().find(|id| {
        let register = view.register(*id);
        register.stored && register.scope == Scope::Vcpu && view.capability != Some(*id)
    })
}

/// Whether a vCPU takes local machine checks is asked of that vCPU alone.
fn local(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    let condition = view.injection.as_ref().and_then(|one| one.local.as_ref());
    let section = cx.spec.injections.first();
    let (Some(condition), Some(section)) = (condition, section) else {
        return;
    };
    let shared = view
        .computed_from(condition.registers())
        .into_iter()
        .find(|id| view.register(*id).scope == Scope::Guest);
    let said = super::select::select(&section.local, cx.version).next();
    if let (Some(id), Some(said)) = (shared, said) {
        diagnostics.add(
            &codes::SCOPE,
            said.what.span,
            format!(
                "`local` depends on `{}`, which is the guest's: a vCPU enables local machine checks for itself",
                view.register(id).name
            ),
            "name a register of the vCPU",
        );
    }
}
