//! The text of a fault command (docs/boot-protocol.md).

use super::Refused;
use crate::command::{MAX_LINE, number};
use crate::mc::registers::MAX_BANKS;
use crate::units::{Bank, GuestId, Pcpu, Tsc};

/// When a fault is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as possible.
    Now,
    /// At that time stamp.
    At(Tsc),
    /// When its processor next copies a guest's memory for it, in the middle of that.
    NextCopy,
    /// When its processor next runs a vCPU of that guest.
    InGuest(GuestId),
}

/// A fault to raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub when: When,
    /// On which processor.
    pub processor: Pcpu,
    /// In which bank.
    pub bank: Bank,
    /// MCi_STATUS.
    pub status: u64,
    /// MCG_STATUS of that processor.
    pub mcg_status: u64,
    /// MCi_ADDR: host-physical, or guest-physical in `guest`.
    pub addr: u64,
    /// MCi_MISC.
    pub misc: u64,
    /// The guest whose guest-physical address `addr` is.
    pub guest: Option<GuestId>,
    /// Every processor gets the #MC.
    pub broadcast: bool,
}

/// Reads a command. `None` for a blank line or a comment (`#`).
pub fn parse(line: &[u8]) -> Result<Option<Fault>, Refused> {
    if line.len() > MAX_LINE {
        return Err(Refused::TooLong);
    }
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .peekable();
    let mut keys = Keys::default();
    match words.peek() {
        None => return Ok(None),
        Some(word) if word.starts_with(b"#") => return Ok(None),
        Some(word) if word.starts_with(b"at=") => {
            keys.take(word)?;
            words.next();
        }
        Some(_) => {}
    }
    if words.next() != Some(b"mce") {
        return Err(Refused::UnknownCommand);
    }
    for word in words {
        keys.take(word)?;
    }
    keys.fault().map(Some)
}

/// What stands behind `at=`.
enum At {
    Time(Tsc),
    Copy,
    Guest,
}

