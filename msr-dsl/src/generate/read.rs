//! RDMSR.

use super::expression::{hex, rust};
use super::names::{accessor, camel, snake, value_of};
use super::shared;
use super::table::{Part, Slot};
use crate::model::{Absent, Argument, Expr, Read, Register, RegisterId, View};
use proc_macro2::TokenStream;
use quote::quote;

/// The arm of one register: an expression of type `Result<u64, Refusal<Hook>>`, with `self`, `msr` and `index` in scope.
pub fn arm(view: &View, slot: Slot) -> TokenStream {
    let register = view.register(slot.register);
    let answer = match &register.read {
        Read::Value(_) => {
            let value = shown(view, register, slot.part);
            quote!(Ok(#value))
        }
        Read::Fault => quote!(Err(Refusal::Fault)),
        Read::Unlisted => quote!(Err(Refusal::Unlisted)),
        Read::Pass => quote!(Err(Refusal::Pass)),
        Read::Hook(hook) => {
            let hook = hook_value(view, *hook);
            quote!(Err(Refusal::Hook(#hook)))
        }
    };
    guarded(view, register, &quote!(0), answer)
}

/// `answer`, unless the bank is beyond the count or the register is absent.
pub fn guarded(
    view: &View,
    register: &Register,
    zero: &TokenStream,
    answer: TokenStream,
) -> TokenStream {
    let absent = |absent: Absent| match absent {
        Absent::Fault => quote!(Err(Refusal::Fault)),
        Absent::Zero => quote!(Ok(#zero)),
        Absent::Unlisted => quote!(Err(Refusal::Unlisted)),
    };
    let mut out = answer;
    if let Some((condition, otherwise)) = &register.present {
        let (condition, otherwise) = (
            condition_with_state(view, register, condition),
            absent(*otherwise),
        );
        out = quote!(if #condition { #out } else { #otherwise });
    }
    if let (true, Some(banks)) = (register.banked, &view.banks) {
        let (count, beyond) = (rust(view, &banks.count), absent(banks.beyond));
        out = quote!(if (index as u64) < #count { #out } else { #beyond });
    }
    out
}

fn condition_with_state(view: &View, register: &Register, condition: &Expr) -> TokenStream {
    let rust = rust(view, condition);
    if mentions_state(condition) {
        let state = cell(view, register, Part::Whole);
        quote!({ let state = #state; #rust })
    } else {
        rust
    }
}

/// The register's cell (of bank `index`), zero where it has none.
pub fn cell(view: &View, register: &Register, part: Part) -> TokenStream {
    let (owner, cells) = (shared::owner(register), snake(&register.name));
    let mask = view.cells(register).wrapping_sub(1);
    match (register.stored, register.banked) {
        (false, _) => quote!(0u64),
        (true, false) => quote!(#owner.#cells),
        (true, true) if part == Part::Cells => quote!(#owner.#cells[index & #mask]),
        (true, true) if part == Part::NoCells => quote!(0u64),
        (true, true) => quote!((match #owner.#cells.get(index) { Some(cell) => *cell, None => 0 })),
    }
}

/// The value that a read shows: the register's own, with the bits of its fields that have reads or presence of their own.
pub fn shown(view: &View, register: &Register, part: Part) -> TokenStream {
    let Read::Value(base) = &register.read else {
        return quote!(0u64);
    };
    let mut own = 0;
    let mut parts: Vec<TokenStream> = Vec::new();
    let mut uses_state = mentions_state(base);
    for field in register
        .fields
        .iter()
        .filter(|field| field.read.is_some() || field.present.is_some())
    {
        own |= field.mask();
        let (mask, lo) = (hex(field.mask()), field.lo);
        let value = match &field.read {
            Some(read) => {
                uses_state |= mentions_state(read);
                let read = rust(view, read);
                quote!(((#read << #lo) & #mask))
            }
            None => {
                let base = rust(view, base);
                quote!((#base & #mask))
            }
        };
        parts.push(match &field.present {
            Some(condition) => {
                uses_state |= mentions_state(condition);
                let condition = rust(view, condition);
                quote!((if #condition { #value } else { 0 }))
            }
            None => value,
        });
    }
    let mut out = rust(view, base);
    if own == u64::MAX {
        out = quote!(0u64);
    } else if own != 0 {
        let keep = hex(!own);
        out = quote!((#out & #keep));
    }
    let whole = quote!(#out #(| #parts)*);
    if uses_state {
        let state = cell(view, register, part);
        quote!({ let state = #state; #whole })
    } else {
        quote!((#whole))
    }
}

fn mentions_state(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |one| found |= *one == Expr::State);
    found
}

/// What other registers' expressions see of this one, and the typed accessor.
pub fn accessors(view: &View, id: RegisterId) -> TokenStream {
    let register = view.register(id);
    if !matches!(register.read, Read::Value(_)) {
        return TokenStream::new();
    }
    let value_of = value_of(&register.name);
    let name = accessor(&register.name);
    let shown = shown(view, register, Part::Whole);
    let guarded = guarded(
        view,
        register,
        &quote!(0),
        quote!(Ok::<u64, Refusal<Hook>>(#shown)),
    );
    let doc = super::fields::lines(&format!(
        "What a guest reads from `{}`; zero where it has none.",
        register.name
    ));
    let ty = super::fields::type_name(register);
    let (result, wrap) = match &ty {
        Some(ty) => (quote!(#ty), quote!(#ty::from_bits)),
        None => (quote!(u64), quote!()),
    };
    let shared = shared::borrowed(view, id);
    let bank = register.banked.then(|| quote!(bank: u8));
    let index = register.banked.then(|| quote!(index: usize));
    let of_bank = register.banked.then(|| quote!(bank as usize));
    let arguments = shared.iter().chain(&bank);
    let own_arguments = shared.iter().chain(&index);
    let guest = shared::passed(view, id);
    let pass = guest.iter().chain(&of_bank);
    let body = if register.present.is_none() && !register.banked {
        shown.clone()
    } else {
        quote!((match #guarded { Ok(value) => value, Err(_) => 0 }))
    };
    let unused = if register.banked {
        quote!()
    } else {
        quote!(let index = 0usize;)
    };
    quote! {
        #[inline(always)]
        fn #value_of(&self #(, #own_arguments)*) -> u64 { #unused #body }

        #doc
        #[inline]
        pub fn #name(&self #(, #arguments)*) -> #result { #wrap(self.#value_of(#(#pass),*)) }
    }
}

/// The hook with its arguments.
pub fn hook_value(view: &View, hook: usize) -> TokenStream {
    let hook = &view.hooks[hook];
    let name = camel(&hook.name);
    let arguments = hook.arguments.iter().map(|argument| match argument {
        Argument::Value => quote!(value),
        Argument::Msr => quote!(msr),
        Argument::Index => quote!(index: index as u32),
    });
    if hook.arguments.is_empty() {
        quote!(Hook::#name)
    } else {
        quote!(Hook::#name { #(#arguments),* })
    }
}
