//! Running machine checks on the simulated machine.

use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use kernel::mca::{Config, Interrupted, Machine, Shared, Verdict, catch_up, join, start};
use kernel::units::Pcpu;
use kernel::vmce::{Delivery, HANDLER_LEAVES, follow_up};

use super::call::Call;
use super::view::View;
use super::world::World;

/// The most processors that the simulated machine has.
pub const PROCESSORS: usize = 4096;

/// Ticks that a processor waits for others; a tick is one look of its waiting loop.
const TIMEOUT: u64 = 2_000;

/// A loop of the scheduler ends after this many rounds: by then every bounded wait has ended.
const ROUNDS: u64 = 200_000;

/// Stack of a processor, in bytes.
const STACK: usize = 64 << 10;

/// Who goes on next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, each until it waits.
    Turns,
    /// Any, at every call of `Machine`.
    Random(u64),
}

/// Whether a processor comes to its machine check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attendance {
    /// It comes.
    Comes,
    /// It comes after that many rounds of all the others.
    Late(u64),
    /// It never comes.
    Never,
    /// It comes, and stops for ever after that many suspensions.
    Dies(u64),
}

/// A processor's #MCs, one after the other.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The processor.
    pub processor: u16,
    /// Whether it comes.
    pub attendance: Attendance,
    /// Its #MCs.
    pub calls: Vec<Call>,
    /// It is being brought up, and its first #MC comes after so many suspensions of that, or when that is over.
    pub starting: Option<u64>,
}

/// How a processor's #MCs ended; fewer than its calls if it died, the machine was reset, or its guest was stopped.
pub type Outcome = Vec<Verdict>;

/// A machine and the engine on it.
pub struct Simulation {
    /// The machine.
    pub world: Rc<World>,
    shared: Rc<Shared<PROCESSORS>>,
}

struct Running {
    world: Rc<World>,
    signal: Signal,
    suspensions: u64,
    done: bool,
    coroutine: Coroutine<(), (), Outcome, DefaultStack>,
    outcome: Outcome,
}

impl Signal {
    /// One #MC of a processor that comes.
    pub fn new(processor: u16, interrupted: Interrupted, mcg_status: u64) -> Self {
        Self {
            processor,
            attendance: Attendance::Comes,
            calls: vec![Call::new(interrupted, mcg_status)],
            starting: None,
        }
    }

    /// The same of a processor that is being brought up, and gets its #MC after so many suspensions, or else when it is up.
    pub fn while_starting(self, suspensions: u64) -> Self {
        Self {
            starting: Some(suspensions),
            ..self
        }
    }

    /// No #MC: the processor does what it does.
    pub fn at_work(processor: u16) -> Self {
        Self {
            processor,
            attendance: Attendance::Comes,
            calls: Vec::new(),
            starting: None,
        }
    }

    /// The same, with another attendance.
    pub fn attending(self, attendance: Attendance) -> Self {
        Self { attendance, ..self }
    }

    /// The same, with another #MC after the last.
    pub fn then(mut self, interrupted: Interrupted, mcg_status: u64) -> Self {
        self.calls.push(Call::new(interrupted, mcg_status));
        self
    }
}

impl Simulation {
    /// Brings every processor of the machine up.
    pub fn new(world: World) -> Self {
        let this = Self::keeping_log(world);
        this.world.clear_log();
        this
    }

    /// The same, with the events of the bring-up.
    pub fn keeping_log(world: World) -> Self {
        let all = world.processors.len() as u16;
        Self::up_to(world, all)
    }

    /// Brings the first so many processors up.
    pub fn up_to(world: World, processors: u16) -> Self {
        let this = Self {
            world: Rc::new(world),
            shared: Rc::new(Shared::new()),
        };
        this.shared.configure(Config {
            timeout: TIMEOUT,
            empty_is_fatal: true,
            corrected_limit: 0,
        });
        (0..processors).for_each(|number| start(&*this.shared, &this.view(number)));
        this.world.started.set(processors);
        (0..processors).for_each(|number| join(&*this.shared, &this.view(number)));
        this
    }

