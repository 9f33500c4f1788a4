//! Storms of machine checks: broadcast and local ones at once, one after the other on the same processor while its guest's handler
//! still runs or has come to its end, with processors that are late or never come. Nothing in them is fatal, so no processor may
//! be lost, and every error has to be found again: in one record, in the pages out of use, and at the guest that it hit.
//!
//! `BANKSHOT_SEED=N cargo test -p tests --test machine_check_storm` runs one seed of each test alone, and
//! prints what happened in it.

use std::collections::{BTreeMap, BTreeSet};

use kernel::event::Event;
use kernel::mca::{Class, FatalReason, Interrupted, Status, Verdict, grade};
use kernel::units::{Hpa, PAGE_SIZE, VcpuId};
use kernel::vmce::StopReason;
use tests::sim::{
    After, Attendance, Call, Order, Outcome, Raise, Seen, Signal, Simulation, Step, World, running,
};

const GUESTS: u8 = 3;
const GUEST_SIZE: u64 = 1 << 24;
const BANKS: u8 = 4;

const LOCAL: u64 = 15;
const BYSTANDER: u64 = 5;
const CONSUMER: u64 = 7;

const DATA_LOAD: u64 = 0xbd80_0000_0000_0134;
const FETCH: u64 = 0xbd80_0000_0000_0150;
const SCRUB: u64 = 0xbd00_0000_0000_00c0;
const WRITE_BACK: u64 = 0xbd00_0000_0000_017a;
const NO_ACTION: u64 = 0xbc00_0000_0000_009f;
const CORRECTED: u64 = 0x9c00_0000_0000_009f;
const FATAL: u64 = 0xbe00_0000_0000_0134;

fn guest_start(guest: u8) -> u64 {
    0x1000_0000 * u64::from(guest + 1)
}

/// Who comes to the broadcast ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attendants {
    All,
    SomeLate,
    SomeMissing,
}

struct Storm {
    simulation: Simulation,
    signals: Vec<Signal>,
    /// The guests' local machine checks are enabled.
    local_enabled: bool,
}

/// The pages of an error.
fn pages(raise: &Raise) -> impl Iterator<Item = Hpa> + use<> {
    let size = 1u64 << (raise.misc & 0x3f).max(12);
    let start = raise.addr / size * size;
    (0..size / PAGE_SIZE).map(move |page| Hpa(start + page * PAGE_SIZE))
}

fn owner(page: Hpa) -> Option<u8> {
    (0..GUESTS).find(|&guest| is_in(guest, page))
}

fn is_in(guest: u8, page: Hpa) -> bool {
    (guest_start(guest)..guest_start(guest) + GUEST_SIZE).contains(&page.0)
}

fn class(raise: &Raise) -> Class {
    grade(Status::from(raise.status), true)
}

/// An error in memory of a guest: mostly of `own`, whose vCPU runs there.
fn raise(random: &mut fastrand::Rng, status: u64, own: Option<u8>) -> Raise {
    let guest = match own {
        Some(own) if random.u8(..8) != 0 => own,
        _ => random.u8(..GUESTS),
    };
    let lsb = if random.u8(..10) == 0 { 13 } else { 6 };
    // Bank 0 is a core's, and two processors of a core run other guests: what one of them alone has consumed is not in there.
    let bank = match status {
        DATA_LOAD | FETCH | FATAL => random.u8(1..BANKS),
        _ => random.u8(..BANKS),
    };
    Raise {
        bank,
        status,
        addr: guest_start(guest) + random.u64(..GUEST_SIZE),
        misc: 0x80 | lsb,
    }
}

