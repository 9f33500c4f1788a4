//! Expressions as Rust.

use super::names::{snake, value_of};
use super::shared;
use crate::model::{Expr, Op, Type, View};
use proc_macro2::{Literal, TokenStream};
use quote::quote;

/// A 64-bit literal, in the field's notation.
pub fn hex(value: u64) -> TokenStream {
    format!("0x{value:x}u64").parse().unwrap_or_else(|_| {
        let plain = Literal::u64_suffixed(value);
        quote!(#plain)
    })
}

/// Rust of type `u64` or `bool`, after the expression's type. `state`, `value` and `index` are in scope under these names.
pub fn rust(view: &View, expr: &Expr) -> TokenStream {
    let sub = |expr: &Expr| rust(view, expr);
    match expr {
        Expr::Number(number) => hex(*number),
        Expr::Bool(value) => quote!(#value),
        Expr::Value => quote!(value),
        Expr::State => quote!(state),
        Expr::Index => quote!((index as u64)),
        Expr::Register(id) => {
            let read = value_of(&view.register(*id).name);
            let guest = shared::passed(view, *id);
            quote!(self.#read(#guest))
        }
        Expr::Cell(id, bank) => {
            let register = view.register(*id);
            let (owner, cells) = (shared::owner(register), snake(&register.name));
            let bank = *bank as usize;
            quote!(#owner.#cells[#bank])
        }
        Expr::Field(of, 63, 0) => sub(of),
        Expr::Field(of, hi, lo) => {
            let of = sub(of);
            let low = hex(crate::model::mask(hi - lo, 0));
            match lo {
                0 => quote!((#of & #low)),
                _ => quote!((#of >> #lo & #low)),
            }
        }
        Expr::IsSet(of) => match &**of {
            Expr::Field(whole, hi, lo) => {
                let (whole, mask) = (sub(whole), hex(crate::model::mask(*hi, *lo)));
                quote!((#whole & #mask != 0))
            }
            other => {
                let of = sub(other);
                quote!((#of != 0))
            }
        },
        Expr::AsBit(of) => {
            let of = sub(of);
            quote!((#of as u64))
        }
        Expr::Not(of) => {
            let of = sub(of);
            quote!((!#of))
        }
        Expr::If(condition, yes, no) => {
            let (condition, yes, no) = (sub(condition), sub(yes), sub(no));
            quote!((if #condition { #yes } else { #no }))
        }
        Expr::Binary(op, a, b) => {
            let logical = a.ty() == Type::Bool;
            let (a, b) = (sub(a), sub(b));
            match op {
                Op::Or | Op::Either if logical => quote!((#a || #b)),
                Op::And | Op::Both if logical => quote!((#a && #b)),
                Op::Or | Op::Either => quote!((#a | #b)),
                Op::And | Op::Both => quote!((#a & #b)),
                Op::Shl => quote!((#a << #b)),
                Op::Shr => quote!((#a >> #b)),
                Op::Eq => quote!((#a == #b)),
                Op::Ne => quote!((#a != #b)),
                Op::Lt => quote!((#a < #b)),
                Op::Le => quote!((#a <= #b)),
                Op::Gt => quote!((#a > #b)),
                Op::Ge => quote!((#a >= #b)),
            }
        }
    }
}
