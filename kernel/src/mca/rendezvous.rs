//! Where the processors meet: a gate that opens with the first arrival and closes when all have come or time is up, and
//! barriers behind it for those who came.
//!
//! The gate is one word (its state, how many are expected, how many have come, the number of the rendezvous), so that every
//! step is one compare-and-exchange. Nobody joins after it has closed, so those behind it are counted once and for all.

use bitfield_struct::bitfield;

use super::mutant::{self, Mutant};
use super::scan::Here;
use super::shared::{Shared, Slot};
use super::wait::{Stuck, Wait, wait_until};
use crate::mc::event::Event;
use crate::mc::machine::Machine;
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};
use crate::units::{Pcpu, Tsc};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// No rendezvous.
    Idle,
    /// Processors are arriving.
    Open,
    /// No more may join; one of those inside makes everything ready.
    Closed,
    /// Ready.
    Running,
}

impl State {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Idle,
            1 => Self::Open,
            2 => Self::Closed,
            _ => Self::Running,
        }
    }
}

#[bitfield(u64)]
#[derive(PartialEq, Eq)]
struct Gate {
    #[bits(15)]
    arrived: u16,
    #[bits(15)]
    expected: u16,
    #[bits(2)]
    state: State,
    number: u32,
}

impl Gate {
    /// The gate of the next rendezvous, with nobody inside.
    fn next(self) -> Self {
        // 0 stands for none.
        self.with_number(self.number().wrapping_add(1).max(1))
    }

    /// The gate with one more inside; closed if that was the last.
    fn with_one_more(self) -> Self {
        let more = self.plus(Self::new().with_arrived(1));
        if more.arrived() >= more.expected() {
            more.with_state(State::Closed)
        } else {
            more
        }
    }

    /// The gate at which one more is expected.
    fn with_one_more_expected(self) -> Self {
        self.plus(Self::new().with_expected(1))
    }

    /// Adds to its counts. There are never so many processors that one overflows, and setting it to a number that is checked would leave a
    /// panic in the #MC handler.
    fn plus(self, counts: Self) -> Self {
        Self::from_bits(self.into_bits().wrapping_add(counts.into_bits()))
    }
}

/// Where those who came wait for each other.
pub(super) struct Barrier {
    count: AtomicU32,
}

/// The gate, the barriers, and what is decided behind them.
pub(super) struct Rendezvous {
    gate: AtomicU64,
    /// When the first one came.
    opened: AtomicU64,
    /// Everybody has read and graded its banks.
    pub graded: Barrier,
    /// Everybody has claimed and cleared its banks.
    pub claimed: Barrier,
    /// Everybody has flushed and is about to leave.
    pub leaving: Barrier,
    gone: AtomicU32,
    /// The worst finding: see [`super::scan::Severity`].
    pub worst: AtomicU32,
    /// The processor that recovers, plus one.
    pub recoverer: AtomicU32,
    /// Not 0: the recovery is over.
    pub recovered: AtomicU32,
    /// Number of the last rendezvous in which nobody found anything and some were missing; 0 if there was none.
    empty: AtomicU32,
    /// The processor that is about to be expected, plus one; 0 if there is none. Held in ordinary context only.
    joining: AtomicU32,
}

/// A processor's way into a rendezvous.
pub(super) enum Entry {
    /// It is one of those who came.
    Member(Member),
    /// Its rendezvous is over, or goes on without it.
    Late {
        /// Number of that rendezvous.
        missed: u32,
    },
    /// It is still being brought up, and is not expected.
    Apart,
}

/// What came of going to the gate.
enum Way {
    /// Inside; the gate as it was then.
    Inside(Gate),
    /// The number of the rendezvous that went on without this processor.
    Missed(u32),
}

/// The part of one processor in a rendezvous.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// How many came.
    pub members: u16,
    /// How many should have.
    pub expected: u16,
    /// It closed the gate.
    closed: bool,
}

