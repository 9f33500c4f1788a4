//! How large a value can be, by its width: what a comparison or a field makes of it.

use super::Context;
use crate::ast;
use crate::model::{Expr, Op, Register, mask};
use std::collections::BTreeSet;

/// Bits of the widest field whose values are looked at one by one.
const LISTED: u32 = 10;

/// Bits that a value can have set.
pub fn bits(expr: &Expr) -> u64 {
    match expr {
        Expr::Number(number) => *number,
        Expr::Bool(_) | Expr::IsSet(_) | Expr::AsBit(_) => 1,
        Expr::Value | Expr::State | Expr::Register(_) | Expr::Cell(..) => u64::MAX,
        Expr::Index => u64::from(u32::MAX),
        Expr::Field(of, hi, lo) => (bits(of) & mask(*hi, *lo)) >> lo,
        Expr::Not(_) => u64::MAX,
        Expr::If(_, yes, no) => bits(yes) | bits(no),
        Expr::Binary(op, a, b) => match (op, &**b) {
            (Op::And, _) => bits(a) & bits(b),
            (Op::Or, _) => bits(a) | bits(b),
            (Op::Shl, Expr::Number(by)) => bits(a) << by,
            (Op::Shr, Expr::Number(by)) => bits(a) >> by,
            (Op::Shl | Op::Shr, _) => u64::MAX,
            _ => 1,
        },
    }
}

/// What a comparison always gives, if the widths decide it; of two constants nothing is said.
pub fn decided(op: Op, left: &Expr, right: &Expr) -> Option<bool> {
    let ends = |expr: &Expr| match expr {
        Expr::Number(number) => (*number, *number),
        other => (0, bits(other)),
    };
    if left.is_constant() && right.is_constant() {
        return None;
    }
    let ((low, high), (least, most)) = (ends(left), ends(right));
    let below = |strict: bool| match strict {
        true if high < least => Some(true),
        true if low >= most => Some(false),
        false if high <= least => Some(true),
        false if low > most => Some(false),
        _ => None,
    };
    match op {
        Op::Eq | Op::Ne => {
            let outside = |one: &Expr, other: &Expr| matches!(one, Expr::Number(number) if number & !bits(other) != 0);
            let never = outside(left, right) || outside(right, left);
            never.then_some(op == Op::Ne)
        }
        Op::Lt => below(true),
        Op::Le => below(false),
        Op::Gt => below(false).map(|is| !is),
        Op::Ge => below(true).map(|is| !is),
        _ => None,
    }
}

/// The values that an expression can have; none if they are too many to look at.
pub fn values(cx: &Context, own: &ast::Register, expr: &Expr) -> Option<BTreeSet<u64>> {
    match expr {
        Expr::Number(number) => Some(BTreeSet::from([*number])),
        Expr::If(_, yes, no) => {
            let mut all = values(cx, own, yes)?;
            all.extend(values(cx, own, no)?);
            Some(all)
        }
        Expr::Field(of, hi, lo) => named(cx, own, of, (*hi, *lo)).or_else(|| subsets(bits(expr))),
        other => subsets(bits(other)),
    }
}

fn subsets(mask: u64) -> Option<BTreeSet<u64>> {
    let few = mask.count_ones() <= LISTED;
    few.then(|| super::guests::subsets(mask).collect())
}

/// The values of a field that is a closed enumeration itself.
fn named(
    cx: &Context,
    own: &ast::Register,
    of: &Expr,
    (hi, lo): (u32, u32),
) -> Option<BTreeSet<u64>> {
    let register = match of {
        Expr::State => own,
        Expr::Register(id) | Expr::Cell(id, _) => cx.registers[id.0],
        _ => return None,
    };
    let at = cx
        .registers
        .iter()
        .position(|one| std::ptr::eq(*one, register))?;
    let mut fields = cx.fields(crate::model::RegisterId(at));
    let field = fields.find(|one| (one.hi, one.lo) == (u64::from(hi), u64::from(lo)))?;
    match &field.ty.value {
        ast::FieldType::Enum {
            values,
            other: false,
        } => Some(values.iter().map(|(_, value)| value.value).collect()),
        _ => None,
    }
}

/// The bits of the register's own state on which an expression depends, at most.
pub fn asked_of_state(expr: &Expr) -> u64 {
    match expr {
        Expr::State => u64::MAX,
        Expr::Field(of, hi, lo) if **of == Expr::State => mask(*hi, *lo),
        Expr::Binary(Op::And, a, b) if **a == Expr::State => match **b {
            Expr::Number(bits) => bits,
            _ => u64::MAX,
        },
        Expr::Field(inner, ..) | Expr::IsSet(inner) | Expr::AsBit(inner) | Expr::Not(inner) => {
            asked_of_state(inner)
        }
        Expr::Binary(_, a, b) => asked_of_state(a) | asked_of_state(b),
        Expr::If(a, b, c) => asked_of_state(a) | asked_of_state(b) | asked_of_state(c),
        _ => 0,
    }
}

/// `i` is more than 0 somewhere in it: it is in each bank, or has a range of MSRs.
pub fn has_places(register: &ast::Register) -> bool {
    let many = |one: &ast::Address| !matches!(one.kind, ast::AddressKind::One(_));
    register.banked || register.addresses.iter().any(many)
}

/// A rule that lets no write change the state: `value == state`.
pub fn keeps_state(condition: &Expr) -> bool {
    match condition {
        Expr::Binary(Op::Both, a, b) => keeps_state(a) || keeps_state(b),
        Expr::Binary(Op::Eq, a, b) => {
            matches!(
                (&**a, &**b),
                (Expr::Value, Expr::State) | (Expr::State, Expr::Value)
            )
        }
        _ => false,
    }
}

/// An expression of the register speaks of `i`.
pub fn asks_for_place(register: &Register) -> bool {
    let mut asks = false;
    super::expression::each_expression(register, &mut |expr| {
        expr.walk(&mut |one| asks |= *one == Expr::Index);
    });
    asks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against every pair of values of three bits.
    #[test]
    fn what_widths_decide_holds_for_every_value() {
        let ops = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];
        let is = |op: Op, a: u64, b: u64| match op {
            Op::Eq => a == b,
            Op::Ne => a != b,
            Op::Lt => a < b,
            Op::Le => a <= b,
            Op::Gt => a > b,
            _ => a >= b,
        };
        let mut found = 0;
        for bits in [0b1, 0b11, 0b101, 0b111] {
            let word = Expr::Binary(Op::And, Box::new(Expr::State), Box::new(Expr::Number(bits)));
            for op in ops {
                for number in 0..16 {
                    let all = || (0..8).filter(|one| one & !bits == 0);
                    for turned in [false, true] {
                        let (number_, word_) = (Expr::Number(number), word.clone());
                        let (left, right) = match turned {
                            false => (word_, number_),
                            true => (number_, word_),
                        };
                        let one = |own: u64| match turned {
                            false => is(op, own, number),
                            true => is(op, number, own),
                        };
                        if let Some(always) = decided(op, &left, &right) {
                            found += 1;
                            assert!(
                                all().all(|own| one(own) == always),
                                "{bits} {op:?} {number}"
                            );
                        }
                    }
                }
            }
        }
        assert!(found > 200, "{found}");
    }
}
