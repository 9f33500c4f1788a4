//! MSR numbers: each belongs to one register.

use super::Context;
use crate::ast::AddressKind;
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{Address, RegisterId, View};
use proc_macro2::Span;
use std::collections::HashMap;

/// Longest range of one register.
const LONGEST: u64 = 0x1000;

/// Resolves the addresses of every register.
pub fn addresses(cx: &Context, view: &mut View, diagnostics: &mut Diagnostics) {
    let limit = view.banks.as_ref().map_or(0, |banks| banks.limit);
    let mut owners: HashMap<u32, (RegisterId, Span)> = HashMap::new();
    for i in 0..view.registers.len() {
        let register = cx.registers[i];
        for address in &register.addresses {
            let Some(resolved) = resolve(
                &address.kind,
                register.banked,
                limit,
                address.span,
                diagnostics,
            ) else {
                continue;
            };
            let mut clash: Option<(u32, RegisterId, Span)> = None;
            for (msr, _) in resolved.msrs() {
                if let Some((other, span)) = owners.insert(msr, (RegisterId(i), address.span)) {
                    clash = clash.or(Some((msr, other, span)));
                }
            }
            if let Some((msr, other, span)) = clash {
                let at = start(span);
                diagnostics.add(
                    &codes::ADDRESS_OVERLAP,
                    address.span,
                    format!("MSR {msr:#x} belongs to `{}` already (at {}:{})", view.register(other).name, at.line, at.column),
                    "an MSR is one register: change an address, or give the registers different versions",
                );
            }
            view.registers[i].addresses.push(resolved);
        }
    }
}

fn resolve(
    kind: &AddressKind,
    banked: bool,
    limit: u32,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Option<Address> {
    let mut wrong = |message: String, help: &str| {
        diagnostics.add(&codes::ADDRESS, span, message, help);
        None
    };
    let (first, count, stride) = match *kind {
        AddressKind::One(_) | AddressKind::Range(..) if banked => {
            return wrong(
                "a banked register at a single address".to_owned(),
                "write `@ 0x400 + 4 * i`, or `register` without `bank`",
            );
        }
        AddressKind::Banked { .. } if !banked => {
            return wrong(
                "`i` is the bank, and the register is not banked".to_owned(),
                "write `bank register`",
            );
        }
        AddressKind::Banked { stride: 0, .. } => {
            return wrong(
                "a stride of 0".to_owned(),
                "every bank needs an address of its own",
            );
        }
        AddressKind::One(first) => (first, 1, 1),
        AddressKind::Range(first, last) if last < first => {
            return wrong("an empty range".to_owned(), "write the lower address first");
        }
        AddressKind::Range(first, last) if last - first >= LONGEST => {
            return wrong(
                format!("a range of {} MSRs", last - first + 1),
                "at most 4096; what is not listed faults anyway",
            );
        }
        AddressKind::Range(first, last) => (first, last - first + 1, 1),
        AddressKind::Banked { base, stride } => (base, u64::from(limit), stride),
    };
    let last = stride
        .checked_mul(count.saturating_sub(1))
        .and_then(|offset| first.checked_add(offset));
    if last.is_none_or(|last| last > u64::from(u32::MAX)) {
        return wrong(
            "an address above 32 bits".to_owned(),
            "RDMSR takes the MSR's number from ECX",
        );
    }
    Some(Address {
        first: first as u32,
        count: count as u32,
        stride: stride as u32,
    })
}