fn storm(random: &mut fastrand::Rng, processors: u16, attendants: Attendants) -> Storm {
    let mut world = World::new(processors, BANKS);
    let mut vcpus = Vec::new();
    for guest in 0..GUESTS {
        let many = random.u8(1..=4);
        world = world.guest(many, guest_start(guest), GUEST_SIZE / PAGE_SIZE);
        vcpus.extend((0..many).map(|vcpu| (guest, vcpu)));
    }
    for first in (0..processors.saturating_sub(1)).step_by(2) {
        world = world.share(0, first, first + 1);
    }
    let simulation = Simulation::new(world).tolerating_empty();
    let local_enabled = random.bool();
    if local_enabled {
        for &(guest, vcpu) in &vcpus {
            let state = &simulation.world.guests[usize::from(guest)];
            state.enable_local(&simulation.view(0), guest, vcpu);
        }
    }
    random.shuffle(&mut vcpus);
    let broadcasts = match attendants {
        Attendants::All => random.u8(0..=2),
        _ => 1,
    };
    let mut locals = random.u8(0..=4);
    let signals = (0..processors).map(|processor| {
        let context = vcpus.pop();
        let mut kinds = vec![true; usize::from(broadcasts)];
        for _ in 0..random.u8(..=2) {
            if locals != 0 {
                locals -= 1;
                kinds.insert(random.usize(..=kinds.len()), false);
            }
        }
        let mut runs = context;
        let mut calls = Vec::new();
        for broadcast in kinds {
            let call = call(random, runs, broadcast, attendants);
            // What comes before the vCPU has run again interrupts the hypervisor.
            runs = runs.filter(|_| call.after != After::Waits);
            calls.push(call);
        }
        let attendance = match (attendants, random.u8(..4)) {
            (Attendants::SomeLate, 0) => Attendance::Late([3, 50, 5_000][random.usize(..3)]),
            (Attendants::SomeMissing, 0) => Attendance::Never,
            _ => Attendance::Comes,
        };
        Signal {
            processor,
            attendance,
            calls,
            starting: None,
        }
    });
    let signals = signals.collect();
    Storm {
        simulation,
        signals,
        local_enabled,
    }
}

fn call(
    random: &mut fastrand::Rng,
    context: Option<(u8, u8)>,
    broadcast: bool,
    attendants: Attendants,
) -> Call {
    let interrupted = match context {
        Some((guest, vcpu)) => running(guest, vcpu),
        None => Interrupted::Hypervisor { fix_up: true },
    };
    let own = context.map(|(guest, _)| guest);
    // With a possible consumer missing, one that requires action is fatal.
    let may_require = !broadcast || attendants == Attendants::All;
    let consumes = may_require && random.u8(..3) == 0;
    let mut raises = Vec::new();
    if consumes {
        let status = if random.bool() { DATA_LOAD } else { FETCH };
        raises.push(raise(random, status, own));
    }
    for _ in 0..random.u8(..=1) + u8::from(!broadcast && !consumes) {
        let status = [SCRUB, SCRUB, WRITE_BACK, NO_ACTION, CORRECTED][random.usize(..5)];
        let error = raise(random, status, None);
        if raises.iter().all(|other| other.bank != error.bank) {
            raises.push(error);
        }
    }
    let mut mcg_status = match (broadcast, consumes) {
        (false, _) => LOCAL,
        (true, true) => CONSUMER,
        (true, false) => BYSTANDER,
    };
    if context.is_some() && random.u8(..12) == 0 {
        // The vCPU cannot go on where it was.
        mcg_status &= !1;
    }
    Call {
        interrupted,
        mcg_status,
        raises,
        after: [After::Waits, After::Runs, After::Handles, After::Handles][random.usize(..4)],
    }
}

impl Storm {
    fn run(&self, order: Order) -> Vec<Outcome> {
        self.simulation.run(order, &self.signals)
    }

    fn world(&self) -> &World {
        &self.simulation.world
    }

    /// What hardware has raised.
    fn raised(&self) -> Vec<Raise> {
        let raised = self.world().raised.borrow();
        raised.iter().map(|&(_, _, raise)| raise).collect()
    }

    /// What was to happen, and what did.
    fn tell(&self, about: &str) {
        println!("{about}");
        let events = self.world().events();
        self.signals
            .iter()
            .for_each(|signal| println!("{signal:x?}"));
        events
            .iter()
            .for_each(|event| println!("{:x?} {:x?}", event.on, event.event));
    }

    /// Guests go on until nothing waits any more.
    fn drain(&self, about: &str) {
        for guest in 0..GUESTS {
            let state = &self.world().guests[usize::from(guest)];
            for round in 0.. {
                assert!(round < 100, "{about}: guest {guest} has no end");
                self.simulation.enter(guest);
                if state.stopped.get().is_some() || !self.simulation.finish(guest) {
                    break;
                }
            }
        }
    }
}

/// What came of a storm.
#[derive(Default)]
struct Tally {
    storms: u32,
    records: u32,
    local: u32,
    late: u32,
    missing: u32,
    stopped: BTreeMap<&'static str, u32>,
}

