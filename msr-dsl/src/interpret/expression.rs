//! Expressions, evaluated as they stand.

use super::rules::in_sets;
use super::{Machine, Place};
use crate::model::{Expr, Legal, Op, RegisterId, Rule, Type, View};

impl Machine<'_> {
    pub(super) fn holds(&self, expr: &Expr, place: &Place) -> bool {
        self.number(expr, place) != 0
    }

    /// Evaluates; a truth value is 0 or 1.
    pub(super) fn number(&self, expr: &Expr, place: &Place) -> u64 {
        let read = |of: Of| match of {
            Of::State => place.state,
            Of::Value => place.value,
            Of::Index => u64::from(place.index),
            Of::Register(id) => self.seen(id),
            Of::Cell(id, bank) => self.cells[id].get(bank as usize).copied().unwrap_or(0),
        };
        evaluate(expr, &read)
    }
}

/// What an expression may ask for.
enum Of {
    State,
    Value,
    Index,
    Register(RegisterId),
    Cell(RegisterId, u32),
}

fn evaluate(expr: &Expr, read: &dyn Fn(Of) -> u64) -> u64 {
    match expr {
        Expr::Number(number) => *number,
        Expr::Bool(value) => u64::from(*value),
        Expr::Value => read(Of::Value),
        Expr::State => read(Of::State),
        Expr::Index => read(Of::Index),
        Expr::Register(id) => read(Of::Register(*id)),
        Expr::Cell(id, bank) => read(Of::Cell(*id, *bank)),
        Expr::Field(of, hi, lo) => (evaluate(of, read) & crate::model::mask(*hi, *lo)) >> lo,
        Expr::IsSet(of) => u64::from(evaluate(of, read) != 0),
        Expr::AsBit(of) => evaluate(of, read),
        Expr::Not(of) if of.ty() == Type::Bool => 1 - evaluate(of, read),
        Expr::Not(of) => !evaluate(of, read),
        Expr::If(condition, yes, no) => evaluate(
            if evaluate(condition, read) != 0 {
                yes
            } else {
                no
            },
            read,
        ),
        Expr::Binary(op, a, b) => {
            let (a, b) = (evaluate(a, read), evaluate(b, read));
            match op {
                Op::Or | Op::Either => a | b,
                Op::And | Op::Both => a & b,
                Op::Shl => a << b,
                Op::Shr => a >> b,
                Op::Eq => u64::from(a == b),
                Op::Ne => u64::from(a != b),
                Op::Lt => u64::from(a < b),
                Op::Le => u64::from(a <= b),
                Op::Gt => u64::from(a > b),
                Op::Ge => u64::from(a >= b),
            }
        }
    }
}

/// The value of an expression that names nothing.
pub fn constant(expr: &Expr) -> u64 {
    evaluate(expr, &|_| 0)
}

/// Whether a rule that asks for nothing but the value takes this one.
pub fn allows(rule: &Rule, value: u64) -> bool {
    let read = |of: Of| match of {
        Of::Value => value,
        _ => 0,
    };
    match &rule.legal {
        Legal::Holds(condition) => evaluate(condition, &read) != 0,
        Legal::Sets(_) => in_sets(rule, value),
    }
}

/// The value of an expression about a new guest.
pub fn at_reset(view: &View, expr: &Expr) -> u64 {
    Machine::new(view).number(
        expr,
        &Place {
            state: 0,
            value: 0,
            index: 0,
        },
    )
}

/// Whether a condition holds in a new guest with one of these capability words, in one of so many banks (or places of a range).
pub fn holds_with_one_of(
    view: &View,
    capabilities: impl IntoIterator<Item = u64>,
    banks: u32,
    condition: &Expr,
) -> bool {
    let mut guest = Machine::new(view);
    capabilities.into_iter().any(|word| {
        guest.set_capability(word);
        (0..banks).any(|index| {
            let place = Place {
                state: 0,
                value: 0,
                index,
            };
            guest.holds(condition, &place)
        })
    })
}
