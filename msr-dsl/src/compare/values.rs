//! Words for sets: the values that a write brings, and the guests that a difference touches.

use super::accesses::Setting;
use super::condition::Affected;
use super::phrases::bits;
use super::product::Product;
use super::truth::{Table, Truth};

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
    let example = product.table.pick(values, &|_| false).unwrap_or_default();
    let example = (0..64).fold(0u64, |value, bit| {
        let set = example
            .iter()
            .any(|(at, set)| *set && product.is_value(*at) == Some(bit));
        value | u64::from(set) << bit
    });
    Values {
        text: format!("some values, {example:#x} among them,"),
        bits: 0,
    }
}

/// The values of a set, if they are few.
fn list(product: &Product, values: Truth) -> Option<String> {
    let cases = product.table.cases(values, 4)?;
    let numbers: Option<Vec<String>> = cases
        .iter()
        .map(|case| {
            (case.len() == 64).then(|| {
                let value = case.iter().fold(0u64, |value, (bit, set)| {
                    value
                        | product
                            .is_value(*bit)
                            .map_or(0, |bit| u64::from(*set) << bit)
                });
                format!("{value:#x}")
            })
        })
        .collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty())?;
    Some(numbers.join(", "))
}

/// Guests by their capability words; none if all.
pub fn affected(setting: &Setting, table: &Table, guests: Truth) -> Option<Affected> {
    if guests == Truth::YES {
        return None;
    }
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
        text: texts.join(", or ") + more,
        cases,
    })
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
