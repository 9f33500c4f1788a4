//! The injection section.

use super::expression::{Scope, condition_in};
use super::select::{select, single};
use super::{Context, field};
use crate::ast::{Name, Spec};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{GlobalBits, Injection, Read, RegisterId, View};
use crate::words::{closest, suggest};

/// What an injection may set in this version.
pub fn injection(cx: &Context, view: &View, diagnostics: &mut Diagnostics) -> Option<Injection> {
    let sections = cx
        .spec
        .injections
        .iter()
        .map(|section| (section, section.span));
    let (section, span) = single(sections, "injection", diagnostics)?;
    let deliver = single(
        section.deliver.iter().map(|name| (name, name.span)),
        "deliver",
        diagnostics,
    );
    let bank = single(
        section.bank.iter().map(|at| (at.value, at.span)),
        "bank",
        diagnostics,
    );
    let local = single(
        select(&section.local, cx.version).map(|said| (&said.what, said.span)),
        "local",
        diagnostics,
    );
    let pending = single(
        select(&section.pending, cx.version).map(|said| (&said.what, said.span)),
        "pending",
        diagnostics,
    );
    let pending = pending.and_then(|(name, _)| {
        let found = view.find(&name.text).filter(|id| cx.registers[id.0].hidden);
        if found.is_none() {
            let hidden = cx.registers.iter().filter(|one| one.hidden);
            let hidden = hidden.map(|one| one.name.text.as_str());
            let help = match closest(&name.text, hidden) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "declare it: `hidden register {} {{ migrate saved TAG; }}`",
                    name.text
                ),
            };
            diagnostics.add(
                &codes::HIDDEN,
                name.span,
                format!(
                    "`{}` is not a hidden register of version {}",
                    name.text, cx.version
                ),
                help,
            );
        }
        found
    });
    let role = |name: &str,
                banked: bool,
                diagnostics: &mut Diagnostics|
     -> Option<(RegisterId, u64)> {
        let said = select(&section.roles, cx.version)
            .filter(|said| said.what.0.text == name)
            .map(|said| (&said.what, said.span));
        let Some(((_, register, bits), at)) = single(said, name, diagnostics) else {
            diagnostics.add(
                &codes::HALF_SAID,
                span,
                format!("the injection does not say what `{name}` is"),
                format!("add `{name} REGISTER sets all;` with the bits that an injection may set"),
            );
            return None;
        };
        let Some(id) = view.find(&register.text) else {
            let known: Vec<&str> = view
                .registers
                .iter()
                .map(|register| register.name.as_str())
                .collect();
            diagnostics.add(
                &codes::UNKNOWN_NAME,
                register.span,
                format!("unknown register `{}`", register.text),
                suggest(&register.text, &known),
            );
            return None;
        };
        if view.register(id).banked != banked {
            let word = if banked {
                "one that is in each bank"
            } else {
                "one that is not banked"
            };
            diagnostics.add(
                &codes::INJECTION_ROLE,
                at,
                format!("`{}` cannot be `{name}`", register.text),
                format!("name {word}"),
            );
            return None;
        }
        Some((id, field::bits(cx, id, bits, diagnostics)?))
    };
    let roles = (
        role("global", false, diagnostics),
        role("status", true, diagnostics),
        role("address", true, diagnostics),
        role("misc", true, diagnostics),
    );
    let broadcast = match deliver {
        Some((name, _)) => name.text == "broadcast",
        None => {
            diagnostics.add(
                &codes::HALF_SAID,
                span,
                "the injection does not say who is told",
                "add `deliver broadcast;` or `deliver one;`",
            );
            return None;
        }
    };
    let Some((bank, bank_at)) = bank else {
        diagnostics.add(
            &codes::HALF_SAID,
            span,
            "the injection does not say which bank takes the error",
            "add `bank 1;`",
        );
        return None;
    };
    if let Some(stored) = cx.stored()
        && bank >= u64::from(stored)
    {
        diagnostics.add(
            &codes::NO_SUCH_BANK,
            bank_at,
            format!("bank {bank} has no state"),
            format!("banks with state: {stored}"),
        );
        return None;
    }
    let local = match local {
        Some((condition, _)) => Some(condition_in(cx, condition, Scope::OUTSIDE, diagnostics)?),
        None => None,
    };
    let (global, status, address, misc) = (roles.0?, roles.1?, roles.2?, roles.3?);
    two_roles(cx, diagnostics);
    let bit = |name: &str| {
        let field = view
            .register(global.0)
            .fields
            .iter()
            .find(|field| field.name == name);
        field.map_or(0, |field| field.mask())
    };
    let bits = GlobalBits {
        ripv: bit("RIPV"),
        eipv: bit("EIPV"),
        mcip: bit("MCIP"),
        lmce_s: bit("LMCE_S"),
    };
    for (name, mask) in [
        ("RIPV", bits.ripv),
        ("EIPV", bits.eipv),
        ("MCIP", bits.mcip),
    ] {
        if mask == 0 {
            diagnostics.add(
                &codes::INJECTION_ROLE,
                span,
                format!("`{}` has no field `{name}`", view.register(global.0).name),
                "an injection sets RIPV, EIPV and MCIP: name these bits",
            );
        }
    }
    let meant = bits.ripv | bits.eipv | bits.mcip | bits.lmce_s;
    if global.1 & !meant != 0
        && let Some(register) = role_register(cx, "global")
    {
        diagnostics.add(
            &codes::INJECTION_ROLE,
            register.span,
            format!(
                "an injection never sets bits {} of `{}`",
                super::register::ranges(global.1 & !meant),
                register.text
            ),
            "`global` sets RIPV, EIPV, MCIP and LMCE_S: take the others out of `sets`",
        );
    }
    Some(Injection {
        broadcast,
        bank: bank as u32,
        global,
        status,
        address,
        misc,
        pending,
        local,
        bits,
    })
}

