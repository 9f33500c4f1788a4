//! Words for sets: the values that a write brings, and the guests that a difference touches.

use super::accesses::Setting;
use super::condition::Affected;
use super::phrases::bits;
use super::product::Product;
use super::symbols::in_sets;
use super::truth::{Table, Truth};
use super::word::{self, Word};
use crate::model::Set;

/// A set of written values.
pub struct Values {
    /// In words.
    pub text: String,
    /// Bits of which any makes a value one of them; zero if it is not so simple.
    pub bits: u64,
}

/// The values that are written where a condition is met.
pub fn describe(product: &mut Product, when: Truth) -> Values {
    let values = product.values_of(when);
    if values == Truth::YES {
        return Values {
            text: "any value".to_owned(),
            bits: 0,
        };
    }
    let own: Vec<Truth> = (0..64).map(|bit| product.value_bit(bit)).collect();
    // Set in all of them, or in each one of these.
    let guilty: Vec<usize> = (0..64)
        .filter(|bit| product.table.implies(own[*bit], values))
        .collect();
    let mask = guilty.iter().fold(0, |mask, bit| mask | 1u64 << bit);
    let any = product.table.any(guilty.iter().rev().map(|bit| own[*bit]));
    if any == values {
        let text = if mask == u64::MAX {
            "any value but 0".to_owned()
        } else {
            format!("values with any of {}", bits(mask))
        };
        return Values { text, bits: mask };
    }
    let others = product.table.not(values);
    if let Some(list) = list(product, others) {
        return Values {
            text: format!("any value but {list}"),
            bits: 0,
        };
    }
    if let Some(list) = list(product, values) {
        return Values {
            text: list,
            bits: 0,
        };
    }
    let low = edge(product, values, false);
    let high = edge(product, values, true);
    if is_range(product, values, low, high) {
        return Values {
            text: range(low, high),
            bits: 0,
        };
    }
    let (from, to) = (edge(product, others, false), edge(product, others, true));
    if is_range(product, others, from, to) {
        return Values {
            text: format!("any value but {}", range(from, to)),
            bits: 0,
        };
    }
    Values {
        text: format!("some values (such as {low:#x})"),
        bits: 0,
    }
}

/// The least or the greatest of some values.
fn edge(product: &mut Product, values: Truth, greatest: bool) -> u64 {
    let (mut edge, mut at) = (0, values);
    for bit in (0..64).rev() {
        let own = product.value_bit(bit);
        let wished = match greatest {
            true => product.table.and(at, own),
            false => product.table.less(at, own),
        };
        let got = wished != Truth::NO;
        edge |= u64::from(got == greatest) << bit;
        at = if got { wished } else { at };
    }
    edge
}

/// All from one value to another and no others.
fn is_range(product: &mut Product, values: Truth, low: u64, high: u64) -> bool {
    let own: Word = std::array::from_fn(|bit| product.value_bit(bit));
    let set = [Set::Range(low, high)];
    in_sets(&mut product.table, &set, &own) == values
}

fn range(low: u64, high: u64) -> String {
    match (low, high) {
        (0, high) => format!("values up to {high:#x}"),
        (low, u64::MAX) => format!("values from {low:#x} on"),
        (low, high) => format!("values from {low:#x} to {high:#x}"),
    }
}

/// The values of a set, if they are few.
fn list(product: &Product, values: Truth) -> Option<String> {
    let cases = product.table.cases(values, 4)?;
    let numbers: Option<Vec<u64>> = cases
        .iter()
        .map(|case| {
            (case.len() == 64).then(|| {
                case.iter().fold(0u64, |value, (bit, set)| {
                    value
                        | product
                            .is_value(*bit)
                            .map_or(0, |bit| u64::from(*set) << bit)
                })
            })
        })
        .collect();
    let mut numbers = numbers.filter(|numbers| !numbers.is_empty())?;
    numbers.sort_unstable();
    let words: Vec<String> = numbers.iter().map(|value| format!("{value:#x}")).collect();
    let (last, first) = words.split_last()?;
    Some(match first {
        [] => last.clone(),
        _ => format!("{} or {last}", first.join(", ")),
    })
}

/// Guests by their capability words; none if all.
pub fn affected(setting: &Setting, table: &mut Table, guests: Truth) -> Option<Affected> {
    if guests == Truth::YES {
        return None;
    }
    let whole = of_field(setting, table, guests);
    let cases = table.cases(guests, 64).unwrap_or_default();
    let cases: Vec<(u64, u64)> = cases
        .iter()
        .map(|case| {
            case.iter().fold((0, 0), |(mask, value), (bit, set)| {
                (mask | 1 << bit, value | u64::from(*set) << bit)
            })
        })
        .collect();
    let texts: Vec<String> = cases
        .iter()
        .take(3)
        .map(|case| text(setting, *case))
        .collect();
    let more = if cases.len() > 3 { " and others" } else { "" };
    Some(Affected {
        text: whole.unwrap_or_else(|| texts.join(", or ") + more),
        cases,
    })
}

/// `MCG_CAP: COUNT below 2`, if one field of several bits alone decides, by its size.
fn of_field(setting: &Setting, table: &mut Table, guests: Truth) -> Option<String> {
    let mut views = setting.views.iter().rev();
    let register = views.find_map(|view| Some(view.register(view.capability?)))?;
    let field = register.fields.iter().find(|field| {
        let other = |bit: u32| field.mask() >> bit & 1 == 0;
        field.lo < field.hi && !table.asks(guests, &other)
    })?;
    let value: Word = std::array::from_fn(|bit| match bit as u32 + field.lo <= field.hi {
        true => table.bit(bit as u32 + field.lo),
        false => Truth::NO,
    });
    let most = field.mask() >> field.lo;
    if most > 0xfff {
        return None;
    }
    let has = |table: &mut Table, number: u64| {
        let is = word::equal(table, &value, &word::number(number));
        table.meet(is, guests)
    };
    let mut numbers = (0..=most).filter(|number| has(table, *number));
    let (low, high) = (numbers.next()?, numbers.last());
    let high = high.unwrap_or(low);
    let range = [Set::Range(low, high)];
    let words = match (low, high) {
        (low, high) if low == high => format!("{} of {low}", field.name),
        (0, high) => format!("{} below {}", field.name, high + 1),
        (low, high) if high == most => format!("{} from {low} on", field.name),
        (low, high) => format!("{} from {low} to {high}", field.name),
    };
    let same = in_sets(table, &range, &value) == guests;
    same.then(|| format!("{}: {words}", register.name))
}

/// `MCG_CAP.LMCE_P set, CMCI_P clear`.
fn text(setting: &Setting, (mask, value): (u64, u64)) -> String {
    let register = setting
        .views
        .iter()
        .rev()
        .find_map(|view| Some(view.register(view.capability?)));
    let name = |bit: u32| {
        let field = setting.views.iter().rev().find_map(|view| {
            let register = view.register(view.capability?);
            register
                .fields
                .iter()
                .find(|field| field.lo == bit && field.hi == bit)
        });
        field.map_or_else(|| format!("bit {bit}"), |field| field.name.clone())
    };
    let parts: Vec<String> = (0..64)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(|bit| {
            format!(
                "{} {}",
                name(bit),
                if value >> bit & 1 == 1 {
                    "set"
                } else {
                    "clear"
                }
            )
        })
        .collect();
    let register = register.map_or("the capability word", |register| register.name.as_str());
    format!("{register}: {}", parts.join(", "))
}
