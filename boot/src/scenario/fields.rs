//! Reads the fields of one table of the file: right kind, right range, no unknown key, none missing.

use std::ops::{Range, RangeInclusive};

use regex::Regex;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::keys::Section;
use super::place::{Located, Problems, nearest, suggestion};

/// A table that is being read.
pub struct Fields<'t, 'p> {
    table: &'t DeTable<'t>,
    /// Where the table stands.
    pub span: Range<usize>,
    /// Where mistakes go.
    pub problems: &'p mut Problems,
}

/// Where a value stands.
type Spanned<'t> = toml::Spanned<DeValue<'t>>;

impl<'t, 'p> Fields<'t, 'p> {
    /// Opens a table; reports unknown and missing keys.
    pub fn new(
        table: &'t DeTable<'t>,
        span: Range<usize>,
        section: &'static Section,
        problems: &'p mut Problems,
    ) -> Self {
        let names = section.names();
        let mut meant = Vec::new();
        for key in table.keys() {
            let word = key.get_ref().as_ref();
            if !names.contains(&word) {
                meant.extend(nearest(word, names.iter().copied()));
                let message = format!("unknown key `{word}` in {}", section.header);
                problems.add_with_help(&key.span(), message, suggestion(word, &names));
            }
        }
        for key in section.keys.iter().filter(|key| key.default.is_none()) {
            // A misspelt key is not missing as well.
            if !table.contains_key(key.name) && !meant.contains(&key.name) {
                let message = format!("{} has no `{}`", section.header, key.name);
                problems.add_with_help(
                    &span,
                    message,
                    format!("`{}`: {}, {}", key.name, key.holds, key.about),
                );
            }
        }
        Self {
            table,
            span,
            problems,
        }
    }

    /// The value of a key as it stands.
    pub fn raw(&self, name: &str) -> Option<&'t Spanned<'t>> {
        self.table.get(name)
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<Located<String>> {
        let value = self.raw(name)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Located {
                value: text.to_owned(),
                span: value.span(),
            }),
            None => self.wrong(name, "a text", value),
        }
    }

    /// A number within a range.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let value = self.raw(name)?;
        let Some(integer) = value.get_ref().as_integer() else {
            return self.wrong(name, "a number", value);
        };
        match unsigned(integer) {
            Some(number) if range.contains(&number) => Some(Located {
                value: number,
                span: value.span(),
            }),
            _ if range == (0..=u64::MAX) => {
                self.wrong(name, "a number of 64 bits without a sign", value)
            }
            _ => {
                let (least, most) = (range.start(), range.end());
                self.wrong(name, &format!("{least} to {most}"), value)
            }
        }
    }

    /// True or false; false where it is missing.
    pub fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.raw(name) else {
            return false;
        };
        let flag = value.get_ref().as_bool();
        flag.or_else(|| self.wrong(name, "true or false", value))
            .unwrap_or(false)
    }

    /// A regular expression.
    pub fn regex(&mut self, name: &str) -> Option<Located<Regex>> {
        let text = self.text(name)?;
        match Regex::new(&text.value) {
            Ok(value) => Some(Located {
                value,
                span: text.span,
            }),
            Err(why) => {
                let why = why.to_string();
                // The last line says what is wrong; those before draw the expression, which we show ourselves.
                let last = why
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                self.problems.add(
                    &text.span,
                    format!("`{name}` is no regular expression: {last}"),
                );
                None
            }
        }
    }

    /// A table.
    pub fn table(&mut self, name: &str) -> Option<(&'t DeTable<'t>, Range<usize>)> {
        let value = self.raw(name)?;
        match value.get_ref().as_table() {
            Some(table) => Some((table, value.span())),
            None => self.wrong(name, "a table", value),
        }
    }

    /// An array of tables; empty where it is missing.
    pub fn tables(&mut self, name: &str) -> Vec<(&'t DeTable<'t>, Range<usize>)> {
        let Some(value) = self.raw(name) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.problems.add_with_help(
                &value.span(),
                format!("`{name}` must be an array of tables"),
                format!("write it as [[{name}]]"),
            );
            return Vec::new();
        };
        self.each_table(name, array)
    }

    fn each_table(
        &mut self,
        name: &str,
        array: &'t DeArray<'t>,
    ) -> Vec<(&'t DeTable<'t>, Range<usize>)> {
        let mut tables = Vec::new();
        for value in array.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((table, value.span())),
                None => self
                    .problems
                    .add(&value.span(), format!("[[{name}]] must be a table")),
            }
        }
        tables
    }

    fn wrong<T>(&mut self, name: &str, must: &str, value: &Spanned<'_>) -> Option<T> {
        let is = shown(value.get_ref());
        self.problems
            .add(&value.span(), format!("`{name}` must be {must}, not {is}"));
        None
    }
}

/// The value of an integer: 64 bits, no sign, which TOML's own integers are not.
pub fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value in a message.
pub fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::String(text) => format!("the text {text:?}"),
        other => format!("a {}", other.type_str()),
    }
}
