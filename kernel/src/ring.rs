//! A processor's ring of events: written without locks in any context of that processor, drained in ordinary context.
//!
//! An #MC or NMI may come in the middle of a write and write too. Each writer takes a slot of its own first and marks it
//! written last; the reader stops at a slot that is not yet written. What does not fit is counted.

use crate::mc::event::{Event, FIELDS, Stamped};
use crate::sync::{AtomicU64, Ordering, constructor};
use crate::units::{Pcpu, Tsc};

/// A cache line.
#[repr(C, align(64))]
struct Slot {
    /// [`stamp`] of the event in it; an older one while it is being written.
    written: AtomicU64,
    at: AtomicU64,
    fields: [AtomicU64; FIELDS],
}

/// Number and row of an event in one word. The number counts from 1, so that no event's is 0.
fn stamp(number: u64, row: u8) -> u64 {
    (number + 1) << 8 | u64::from(row)
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self {
                written: AtomicU64::new(0),
                at: AtomicU64::new(0),
                fields: [
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                ],
            }
        }
    }
}

/// The events of one processor that nobody has read yet, `N` at most.
pub struct EventRing<const N: usize> {
    slots: [Slot; N],
    /// Events taken out so far, and as many as there are slots: the number that the next event must stay below.
    limit: AtomicU64,
    /// Events put in (or being put in) so far.
    tail: AtomicU64,
    lost: AtomicU64,
}

impl<const N: usize> EventRing<N> {
    /// An empty ring.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; N],
            limit: AtomicU64::new(N as u64),
            tail: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// An empty ring.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            slots: core::array::from_fn(|_| Slot::new()),
            limit: AtomicU64::new(N as u64),
            tail: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Keeps an event, or counts it as lost. Only the processor that owns the ring calls this, in any context.
    ///
    /// Inlined, so that of the whole table only the stores of one kind remain.
    #[inline(always)]
    pub fn emit(&self, at: Tsc, event: Event) {
        match self.take_slots(1) {
            Some(number) => self.write(number, at, event),
            None => _ = self.lost.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Keeps three events of one moment, for less than three calls of [`EventRing::emit`] take.
    #[inline(always)]
    pub fn emit_three(&self, at: Tsc, [first, second, third]: [Event; 3]) {
        match self.take_slots(3) {
            Some(number) => {
                self.write(number, at, first);
                self.write(number + 1, at, second);
                self.write(number + 2, at, third);
            }
            None => self.emit_apart(at, [first, second, third]),
        }
    }

    /// There may still be room for one or two.
    #[cold]
    fn emit_apart(&self, at: Tsc, events: [Event; 3]) {
        events.into_iter().for_each(|event| self.emit(at, event));
    }

    /// Writes the event of that number, whose slot has been taken for it.
    #[inline(always)]
    fn write(&self, number: u64, at: Tsc, event: Event) {
        let Some(slot) = self.slots.get((number % N as u64) as usize) else {
            return;
        };
        slot.at.store(at.0, Ordering::Relaxed);
        event.each_word(|place, word| {
            if let Some(place) = slot.fields.get(place) {
                place.store(word, Ordering::Relaxed);
            }
        });
        slot.written
            .store(stamp(number, event.row()), Ordering::Release);
    }

    /// Takes slots in a row, and returns the number of the first one's event; none if there are not so many.
    #[inline(always)]
    fn take_slots(&self, count: u64) -> Option<u64> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let next = tail + count;
            if next > self.limit.load(Ordering::Acquire) {
                return None;
            }
            match self
                .tail
                .compare_exchange(tail, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(tail),
                Err(now) => tail = now,
            }
        }
    }

    /// Takes the oldest event out. `on` is the processor that owns the ring. One reader at a time.
    pub fn take(&self, on: Pcpu) -> Option<Stamped> {
        let mut taken = None;
        self.hand_over(on, |stamped| taken = Some(*stamped));
        taken
    }