fn check(tally: &mut Tally, seed: u64, processors: u16, attendants: Attendants, order: Order) {
    let mut random = fastrand::Rng::with_seed(seed);
    let storm = storm(&mut random, processors, attendants);
    let outcomes = storm.run(order);
    let about = format!("seed {seed}, {processors} processors, {attendants:?}, {order:?}");
    if std::env::var("BANKSHOT_SEED").is_ok() {
        storm.tell(&about);
    }
    for (signal, outcome) in storm.signals.iter().zip(&outcomes) {
        let is_fatal = |verdict: &Verdict| matches!(verdict, Verdict::Fatal { .. });
        assert!(
            !outcome.iter().any(is_fatal),
            "{about}: {signal:?} {outcome:?}"
        );
    }
    check_records(&storm, &about);
    check_memory(&storm, &about);
    check_flushes(&storm, &about);
    storm.drain(&about);
    for guest in 0..GUESTS {
        check_guest(&storm, guest, &about);
    }
    check_local(&storm, &about);
    tally.add(&storm);
}

/// Every error has one record, and is in no bank any more. Corrected ones may be left to the poll.
fn check_records(storm: &Storm, about: &str) {
    let world = storm.world();
    let told = world.picked(|_, event| match *event {
        Event::BankError {
            status, addr, misc, ..
        } => Some((status, addr, misc)),
        _ => None,
    });
    let banks = world.banks();
    let left = banks.iter().filter(|bank| bank.status != 0);
    let left: Vec<_> = left
        .map(|bank| (bank.status, bank.addr, bank.misc))
        .collect();
    assert!(
        left.iter().all(|(status, ..)| *status == CORRECTED),
        "{about}: {left:x?}"
    );
    let raised = storm.raised();
    let mut raised: Vec<_> = raised.iter().map(|r| (r.status, r.addr, r.misc)).collect();
    let mut all = [told, left].concat();
    all.sort_unstable();
    raised.sort_unstable();
    assert_eq!(all, raised, "{about}");
}

/// The pages of all errors are out of use, and no processor that is alive can reach them.
fn check_memory(storm: &Storm, about: &str) {
    let world = storm.world();
    let lost: BTreeSet<_> = storm
        .raised()
        .iter()
        .filter(|raise| matches!(class(raise), Class::Srao | Class::Srar))
        .flat_map(pages)
        .collect();
    let retired: BTreeSet<_> = world.retired().into_iter().collect();
    assert_eq!(retired, lost, "{about}");
    for signal in &storm.signals {
        let on = signal.processor;
        if signal.attendance != Attendance::Never {
            assert!(!world.has_stale_translations(on), "{about}: processor {on}");
            assert_eq!(world.mcg_status(on), 0, "{about}: processor {on}");
        }
    }
}

/// Whoever has taken a page out of use goes on when all processors have flushed since, local machine check or not.
fn check_flushes(storm: &Storm, about: &str) {
    let world = storm.world();
    let is_named = |event: &Event| {
        matches!(
            event,
            Event::Missing { .. } | Event::Unflushed { .. } | Event::Late {}
        )
    };
    if !world
        .picked(|_, event| is_named(event).then_some(()))
        .is_empty()
    {
        return;
    }
    let steps = world.steps();
    for (at, (by, step)) in steps.iter().enumerate() {
        let Step::Retire(page) = step else { continue };
        let until = steps[at..]
            .iter()
            .position(|(on, step)| on == by && *step == Step::ClearMcgStatus);
        let until = at + until.expect("it goes on");
        for signal in &storm.signals {
            let has_flushed = steps[at..until]
                .iter()
                .any(|(on, step)| on.0 == signal.processor && *step == Step::Flush);
            let on = signal.processor;
            assert!(
                has_flushed,
                "{about}: processor {on} has {page:x?} when {by:?} goes on"
            );
        }
    }
}

/// The errors that `guest` has consumed on its own processors, with the vCPU and whether their #MC was local.
fn consumed(storm: &Storm, guest: u8) -> Vec<(u8, bool, Raise)> {
    let raised = storm.world().raised.borrow();
    let mut all = Vec::new();
    for signal in &storm.signals {
        for call in &signal.calls {
            let Interrupted::Guest(VcpuId { guest: on, index }) = call.interrupted else {
                continue;
            };
            for raise in call.raises.iter().filter(|r| class(r) == Class::Srar) {
                let happened = raised
                    .iter()
                    .any(|(by, _, one)| by.0 == signal.processor && one == raise);
                if on.0 == guest && happened {
                    all.push((index, call.mcg_status & 8 != 0, *raise));
                }
            }
        }
    }
    all
}

