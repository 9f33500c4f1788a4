//! The administrator's commands, as they come on the serial line (docs/boot-protocol.md).

use crate::mc::refused::Refused;
use crate::units::{Gpa, GuestId, Hpa, Pcpu};

/// The longest line, in bytes, without its end.
pub const MAX_LINE: usize = 200;

/// Something about pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCommand {
    /// Takes a page out of use.
    Out(Place),
    /// Puts it back.
    Back(Place),
    /// Names every page that is out of use.
    List,
}

/// Something about processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorCommand {
    /// Takes a processor out of use.
    Out(Pcpu),
    /// Puts it back.
    Back(Pcpu),
    /// Names every processor.
    List,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the host counts.
    Host(Hpa),
    /// As a guest counts.
    Guest(GuestId, Gpa),
}

/// Reads a command about pages. `None` for a line that is none: blank, a comment, or another command.
pub fn parse(line: &[u8]) -> Result<Option<PageCommand>, Refused> {
    if line.len() > MAX_LINE {
        return Err(Refused::TooLong);
    }
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    if words.next() != Some(b"page") {
        return Ok(None);
    }
    let command = match words.next() {
        Some(b"out") => PageCommand::Out(place(words)?),
        Some(b"back") => PageCommand::Back(place(words)?),
        Some(b"list") if words.next().is_none() => PageCommand::List,
        _ => return Err(Refused::UnknownWord),
    };
    Ok(Some(command))
}

/// Reads a command about processors. `None` for a line that is none, as [`parse`].
pub fn parse_processor(line: &[u8]) -> Result<Option<ProcessorCommand>, Refused> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    if words.next() != Some(b"processor") {
        return Ok(None);
    }
    let word = words.next();
    let processor = words.next().map(|word| {
        let number = number(word).ok_or(Refused::BadNumber)?;
        u16::try_from(number)
            .map(Pcpu)
            .map_err(|_| Refused::NoProcessor)
    });
    let command = match (word, processor, words.next()) {
        (Some(b"out"), Some(number), None) => ProcessorCommand::Out(number?),
        (Some(b"back"), Some(number), None) => ProcessorCommand::Back(number?),
        (Some(b"out" | b"back"), None, _) => return Err(Refused::MissingKey),
        (Some(b"list"), None, _) => ProcessorCommand::List,
        _ => return Err(Refused::UnknownWord),
    };
    Ok(Some(command))
}

fn place<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Place, Refused> {
    let (mut hpa, mut gpa, mut guest) = (None, None, None);
    for word in words {
        let equals = word
            .iter()
            .position(|&byte| byte == b'=')
            .ok_or(Refused::UnknownWord)?;
        let (key, value) = word.split_at_checked(equals).ok_or(Refused::UnknownWord)?;
        let place = match key {
            b"hpa" => &mut hpa,
            b"gpa" => &mut gpa,
            b"guest" => &mut guest,
            _ => return Err(Refused::UnknownWord),
        };
        let number = number(value.get(1..).unwrap_or_default()).ok_or(Refused::BadNumber)?;
        if place.replace(number).is_some() {
            return Err(Refused::Twice);
        }
    }
    match (hpa, guest, gpa) {
        (Some(hpa), None, None) => Ok(Place::Host(Hpa(hpa).page())),
        (None, Some(guest), Some(gpa)) => {
            let guest = u8::try_from(guest).map_err(|_| Refused::NoGuestMemory)?;
            Ok(Place::Guest(GuestId(guest), Gpa(gpa).page()))
        }
        (None, ..) => Err(Refused::MissingKey),
        (Some(_), ..) => Err(Refused::UnknownWord),
    }
}

/// A number: decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix(b"0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        number
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_about_processors() {
        let cases = [
            ("processor out 1", Ok(Some(ProcessorCommand::Out(Pcpu(1))))),
            (
                " processor  back 0x2 ",
                Ok(Some(ProcessorCommand::Back(Pcpu(2)))),
            ),
            ("processor list", Ok(Some(ProcessorCommand::List))),
            ("page list", Ok(None)),
            ("", Ok(None)),
            ("processor", Err(Refused::UnknownWord)),
            ("processor off 1", Err(Refused::UnknownWord)),
            ("processor out 1 2", Err(Refused::UnknownWord)),
            ("processor list 1", Err(Refused::UnknownWord)),
            ("processor out", Err(Refused::MissingKey)),
            ("processor out one", Err(Refused::BadNumber)),
            ("processor back 65536", Err(Refused::NoProcessor)),
        ];
        for (line, wanted) in cases {
            assert_eq!(parse_processor(line.as_bytes()), wanted, "{line}");
        }
    }

    #[test]
    fn commands_about_pages() {
        let host = Place::Host(Hpa(0x5000));
        let guest = Place::Guest(GuestId(1), Gpa(0x1_0000));
        for (line, command) in [
            ("page out hpa=0x5678", Some(PageCommand::Out(host))),
            (
                " page  back gpa=65536 guest=1\r",
                Some(PageCommand::Back(guest)),
            ),
            ("page list", Some(PageCommand::List)),
            ("", None),
            ("# page list", None),
            ("mce cpu=0", None),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        for (line, why) in [
            ("page", Refused::UnknownWord),
            ("page away", Refused::UnknownWord),
            ("page list all", Refused::UnknownWord),
            ("page out", Refused::MissingKey),
            ("page out gpa=1", Refused::MissingKey),
            ("page out guest=1", Refused::MissingKey),
            ("page out hpa=1 gpa=1", Refused::UnknownWord),
            ("page out hpa", Refused::UnknownWord),
            ("page out hpa=", Refused::BadNumber),
            ("page out hpa=0x", Refused::BadNumber),
            ("page out hpa=1 hpa=1", Refused::Twice),
            ("page out guest=256 gpa=1", Refused::NoGuestMemory),
            (&"page ".repeat(50), Refused::TooLong),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(why), "{line}");
        }
    }
}
