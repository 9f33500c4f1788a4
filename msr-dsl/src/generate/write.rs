//! WRMSR.

use super::expression::{hex, rust};
use super::names::snake;
use super::read::{cell, guarded, hook_value, shown};
use super::shared;
use super::table::{Part, Slot};
use crate::model::{BitRule, Field, Illegal, Legal, Register, Rule, Set, View, Write};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// The arm of one register: an expression of type `Result<(), Refusal<Hook>>`, with `self`, `msr`, `value` and `index`.
pub fn arm(view: &View, slot: Slot) -> TokenStream {
    let (register, part) = (view.register(slot.register), slot.part);
    let answer = match register.write {
        Write::Fault => quote!(Err(Refusal::Fault)),
        Write::Unlisted => quote!(Err(Refusal::Unlisted)),
        Write::Pass => quote!(Err(Refusal::Pass)),
        Write::Hook(hook) => {
            let (checks, hook) = (checks(view, register, part), hook_value(view, hook));
            quote!({ #checks Err(Refusal::Hook(#hook)) })
        }
        Write::Bits(hook) => {
            let (checks, store) = (checks(view, register, part), store(view, register, part));
            let end = match hook {
                Some(hook) => {
                    let hook = hook_value(view, hook);
                    quote!(Err(Refusal::Hook(#hook)))
                }
                None => quote!(Ok(())),
            };
            quote!({ #checks #store #end })
        }
    };
    guarded(view, register, &quote!(()), answer)
}

/// A mask that may depend on presence: constant bits, and fields with a condition.
struct Mask {
    fixed: u64,
    maybe: Vec<TokenStream>,
}

impl Mask {
    fn rust(&self) -> TokenStream {
        let (fixed, maybe) = (hex(self.fixed), &self.maybe);
        quote!((#fixed #(| #maybe)*))
    }

    fn empty(&self) -> bool {
        self.fixed == 0 && self.maybe.is_empty()
    }
}

fn present_name(field: &Field) -> proc_macro2::Ident {
    format_ident!("present_{}", snake(&field.name))
}

/// The bits for which `pick` holds of their rule.
fn bits(register: &Register, pick: &dyn Fn(&BitRule) -> bool) -> Mask {
    let mut mask = Mask {
        fixed: 0,
        maybe: Vec::new(),
    };
    if pick(&register.reserved) {
        mask.fixed |= register.reserved_mask;
    }
    for field in &register.fields {
        let (own, reserved) = (pick(&field.write), pick(&register.reserved));
        let bits = hex(field.mask());
        match (&field.present, own, reserved) {
            (None, true, _) | (Some(_), true, true) => mask.fixed |= field.mask(),
            (Some(_), true, false) => {
                let present = present_name(field);
                mask.maybe.push(quote!((if #present { #bits } else { 0 })));
            }
            (Some(_), false, true) => {
                let present = present_name(field);
                mask.maybe.push(quote!((if #present { 0 } else { #bits })));
            }
            _ => {}
        }
    }
    mask
}

/// Everything that can refuse the value, in the order: rules for the whole, bits, fields.
fn checks(view: &View, register: &Register, part: Part) -> TokenStream {
    let state = cell(view, register, part);
    let presence = register.fields.iter().filter_map(|field| {
        let (name, condition) = (present_name(field), rust(view, field.present.as_ref()?));
        Some(quote!(let #name = #condition;))
    });
    let whole = register.rules.iter().map(|rule| {
        let legal = legal(view, rule);
        let otherwise = refuse(rule.otherwise);
        quote!(if !#legal { #otherwise })
    });
    let if_set = bits(register, &|rule| matches!(rule, BitRule::FaultIfSet));
    let on_change = bits(register, &|rule| matches!(rule, BitRule::FaultOnChange));
    let mut single = TokenStream::new();
    if !if_set.empty() {
        let mask = if_set.rust();
        single.extend(quote!(if value & #mask != 0 { return Err(Refusal::Fault); }));
    }
    if !on_change.empty() {
        let (mask, shown) = (on_change.rust(), shown(view, register, part));
        single.extend(quote!(if (value ^ #shown) & #mask != 0 { return Err(Refusal::Fault); }));
    }
    let faults = field_rules(register, Illegal::Fault);
    let ignores = field_rules(register, Illegal::Ignore);
    quote! {
        let state = #state;
        let _ = state;
        #(#presence)*
        #(#whole)*
        #single
        #faults
        #ignores
    }
}

fn refuse(how: Illegal) -> TokenStream {
    match how {
        Illegal::Fault => quote!(return Err(Refusal::Fault);),
        Illegal::Ignore | Illegal::Keep => quote!(return Ok(());),
    }
}

fn field_rules(register: &Register, how: Illegal) -> TokenStream {
    let mut out = TokenStream::new();
    for field in &register.fields {
        for rule in field.rules.iter().filter(|rule| rule.otherwise == how) {
            let (illegal, refuse) = (illegal(field, rule), refuse(how));
            out.extend(quote!(if #illegal { #refuse }));
        }
    }
    out
}

/// The field is there and its value is outside the rule's sets.
fn illegal(field: &Field, rule: &Rule) -> TokenStream {
    let Legal::Sets(sets) = &rule.legal else {
        return quote!(false);
    };
    let (mask, lo) = (hex(field.mask()), field.lo);
    let legal = in_sets(sets, &quote!(((value & #mask) >> #lo)));
    match &field.present {
        Some(_) => {
            let present = present_name(field);
            quote!((#present && !#legal))
        }
        None => quote!((!#legal)),
    }
}

/// Whether the rule allows `value`.
pub fn legal(view: &View, rule: &Rule) -> TokenStream {
    match &rule.legal {
        Legal::Holds(condition) => rust(view, condition),
        Legal::Sets(sets) => in_sets(sets, &quote!(value)),
    }
}

fn in_sets(sets: &[Set], value: &TokenStream) -> TokenStream {
    let each = sets.iter().map(|set| match set {
        Set::Range(low, high) if low == high => {
            let low = hex(*low);
            quote!(#value == #low)
        }
        Set::Range(0, high) => {
            let high = hex(*high);
            quote!(#value <= #high)
        }
        Set::Range(low, high) => {
            let (low, high) = (hex(*low), hex(*high));
            quote!((#value >= #low && #value <= #high))
        }
        Set::AllOnesLess(bits) => {
            let bits = hex(*bits);
            quote!((#value | #bits) == u64::MAX)
        }
    });
    quote!((#(#each)||*))
}

/// The new value of the cell, and its storing.
fn store(view: &View, register: &Register, part: Part) -> TokenStream {
    let cells_of_bank = view.cells(register);
    if register.stored && register.banked && super::writable(register) == 0 {
        // Nothing to store; but a bank without state drops the write, and no hook is called.
        return match part {
            Part::Cells => TokenStream::new(),
            Part::NoCells => quote!(return Ok(());),
            Part::Whole => quote!(if index >= #cells_of_bank { return Ok(()); }),
        };
    }
    if !register.stored || super::writable(register) == 0 {
        return TokenStream::new();
    }
    let mut terms: Vec<TokenStream> = Vec::new();
    let mut term = |pick: &dyn Fn(&BitRule) -> bool, new: TokenStream| {
        let mask = bits(register, pick);
        if mask.fixed == u64::MAX {
            terms.push(new);
        } else if !mask.empty() {
            let mask = mask.rust();
            terms.push(quote!(#new & #mask));
        }
    };
    term(&|rule| !rule.changes(), quote!(state));
    term(&|rule| matches!(rule, BitRule::Store), quote!(value));
    term(
        &|rule| matches!(rule, BitRule::OneClears),
        quote!((state & !value)),
    );
    term(
        &|rule| matches!(rule, BitRule::OneSets | BitRule::Sticky),
        quote!((state | value)),
    );
    term(
        &|rule| matches!(rule, BitRule::ZeroClears),
        quote!((state & value)),
    );
    let mut locked: Vec<TokenStream> = Vec::new();
    let mut lock = |bits: &TokenStream, by: &crate::model::Expr| {
        let by = rust(view, by);
        locked.push(quote!(((if #by { state } else { value }) & #bits)));
    };
    for field in &register.fields {
        let mask = hex(field.mask());
        if let BitRule::Locked(by) = &field.write {
            let mask = match &field.present {
                Some(_) => {
                    let present = present_name(field);
                    quote!((if #present { #mask } else { 0 }))
                }
                None => mask.clone(),
            };
            lock(&mask, by);
        }
        if let (BitRule::Locked(by), Some(_)) = (&register.reserved, &field.present) {
            let present = present_name(field);
            lock(&quote!((if #present { 0 } else { #mask })), by);
        }
    }
    if let (BitRule::Locked(by), true) = (&register.reserved, register.reserved_mask != 0) {
        lock(&hex(register.reserved_mask), by);
    }
    terms.extend(locked);
    let keeps = register.fields.iter().flat_map(|field| {
        field
            .rules
            .iter()
            .filter(|rule| rule.otherwise == Illegal::Keep)
            .map(move |rule| {
                let (illegal, mask) = (illegal(field, rule), hex(field.mask()));
                quote!(let new = if #illegal { (new & !#mask) | (state & #mask) } else { new };)
            })
    });
    let (owner, cells) = (shared::owner(register), snake(&register.name));
    let mask = view.cells(register).wrapping_sub(1);
    let put = if part == Part::Cells {
        quote!(#owner.#cells[index & #mask] = new;)
    } else if part == Part::NoCells {
        return quote!(return Ok(()););
    } else if register.banked {
        quote!(match #owner.#cells.get_mut(index) { Some(cell) => *cell = new, None => return Ok(()) })
    } else {
        quote!(#owner.#cells = new;)
    };
    quote! {
        let new = #(#terms)|*;
        #(#keeps)*
        #put
    }
}