impl At {
    fn read(value: &[u8]) -> Result<Self, Refused> {
        match value {
            b"copy" => Ok(Self::Copy),
            b"guest" => Ok(Self::Guest),
            time => number(time)
                .map(|time| Self::Time(Tsc(time)))
                .ok_or(Refused::BadNumber),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Keys {
    at: Option<At>,
    cpu: Option<u64>,
    bank: Option<u64>,
    status: Option<u64>,
    mcg_status: Option<u64>,
    addr: Option<u64>,
    misc: Option<u64>,
    guest: Option<u64>,
    broadcast: bool,
}

impl Keys {
    fn take(&mut self, word: &[u8]) -> Result<(), Refused> {
        if let Some(value) = word.strip_prefix(b"at=") {
            return match self.at.replace(At::read(value)?) {
                Some(_) => Err(Refused::Twice),
                None => Ok(()),
            };
        }
        if word == b"broadcast" {
            return if core::mem::replace(&mut self.broadcast, true) {
                Err(Refused::Twice)
            } else {
                Ok(())
            };
        }
        let equals = word
            .iter()
            .position(|&byte| byte == b'=')
            .ok_or(Refused::UnknownWord)?;
        let (key, value) = word.split_at_checked(equals).ok_or(Refused::UnknownWord)?;
        let place = match key {
            b"cpu" => &mut self.cpu,
            b"bank" => &mut self.bank,
            b"status" => &mut self.status,
            b"mcg_status" => &mut self.mcg_status,
            b"addr" => &mut self.addr,
            b"misc" => &mut self.misc,
            b"guest" => &mut self.guest,
            _ => return Err(Refused::UnknownWord),
        };
        let number = number(value.get(1..).unwrap_or_default()).ok_or(Refused::BadNumber)?;
        if place.replace(number).is_some() {
            Err(Refused::Twice)
        } else {
            Ok(())
        }
    }

    fn fault(&self) -> Result<Fault, Refused> {
        let missing = Refused::MissingKey;
        let bank = u8::try_from(self.bank.ok_or(missing)?).map_err(|_| Refused::NoBank)?;
        if usize::from(bank) >= MAX_BANKS {
            return Err(Refused::NoBank);
        }
        let guest = match self.guest {
            Some(guest) => Some(GuestId(
                u8::try_from(guest).map_err(|_| Refused::NoGuestMemory)?,
            )),
            None => None,
        };
        Ok(Fault {
            when: match self.at {
                Some(At::Time(at)) => When::At(at),
                Some(At::Copy) => When::NextCopy,
                Some(At::Guest) => When::InGuest(guest.ok_or(missing)?),
                None => When::Now,
            },
            processor: Pcpu(
                u16::try_from(self.cpu.ok_or(missing)?).map_err(|_| Refused::NoProcessor)?,
            ),
            bank: Bank(bank),
            status: self.status.ok_or(missing)?,
            mcg_status: self.mcg_status.ok_or(missing)?,
            addr: self.addr.ok_or(missing)?,
            misc: self.misc.ok_or(missing)?,
            guest,
            broadcast: self.broadcast,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "mce cpu=1 bank=2 status=0xbd000000000000cf mcg_status=5 addr=0x12345000 misc=0x8c";

    fn refused(line: &str) -> Refused {
        parse(line.as_bytes()).expect_err(line)
    }

    #[test]
    fn a_command() {
        let fault = Fault {
            when: When::Now,
            processor: Pcpu(1),
            bank: Bank(2),
            status: 0xbd00_0000_0000_00cf,
            mcg_status: 5,
            addr: 0x1234_5000,
            misc: 0x8c,
            guest: None,
            broadcast: false,
        };
        assert_eq!(parse(LINE.as_bytes()), Ok(Some(fault)));
        let full = format!("  at=1000 {LINE}  guest=3 broadcast \r");
        let timed = Fault {
            when: When::At(Tsc(1000)),
            guest: Some(GuestId(3)),
            broadcast: true,
            ..fault
        };
        assert_eq!(parse(full.as_bytes()), Ok(Some(timed)));
        let at_copy = Fault {
            when: When::NextCopy,
            ..fault
        };
        assert_eq!(
            parse(format!("at=copy {LINE}").as_bytes()),
            Ok(Some(at_copy))
        );
        let in_guest = Fault {
            when: When::InGuest(GuestId(3)),
            guest: Some(GuestId(3)),
            ..fault
        };
        assert_eq!(
            parse(format!("at=guest {LINE} guest=3").as_bytes()),
            Ok(Some(in_guest))
        );
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"  # nothing"), Ok(None));
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        assert_eq!(refused("halt"), Refused::UnknownCommand);
        assert_eq!(refused("at=1"), Refused::UnknownCommand);
        assert_eq!(refused("mce"), Refused::MissingKey);
        assert_eq!(refused(&format!("{LINE} loud")), Refused::UnknownWord);
        assert_eq!(refused(&format!("{LINE} color=1")), Refused::UnknownWord);
        assert_eq!(refused(&format!("{LINE} cpu=1")), Refused::Twice);
        assert_eq!(refused(&format!("at=copy {LINE} at=copy")), Refused::Twice);
        assert_eq!(refused(&format!("at=1 {LINE} at=copy")), Refused::Twice);
        assert_eq!(refused(&format!("at=copy {LINE} at=1")), Refused::Twice);
        assert_eq!(refused(&format!("at=noon {LINE}")), Refused::BadNumber);
        assert_eq!(refused(&format!("at=guest {LINE}")), Refused::MissingKey);
        assert_eq!(
            refused(&format!("{LINE} broadcast broadcast")),
            Refused::Twice
        );
        assert_eq!(refused(&format!("{LINE} guest=x")), Refused::BadNumber);
        assert_eq!(refused(&format!("{LINE} guest=")), Refused::BadNumber);
        assert_eq!(refused(&format!("{LINE} guest=0x")), Refused::BadNumber);
        assert_eq!(
            refused(&format!("{LINE} guest=256")),
            Refused::NoGuestMemory
        );
        assert_eq!(refused(&LINE.replace("bank=2", "bank=32")), Refused::NoBank);
        assert_eq!(
            refused(&LINE.replace("cpu=1", "cpu=65536")),
            Refused::NoProcessor
        );
        assert_eq!(
            refused(&LINE.replace("0xbd000000000000cf", "0x1bd000000000000cf")),
            Refused::BadNumber
        );
        assert_eq!(
            refused(&format!("{LINE}{}", " ".repeat(120))),
            Refused::TooLong
        );
        for key in ["cpu", "bank", "status", "mcg_status", "addr", "misc"] {
            let without: Vec<_> = LINE
                .split(' ')
                .filter(|word| !word.starts_with(&format!("{key}=")))
                .collect();
            assert_eq!(refused(&without.join(" ")), Refused::MissingKey, "{key}");
        }
    }

    #[test]
    fn bytes_of_any_kind_are_answered() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut line = LINE.as_bytes().to_vec();
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % line.len();
                line[at] = (state >> 20) as u8;
            }
            let _ = parse(&line);
        }
    }
}
