//! What puts an event on a clock: how long a tick of the time stamp counter is, and what time of day it was at one of them.

/// Where the rate of the time stamp counter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The processor says so (CPUID).
    Cpuid,
    /// Measured against the timer of the PC/AT.
    Timer,
    /// Neither: nobody knows.
    None,
}

impl Source {
    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cpuid => "cpuid",
            Self::Timer => "timer",
            Self::None => "none",
        }
    }
}

/// The rate of the time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In thousand ticks a second; 0 where nobody knows.
    pub khz: u64,
    /// Where that comes from.
    pub source: Source,
}

impl Rate {
    /// By what CPUID says of the crystal ([`by_crystal`]) and of the base frequency ([`by_base`]), and by what was measured.
    ///
    /// The crystal's rate is exact, but not of this machine where an emulator's counter runs at a rate of its own: it counts where what was
    /// measured is not farther from it than one part in 16, or nothing was. The base frequency is a round number near the counter's rate, and
    /// counts only where there is nothing better.
    pub fn choose(crystal: Option<u64>, base: Option<u64>, measured: Option<u64>) -> Self {
        const PART: u64 = 16;
        let is_far = |exact: u64| measured.is_some_and(|it| exact.abs_diff(it) > exact / PART);
        let exact = crystal.filter(|&exact| !is_far(exact));
        let (khz, source) = match (exact, measured, base) {
            (Some(khz), ..) | (None, None, Some(khz)) => (khz, Source::Cpuid),
            (None, Some(khz), _) => (khz, Source::Timer),
            (None, None, None) => (0, Source::None),
        };
        Self { khz, source }
    }
}

/// The rate in kHz that CPUID gives by the crystal's rate and a ratio: EAX, EBX and ECX of leaf 0x15 (SDM vol. 3, "Determining the Processor Base
/// Frequency"). `None` where it leaves one of them out.
pub fn by_crystal(leaf: [u32; 3]) -> Option<u64> {
    let [denominator, numerator, hertz] = leaf.map(u64::from);
    let khz = (numerator * hertz).checked_div(denominator * 1000);
    khz.filter(|khz| *khz != 0)
}

/// The base frequency in kHz: EAX of leaf 0x16, whole MHz.
pub fn by_base(leaf: u32) -> Option<u64> {
    let mhz = u64::from(leaf & 0xffff);
    (mhz != 0).then_some(mhz * 1000)
}

/// What the real-time clock's registers hold (MC146818).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealTime {
    /// Seconds, minutes, hours, day, month, year in its century: registers 0, 2, 4, 7, 8, 9.
    pub registers: [u8; 6],
    /// Register B: how they are to be read.
    pub status: u8,
}

impl RealTime {
    /// Seconds since 1970, of a clock that has UTC and a year from 2000 to 2099. `None` if it holds no time.
    pub fn unix(self) -> Option<u64> {
        const BINARY: u8 = 1 << 2;
        const TWENTY_FOUR: u8 = 1 << 1;
        const AFTERNOON: u8 = 1 << 7;
        let number = |value: u8| match (self.status & BINARY != 0, value >> 4, value & 15) {
            (true, ..) => Some(u64::from(value)),
            (false, tens @ ..10, ones @ ..10) => Some(u64::from(tens * 10 + ones)),
            _ => None,
        };
        let [second, minute, hour, day, month, year] = self.registers;
        let hour = if self.status & TWENTY_FOUR != 0 {
            number(hour)?
        } else {
            let twelve = number(hour & !AFTERNOON)?;
            if !(1..=12).contains(&twelve) {
                return None;
            }
            twelve % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 }
        };
        let (second, minute) = (number(second)?, number(minute)?);
        let days = days(number(year)?, number(month)?, number(day)?)?;
        let is_time = second < 60 && minute < 60 && hour < 24;
        is_time.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}

