//! Where the processors meet: a gate that opens with the first arrival and closes when all have come or time is up, and
//! barriers behind it for those who came.
//!
//! The gate is one word (its state, how many are expected, how many have come, the number of the rendezvous), so that every
//! step is one compare-and-exchange. Nobody joins after it has closed, so those behind it are counted once and for all.

use super::machine::Machine;
use super::mutant::{self, Mutant};
use super::shared::{Shared, Slot};
use super::wait::{Stuck, Wait, wait_until};
use crate::event::Event;
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};
use crate::units::Pcpu;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    number: u32,
    state: State,
    expected: u16,
    arrived: u16,
}

/// Bits of a count of processors in the gate's word.
const COUNT: u32 = 15;
const COUNT_MASK: u64 = (1 << COUNT) - 1;

impl Gate {
    fn from_word(word: u64) -> Self {
        Self {
            number: (word >> 32) as u32,
            state: match word >> (2 * COUNT) & 3 {
                0 => State::Idle,
                1 => State::Open,
                2 => State::Closed,
                _ => State::Running,
            },
            expected: (word >> COUNT & COUNT_MASK) as u16,
            arrived: (word & COUNT_MASK) as u16,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.number) << 32
            | (self.state as u64) << (2 * COUNT)
            | u64::from(self.expected) << COUNT
            | u64::from(self.arrived)
    }

    /// The gate with one more inside; closed if that was the last.
    fn with_one_more(self) -> Self {
        let arrived = self.arrived + 1;
        let state = if arrived >= self.expected {
            State::Closed
        } else {
            State::Open
        };
        Self {
            arrived,
            state,
            ..self
        }
    }
}

/// Where those who came wait for each other.
pub(super) struct Barrier {
    count: AtomicU32,
}

/// The gate, the barriers, and what is decided behind them.
pub(super) struct Rendezvous {
    gate: AtomicU64,
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
}

/// A processor's way into a rendezvous.
pub(super) enum Entry {
    /// It is one of those who came.
    Member(Member),
    /// Its rendezvous is over, or goes on without it.
    Late {
        /// Number of that rendezvous; 0 if it was never expected.
        missed: u32,
    },
}

/// The part of one processor in a rendezvous.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// How many came.
    pub members: u16,
    /// How many should have.
    pub expected: u16,
}

impl Rendezvous {
    constructor! {
        pub fn new() -> Self {
            Self {
                gate: AtomicU64::new(0),
                graded: Barrier::new(),
                claimed: Barrier::new(),
                leaving: Barrier::new(),
                gone: AtomicU32::new(0),
                worst: AtomicU32::new(0),
                recoverer: AtomicU32::new(0),
                recovered: AtomicU32::new(0),
            }
        }
    }

    /// How many processors are expected.
    pub fn online(&self) -> u16 {
        self.read().expected
    }

    fn read(&self) -> Gate {
        Gate::from_word(self.gate.load(Ordering::Acquire))
    }

    fn change(&self, from: Gate, to: Gate) -> bool {
        self.gate
            .compare_exchange(
                from.to_word(),
                to.to_word(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Expects one more processor from the next rendezvous on. Waits while there is one. Ordinary context.
    pub fn expect_one_more<M: Machine>(&self, machine: &M) {
        loop {
            let gate = self.read();
            if gate.state == State::Idle
                && self.change(
                    gate,
                    Gate {
                        expected: gate.expected + 1,
                        ..gate
                    },
                )
            {
                return;
            }
            machine.relax();
        }
    }

    /// Joins the rendezvous of this machine check, and waits until all have come or time is up.
    pub fn enter<M: Machine, const P: usize>(
        shared: &Shared<P>,
        machine: &M,
    ) -> Result<Entry, Stuck> {
        let this = &shared.rendezvous;
        let Some(slot) = shared.slot(machine.processor()) else {
            return Ok(Entry::Late { missed: 0 });
        };
        let mut wait = Wait::for_arrival(shared, machine);
        // For those who have still to leave the one before, should it come to that: one of them may have died there.
        let mut leaving = None;
        let joined = loop {
            let gate = this.read();
            if !slot.online.load(Ordering::Relaxed) {
                return Ok(Entry::Late { missed: 0 });
            }
            let missed = slot.missing.load(Ordering::Acquire);
            let next = match gate.state {
                // This machine check was announced to a rendezvous that has gone on without this processor.
                State::Idle if missed != 0 => return Ok(Entry::Late { missed }),
                State::Idle => Gate {
                    number: gate.number.wrapping_add(1).max(1),
                    ..gate
                }
                .with_one_more(),
                State::Open => gate.with_one_more(),
                State::Closed | State::Running
                    if slot.joined.load(Ordering::Relaxed) != gate.number =>
                {
                    return Ok(Entry::Late {
                        missed: gate.number,
                    });
                }
                // This processor has left that one and the others are about to: a new machine check is next.
                State::Closed | State::Running => {
                    let wait = leaving.get_or_insert_with(|| Wait::new(shared, machine));
                    wait.step()?;
                    continue;
                }
            };
            let before = slot.joined.load(Ordering::Relaxed);
            slot.joined.store(next.number, Ordering::Release);
            if this.change(gate, next) {
                break next;
            }
            slot.joined.store(before, Ordering::Relaxed);
        };
        slot.missing.store(0, Ordering::Relaxed);
        if joined.state == State::Closed {
            return this
                .make_ready(shared, machine, joined, wait.ticks())
                .map(Entry::Member);
        }
        loop {
            let gate = this.read();
            match gate.state {
                State::Running => return Ok(Entry::Member(Member::of(gate))),
                State::Open if wait.step().is_err() => {
                    let closed = Gate {
                        state: State::Closed,
                        ..gate
                    };
                    if this.change(gate, closed) {
                        return this
                            .make_ready(shared, machine, closed, wait.ticks())
                            .map(Entry::Member);
                    }
                }
                State::Open => {}
                State::Closed | State::Idle => {
                    wait = Wait::new(shared, machine);
                    while this.read().state != State::Running {
                        wait.step()?;
                    }
                }
            }
        }
    }

    /// The processor that closed the gate makes everything ready for those inside.
    fn make_ready<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        gate: Gate,
        ticks: u64,
    ) -> Result<Member, Stuck> {
        machine.emit(Event::Rendezvous {
            expected: gate.expected,
            arrived: gate.arrived,
            ticks,
        });
        if gate.arrived < gate.expected {
            for (processor, slot) in shared.online() {
                if slot.joined.load(Ordering::Acquire) != gate.number {
                    slot.missing.store(gate.number, Ordering::Release);
                    machine.emit(Event::Missing { processor });
                }
            }
        }
        shared.recovery.take(shared, machine)?;
        shared.serial.fetch_add(1, Ordering::Relaxed);
        self.gate.store(
            Gate {
                state: State::Running,
                ..gate
            }
            .to_word(),
            Ordering::Release,
        );
        Ok(Member::of(gate))
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
        let gate = this.read();
        this.gate.store(
            Gate {
                state: State::Idle,
                arrived: 0,
                ..gate
            }
            .to_word(),
            Ordering::Release,
        );
    }
}

impl Member {
    fn of(gate: Gate) -> Self {
        Self {
            members: gate.arrived,
            expected: gate.expected,
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

    /// Waits until every member has come here.
    pub fn pass<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
        member: Member,
    ) -> Result<(), Stuck> {
        self.count.fetch_add(1, Ordering::AcqRel);
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