    /// An #MC for which no bank says why is tolerated.
    pub fn tolerating_empty(self) -> Self {
        self.shared.configure(Config {
            timeout: TIMEOUT,
            empty_is_fatal: false,
            corrected_limit: 0,
        });
        self
    }

    /// What follows a fatal machine check is played too, to the reset.
    pub fn playing_the_end(self) -> Self {
        self.world.plays_end.set(true);
        self
    }

    /// A page with so many corrected errors is replaced.
    pub fn replacing_after(self, corrected_limit: u32) -> Self {
        self.shared.configure(Config {
            timeout: TIMEOUT,
            empty_is_fatal: true,
            corrected_limit,
        });
        self
    }

    /// After so many reads of a bank's STATUS, by whichever processor, this happens before whatever that processor does next.
    pub fn after_status_reads(&self, reads: u32, happens: impl FnOnce(&Self) + 'static) {
        let this = Self {
            world: self.world.clone(),
            shared: self.shared.clone(),
        };
        *self.world.after_status_reads.borrow_mut() =
            Some((reads, Box::new(move || happens(&this))));
    }

    /// When the next page has gone out of use, whoever does that, this happens.
    pub fn in_retire(&self, happens: impl FnOnce(&Self) + 'static) {
        let this = Self {
            world: self.world.clone(),
            shared: self.shared.clone(),
        };
        *self.world.in_retire.borrow_mut() = Some(Box::new(move || happens(&this)));
    }

    /// In the middle of the next flush of translations, by whichever processor, this happens.
    pub fn in_flush(&self, happens: impl FnOnce(&Self) + 'static) {
        let this = Self {
            world: self.world.clone(),
            shared: self.shared.clone(),
        };
        *self.world.in_flush.borrow_mut() = Some(Box::new(move || happens(&this)));
    }

