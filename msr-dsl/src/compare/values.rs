//! Words for sets: the values that a write brings, and the guests that a difference touches.

use super::accesses::Setting;
use super::condition::Affected;
use super::phrases::bits;
use super::product::Product;
use super::symbols::in_sets;
use super::truth::{Bit, Table, Truth};
use super::word::{self, Word};
use crate::model::Set;

/// A set of values of 64 bits.
pub struct Values {
    /// In words.
    pub text: String,
    /// All but a few, which are these in words.
    pub but: Option<String>,
    /// Bits of which any makes a value one of them; zero if it is not so simple.
    pub bits: u64,
}

impl Values {
    fn named(text: String) -> Self {
        Self {
            text,
            but: None,
            bits: 0,
        }
    }

    fn all_but(others: String) -> Self {
        Self {
            text: format!("any value but {others}"),
            but: Some(others),
            bits: 0,
        }
    }
}

/// More single values, ranges or patterns than this say nothing to a reader.
const FEW: usize = 8;

/// Cases of guests that are told apart.
const MOST_CASES: usize = 256;

/// The values that are written where a condition is met.
pub fn written(product: &mut Product, when: Truth) -> Values {
    let values = product.values_of(when);
    let places = std::array::from_fn(|bit| product.value_place(bit));
    describe(&mut product.table, &places, values)
}

/// A set of values, exactly, in the plainest of some ways: bits, single values, ranges, patterns. One that is none of them is
/// counted, and has an example.
pub fn describe(table: &mut Table, places: &[Bit; 64], values: Truth) -> Values {
    if values == Truth::YES {
        return Values::named("any value".to_owned());
    }
    if let Some(values) = by_bits(table, places, values) {
        return values;
    }
    let others = table.not(values);
    for (few, single) in [(1, 4), (2, 4), (FEW, FEW)] {
        if let Some(list) = list(table, places, others, single) {
            return Values::all_but(list);
        }
        if let Some(list) = list(table, places, values, single) {
            return Values::named(list);
        }
        if let Some(ranges) = ranges(table, places, values, few) {
            return Values::named(ranges);
        }
        if let Some(ranges) = ranges(table, places, others, few) {
            return Values::all_but(ranges);
        }
        if let Some(patterns) = patterns(table, places, values, few) {
            return Values::named(patterns);
        }
        if let Some(patterns) = patterns(table, places, others, few) {
            return Values::all_but(patterns);
        }
    }
    let least = table.least(values, places).unwrap_or(0);
    let all = table.count(values, places);
    Values::named(format!("any of {all} values (the least is {least:#x})"))
}

/// Values with any of some bits.
fn by_bits(table: &mut Table, places: &[Bit; 64], values: Truth) -> Option<Values> {
    let own = places.map(|bit| table.bit(bit));
    // Set in all of them, or in each one of these.
    let guilty: Vec<usize> = (0..64)
        .filter(|bit| table.implies(own[*bit], values))
        .collect();
    let mask = guilty.iter().fold(0, |mask, bit| mask | 1u64 << bit);
    let any = table.any(guilty.iter().rev().map(|bit| own[*bit]));
    let (text, but) = match mask {
        u64::MAX => ("any value but 0".to_owned(), Some("0".to_owned())),
        _ => (format!("values with any of {}", bits(mask)), None),
    };
    (any == values).then_some(Values {
        text,
        but,
        bits: mask,
    })
}

/// `values from 0x3 to 0x9 or from 0x20 on`, if there are so few ranges.
fn ranges(table: &mut Table, places: &[Bit; 64], values: Truth, few: usize) -> Option<String> {
    let own: Word = places.map(|bit| table.bit(bit));
    let (mut left, mut words) = (values, Vec::new());
    while left != Truth::NO {
        if words.len() == few {
            return None;
        }
        let low = table.least(left, places)?;
        let above = in_sets(table, &[Set::Range(low, u64::MAX)], &own);
        let gaps = table.less(above, left);
        let gap = table.least(gaps, places);
        let high = gap.map_or(u64::MAX, |gap| gap - 1);
        let range = in_sets(table, &[Set::Range(low, high)], &own);
        left = table.less(left, range);
        words.push(range_words(low, high));
    }
    Some(format!("values {}", words.join(" or ")))
}

fn range_words(low: u64, high: u64) -> String {
    match (low, high) {
        (0, high) => format!("up to {high:#x}"),
        (low, u64::MAX) => format!("from {low:#x} on"),
        (low, high) if low == high => format!("{low:#x}"),
        (low, high) => format!("from {low:#x} to {high:#x}"),
    }
}

/// `values with bit 1 set and bits 63:8 clear`, if there are so few patterns.
fn patterns(table: &mut Table, places: &[Bit; 64], values: Truth, few: usize) -> Option<String> {
    let cases = cases(table, places, values, few)?;
    let words = cases.iter().map(|(mask, value)| {
        let (set, clear) = (mask & value, mask & !value);
        match (set, clear) {
            (0, clear) => format!("{} clear", bits(clear)),
            (set, 0) => format!("{} set", bits(set)),
            (set, clear) => format!("{} set and {} clear", bits(set), bits(clear)),
        }
    });
    let words: Vec<String> = words.collect();
    Some(format!("values with {}", words.join(", or with ")))
}

/// Masks, and the values under them.
pub fn cases(
    table: &mut Table,
    places: &[Bit; 64],
    values: Truth,
    few: usize,
) -> Option<Vec<(u64, u64)>> {
    let cover = table.cover(values, few)?;
    let at = |bit: &Bit| places.iter().position(|place| place == bit);
    let cases = cover.iter().map(|case| {
        case.iter().try_fold((0, 0), |(mask, value), (bit, set)| {
            let bit = at(bit)?;
            Some((mask | 1u64 << bit, value | u64::from(*set) << bit))
        })
    });
    cases.collect()
}

/// The values of a set, if they are few.
fn list(table: &mut Table, places: &[Bit; 64], values: Truth, few: usize) -> Option<String> {
    let many = table.count(values, places);
    if many == 0 || many > few as u128 {
        return None;
    }
    let own: Word = places.map(|bit| table.bit(bit));
    let (mut left, mut words) = (values, Vec::new());
    while left != Truth::NO {
        let least = table.least(left, places)?;
        let it = in_sets(table, &[Set::Range(least, least)], &own);
        left = table.less(left, it);
        words.push(format!("{least:#x}"));
    }
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
    let places = std::array::from_fn(|bit| bit as Bit);
    // More than that are too many to tell apart: it is said of all guests.
    let cases = cases(table, &places, guests, MOST_CASES)?;
    let texts: Vec<String> = cases
        .iter()
        .take(FEW)
        .map(|case| text(setting, *case))
        .collect();
    let more = match cases.len().saturating_sub(FEW) {
        0 => String::new(),
        more => format!(", or {more} cases more"),
    };
    Some(Affected {
        text: whole.unwrap_or_else(|| texts.join(", or ") + &more),
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
    let field = |bit: u32| {
        setting.views.iter().rev().find_map(|view| {
            let register = view.register(view.capability?);
            let mut fields = register.fields.iter();
            fields.find(|field| field.lo == bit && field.hi == bit)
        })
    };
    // One name may be another bit's on the other side.
    let name = |bit: u32| {
        let Some(own) = field(bit) else {
            return format!("bit {bit}");
        };
        let mut others = (0..64).filter(|other| mask >> other & 1 == 1 && *other != bit);
        match others.any(|other| field(other).is_some_and(|field| field.name == own.name)) {
            true => format!("{} (bit {bit})", own.name),
            false => own.name.clone(),
        }
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
