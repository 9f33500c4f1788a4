//! What made a question too large to decide, for whoever has to make it smaller.

use super::Product;
use crate::compare::groups::expressions;
use crate::compare::phrases::bits;
use crate::model::{Expr, Register, RegisterId, View, mask};
use std::collections::BTreeMap;
use std::fmt;

/// The question is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The registers that hang together, each with its first MSR.
    pub registers: Vec<String>,
    /// What their rules ask of others, those that ask for most first: `S 0x12 asks for all bits of R`.
    pub asks: Vec<String>,
}

/// As many are named.
const NAMED: usize = 4;

impl TooLarge {
    /// By the registers of a question.
    pub(super) fn of(product: &Product) -> Box<Self> {
        let mut registers = Vec::new();
        let mut asks: Vec<(u32, String)> = Vec::new();
        // The new side's rules are the ones to change.
        for side in product.sides.iter().rev() {
            let mut own: Vec<RegisterId> = Vec::new();
            for msr in &product.group.msrs {
                let register = side.places.get(msr).map(|(id, _)| *id);
                own.extend(register.filter(|id| !own.contains(id)));
            }
            for id in own {
                let register = side.view.register(id);
                let name = named(register);
                if registers.contains(&name) {
                    continue;
                }
                asks.extend(
                    asked(side.view, id)
                        .map(|(many, what)| (many, format!("{name} asks for {what}"))),
                );
                registers.push(name);
            }
        }
        asks.sort_by_key(|(many, _)| std::cmp::Reverse(*many));
        let asks = asks.into_iter().map(|(_, words)| words).collect();
        Box::new(Self { registers, asks })
    }
}

/// `S 0x12`.
fn named(register: &Register) -> String {
    let first = register.addresses.first();
    first.map_or(register.name.clone(), |address| {
        format!("{} {:#x}", register.name, address.first)
    })
}

/// What a register's rules ask of others, and of itself where that is more than bit by bit; and how many bits that are.
fn asked(view: &View, id: RegisterId) -> Option<(u32, String)> {
    let register = view.register(id);
    let mut whole: BTreeMap<RegisterId, usize> = BTreeMap::new();
    let mut parts: BTreeMap<RegisterId, (usize, u64)> = BTreeMap::new();
    for expression in expressions(register) {
        expression.walk(&mut |part| match part {
            Expr::Register(other) | Expr::Cell(other, _) => {
                *whole.entry(*other).or_default() += 1;
            }
            Expr::Field(of, hi, lo) => {
                if let Expr::Register(other) | Expr::Cell(other, _) = **of {
                    let (times, bits) = parts.entry(other).or_default();
                    (*times, *bits) = (*times + 1, *bits | mask(*hi, *lo));
                }
            }
            _ => {}
        });
    }
    let (mut many, mut words) = (0, Vec::new());
    for (other, times) in whole {
        let name = &view.register(other).name;
        let (by_part, asked) = parts.get(&other).copied().unwrap_or_default();
        // Each part names the register once more.
        let (count, what) = match by_part == times {
            true => (asked.count_ones(), bits(asked)),
            false => (64, "all bits".to_owned()),
        };
        many += count;
        words.push(format!("{what} of {name}"));
    }
    (!words.is_empty()).then(|| (many, words.join(" and ")))
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let few = |all: &[String]| {
            let shown = all[..all.len().min(NAMED)].join(", ");
            match all.len().saturating_sub(NAMED) {
                0 => shown,
                more => format!("{shown} and {more} more"),
            }
        };
        write!(
            f,
            "too many states hang together to decide: those of {}",
            few(&self.registers)
        )?;
        match self.asks.is_empty() {
            true => write!(
                f,
                ". Let its rules join fewer bits: a comparison of two parts of a value joins all their bits"
            ),
            false => write!(
                f,
                ". {}. Let these rules ask for fewer bits of other registers: a field instead of the whole, and no comparison of two \
                 parts",
                few(&self.asks)
            ),
        }
    }
}