impl Rendezvous {
    constructor! {
        pub fn new() -> Self {
            Self {
                gate: AtomicU64::new(0),
                opened: AtomicU64::new(0),
                graded: Barrier::new(),
                claimed: Barrier::new(),
                leaving: Barrier::new(),
                gone: AtomicU32::new(0),
                worst: AtomicU32::new(0),
                recoverer: AtomicU32::new(0),
                recovered: AtomicU32::new(0),
                empty: AtomicU32::new(0),
                joining: AtomicU32::new(0),
            }
        }
    }

    /// How many processors are expected.
    pub fn online(&self) -> u16 {
        self.read().expected()
    }

    fn read(&self) -> Gate {
        Gate::from_bits(self.gate.load(Ordering::Acquire))
    }

    fn change(&self, from: Gate, to: Gate) -> bool {
        self.gate
            .compare_exchange(from.into(), to.into(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Only the one who closed the gate, or the last to leave, may do so: nobody else changes it then.
    fn set(&self, gate: Gate) {
        self.gate.store(gate.into(), Ordering::Release);
    }

    /// Nobody has found anything in the rendezvous that goes on, but some are missing.
    pub fn found_nothing(&self) {
        self.empty.store(self.read().number(), Ordering::Relaxed);
    }

    /// Whether nobody found anything in rendezvous `number`. Under the turn to recover.
    pub fn has_found_nothing(&self, number: u32) -> bool {
        number != 0 && self.empty.load(Ordering::Relaxed) == number
    }

    /// Expects this processor from the next rendezvous on. Waits while there is one. Ordinary context, which an #MC may interrupt.
    pub fn admit<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M, slot: &Slot) {
        let this = &shared.rendezvous;
        let me = u32::from(machine.processor().0) + 1;
        let take = || {
            this.joining
                .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
        };
        while take().is_err() {
            machine.relax();
        }
        loop {
            // Others may still be on their way to the gate with the #MC that this one has handled already.
            let apart = slot.apart.load(Ordering::Relaxed);
            let is_over = apart == 0 || machine.now().since(Tsc(apart)) > shared.config().timeout;
            let gate = this.read();
            if is_over
                && gate.state() == State::Idle
                && this.change(gate, gate.with_one_more_expected())
            {
                break;
            }
            machine.relax();
        }
        slot.online.store(true, Ordering::Release);
        this.joining.store(0, Ordering::Release);
    }

    /// Whether the others wait for this processor, seen from its #MC, which may have interrupted [`Rendezvous::admit`] anywhere.
    #[inline(always)]
    fn is_expected<const P: usize>(shared: &Shared<P>, processor: Pcpu, slot: &Slot) -> bool {
        slot.online.load(Ordering::Relaxed) || Self::has_been_admitted(shared, processor, slot)
    }

    /// It is expected, and has not yet said so itself: the gate counts one more than have.
    #[cold]
    #[inline(never)]
    fn has_been_admitted<const P: usize>(shared: &Shared<P>, processor: Pcpu, slot: &Slot) -> bool {
        let this = &shared.rendezvous;
        // One joins at a time, so that who else has joined has said so.
        let is_joining = this.joining.load(Ordering::Relaxed) == u32::from(processor.0) + 1;
        let is_admitted = is_joining && usize::from(this.online()) > shared.online().count();
        if is_admitted {
            slot.online.store(true, Ordering::Release);
        }
        is_admitted
    }

    /// This processor handles a machine check by itself, for it is not expected yet. The others may still be on their way.
    pub fn stay_apart<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
        if let Some(slot) = shared.slot(machine.processor()) {
            slot.apart.store(machine.now().0.max(1), Ordering::Relaxed);
        }
        // Should this have interrupted `admit` after its look at the time, it looks again.
        let gate = shared.rendezvous.read();
        if gate.state() == State::Idle {
            let _ = shared.rendezvous.change(gate, gate.next());
        }
    }

    /// Joins the rendezvous of this machine check, and waits until all have come or time is up.
    pub fn enter<M: Machine, const P: usize>(
        shared: &Shared<P>,
        machine: &M,
        here: &Here,
    ) -> Result<Entry, Stuck> {
        let this = &shared.rendezvous;
        let processor = machine.processor();
        let slot = shared.slot(processor);
        let Some(slot) = slot.filter(|slot| Self::is_expected(shared, processor, slot)) else {
            return Ok(Entry::Apart);
        };
        let gate = match this.join(shared, machine, slot)? {
            Way::Inside(gate) => gate,
            Way::Missed(missed) => return Ok(Entry::Late { missed }),
        };
        if gate.state() == State::Closed {
            return this.make_ready(shared, machine, gate).map(Entry::Member);
        }
        this.await_the_others(shared, machine, here)
    }

    /// Waits until all have come, or closes the gate when time is up.
    fn await_the_others<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        here: &Here,
    ) -> Result<Entry, Stuck> {
        let this = self;
        here.tell(machine);
        let is_ready = || this.read().state() == State::Running;
        let mut wait = Wait::for_arrival(shared, machine);
        while wait.until(is_ready).is_err() {
            let gate = this.read();
            if gate.state() != State::Open {
                // Another one has closed it.
                wait_until(shared, machine, is_ready)?;
                break;
            }
            let closed = gate.with_state(State::Closed);
            if this.change(gate, closed) {
                return this.make_ready(shared, machine, closed).map(Entry::Member);
            }
        }
        Ok(Entry::Member(Member::of(this.read())))
    }