/// The register that a role names in this version.
fn role_register<'a>(cx: &Context<'a>, role: &str) -> Option<&'a Name> {
    let mut roles = select(&cx.spec.injections.first()?.roles, cx.version);
    let said = roles.find(|said| said.what.0.text == role)?;
    Some(&said.what.1)
}

/// The error's parts each need a register of their own: the later one would overwrite the earlier.
fn two_roles(cx: &Context, diagnostics: &mut Diagnostics) {
    let mut seen: Vec<(&str, &Name)> = Vec::new();
    for role in ["status", "address", "misc"] {
        let Some(register) = role_register(cx, role) else {
            continue;
        };
        match seen.iter().find(|(_, other)| other.text == register.text) {
            Some((first, _)) => diagnostics.add(
                &codes::INJECTION_ROLE,
                register.span,
                format!("`{}` is `{first}` and `{role}`", register.text),
                "name a register for each: one value would overwrite the other",
            ),
            None => seen.push((role, register)),
        }
    }
}

/// What an injection sets, a guest can read.
pub fn consistent(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    let (Some(injection), Some(section)) = (&view.injection, cx.spec.injections.first()) else {
        return;
    };
    for (id, mask) in injection.shown() {
        let register = view.register(id);
        let hidden = register
            .fields
            .iter()
            .filter(|field| field.read.is_some())
            .fold(0, |bits, field| bits | field.mask());
        let shown =
            matches!(&register.read, Read::Value(value) if *value == crate::model::Expr::State);
        if !shown || mask & hidden != 0 {
            diagnostics.add(
                &codes::INJECTION_UNSEEN,
                section.span,
                format!(
                    "an injection sets bits of `{}` that no read shows",
                    register.name
                ),
                "let the register read its state, or take the bits out of `sets`",
            );
        }
    }
    if injection.global.1 & injection.bits.mcip == 0 {
        diagnostics.add(
            &codes::INJECTION_ROLE,
            section.span,
            "an injection may not set MCIP",
            "add MCIP to the bits of `global`: a handler and the hypervisor both rely on it",
        );
    }
}

/// The word behind `deliver` is one of the two.
pub fn deliveries(spec: &Spec, diagnostics: &mut Diagnostics) {
    const KNOWN: &[&str] = &["broadcast", "one"];
    for name in spec.injections.iter().flat_map(|one| &one.deliver) {
        if !KNOWN.contains(&name.text.as_str()) {
            diagnostics.add(
                &codes::UNKNOWN_NAME,
                name.span,
                format!("unknown delivery `{}`", name.text),
                suggest(&name.text, KNOWN),
            );
        }
    }
}