/// A guest is told of every page that it has lost, a consumer of what it has consumed; or it is stopped, for a reason.
fn check_guest(storm: &Storm, guest: u8, about: &str) {
    let about = format!("{about}: guest {guest}");
    let state = &storm.world().guests[usize::from(guest)];
    let lost: BTreeSet<_> = storm
        .raised()
        .iter()
        .filter(|raise| matches!(class(raise), Class::Srao | Class::Srar))
        .flat_map(pages)
        .filter(|page| is_in(guest, *page))
        .collect();
    let consumed = consumed(storm, guest);
    let is_foreign = |raise: &Raise| pages(raise).all(|page| owner(page) != Some(guest));
    let has_foreign = consumed.iter().any(|(_, _, raise)| is_foreign(raise));
    if let Some(reason) = state.stopped.get() {
        let machine_checks = machine_checks_of(storm, guest);
        let is_due = match reason {
            StopReason::ForeignPage => has_foreign,
            StopReason::InProgress => machine_checks > 1,
            StopReason::TooManyErrors => lost.len() > 32,
            _ => false,
        };
        assert!(is_due, "{about}: {reason:?} of {machine_checks}");
        return;
    }
    assert!(!has_foreign, "{about}: goes on after foreign memory");
    let seen: Vec<Vec<Seen>> = (0..state.vcpus.len() as u8)
        .map(|vcpu| state.seen(vcpu))
        .collect();
    let shown: BTreeSet<_> = seen
        .iter()
        .flatten()
        .filter_map(|seen| seen.record)
        .map(|record| Hpa(guest_start(guest) + record.address / PAGE_SIZE * PAGE_SIZE))
        .collect();
    assert_eq!(shown, lost, "{about}");
    for (vcpu, _, raise) in &consumed {
        let is_it = |seen: &&Seen| {
            let record = seen.record.filter(|record| record.status == raise.status);
            record.is_some_and(|record| {
                pages(raise).any(|page| {
                    page.0 - guest_start(guest) == record.address / PAGE_SIZE * PAGE_SIZE
                })
            })
        };
        let told = seen[usize::from(*vcpu)].iter().find(is_it);
        let told =
            told.unwrap_or_else(|| panic!("{about}: vCPU {vcpu} consumed {raise:x?}: {seen:x?}"));
        assert_eq!(told.mcg_status & 2, 2, "{about}: EIPV of vCPU {vcpu}");
    }
}

/// #MCs of the host that concern a guest: its memory, or a context of its vCPUs.
fn machine_checks_of(storm: &Storm, guest: u8) -> usize {
    let raised = storm.world().raised.borrow();
    let mut all = BTreeSet::new();
    for signal in &storm.signals {
        let mut broadcasts = 0;
        for (number, call) in signal.calls.iter().enumerate() {
            let is_local = call.mcg_status & 8 != 0;
            broadcasts += usize::from(!is_local);
            let hits = call.raises.iter().any(|raise| {
                let happened = raised
                    .iter()
                    .any(|(by, _, one)| by.0 == signal.processor && one == raise);
                happened && pages(raise).any(|page| is_in(guest, page))
            });
            let loses = matches!(call.interrupted, Interrupted::Guest(vcpu) if vcpu.guest.0 == guest)
                && call.mcg_status & 1 == 0;
            if hits || loses {
                // A processor that is late, or a bank that two share, may split a broadcast one: count it for each.
                all.insert((is_local, signal.processor, number, broadcasts));
            }
        }
    }
    all.len()
}

/// What was local on a vCPU that had local ones enabled is nobody else's.
fn check_local(storm: &Storm, about: &str) {
    for guest in 0..GUESTS {
        let state = &storm.world().guests[usize::from(guest)];
        for vcpu in 0..state.vcpus.len() as u8 {
            let local: Vec<_> = state
                .seen(vcpu)
                .into_iter()
                .filter(|seen| seen.mcg_status & 8 != 0)
                .collect();
            assert!(
                storm.local_enabled || local.is_empty(),
                "{about}: guest {guest} vCPU {vcpu}: {local:x?}"
            );
            for seen in local {
                let own = storm.signals.iter().any(|signal| {
                    signal.calls.iter().any(|call| {
                        call.interrupted == running(guest, vcpu) && call.mcg_status & 8 != 0
                    })
                });
                assert!(own, "{about}: guest {guest} vCPU {vcpu}: {seen:x?}");
            }
        }
    }
}

