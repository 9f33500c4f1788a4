//! An event, as the text of a frame says it (docs/boot-protocol.md).

use std::fmt;

/// How loud a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What happens.
    Info,
    /// What an administrator should look at.
    Warn,
    /// What went wrong.
    Error,
}

/// A value of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A decimal number.
    Decimal(u64),
    /// A hexadecimal number: addresses, registers.
    Hex(u64),
    /// A bare word, or the rest of the line.
    Text(String),
}

impl Value {
    /// Reads `12`, `0x12` or a word.
    pub fn parse(text: &str) -> Self {
        if let Some(hex) = text.strip_prefix("0x")
            && let Ok(number) = u64::from_str_radix(hex, 16)
        {
            return Self::Hex(number);
        }
        // `+5` would parse too, and is no number of ours.
        if text.starts_with(|c: char| c.is_ascii_digit())
            && let Ok(number) = text.parse()
        {
            return Self::Decimal(number);
        }
        Self::Text(text.to_owned())
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<u64> {
        match *self {
            Self::Decimal(number) | Self::Hex(number) => Some(number),
            Self::Text(_) => None,
        }
    }

    /// Whether both mean the same: numbers by value, whatever their base.
    pub fn same(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => a == b,
            _ => self == other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Hex(number) => write!(f, "{number:#x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Something that happened in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: time stamp counter of the processor. `None` where the frame had none.
    pub t: Option<u64>,
    /// In which boot of the machine that is followed, from 1.
    pub boot: u32,
    /// How loud.
    pub level: Level,
    /// What kind, such as `vmce.injected`.
    pub kind: String,
    /// The values, in the order of the frame.
    pub fields: Vec<(String, Value)>,
}

impl Event {
    /// Kind of a frame whose text is not of the agreed form; its only field is `text`.
    pub const LOOSE: &'static str = "log";

    /// Reads a frame's text, `KIND key=value ... [text=rest of the line]`.
    pub fn parse(text: &str, t: Option<u64>, level: Level) -> Self {
        let (kind, fields) = strict(text).unwrap_or_else(|| {
            let text = ("text".to_owned(), Value::Text(text.to_owned()));
            (Self::LOOSE.to_owned(), vec![text])
        });
        Self {
            t,
            boot: 1,
            level,
            kind,
            fields,
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value)
    }

    /// The number in a field.
    pub fn number(&self, field: &str) -> Option<u64> {
        self.get(field)?.number()
    }
}

impl fmt::Display for Event {
    /// The frame's text again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

fn strict(text: &str) -> Option<(String, Vec<(String, Value)>)> {
    let (kind, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    if !is_kind(kind) {
        return None;
    }
    let mut fields = Vec::new();
    while !rest.is_empty() {
        if let Some(text) = rest.strip_prefix("text=") {
            fields.push(("text".to_owned(), Value::Text(text.to_owned())));
            break;
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        match word.split_once('=') {
            Some((name, value)) if is_name(name) => {
                fields.push((name.to_owned(), Value::parse(value)))
            }
            // A value with blanks in it, against the agreement: no reason to lose the event.
            _ => continue_value(fields.last_mut()?, word),
        }
        rest = after;
    }
    Some((kind.to_owned(), fields))
}

fn continue_value((_, value): &mut (String, Value), word: &str) {
    *value = Value::Text(format!("{value} {word}"));
}

/// A dotted lower-case word, perhaps with hyphens.
fn is_kind(word: &str) -> bool {
    word.contains('.') && word.split(['.', '-']).all(is_name)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, Value)> {
        Event::parse(text, None, Level::Info).fields
    }

    #[test]
    fn values_keep_their_base_and_compare_by_number() {
        let event = Event::parse(
            "vmce.injected cpu=1 addr=0x1f000 how=entry",
            Some(7),
            Level::Info,
        );
        assert_eq!(event.kind, "vmce.injected");
        assert_eq!(
            Event::parse("vmce.stop-record", None, Level::Info).kind,
            "vmce.stop-record"
        );
        assert_eq!(event.get("cpu"), Some(&Value::Decimal(1)));
        assert_eq!(event.get("addr"), Some(&Value::Hex(0x1f000)));
        assert_eq!(event.get("how"), Some(&Value::Text("entry".into())));
        assert!(Value::Hex(16).same(&Value::Decimal(16)));
        assert!(!Value::Hex(16).same(&Value::Text("16".into())));
        assert_eq!(
            event.to_string(),
            "vmce.injected cpu=1 addr=0x1f000 how=entry"
        );
    }

    #[test]
    fn text_takes_the_rest_of_the_line() {
        let event = fields("guest.console cpu=0 guest=0 text=a=1  text=b ");
        assert_eq!(event.last().unwrap().1, Value::Text("a=1  text=b ".into()));
        assert_eq!(
            fields("guest.console cpu=0 text=")[1].1,
            Value::Text(String::new())
        );
    }

    #[test]
    fn a_value_with_blanks_is_kept() {
        let event = Event::parse(
            "machine.unsupported cpu=0 reason=no VMX here",
            None,
            Level::Error,
        );
        assert_eq!(event.kind, "machine.unsupported");
        assert_eq!(
            event.get("reason"),
            Some(&Value::Text("no VMX here".into()))
        );
    }

    #[test]
    fn a_full_status_register_is_exact() {
        assert_eq!(
            Value::parse("0xbd000000000000cf"),
            Value::Hex(0xbd00_0000_0000_00cf)
        );
        assert_eq!(
            Value::parse("18446744073709551615"),
            Value::Decimal(u64::MAX)
        );
        assert_eq!(
            Value::parse("18446744073709551616"),
            Value::Text("18446744073709551616".into())
        );
        assert_eq!(Value::parse("+5"), Value::Text("+5".into()));
    }

    #[test]
    fn other_text_is_kept_whole() {
        for text in [
            "panicked at kernel/src/main.rs:1",
            "a.b c",
            "Hello",
            "",
            "a.b C=1",
            "a.b  c=1",
        ] {
            let event = Event::parse(text, None, Level::Error);
            assert_eq!(event.kind, Event::LOOSE, "{text}");
            assert_eq!(event.get("text"), Some(&Value::Text(text.into())));
        }
    }
}
