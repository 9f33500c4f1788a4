//! What a restore, and who holds a register, refuse of its values.

use super::expression::hex;
use crate::model::{Expr, Field, Legal, Op, Register, Rule, View};
use proc_macro2::TokenStream;
use quote::quote;
use std::collections::BTreeMap;

/// What a restore refuses of `word`, a register's cell.
pub struct Refusals {
    /// Its bits outside of what is accepted (`named` takes some away).
    pub outside: Option<TokenStream>,
    /// Whether it is a value that the register cannot have.
    pub illegal: Option<TokenStream>,
}

/// See [`Refusals`].
pub fn refusals(view: &View, register: &Register, named: &TokenStream) -> Refusals {
    let outside = hex(!register.accepts);
    let outside = (register.accepts != u64::MAX).then(|| quote!((word & #outside #named)));
    let (plain, others) = rules(register);
    let plain = plain.into_iter().map(|top| {
        let bits = hex(u64::MAX << (top + 1));
        quote!((((word ^ (word << 1)) & #bits) != 0))
    });
    let all: Vec<TokenStream> = plain.chain(illegal(view, register, &others)).collect();
    let illegal = (!all.is_empty()).then(|| quote!((#(#all)|*)));
    Refusals { outside, illegal }
}

/// The rules of a held register that a restore looks at: it goes to hardware as it is. Those that ask for nothing but bits from some bit
/// on being alike (a canonical address), as that bit, and the others.
fn rules(register: &Register) -> (Vec<u32>, Vec<&Rule>) {
    let rules = register.rules.iter();
    let rules = rules.filter(|rule| register.held && rule.is_about_value());
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for rule in rules {
        match all_alike(rule) {
            Some(bit) => plain.push(bit),
            None => others.push(rule),
        }
    }
    (plain, others)
}

/// `value >> BIT == 0 || value >> BIT == ONES`.
fn all_alike(rule: &Rule) -> Option<u32> {
    let Legal::Holds(Expr::Binary(Op::Either, a, b)) = &rule.legal else {
        return None;
    };
    let side = |expr: &Expr| {
        let Expr::Binary(Op::Eq, shifted, number) = expr else {
            return None;
        };
        match (&**shifted, &**number) {
            (Expr::Binary(Op::Shr, value, by), Expr::Number(number)) => match (&**value, &**by) {
                (Expr::Value, Expr::Number(by @ 0..63)) => Some((*by as u32, *number)),
                _ => None,
            },
            _ => None,
        }
    };
    let ((bit, zero), (other, ones)) = (side(a)?, side(b)?);
    (bit == other && zero == 0 && ones == u64::MAX >> bit).then_some(bit)
}

/// Whether `word` is a value that the register cannot have.
fn illegal(view: &View, register: &Register, rules: &[&Rule]) -> Option<TokenStream> {
    let fields = register.fields.iter().filter_map(unnamed);
    let rules = rules.iter().map(|rule| broken(view, rule));
    let all: Vec<TokenStream> = fields.chain(rules).collect();
    (!all.is_empty()).then(|| quote!((#(#all)|*)))
}

/// The same in a form in which nothing is told but that something is refused, for a record that is almost always taken.
pub struct Quick {
    /// Bits that have to be clear.
    pub clear: u64,
    /// Bits that have to be clear in `word ^ (word << 1)`: what is above the lowest of bits that are alike.
    pub alike: Vec<u64>,
    /// Each holds of a `word` that is refused.
    pub illegal: Vec<TokenStream>,
}

/// See [`Quick`].
pub fn quick(view: &View, register: &Register) -> Quick {
    let (plain, others) = rules(register);
    let mut quick = Quick {
        clear: !register.accepts,
        alike: plain.into_iter().map(|top| u64::MAX << (top + 1)).collect(),
        illegal: others.into_iter().map(|rule| broken(view, rule)).collect(),
    };
    for field in &register.fields {
        let Some(values) = &field.restored else {
            continue;
        };
        if values.iter().any(|value| *value > 63) {
            quick.illegal.extend(unnamed(field));
            continue;
        }
        // A bit of a list for each value; what is beyond it is clear.
        let few = field.mask() & (63 << field.lo);
        quick.clear |= field.mask() & !few;
        let list = values.iter().fold(0u64, |list, value| list | 1 << value);
        let (few, lo, list) = (hex(few), field.lo, hex(list));
        quick
            .illegal
            .push(quote!((#list >> ((word & #few) >> #lo)) & 1 == 0));
    }
    quick
}

/// Bits that have to be clear, of all items together: words of which the same bits are looked at are put together first, which takes
/// one instruction for each.
#[derive(Default)]
pub struct Clear {
    sums: BTreeMap<u64, Vec<TokenStream>>,
}

impl Clear {
    /// These bits of a word.
    pub fn add(&mut self, bits: u64, word: TokenStream) {
        if bits == 0 {
            return;
        }
        self.sums.entry(bits).or_default().push(word);
    }

    /// Ends the restore if they are not.
    pub fn rust(&self) -> TokenStream {
        let sums = self.sums.iter().map(|(bits, words)| {
            let bits = hex(*bits);
            quote!(if (#(#words)|*) & #bits != 0 { return None; })
        });
        quote!(#(#sums)*)
    }
}

/// Whether `word` breaks a rule.
fn broken(view: &View, rule: &Rule) -> TokenStream {
    let legal = super::write::legal(view, rule);
    quote!({ let value = word; !#legal })
}

/// Whether the field of `word` has a value that a restore does not take.
fn unnamed(field: &Field) -> Option<TokenStream> {
    let values = field.restored.as_ref()?.iter().map(|value| hex(*value));
    let (mask, lo) = (hex(field.mask()), field.lo);
    Some(quote!((!matches!((word & #mask) >> #lo, #(#values)|*))))
}
