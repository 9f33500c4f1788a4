//! Fault commands from a boot module: one line after the other, each when its time has come.

use super::Refused;
use super::command::{Fault, When, parse};
use crate::units::Tsc;

/// The commands that have not been raised yet. Lines come in the order of the text; one whose time is before that of the line
/// above it comes right after that.
pub struct Schedule<'a> {
    rest: &'a [u8],
    next: Option<Fault>,
}

impl<'a> Schedule<'a> {
    /// Nothing to raise.
    pub const fn empty() -> Self {
        Self {
            rest: &[],
            next: None,
        }
    }

    /// The commands of a module, a line each.
    pub const fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            next: None,
        }
    }

    /// The next fault whose time has come, or the reason why a line was refused.
    pub fn due(&mut self, now: Tsc) -> Option<Result<Fault, Refused>> {
        while self.next.is_none() {
            if self.rest.is_empty() {
                return None;
            }
            match parse(self.line()) {
                Ok(fault) => self.next = fault,
                Err(refused) => return Some(Err(refused)),
            }
        }
        self.next
            .take_if(|fault| match fault.when {
                When::At(at) => at <= now,
                When::Now | When::NextCopy | When::InGuest(_) => true,
            })
            .map(Ok)
    }

    fn line(&mut self) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest.get(1..).unwrap_or_default();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_when_its_time_has_come() {
        let line = |at: u64, bank: u8| {
            format!("at={at} mce cpu=0 bank={bank} status=1 mcg_status=5 addr=0 misc=0\n")
        };
        let text = [
            line(10, 0),
            "\n# comment\nnonsense\n".into(),
            line(30, 1),
            line(20, 2),
        ]
        .concat();
        let mut schedule = Schedule::new(text.trim_end().as_bytes());
        let mut bank = |now| {
            schedule
                .due(Tsc(now))
                .map(|fault| fault.map(|fault| fault.bank.0))
        };
        assert_eq!(bank(9), None);
        assert_eq!(bank(10), Some(Ok(0)));
        assert_eq!(bank(10), Some(Err(Refused::UnknownCommand)));
        assert_eq!(bank(29), None);
        assert_eq!(bank(30), Some(Ok(1)));
        assert_eq!(bank(30), Some(Ok(2)));
        assert_eq!(bank(u64::MAX), None);
        assert_eq!(Schedule::empty().due(Tsc(u64::MAX)), None);
    }
}