/// Days from 1970 to that one of the year 2000 + `year`. In those years every fourth is a leap year.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const TO_2000: u64 = 10_957;
    /// Of a leap year, before each month.
    const BEFORE: [u64; 13] = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366];
    let place = usize::try_from(month.checked_sub(1)?).ok()?;
    let (before, after) = (BEFORE.get(place)?, BEFORE.get(place + 1)?);
    if year > 99 || day == 0 || day > after - before {
        return None;
    }
    let leap_days = year.div_ceil(4);
    let this_february = u64::from(month > 2 && !year.is_multiple_of(4));
    Some(TO_2000 + year * 365 + leap_days + before + day - 1 - this_february)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuid_says_the_rate_by_its_crystal_and_a_round_number_besides() {
        // A processor with a crystal of 24 MHz and a ratio of 250 to 2.
        assert_eq!(by_crystal([2, 250, 24_000_000]), Some(3_000_000));
        assert_eq!(by_crystal([2, 250, 0]), None);
        assert_eq!(by_crystal([0, 250, 24_000_000]), None);
        assert_eq!(by_crystal([u32::MAX; 3]), Some(u64::from(u32::MAX) / 1000));
        assert_eq!(by_base(2100), Some(2_100_000));
        assert_eq!(by_base(0xffff_0000), None);
    }

    #[test]
    fn the_crystals_rate_counts_unless_the_counter_runs_otherwise() {
        let choose = |crystal, base, measured| {
            let Rate { khz, source } = Rate::choose(crystal, base, measured);
            (khz, source.word())
        };
        const CRYSTAL: Option<u64> = Some(2_904_000);
        const BASE: Option<u64> = Some(2_900_000);
        const NEAR: Option<u64> = Some(2_903_800);
        const FAR: Option<u64> = Some(100_000);
        assert_eq!(choose(CRYSTAL, BASE, NEAR), (2_904_000, "cpuid"));
        assert_eq!(choose(CRYSTAL, BASE, None), (2_904_000, "cpuid"));
        assert_eq!(choose(CRYSTAL, BASE, FAR), (100_000, "timer"));
        assert_eq!(choose(None, BASE, NEAR), (2_903_800, "timer"));
        assert_eq!(choose(None, BASE, None), (2_900_000, "cpuid"));
        assert_eq!(choose(None, None, FAR), (100_000, "timer"));
        assert_eq!(choose(None, None, None), (0, "none"));
    }

    #[test]
    fn a_time_of_day_is_seconds_since_1970() {
        let unix = |registers, status| RealTime { registers, status }.unix();
        // `date -u -d '2026-11-22 23:59:58' +%s`, in each form.
        const SECONDS: Option<u64> = Some(1_795_391_998);
        assert_eq!(unix([0x58, 0x59, 0x23, 0x22, 0x11, 0x26], 2), SECONDS);
        assert_eq!(unix([58, 59, 23, 22, 11, 26], 6), SECONDS);
        assert_eq!(unix([0x58, 0x59, 0x91, 0x22, 0x11, 0x26], 0), SECONDS);
        assert_eq!(unix([58, 59, 0x80 | 11, 22, 11, 26], 4), SECONDS);
        // Midnight and noon of a clock with twelve hours; leap days.
        assert_eq!(unix([0, 0, 0x12, 1, 1, 0], 0), Some(946_684_800));
        assert_eq!(unix([0, 0, 0x92, 1, 1, 0], 0), Some(946_684_800 + 43_200));
        assert_eq!(unix([0, 0, 0, 0x29, 2, 0x24], 2), Some(1_709_164_800));
        assert_eq!(unix([0, 0, 0, 1, 3, 0x24], 2), Some(1_709_251_200));
        assert_eq!(unix([0, 0, 0, 1, 3, 0x25], 2), Some(1_740_787_200));
        assert_eq!(unix([59, 59, 23, 31, 12, 99], 6), Some(4_102_444_799));
    }

    #[test]
    fn what_is_no_time_of_day_is_none() {
        let unix = |registers, status| RealTime { registers, status }.unix();
        for (registers, status) in [
            ([0xff; 6], 0xff),
            ([0; 6], 2),
            ([0x60, 0, 0, 1, 1, 0], 2),
            ([0, 0, 0x24, 1, 1, 0], 2),
            ([0, 0, 0x13, 1, 1, 0], 0),
            ([0, 0, 0, 1, 1, 0], 0),
            ([0, 0, 0, 0x32, 1, 0], 2),
            ([0, 0, 0, 1, 0x13, 0], 2),
            ([0, 0, 0, 1, 0x0a, 0], 2),
            ([0, 0, 0, 1, 1, 100], 6),
            ([0, 0, 0, 30, 2, 4], 6),
        ] {
            assert_eq!(unix(registers, status), None, "{registers:x?} {status:x}");
        }
    }
}
