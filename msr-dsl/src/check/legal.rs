//! Whether any value is legal to write: a register whose rules leave none says that it is written and refuses every write.

use super::Context;
use super::select::select;
use crate::ast::{FieldStatement, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::interpret::allows;
use crate::model::{BitRule, Expr, Field, Legal, Op, Register, Rule, Set, View, Write, mask};
use proc_macro2::Span;

/// The most values that are tried one by one.
const TRIED: u64 = 4096;

/// Whether some value satisfies the rules; yes if that is more than can be decided.
pub fn some(rules: &[Rule]) -> bool {
    first_without(rules, 0, u64::MAX).is_none()
}

/// The same for those of a register, with the bits that fault.
pub fn some_of(register: &Register) -> bool {
    first_without(&register.rules, faulting(register), u64::MAX).is_none()
}

/// Notes registers and fields that no value satisfies.
pub fn legal(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids() {
        if !matches!(register.write, Write::Bits(_) | Write::Hook(_)) && !register.held {
            continue;
        }
        let said = select(&cx.registers[id.0].statements, cx.version);
        let rules =
            said.filter(|said| matches!(said.what, Statement::Legal(..) | Statement::Require(..)));
        let spans: Vec<Span> = rules.map(|said| said.span).collect();
        if let Some(at) = first_without(&register.rules, faulting(register), u64::MAX)
            && let Some(span) = spans.get(at)
        {
            note(&register.name, at, *span, diagnostics);
        }
        for ast in cx.fields(id) {
            let field = register.fields.iter().find(|one| one.name == ast.name.text);
            let said = select(&ast.statements, cx.version);
            let spans: Vec<Span> = said
                .filter(|said| matches!(said.what, FieldStatement::Legal(..)))
                .map(|said| said.span)
                .collect();
            let Some(field) = field else { continue };
            if let Some(at) = first_without(&field.rules, 0, own_mask(field))
                && let Some(span) = spans.get(at)
            {
                note(&field.name, at, *span, diagnostics);
            }
        }
    }
}

fn own_mask(field: &Field) -> u64 {
    mask(field.hi - field.lo, 0)
}

fn note(name: &str, at: usize, span: Span, diagnostics: &mut Diagnostics) {
    let (message, help) = match at {
        0 => (
            format!("no value of `{name}` is legal"),
            "name values that can be written, or write `write fault;` (`ignore`)",
        ),
        _ => (
            format!("with what is said before, no value of `{name}` is legal"),
            "a value has to satisfy every line: let them meet, or make one of them",
        ),
    };
    diagnostics.add(&codes::NO_LEGAL_VALUE, span, message, help);
}

/// Bits that fault whenever they are set.
fn faulting(register: &Register) -> u64 {
    let of = |rule: &BitRule, bits: u64| match rule {
        BitRule::FaultIfSet => bits,
        _ => 0,
    };
    let reserved = of(&register.reserved, register.reserved_mask);
    let fields = register.fields.iter();
    fields.fold(reserved, |all, field| {
        let own = of(&field.write, field.mask());
        // In a guest that lacks the field another rule counts.
        all | match field.present {
            Some(_) => own & of(&register.reserved, field.mask()),
            None => own,
        }
    })
}

/// The first rule with which no value is left; none if some is left, or if that is more than can be decided here.
fn first_without(rules: &[Rule], mut clear: u64, most: u64) -> Option<usize> {
    let mut pieces = vec![Piece {
        low: 0,
        high: most,
        set: 0,
    }];
    for (at, rule) in rules.iter().enumerate() {
        match &rule.legal {
            Legal::Sets(sets) => {
                let meet = |one: &Piece| {
                    sets.iter()
                        .map(|set| one.and(set, most))
                        .collect::<Vec<_>>()
                };
                pieces = pieces.iter().flat_map(meet).collect();
                pieces.retain(|one| one.first(clear).is_some());
                if pieces.is_empty() {
                    return Some(at);
                }
                if pieces.len() as u64 > TRIED {
                    return None;
                }
            }
            Legal::Holds(condition) if condition.is_constant() => {
                if !allows(rule, 0) {
                    return Some(at);
                }
            }
            Legal::Holds(condition) => {
                let (set, unset) = demanded(condition);
                clear |= unset;
                pieces.iter_mut().for_each(|one| one.set |= set);
                pieces.retain(|one| one.first(clear).is_some());
                if pieces.is_empty() {
                    return Some(at);
                }
            }
        }
        let own = &rules[..=at];
        if pieces.iter().map(Piece::size).fold(0, u64::saturating_add) <= TRIED
            && own.iter().all(Rule::is_about_value)
        {
            let mut values = pieces.iter().flat_map(|one| one.low..=one.high);
            let legal =
                |value: &u64| value & clear == 0 && own.iter().all(|rule| allows(rule, *value));
            if !values.any(|value| legal(&value)) {
                return Some(at);
            }
        }
    }
    None
}

/// Bits of the value that a condition wants set, and clear, as far as it says so plainly.
fn demanded(condition: &Expr) -> (u64, u64) {
    let bits = |expr: &Expr| match expr {
        Expr::Value => Some((u64::MAX, 0)),
        Expr::Field(of, hi, lo) if **of == Expr::Value => Some((mask(*hi, *lo), *lo)),
        Expr::Binary(Op::And, of, by) => match (&**of, &**by) {
            (Expr::Value, Expr::Number(bits)) | (Expr::Number(bits), Expr::Value) => {
                Some((*bits, 0))
            }
            _ => None,
        },
        _ => None,
    };
    match condition {
        Expr::Binary(Op::Both, a, b) => {
            let (a, b) = (demanded(a), demanded(b));
            (a.0 | b.0, a.1 | b.1)
        }
        Expr::Binary(Op::Eq, a, b) => match (bits(a), &**b) {
            (Some((own, lo)), Expr::Number(number)) => (number << lo, own & !(number << lo)),
            _ => (0, 0),
        },
        Expr::IsSet(of) => match bits(of) {
            Some((own, _)) if own.is_power_of_two() => (own, 0),
            _ => (0, 0),
        },
        Expr::Not(of) => match &**of {
            Expr::IsSet(of) => (0, bits(of).map_or(0, |(own, _)| own)),
            _ => (0, 0),
        },
        _ => (0, 0),
    }
}

/// Values from one to another that have some bits set.
struct Piece {
    low: u64,
    high: u64,
    set: u64,
}

impl Piece {
    /// Those that are in a set too.
    fn and(&self, set: &Set, most: u64) -> Self {
        match set {
            Set::Range(low, high) => Self {
                low: self.low.max(*low),
                high: self.high.min(*high),
                set: self.set,
            },
            Set::AllOnesLess(free) => Self {
                low: self.low,
                high: self.high,
                set: self.set | most & !free,
            },
        }
    }

    fn size(&self) -> u64 {
        match self.high.checked_sub(self.low) {
            Some(more) => more.saturating_add(1),
            None => 0,
        }
    }

    /// The smallest of them that has the bits of `clear` clear.
    fn first(&self, clear: u64) -> Option<u64> {
        if self.set & clear != 0 || self.low > self.high {
            return None;
        }
        let fits = |value: u64| value & self.set == self.set && value & clear == 0;
        if fits(self.low) {
            return Some(self.low);
        }
        // Above `low`: equal to it down to a bit that is clear there and set here; below that bit as small as can be.
        let above = (0..64).filter(|bit| self.low >> bit & 1 == 0).map(|bit| {
            let rest = (1u64 << bit) - 1;
            self.low & !rest | 1 << bit | self.set & rest
        });
        above
            .filter(|value| fits(*value) && *value <= self.high)
            .min()
    }
}

/// What a rule asks is always so: it lets every value through.
pub fn asks_nothing(rule: &Rule) -> bool {
    match &rule.legal {
        Legal::Sets(sets) => {
            let all = [Set::Range(0, u64::MAX), Set::AllOnesLess(u64::MAX)];
            crate::manifest::in_order(sets)
                .iter()
                .any(|one| all.contains(one))
        }
        Legal::Holds(condition) => always(condition),
    }
}

/// Whether a rule lets every value up to `most` through that the rules before it do, as far as that is decided here.
pub fn follows(before: &[&Rule], rule: &Rule, most: u64) -> bool {
    let same = |other: &&Rule| match (&other.legal, &rule.legal) {
        (Legal::Holds(one), Legal::Holds(own)) => one == own,
        (Legal::Sets(one), Legal::Sets(own)) => {
            crate::manifest::in_order(one) == crate::manifest::in_order(own)
        }
        _ => false,
    };
    if before.iter().any(same) {
        return true;
    }
    let mut pieces = vec![Piece {
        low: 0,
        high: most,
        set: 0,
    }];
    for rule in before {
        if let Legal::Sets(sets) = &rule.legal {
            let meet = |one: &Piece| {
                sets.iter()
                    .map(|set| one.and(set, most))
                    .collect::<Vec<_>>()
            };
            pieces = pieces.iter().flat_map(meet).collect();
        }
    }
    let few = pieces.len() as u64 <= TRIED
        && pieces.iter().map(Piece::size).fold(0, u64::saturating_add) <= TRIED;
    let asked = before.iter().copied().chain([rule]);
    if !few || !asked.into_iter().all(Rule::is_about_value) {
        return false;
    }
    let values = pieces.iter().flat_map(|one| one.low..=one.high);
    let mut let_through = values.filter(|value| before.iter().all(|rule| allows(rule, *value)));
    let_through.all(|value| allows(rule, value))
}

/// A condition that asks for nothing and holds.
pub fn always(condition: &Expr) -> bool {
    condition.is_constant() && crate::interpret::constant(condition) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpret::in_sets;
    use crate::model::Illegal;

    fn rule(set: &Set) -> Rule {
        Rule {
            legal: Legal::Sets(vec![set.clone()]),
            otherwise: Illegal::Fault,
        }
    }

    /// Every pair of some sets over four bits, against all sixteen values.
    #[test]
    fn sets_meet_where_a_value_is_in_both() {
        let sets = [
            Set::Range(0, 0),
            Set::Range(3, 9),
            Set::Range(8, 8),
            Set::Range(14, 15),
            Set::AllOnesLess(!0xf),
            Set::AllOnesLess(!0xa),
            Set::AllOnesLess(!0x4),
        ];
        for a in &sets {
            for b in &sets {
                for clear in 0..16 {
                    let rules = [rule(a), rule(b)];
                    let legal = |value: u64| {
                        value & clear == 0 && rules.iter().all(|rule| in_sets(rule, value))
                    };
                    let some = (0..16).any(legal);
                    let found = first_without(&rules, clear, 0xf);
                    assert_eq!(found.is_none(), some, "{a:?} {b:?} {clear:#x}");
                }
            }
        }
    }
}
