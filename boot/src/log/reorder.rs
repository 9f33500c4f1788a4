//! Puts events in the order of time for display.
//!
//! In #MC context each processor writes to a ring of its own, and the rings reach the log later, one after the other. So an
//! event is held for a moment, in case an earlier one follows.

use std::time::{Duration, Instant};

use super::event::Event;

/// How long an event is held.
pub const HOLD: Duration = Duration::from_millis(60);

/// Events that are held.
#[derive(Debug, Default)]
pub struct Reorder {
    held: Vec<(Instant, Event)>,
}

impl Reorder {
    /// Takes an event that arrived at `now`.
    pub fn push(&mut self, now: Instant, event: Event) {
        // From the back: events come almost in order. One without a time stays where it is.
        let place = self
            .held
            .iter()
            .rposition(|(_, held)| held.t <= event.t || event.t.is_none())
            .map_or(0, |before| before + 1);
        self.held.insert(place, (now, event));
    }

    /// The events that were held long enough, and those before them.
    pub fn ready(&mut self, now: Instant) -> Vec<Event> {
        let ripe = self
            .held
            .iter()
            .rposition(|(since, _)| now.duration_since(*since) >= HOLD)
            .map_or(0, |last| last + 1);
        self.take(ripe)
    }

    /// Everything that is held.
    pub fn rest(&mut self) -> Vec<Event> {
        self.take(self.held.len())
    }

    fn take(&mut self, count: usize) -> Vec<Event> {
        self.held.drain(..count).map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Level;
    use super::*;

    fn event(t: u64) -> Event {
        Event::parse("a.b", Some(t), Level::Info)
    }

    #[test]
    fn an_earlier_event_overtakes_one_that_is_held() {
        let start = Instant::now();
        let mut order = Reorder::default();
        for t in [10, 30, 20, 40, 20] {
            order.push(start, event(t));
        }
        assert!(order.ready(start + HOLD / 2).is_empty());
        let times: Vec<_> = order
            .ready(start + HOLD)
            .iter()
            .filter_map(|e| e.t)
            .collect();
        assert_eq!(times, [10, 20, 20, 30, 40]);
    }

    #[test]
    fn a_late_event_does_not_hold_back_ripe_ones() {
        let start = Instant::now();
        let mut order = Reorder::default();
        order.push(start, event(10));
        order.push(start + HOLD, event(20));
        assert_eq!(order.ready(start + HOLD).len(), 1);
        assert_eq!(order.rest().len(), 1);
    }
}