impl Tally {
    fn add(&mut self, storm: &Storm) {
        self.storms += 1;
        let world = storm.world();
        for state in &world.guests {
            if let Some(reason) = state.stopped.get() {
                *self.stopped.entry(reason.word()).or_default() += 1;
            }
            for vcpu in 0..state.vcpus.len() as u8 {
                for seen in state.seen(vcpu) {
                    self.records += u32::from(seen.record.is_some());
                    self.local += u32::from(seen.mcg_status & 8 != 0);
                }
            }
        }
        let count = |wanted: &dyn Fn(&Event) -> bool| {
            world.picked(|_, event| wanted(event).then_some(())).len() as u32
        };
        self.late += count(&|event| matches!(event, Event::Late {}));
        self.missing += count(&|event| matches!(event, Event::Missing { .. }));
    }
}

fn seeds(many: u64) -> std::ops::Range<u64> {
    let seed = std::env::var("BANKSHOT_SEED");
    match seed.ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..many,
    }
}

fn orders(seed: u64) -> [Order; 2] {
    [Order::Turns, Order::Random(seed)]
}

#[test]
fn broadcast_and_local_ones_at_once() {
    let mut tally = Tally::default();
    for seed in seeds(1_500) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::All, order);
        }
    }
    if tally.storms > 2 {
        assert!(
            tally.records > 2_000 && tally.local > 300,
            "{} {}",
            tally.records,
            tally.local
        );
        let stopped = &tally.stopped;
        for reason in [StopReason::InProgress, StopReason::ForeignPage] {
            assert!(stopped.get(reason.word()) > Some(&50), "{stopped:?}");
        }
    }
}

#[test]
fn some_late() {
    let mut tally = Tally::default();
    for seed in seeds(200) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::SomeLate, order);
        }
    }
    assert!(
        tally.storms <= 2 || tally.late > 50 && tally.missing > 50,
        "{} {}",
        tally.late,
        tally.missing
    );
}

#[test]
fn some_missing() {
    let mut tally = Tally::default();
    for seed in seeds(200) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::SomeMissing, order);
        }
    }
    assert!(tally.storms <= 2 || tally.missing > 50, "{}", tally.missing);
}

#[test]
fn large_machines() {
    let mut tally = Tally::default();
    for seed in seeds(6) {
        let processors = [64, 250, 1000][seed as usize % 3];
        let attendants = [Attendants::All, Attendants::SomeLate][seed as usize % 2];
        check(&mut tally, seed, processors, attendants, Order::Turns);
    }
}

/// One error of a storm is fatal: one processor resets the machine, with that error in its bank.
#[test]
fn one_fatal_error() {
    for seed in seeds(300) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        let mut random = fastrand::Rng::with_seed(seed);
        let mut storm = storm(&mut random, processors, Attendants::All);
        let calls: usize = storm.signals.iter().map(|signal| signal.calls.len()).sum();
        if calls == 0 {
            continue;
        }
        let mut calls: Vec<_> = storm
            .signals
            .iter_mut()
            .flat_map(|s| &mut s.calls)
            .collect();
        let at = random.usize(..calls.len());
        let fatal = raise(&mut random, FATAL, None);
        calls[at].raises = vec![fatal];
        let outcomes = storm.run(Order::Random(seed));
        let about = format!("seed {seed}, {processors} processors");
        let happened = storm.raised().contains(&fatal);
        let reasons: Vec<_> = outcomes
            .iter()
            .flatten()
            .filter_map(|verdict| match verdict {
                Verdict::Fatal { reason, resets } => Some((*reason, *resets)),
                _ => None,
            })
            .collect();
        assert_eq!(!reasons.is_empty(), happened, "{about}: {reasons:?}");
        if !happened {
            continue;
        }
        let resets = reasons.iter().filter(|(_, resets)| *resets).count();
        assert_eq!(resets, 1, "{about}: {reasons:?}");
        assert!(
            reasons
                .iter()
                .any(|(reason, _)| *reason == FatalReason::Bank),
            "{about}: {reasons:?}"
        );
        let left = storm.world().banks();
        assert!(left.iter().any(|bank| bank.status == FATAL), "{about}");
    }
}