    /// Goes through the gate, or finds out that it is too late.
    fn join<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        slot: &Slot,
    ) -> Result<Way, Stuck> {
        // For those who have still to leave the one before, should it come to that: one of them may have died there.
        let mut leaving = None;
        loop {
            let gate = self.read();
            let missed = slot.missing.load(Ordering::Acquire);
            let before = slot.joined.load(Ordering::Relaxed);
            let next = match gate.state() {
                State::Open => gate.with_one_more(),
                // This machine check was announced to a rendezvous that has gone on without this processor.
                State::Idle if missed != 0 => return Ok(Way::Missed(missed)),
                State::Idle => {
                    self.opened.store(machine.now().0, Ordering::Relaxed);
                    gate.next().with_state(State::Open).with_one_more()
                }
                State::Closed | State::Running if before != gate.number() => {
                    return Ok(Way::Missed(gate.number()));
                }
                // This processor has left that one and the others are about to: a new machine check is next.
                State::Closed | State::Running => {
                    machine.relax();
                    leaving
                        .get_or_insert_with(|| Wait::new(shared, machine))
                        .step()?;
                    continue;
                }
            };
            // First, for whoever closes the gate looks who has not joined.
            slot.joined.store(next.number(), Ordering::Release);
            if self.change(gate, next) {
                slot.missing.store(0, Ordering::Relaxed);
                return Ok(Way::Inside(next));
            }
            slot.joined.store(before, Ordering::Relaxed);
        }
    }

    /// The processor that closed the gate makes everything ready for those inside.
    #[inline(always)]
    fn make_ready<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        gate: Gate,
    ) -> Result<Member, Stuck> {
        let member = Member {
            closed: true,
            ..Member::of(gate)
        };
        if member.some_are_missing() {
            for (_, slot) in shared.online() {
                if slot.joined.load(Ordering::Acquire) != gate.number() {
                    slot.missing.store(gate.number(), Ordering::Release);
                }
            }
        }
        shared.recovery.take(shared, machine)?;
        shared.serial.fetch_add(1, Ordering::Relaxed);
        self.set(gate.with_state(State::Running));
        Ok(member)
    }

    /// A processor that missed a rendezvous is here after all, and has waited for the end of it.
    pub fn make_good<const P: usize>(shared: &Shared<P>, processor: Pcpu, missed: u32) {
        if let Some(slot) = shared.slot(processor) {
            // It may have missed another one meanwhile.
            let _ = slot
                .missing
                .compare_exchange(missed, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// A processor that may have missed a rendezvous is in ordinary context: no #MC is on its way to it any more, and the next one is
    /// a new one. While the rendezvous goes on it still counts as missing, and is kicked. Returns whether it counts so no longer.
    pub fn seen_at_work<const P: usize>(shared: &Shared<P>, processor: Pcpu) -> bool {
        let Some(slot) = shared.slot(processor) else {
            return true;
        };
        let missed = slot.missing.load(Ordering::Acquire);
        if missed == 0 {
            return true;
        }
        let is_over = shared.rendezvous.read().state() == State::Idle;
        if is_over {
            Self::make_good(shared, processor, missed);
        }
        is_over
    }

    /// Leaves. The last one to do so makes the place ready for the next rendezvous.
    pub fn leave<const P: usize>(shared: &Shared<P>, member: Member) {
        let this = &shared.rendezvous;
        if this.gone.fetch_add(1, Ordering::AcqRel) + 1 < u32::from(member.members) {
            return;
        }
        this.gone.store(0, Ordering::Relaxed);
        for barrier in [&this.graded, &this.claimed, &this.leaving] {
            barrier.count.store(0, Ordering::Relaxed);
        }
        this.worst.store(0, Ordering::Relaxed);
        this.recoverer.store(0, Ordering::Relaxed);
        this.recovered.store(0, Ordering::Relaxed);
        shared.pool.clear();
        shared.recovery.give();
        this.set(this.read().with_arrived(0).with_state(State::Idle));
    }
}

impl Member {
    fn of(gate: Gate) -> Self {
        Self {
            members: gate.arrived(),
            expected: gate.expected(),
            closed: false,
        }
    }

    /// What the one that closed the gate has to say, once nobody waits for it any more. Who has waited for those who are missing has said already that
    /// it has entered.
    #[inline(always)]
    pub fn tell<M: Machine, const P: usize>(self, shared: &Shared<P>, machine: &M, here: &Here) {
        if self.closed {
            let opened = Tsc(shared.rendezvous.opened.load(Ordering::Relaxed));
            let ticks = machine.now().since(opened);
            let some_are_missing = self.some_are_missing();
            if !some_are_missing {
                here.tell(machine);
            }
            machine.emit(Event::Rendezvous {
                expected: self.expected,
                arrived: self.members,
                ticks,
            });
            if some_are_missing {
                missing(shared).for_each(|processor| machine.emit(Event::Missing { processor }));
            }
        }
    }

    /// Some did not come.
    pub fn some_are_missing(self) -> bool {
        self.members < self.expected
    }
}

impl Barrier {
    constructor! {
        fn new() -> Self {
            Self { count: AtomicU32::new(0) }
        }
    }

    /// This processor has come here.
    #[inline(always)]
    pub fn arrive(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits until every member has come here.
    #[inline(always)]
    pub fn wait<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        member: Member,
    ) -> Result<(), Stuck> {
        let all = u32::from(member.members) - u32::from(mutant::is(Mutant::LeavesEarly));
        wait_until(shared, machine, || {
            self.count.load(Ordering::Acquire) >= all
        })
    }
}

/// The processors that did not come to their last rendezvous.
pub(super) fn missing<const P: usize>(shared: &Shared<P>) -> impl Iterator<Item = Pcpu> {
    shared
        .online()
        .filter(|(_, slot): &(Pcpu, &Slot)| slot.missing.load(Ordering::Acquire) != 0)
        .map(|(processor, _)| processor)
}

/// Whether that processor did not come to its last rendezvous and has not been seen since: nobody knows whether it does anything any more.
pub fn is_missing<const P: usize>(shared: &Shared<P>, processor: Pcpu) -> bool {
    missing(shared).any(|it| it == processor)
}

/// The processors that are not in the rendezvous that goes on: those that are missing, and those that came too late, by now
/// perhaps at work again.
pub(super) fn absent<const P: usize>(shared: &Shared<P>) -> impl Iterator<Item = Pcpu> {
    let number = shared.rendezvous.read().number();
    shared
        .online()
        .filter(move |(_, slot): &(Pcpu, &Slot)| slot.joined.load(Ordering::Acquire) != number)
        .map(|(processor, _)| processor)
}
