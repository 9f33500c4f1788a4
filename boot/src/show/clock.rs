//! What time of day an event was, by the log's own clock event.

use std::time::{Duration, SystemTime};

use crate::log::Event;

/// What a log has said of its clocks so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    known: Option<Known>,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
struct Known {
    boot: u32,
    ticks: u64,
    /// Seconds since 1970.
    unix: u64,
    khz: u64,
}

impl Clock {
    /// Takes what an event says of the clocks; most say nothing.
    pub fn hear(&mut self, event: &Event) {
        if event.kind != "hypervisor.clock" {
            return;
        }
        let number = |field| event.number(field).filter(|number| *number != 0);
        self.known =
            event
                .t
                .zip(number("unix"))
                .zip(number("tsc_khz"))
                .map(|((ticks, unix), khz)| Known {
                    boot: event.boot,
                    ticks,
                    unix,
                    khz,
                });
    }

    /// When an event was. `None` where the log does not say: before the clock event of its boot, and where the machine has no such clocks.
    pub fn when(&self, event: &Event) -> Option<SystemTime> {
        let known = self.known.filter(|known| known.boot == event.boot)?;
        let since = event.t?.checked_sub(known.ticks)?;
        let nanoseconds = u128::from(since) * 1_000_000 / u128::from(known.khz);
        let since = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
        moment(Duration::from_secs(known.unix).checked_add(since)?)
    }
}

/// So long after 1970; `None` beyond the year 9999, which RFC 3339 cannot write.
pub fn moment(since: Duration) -> Option<SystemTime> {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    (since < YEAR_10000).then(|| SystemTime::UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    fn event(t: u64, boot: u32, text: &str) -> Event {
        let event = Event::parse(text, Some(t), Level::Info);
        Event { boot, ..event }
    }

    #[test]
    fn ticks_since_the_clock_event_are_time_since_then() {
        let mut clock = Clock::default();
        let at = |clock: &Clock, t, boot| {
            let when = clock.when(&event(t, boot, "mc.late cpu=0"));
            when.map(|when| when.duration_since(SystemTime::UNIX_EPOCH).unwrap())
        };
        assert_eq!(at(&clock, 5, 1), None);
        let text = "hypervisor.clock cpu=0 tsc_khz=3000000 source=cpuid unix=1700000000";
        clock.hear(&event(3_000_000, 1, text));
        let seconds = Duration::from_secs(1_700_000_000);
        assert_eq!(at(&clock, 3_000_000, 1), Some(seconds));
        let later = Duration::from_micros(1500);
        assert_eq!(at(&clock, 7_500_000, 1), Some(seconds + later));
        // A year at 3 GHz: a double would have lost 16 ticks.
        let year = Duration::from_secs(365 * 86_400);
        let ticks = 3_000_000 + 365 * 86_400 * 3_000_000_000;
        assert_eq!(at(&clock, ticks, 1), Some(seconds + year));
        assert_eq!(at(&clock, 2_999_999, 1), None);
        // The next boot has a clock event of its own.
        assert_eq!(at(&clock, 7_500_000, 2), None);
        clock.hear(&event(
            0,
            2,
            "hypervisor.clock cpu=0 tsc_khz=0 source=none unix=1",
        ));
        assert_eq!(at(&clock, 7_500_000, 2), None);
        clock.hear(&event(0, 2, &text.replace("1700000000", "253402300799")));
        assert!(at(&clock, 2_999_999_999, 2).is_some());
        assert_eq!(at(&clock, 3_000_000_000, 2), None);
    }
}