    /// A processor in ordinary context.
    pub fn view(&self, processor: u16) -> View<'_> {
        View {
            world: &self.world,
            shared: &self.shared,
            processor: Pcpu(processor),
            yielder: None,
            preemptible: false,
        }
    }

    /// What the engine's processors share.
    pub fn shared(&self) -> &Shared<PROCESSORS> {
        &self.shared
    }

    /// Delivers #MCs until every processor that can has handled all of its own.
    pub fn run(&self, order: Order, signals: &[Signal]) -> Vec<Outcome> {
        let mut random = fastrand::Rng::with_seed(match order {
            Order::Turns => 0,
            Order::Random(seed) => seed,
        });
        let preemptible = order != Order::Turns;
        let mut running: Vec<_> = signals
            .iter()
            .map(|signal| self.prepare(signal.clone(), preemptible))
            .collect();
        let mut round = 0;
        while running.iter().any(Running::is_awaited) && !self.world.is_reset.get() {
            assert!(round < ROUNDS, "somebody waits for ever");
            if preemptible {
                for _ in 0..running.len() {
                    let at = random.usize(..running.len());
                    running[at].go_on(round);
                }
            } else {
                running.iter_mut().for_each(|running| running.go_on(round));
            }
            self.take_interrupts(&running, &mut random);
            round += 1;
        }
        self.settle(&running);
        running.into_iter().map(|running| running.outcome).collect()
    }

    fn prepare(&self, signal: Signal, preemptible: bool) -> Running {
        let (world, shared) = (self.world.clone(), self.shared.clone());
        let processor = Pcpu(signal.processor);
        let (calls, starting) = (signal.calls.clone(), signal.starting);
        let is_at_work = calls.is_empty();
        let stack = DefaultStack::new(STACK).expect("memory for a stack");
        let coroutine = Coroutine::with_stack(stack, move |yielder, ()| {
            let machine = View {
                world: &world,
                shared: &shared,
                processor,
                yielder: Some(yielder),
                preemptible,
            };
            let state = &world.processors[usize::from(processor.0)];
            let mut calls = calls.into_iter();
            let mut verdicts = Vec::new();
            if let Some(suspensions) = starting {
                let first = calls.next().map(|call| (suspensions, call));
                state.interrupts.set(first);
                start(&*shared, &machine);
                world.started.update(|started| started + 1);
                while usize::from(world.started.get()) < world.processors.len() {
                    machine.relax();
                }
                join(&*shared, &machine);
                verdicts.extend(state.interrupted.take());
                if let Some((_, call)) = state.interrupts.take() {
                    verdicts.extend(call.take(&machine));
                }
            }
            if is_at_work {
                loop {
                    machine.relax();
                }
            }
            for call in calls {
                if matches!(verdicts.last(), Some(Verdict::Fatal { .. })) {
                    break;
                }
                verdicts.extend(call.take(&machine));
            }
            verdicts
        });
        Running {
            world: self.world.clone(),
            signal,
            suspensions: 0,
            done: false,
            coroutine,
            outcome: Vec::new(),
        }
    }

    /// Processors that are in no machine check take their NMIs, some time.
    fn take_interrupts(&self, running: &[Running], random: &mut fastrand::Rng) {
        if self.world.plays_end.get() {
            // Each takes its own: it may have to stop where it is.
            return;
        }
        for (number, processor) in self.world.processors.iter().enumerate() {
            let is_free = !processor.in_machine_check.get() && !is_dead(running, number as u16);
            if is_free && processor.nmi.get() && random.bool() {
                processor.nmi.set(false);
                catch_up(&*self.shared, &self.view(number as u16));
            }
        }
    }

    /// The NMIs that are still under way arrive.
    fn settle(&self, running: &[Running]) {
        for (number, processor) in self.world.processors.iter().enumerate() {
            if !is_dead(running, number as u16) && processor.nmi.replace(false) {
                catch_up(&*self.shared, &self.view(number as u16));
            }
        }
    }

    /// Every vCPU of a guest is about to run: what is done with each.
    pub fn enter(&self, guest: u8) -> Vec<Delivery> {
        let state = &self.world.guests[usize::from(guest)];
        (0..state.vcpus.len() as u8)
            .map(|vcpu| state.before_entry(&self.view(0), guest, vcpu))
            .collect()
    }

    /// The guest's handlers have done their work on every vCPU that is in one; then housekeeping looks, at once and
    /// when the vCPUs have run on.
    pub fn finish(&self, guest: u8) -> bool {
        let state = &self.world.guests[usize::from(guest)];
        (0..state.vcpus.len() as u8).for_each(|vcpu| state.finish(&self.view(0), guest, vcpu));
        let at_once = follow_up(&state.mailboxes);
        assert!(!at_once, "the handlers are still on their stacks");
        state
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.ran(HANDLER_LEAVES));
        follow_up(&state.mailboxes)
    }
}

/// A processor that hangs takes no NMI.
fn is_dead(running: &[Running], processor: u16) -> bool {
    running.iter().any(|running| {
        running.signal.processor == processor
            && match running.signal.attendance {
                Attendance::Never => true,
                Attendance::Dies(after) => running.suspensions >= after,
                _ => false,
            }
    })
}

impl Running {
    /// The run goes on until it is done. Nobody waits for one that does its work, unless it has stopped and waits for the reset.
    fn is_awaited(&self) -> bool {
        let state = &self.world.processors[usize::from(self.signal.processor)];
        self.can_go_on() && (!self.signal.calls.is_empty() || state.stopped.get())
    }

    fn can_go_on(&self) -> bool {
        !self.done
            && match self.signal.attendance {
                Attendance::Comes | Attendance::Late(_) => true,
                Attendance::Never => false,
                Attendance::Dies(after) => self.suspensions < after,
            }
    }

    fn go_on(&mut self, round: u64) {
        let is_here = match self.signal.attendance {
            Attendance::Late(rounds) => round >= rounds,
            _ => true,
        };
        if !self.can_go_on() || !is_here {
            return;
        }
        match self.coroutine.resume(()) {
            CoroutineResult::Yield(()) => {
                self.suspensions += 1;
                let state = &self.world.processors[usize::from(self.signal.processor)];
                if let Some(verdict @ Verdict::Fatal { .. }) = state.interrupted.get() {
                    // In the middle of its bring-up, with which it does not go on.
                    self.outcome = vec![verdict];
                    self.done = true;
                }
            }
            CoroutineResult::Return(outcome) => {
                self.outcome = outcome;
                self.done = true;
            }
        }
    }
}
