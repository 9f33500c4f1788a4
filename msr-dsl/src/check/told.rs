//! Whether every guest finds what it is told of: an injection's registers are there in each that can be.

use super::guests::without;
use super::select::lives;
use crate::ast::{Name, Spec};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Expr, Op, RegisterId, View};

/// Notes the first register of an injection that some guest lacks.
pub fn told(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    for view in views.iter().filter(|view| !view.restore_only) {
        let Some((id, word)) = lacking(view) else {
            continue;
        };
        let (Some(name), Some(capability)) = (role(spec, view, id), view.capability) else {
            continue;
        };
        let register = &view.register(id).name;
        let bank = match (&view.injection, view.register(id).banked) {
            (Some(injection), true) => format!(" in bank {}", injection.bank),
            _ => String::new(),
        };
        diagnostics.warn(
            &codes::TOLD_IN_VAIN,
            name,
            format!(
                "a guest of version {} whose `{}` is {word:#x} is told of a machine check and has no `{register}`{bank}",
                view.version,
                view.register(capability).name,
            ),
            "let a restore refuse such a guest (`restore accepts`), let it have the register, or waive this and say what it does then",
        );
        return;
    }
}

/// A register of the injection, and the capability word of a guest that lacks it.
fn lacking(view: &View) -> Option<(RegisterId, u64)> {
    let injection = view.injection.as_ref()?;
    let bank = Expr::Number(u64::from(injection.bank));
    let count = view.banks.as_ref().map(|banks| &banks.count);
    injection.shown().into_iter().find_map(|(id, _)| {
        let register = view.register(id);
        let counted = count.filter(|_| register.banked).map(|count| {
            let count = Box::new(count.clone());
            Expr::Binary(Op::Lt, Box::new(bank.clone()), count)
        });
        let present = register.present.iter().map(|(when, _)| when.clone());
        let mut all = counted.into_iter().chain(present);
        all.find_map(|condition| Some((id, without(view, &condition)?)))
    })
}

/// Where the injection names a register.
fn role<'s>(spec: &'s Spec, view: &View, id: RegisterId) -> Option<&'s Name> {
    let roles = spec.injections.iter().flat_map(|section| &section.roles);
    let mut own = roles.filter(|said| lives(said.versions, view.version));
    let name = &view.register(id).name;
    own.find_map(|said| (said.what.1.text == *name).then_some(&said.what.1))
}