    /// Gives the oldest event to `write`, and takes it out when that is done: a reader that is halted in between has not taken it, and the
    /// next one finds it again. One reader at a time; false if there is none.
    pub fn hand_over(&self, on: Pcpu, write: impl FnOnce(&Stamped)) -> bool {
        let first = self.first(on);
        if let Some(stamped) = &first {
            write(stamped);
            let limit = self.limit.load(Ordering::Relaxed);
            self.limit.store(limit + 1, Ordering::Release);
        }
        first.is_some()
    }

    /// The oldest event.
    fn first(&self, on: Pcpu) -> Option<Stamped> {
        let limit = self.limit.load(Ordering::Relaxed);
        let head = limit - N as u64;
        let slot = self.slots.get((head % N as u64) as usize)?;
        let written = slot.written.load(Ordering::Acquire);
        let row = written as u8;
        if written != stamp(head, row) {
            return None;
        }
        let at = Tsc(slot.at.load(Ordering::Relaxed));
        let mut words = [0; FIELDS];
        for (word, place) in words.iter_mut().zip(&slot.fields) {
            *word = place.load(Ordering::Relaxed);
        }
        let event = Event::from_words(row, words)?;
        Some(Stamped { at, on, event })
    }

    /// Gives up the oldest event if its writer has not come to the end, and counts it as lost: the writer is halted for ever, and what it
    /// was interrupted by may have kept events behind it. One reader at a time; false if there is no such event.
    pub fn give_up_unwritten(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let is_taken = limit - (N as u64) < self.tail.load(Ordering::Acquire);
        if is_taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.limit.store(limit + 1, Ordering::Release);
        }
        is_taken
    }

    /// Gives up the oldest events until no more than `count` are left, and counts them as lost. One reader at a time.
    pub fn keep_newest(&self, count: u64) {
        let limit = self.limit.load(Ordering::Relaxed);
        let kept = self.tail.load(Ordering::Acquire) + N as u64 - limit;
        let given_up = kept.saturating_sub(count);
        self.lost.fetch_add(given_up, Ordering::Relaxed);
        self.limit.store(limit + given_up, Ordering::Release);
    }

    /// How many events were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        // Most calls find none: spare them the locked instruction.
        if self.lost.load(Ordering::Relaxed) == 0 {
            0
        } else {
            self.lost.swap(0, Ordering::Relaxed)
        }
    }
}

