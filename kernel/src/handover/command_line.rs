//! The hypervisor's own command line (docs/boot-protocol.md).

use super::module::number;
use msr_runtime::Extra;

/// Periods and slices that make sense: less would leave the guests no time, more does not fit the timer.
const PERIODS: core::ops::RangeInclusive<u64> = 1 << 10..=1 << 31;

/// Corrected errors that are counted for a page.
const COUNTS: core::ops::RangeInclusive<u32> = 0..=4095;
/// Spare pages: 1 MiB at most.
const SPARES: core::ops::RangeInclusive<u32> = 0..=256;

/// What the command line chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Housekeeping period, in time stamp ticks.
    pub period: u64,
    /// How long a vCPU runs while others wait for its processor, in time stamp ticks.
    pub slice: u64,
    /// How long a processor waits for the others in a machine check, in time stamp ticks.
    pub rendezvous: u64,
    /// How many corrected errors a page may have before it is taken out of use; 0: any number.
    pub corrected_limit: u32,
    /// A machine check for which no bank of any processor holds anything resets the machine.
    pub empty_is_fatal: bool,
    /// Pages set aside to replace such pages of guests.
    pub spare_pages: u32,
    /// Records stay in their rings until something else is written to the log: as if nobody read them.
    pub log_late: bool,
    /// The host side alone: no VMX, no guests.
    pub mca_only: bool,
    /// Capability bits, tags and MSRs of guests from newer hosts.
    pub extra: Extra,
}

impl Options {
    /// Housekeeping every million ticks: some 300 microseconds on today's processors, and cheap. A slice of some milliseconds costs little in
    /// switches and is short against what systems wait for their other processors. A processor that has not come to a machine check
    /// after 200 million ticks, some 60 milliseconds, is not going to.
    pub const DEFAULT: Self = Self {
        period: 1_000_000,
        slice: 5_000_000,
        rendezvous: 200_000_000,
        corrected_limit: 100,
        empty_is_fatal: true,
        spare_pages: 16,
        log_late: false,
        mca_only: false,
        extra: Extra::NONE,
    };

    /// Reads the command line; the word that could not be understood is the error.
    pub fn parse(line: &str) -> Result<Self, &str> {
        let mut options = Self::DEFAULT;
        for word in line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("mca", "only")) => options.mca_only = true,
                Some(("log", "late")) => options.log_late = true,
                Some(("empty", "resume")) => options.empty_is_fatal = false,
                Some(("period", value)) => {
                    options.period = number(value)
                        .filter(|ticks| PERIODS.contains(ticks))
                        .ok_or(word)?
                }
                Some(("slice", value)) => {
                    options.slice = number(value)
                        .filter(|ticks| PERIODS.contains(ticks))
                        .ok_or(word)?
                }
                Some(("rendezvous", value)) => {
                    options.rendezvous = number(value).filter(|&ticks| ticks != 0).ok_or(word)?
                }
                Some(("ce", value)) => {
                    options.corrected_limit = number(value)
                        .and_then(|count| u32::try_from(count).ok())
                        .filter(|count| COUNTS.contains(count))
                        .ok_or(word)?
                }
                Some(("spare", value)) => {
                    options.spare_pages = number(value)
                        .and_then(|count| u32::try_from(count).ok())
                        .filter(|count| SPARES.contains(count))
                        .ok_or(word)?
                }
                Some(("extra", list)) => options.extra = Extra::parse(list).map_err(|_| word)?,
                // GRUB puts the file's own name first.
                None if word.starts_with('/') => {}
                _ => return Err(word),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(Options::parse(""), Ok(Options::DEFAULT));
        assert_eq!(
            Options::parse(
                " /boot/bankshot mca=only rendezvous=5 extra=cap:27,msr:0x4d0 period=0x1000 slice=4096 ce=3 spare=0 log=late empty=resume "
            ),
            Ok(Options {
                period: 4096,
                slice: 4096,
                rendezvous: 5,
                corrected_limit: 3,
                empty_is_fatal: false,
                spare_pages: 0,
                log_late: true,
                mca_only: true,
                extra: Extra::parse("cap:27,msr:0x4d0").unwrap(),
            })
        );
        for wrong in [
            "period=0",
            "period=1023",
            "period=0x80000001",
            "period=x",
            "slice=0",
            "slice=0x80000001",
            "rendezvous=0",
            "ce=4096",
            "ce=",
            "spare=257",
            "mca=all",
            "empty=fatal",
            "extra=",
            "extra=msr:0x4d0,cap:64",
            "quiet",
        ] {
            assert_eq!(Options::parse(wrong), Err(wrong));
        }
    }
}