impl<const N: usize> Default for EventRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::units::Bank;

    fn event(n: u64) -> Event {
        Event::BankError {
            bank: Bank(n as u8),
            class: crate::mc::grade::Class::Srao,
            code: crate::mc::code::ErrorCode(0xcf),
            status: n,
            addr: n + 1,
            misc: n + 2,
        }
    }

    #[test]
    fn first_in_first_out_over_many_turns() {
        let ring = EventRing::<4>::new();
        for turn in 0..10 {
            for n in 0..3 {
                ring.emit(Tsc(turn * 10 + n), event(n));
            }
            for n in 0..3 {
                let got = ring.take(Pcpu(7)).expect("kept");
                assert_eq!(
                    got,
                    Stamped {
                        at: Tsc(turn * 10 + n),
                        on: Pcpu(7),
                        event: event(n)
                    }
                );
            }
            assert_eq!(ring.take(Pcpu(7)), None);
        }
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_oldest_stay() {
        let ring = EventRing::<4>::new();
        for n in 0..10 {
            ring.emit(Tsc(n), event(n));
        }
        assert_eq!(ring.take_lost(), 6);
        assert_eq!(ring.take_lost(), 0);
        let kept: Vec<_> = core::iter::from_fn(|| ring.take(Pcpu(0)))
            .map(|e| e.at.0)
            .collect();
        assert_eq!(kept, [0, 1, 2, 3]);
    }

    /// However many slots are left, what fits is kept in order, and the others are counted: three of one moment too.
    #[test]
    fn of_three_at_once_as_many_are_kept_as_fit() {
        for free in 0..=4 {
            let ring = EventRing::<4>::new();
            (0..4 - free).for_each(|n| ring.emit(Tsc(n), event(n)));
            ring.emit_three(Tsc(9), [event(10), event(11), event(12)]);
            let read = || core::iter::from_fn(|| ring.take(Pcpu(0)));
            let kept: Vec<_> = read().map(|e| (e.at.0, e.event)).collect();
            let before = (0..4 - free).map(|n| (n, event(n)));
            let of_three = (10..13).take(free as usize).map(|n| (9, event(n)));
            let expected: Vec<_> = before.chain(of_three).collect();
            assert_eq!(kept, expected, "{free} free");
            assert_eq!(ring.take_lost(), 3_u64.saturating_sub(free), "{free} free");
        }
    }

    #[test]
    fn the_newest_are_kept_and_the_others_counted() {
        let ring = EventRing::<4>::new();
        (0..4).for_each(|n| ring.emit(Tsc(n), event(n)));
        ring.keep_newest(7);
        assert_eq!(ring.take(Pcpu(0)).map(|event| event.at.0), Some(0));
        ring.keep_newest(2);
        let kept: Vec<_> = core::iter::from_fn(|| ring.take(Pcpu(0)))
            .map(|event| event.at.0)
            .collect();
        assert_eq!((kept, ring.take_lost()), (vec![2, 3], 1));
    }

    #[test]
    fn what_a_reader_was_halted_with_is_read_again() {
        let ring = EventRing::<4>::new();
        (1..3).for_each(|n| ring.emit(Tsc(n), event(n)));
        let halts = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ring.hand_over(Pcpu(0), |_| panic!("halted"))
        }));
        assert!(halts.is_err());
        let read: Vec<_> = core::iter::from_fn(|| ring.take(Pcpu(0)))
            .map(|event| event.at.0)
            .collect();
        assert_eq!((read, ring.take_lost()), (vec![1, 2], 0));
    }

    #[test]
    fn what_was_halted_in_the_middle_is_counted_and_the_rest_is_read() {
        let ring = EventRing::<4>::new();
        ring.emit(Tsc(1), event(1));
        // The writer is interrupted by the machine check that halts it, which says what it found.
        ring.take_slots(1).expect("room");
        ring.emit(Tsc(3), event(3));
        let read = || core::iter::from_fn(|| ring.take(Pcpu(0))).map(|e| e.at.0);
        assert_eq!(read().collect::<Vec<_>>(), [1]);
        assert!(ring.give_up_unwritten());
        assert_eq!(read().collect::<Vec<_>>(), [3]);
        assert_eq!(ring.take_lost(), 1);
        assert!(!ring.give_up_unwritten(), "nothing is left");
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn an_interrupt_in_the_middle_of_a_write_may_write() {
        let ring = EventRing::<4>::new();
        ring.emit(Tsc(1), event(1));
        // The outer writer has its slot, and is interrupted.
        let number = ring.take_slots(1).expect("room");
        let slot = &ring.slots[number as usize];
        ring.emit(Tsc(3), event(3));
        assert_eq!(ring.take(Pcpu(0)).expect("before it").at, Tsc(1));
        assert_eq!(
            ring.take(Pcpu(0)),
            None,
            "the reader waits for the outer writer"
        );
        slot.at.store(2, Ordering::Relaxed);
        let row = Event::Resumed {}.row();
        slot.written.store(stamp(number, row), Ordering::Release);
        assert_eq!(
            ring.take(Pcpu(0)).map(|e| (e.at, e.event)),
            Some((Tsc(2), Event::Resumed {}))
        );
        assert_eq!(
            ring.take(Pcpu(0)).map(|e| (e.at, e.event)),
            Some((Tsc(3), event(3)))
        );
    }
}
