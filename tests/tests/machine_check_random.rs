//! Random machine checks on machines of 1 to 4096 processors: what must hold in every one of them.
//!
//! `BANKSHOT_SEED=N cargo test -p tests --test machine_check_random` runs one seed of each test alone.

use std::collections::{BTreeMap, BTreeSet};

use kernel::event::Event;
use kernel::mca::{
    Class, ErrorCode, FatalReason, Interrupted, McgStatus, Misc, Status, Verdict, grade,
};
use kernel::units::{GuestId, VcpuId};
use kernel::units::{Hpa, PAGE_SIZE};
use kernel::vmce::{Delivery, StopReason};
use tests::sim::{Attendance, Order, Outcome, Signal, Simulation, Step, World, running};

const GUESTS: u8 = 3;
const GUEST_SIZE: u64 = 1 << 24;
const HYPERVISORS: u64 = 0x10_0000;

fn guest_start(guest: u8) -> u64 {
    0x1000_0000 * u64::from(guest + 1)
}

/// A machine check, and what is known about it beforehand.
struct Trial {
    simulation: Simulation,
    signals: Vec<Signal>,
    banks: u8,
    /// (processor, bank) of each physical bank that holds something.
    errors: Vec<(u16, u8)>,
}

fn trial(random: &mut fastrand::Rng, processors: u16, some_miss: bool) -> Trial {
    let banks = random.u8(2..=6);
    let mut world = World::new(processors, banks).hypervisor(HYPERVISORS, 16);
    for guest in 0..GUESTS {
        world = world.guest(random.u8(1..=4), guest_start(guest), GUEST_SIZE / PAGE_SIZE);
    }
    // One bank is a package's, one a core's.
    let package = random.u16(1..=processors);
    for first in (0..processors).step_by(usize::from(package)) {
        world = world.share(0, first, (first + package - 1).min(processors - 1));
    }
    for first in (0..processors.saturating_sub(1)).step_by(2) {
        world = world.share(1, first, first + 1);
    }
    let vcpus: Vec<_> = world
        .guests
        .iter()
        .map(|guest| guest.vcpus.len() as u8)
        .collect();
    // Whatever is in the banks at bring-up is cleared, so errors come after it.
    let simulation = Simulation::new(world);
    let mut errors = Vec::new();
    for _ in 0..random.u8(0..=4) {
        let (processor, bank) = (random.u16(..processors), random.u8(..banks));
        if simulation.world.bank(processor, bank).status == 0 {
            let (status, addr, misc) = error(random);
            simulation.world.put(processor, bank, status, addr, misc);
            errors.push((processor, bank));
        }
    }
    let mut free: Vec<_> = (0..GUESTS)
        .flat_map(|g| (0..vcpus[usize::from(g)]).map(move |v| (g, v)))
        .collect();
    random.shuffle(&mut free);
    let signals = (0..processors)
        .map(|processor| {
            let interrupted = match random.u8(..8) {
                0 => Interrupted::Hypervisor { fix_up: true },
                1 => Interrupted::Hypervisor { fix_up: false },
                _ => free
                    .pop()
                    .map_or(Interrupted::Hypervisor { fix_up: true }, |(g, v)| {
                        running(g, v)
                    }),
            };
            let mcg_status = match (interrupted, random.u8(..64)) {
                (Interrupted::Guest(_), 0..8) | (Interrupted::Hypervisor { .. }, 0) => 4,
                (Interrupted::Guest(_), 8..32) | (Interrupted::Hypervisor { .. }, 8..28) => 7,
                _ => 5,
            };
            Signal::new(processor, interrupted, mcg_status).attending(match random.u8(..10) {
                0 if some_miss => Attendance::Never,
                _ => Attendance::Comes,
            })
        })
        .collect();
    Trial {
        simulation,
        signals,
        banks,
        errors,
    }
}

fn error(random: &mut fastrand::Rng) -> (u64, u64, u64) {
    const STATUSES: [u64; 8] = [
        0xbd00_0000_0000_00c0,
        0xbd00_0000_0000_017a,
        0xbd80_0000_0000_0134,
        0xbd80_0000_0000_0150,
        0x9c00_0000_0000_009f,
        0xac00_0000_0000_009f,
        0xbc00_0000_0000_009f,
        0xbd00_0000_0000_0e0f,
    ];
    let status = match random.u8(..40) {
        0 => 0xbe00_0000_0000_0134,
        1 => 0xfd80_0000_0000_0134,
        2 => 0xbd80_0000_0000_0e0f,
        3 => 0xb900_0000_0000_00c0,
        _ => STATUSES[random.usize(..STATUSES.len())],
    };
    let addr = match random.u8(..12) {
        0 => HYPERVISORS + random.u64(..16 * PAGE_SIZE),
        1 => 0x7000_0000 + random.u64(..GUEST_SIZE),
        _ => guest_start(random.u8(..GUESTS)) + random.u64(..GUEST_SIZE),
    };
    let lsb = if random.u8(..6) == 0 {
        random.u64(13..=15)
    } else {
        random.u64(6..=12)
    };
    (status, addr, 0x80 | lsb)
}

/// What an error is about, worked out in another way than the engine does.
struct Meaning {
    class: Class,
    known: bool,
    pages: Option<Vec<Hpa>>,
}

fn meaning(world: &World, processor: u16, bank: u8) -> Meaning {
    let regs = world.bank(processor, bank);
    let (status, misc) = (Status::from(regs.status), Misc::from(regs.misc));
    let code = ErrorCode(status.mcacod());
    let class = grade(status, true);
    let usable = status.addrv() && status.miscv() && misc.mode() == 2;
    let size = 1u64 << misc.lsb().max(12);
    let start = regs.addr / size * size;
    Meaning {
        class,
        known: if class == Class::Srar {
            code.is_known_required()
        } else {
            code.is_known_optional()
        },
        pages: usable.then(|| {
            (0..size / PAGE_SIZE)
                .map(|page| Hpa(start + page * PAGE_SIZE))
                .collect()
        }),
    }
}

fn is_hypervisors(page: Hpa) -> bool {
    (HYPERVISORS..HYPERVISORS + 16 * PAGE_SIZE).contains(&page.0)
}

impl Trial {
    /// Every error as each processor that comes sees it.
    fn seen(&self) -> impl Iterator<Item = (&Signal, Meaning)> {
        let world = &self.simulation.world;
        let comes = self
            .signals
            .iter()
            .filter(|signal| signal.attendance == Attendance::Comes);
        comes.flat_map(move |signal| {
            let valid =
                (0..self.banks).filter(|&bank| world.bank(signal.processor, bank).status != 0);
            valid.map(move |bank| (signal, meaning(world, signal.processor, bank)))
        })
    }

    fn is_fatal(&self) -> bool {
        let miss = self
            .signals
            .iter()
            .any(|signal| signal.attendance != Attendance::Comes);
        let lost = self.signals.iter().any(|signal| {
            let call = &signal.calls[0];
            matches!(call.interrupted, Interrupted::Hypervisor { .. }) && call.mcg_status & 1 == 0
        });
        let by_error = self.seen().any(|(signal, error)| {
            let call = &signal.calls[0];
            let consumes = !McgStatus::from(call.mcg_status).is_bystander();
            let in_hypervisor = match call.interrupted {
                Interrupted::Hypervisor { fix_up } => {
                    consumes && (!fix_up || error.pages.is_none())
                }
                Interrupted::Guest(_) => false,
            };
            let must_be_used = error
                .pages
                .iter()
                .flatten()
                .any(|page| is_hypervisors(*page));
            match error.class {
                Class::Fatal => true,
                Class::Srar => miss || !error.known || in_hypervisor || must_be_used,
                _ => false,
            }
        });
        lost || by_error || !miss && self.seen().next().is_none()
    }

    /// Pages that have to go out of use.
    fn lost_pages(&self) -> BTreeSet<Hpa> {
        self.seen()
            .filter(|(_, error)| error.known && matches!(error.class, Class::Srao | Class::Srar))
            .flat_map(|(_, error)| error.pages.unwrap_or_default())
            .filter(|page| !is_hypervisors(*page))
            .collect()
    }

    /// Why guests have to be stopped: a consumer whose record says no address, or one in memory that its guest has not.
    fn stops(&self) -> BTreeSet<(u8, &'static str)> {
        let consumers = self.seen().filter_map(|(signal, error)| {
            let call = &signal.calls[0];
            let Interrupted::Guest(VcpuId {
                guest: GuestId(guest),
                ..
            }) = call.interrupted
            else {
                return None;
            };
            let consumes = !McgStatus::from(call.mcg_status).is_bystander();
            (consumes && error.class == Class::Srar).then_some((guest, error))
        });
        let reasons = consumers.filter_map(|(guest, error)| {
            let range = guest_start(guest)..guest_start(guest) + GUEST_SIZE;
            match error.pages {
                None => Some((guest, StopReason::NoAddress.word())),
                Some(pages) if pages.iter().any(|page| range.contains(&page.0)) => None,
                Some(_) => Some((guest, StopReason::ForeignPage.word())),
            }
        });
        reasons.collect()
    }

    fn run(&self, order: Order) -> Vec<Outcome> {
        self.simulation.run(order, &self.signals)
    }
}

/// Runs a trial. Returns whether it ended with a reset.
fn check(seed: u64, processors: u16, some_miss: bool, order: Order) -> Option<FatalReason> {
    let mut random = fastrand::Rng::with_seed(seed);
    let trial = trial(&mut random, processors, some_miss);
    let world = &trial.simulation.world;
    let (fatal, lost, stops) = (trial.is_fatal(), trial.lost_pages(), trial.stops());
    // The first page of each error, as often as a processor meets it.
    let errors: Vec<_> = trial
        .seen()
        .filter_map(|(_, error)| error.pages?.first().copied())
        .collect();
    let receivers: Vec<_> = (0..GUESTS).map(|guest| trial.receivers(guest)).collect();
    let before = world.banks();
    let visible: BTreeSet<_> = trial.seen().map(|(signal, _)| signal.processor).collect();
    let outcomes = trial.run(order);
    let about = format!(
        "seed {seed}, {processors} processors, {order:?}, {:?}",
        trial.errors
    );

    let came: Vec<_> = trial
        .signals
        .iter()
        .zip(&outcomes)
        .filter(|(s, _)| s.attendance == Attendance::Comes)
        .collect();
    for (signal, outcome) in &came {
        assert_eq!(outcome.len(), 1, "{about}: {signal:?} ends");
        let is_fatal = matches!(outcome[0], Verdict::Fatal { .. });
        assert_eq!(is_fatal, fatal, "{about}: {signal:?} {outcome:?}");
    }
    if came.is_empty() {
        return None;
    }
    if fatal {
        let resets = came
            .iter()
            .filter(|(_, o)| matches!(o[0], Verdict::Fatal { resets: true, .. }))
            .count();
        assert_eq!(resets, 1, "{about}");
        assert_eq!(world.banks(), before, "{about}: banks are intact");
        assert!(world.retired().is_empty(), "{about}");
        let reasons: BTreeSet<_> = came
            .iter()
            .map(|(_, o)| format!("{:?}", reason(o)))
            .collect();
        assert_eq!(reasons.len(), 1, "{about}");
        return reason(came[0].1);
    }
    check_order(&trial, &about);
    check_claims(&trial, &visible, &about);
    assert_eq!(
        world.retired().into_iter().collect::<BTreeSet<_>>(),
        lost,
        "{about}"
    );
    for (signal, _) in &came {
        assert!(!world.has_stale_translations(signal.processor), "{about}");
        assert_eq!(world.mcg_status(signal.processor), 0, "{about}");
    }
    check_guests(&trial, &lost, &stops, &errors, &receivers, &about);
    None
}

fn reason(outcome: &Outcome) -> Option<FatalReason> {
    match outcome[0] {
        Verdict::Fatal { reason, .. } => Some(reason),
        _ => None,
    }
}

/// Everybody has read all its banks before one is cleared, and nobody leaves before all is done.
fn check_order(trial: &Trial, about: &str) {
    let steps = trial.simulation.world.steps();
    let first_clear = steps
        .iter()
        .position(|(_, step)| matches!(step, Step::ClearStatus(_)))
        .unwrap_or(steps.len());
    let mut reads = BTreeMap::new();
    for (processor, step) in &steps[..first_clear] {
        if matches!(step, Step::ReadStatus(_)) {
            *reads.entry(processor.0).or_insert(0u8) += 1;
        }
    }
    let came = trial
        .signals
        .iter()
        .filter(|signal| signal.attendance == Attendance::Comes);
    for signal in came {
        assert!(
            reads.get(&signal.processor) >= Some(&trial.banks),
            "{about}: cleared before all have read"
        );
    }
    let first_gone = steps
        .iter()
        .position(|(_, step)| *step == Step::ClearMcgStatus)
        .expect("they leave");
    let last_done = steps.iter().rposition(|(_, step)| {
        matches!(
            step,
            Step::ClearStatus(_) | Step::Retire(_) | Step::ReadStatus(_) | Step::Flush
        )
    });
    assert!(last_done < Some(first_gone), "{about}: somebody left early");
}

/// Every error that somebody saw has one owner, and one processor has recovered.
fn check_claims(trial: &Trial, visible: &BTreeSet<u16>, about: &str) {
    let world = &trial.simulation.world;
    let claimed = world.picked(|on, event| matches!(event, Event::BankError { .. }).then_some(on));
    let cleared = world
        .steps()
        .iter()
        .filter(|(_, step)| matches!(step, Step::ClearStatus(_)))
        .count();
    assert_eq!(claimed.len(), cleared, "{about}");
    let left = trial
        .errors
        .iter()
        .filter(|&&(processor, bank)| world.bank(processor, bank).status != 0);
    let (left, all) = (left.count(), trial.errors.len());
    assert_eq!(claimed.len() + left, all, "{about}: each has one owner");
    for &(processor, bank) in &trial.errors {
        if visible.contains(&processor) {
            assert_eq!(world.bank(processor, bank).status, 0, "{about}");
        }
    }
    let worst = world.picked(|on, event| match event {
        Event::Worst { owner, .. } => Some((on, *owner)),
        _ => None,
    });
    assert_eq!(worst.len(), 1, "{about}: one recovers");
    assert_eq!(worst[0].0, worst[0].1, "{about}");
}

/// Every guest learns of all its lost pages, each in a machine check of its own, all vCPUs together.
fn check_guests(
    trial: &Trial,
    lost: &BTreeSet<Hpa>,
    stops: &BTreeSet<(u8, &'static str)>,
    errors: &[Hpa],
    receivers: &[Receivers],
    about: &str,
) {
    let simulation = &trial.simulation;
    const DEPTH: usize = 32;
    for guest in 0..GUESTS {
        let state = &simulation.world.guests[usize::from(guest)];
        let mut deliveries = simulation.enter(guest);
        let range = guest_start(guest)..guest_start(guest) + GUEST_SIZE;
        let met = errors.iter().filter(|page| range.contains(&page.0)).count();
        let must_stop = stops.iter().any(|(stopped, _)| *stopped == guest);
        let is_stopped = |delivery: &Delivery| match delivery {
            Delivery::Stop(reason) => {
                let is_due = stops.contains(&(guest, reason.word()));
                // What is left over of many consumers of one error may be more than the guest can be told.
                assert!(
                    is_due || *reason == StopReason::TooManyErrors && met > DEPTH,
                    "{about}: guest {guest} {reason:?}"
                );
                true
            }
            _ => false,
        };
        let stopped = deliveries.iter().filter(|d| is_stopped(d)).count();
        if must_stop {
            assert_eq!(stopped, deliveries.len(), "{about}: guest {guest}");
        }
        if stopped != 0 {
            continue;
        }
        for _ in 0..20 {
            let same = deliveries.iter().all(|delivery| *delivery == deliveries[0]);
            assert!(same, "{about}: all vCPUs or none: {deliveries:?}");
            if !simulation.finish(guest) {
                break;
            }
            deliveries = simulation.enter(guest);
        }
        check_contexts(trial, guest, about);
        check_receivers(trial, guest, &receivers[usize::from(guest)], about);
        let range = guest_start(guest)..guest_start(guest) + GUEST_SIZE;
        let want: BTreeSet<_> = lost
            .iter()
            .filter(|page| range.contains(&page.0))
            .map(|page| page.0 - range.start)
            .collect();
        let shown: BTreeSet<_> = (0..state.vcpus.len() as u8)
            .flat_map(|vcpu| state.seen(vcpu))
            .filter_map(|seen| seen.record)
            .map(|record| record.address / PAGE_SIZE * PAGE_SIZE)
            .collect();
        assert_eq!(shown, want, "{about}: guest {guest}");
    }
}

/// RIPV and EIPV of the first #MC are those of the vCPU's own processor; of those that follow, and where none ran it, 1 and 0.
fn check_contexts(trial: &Trial, guest: u8, about: &str) {
    let state = &trial.simulation.world.guests[usize::from(guest)];
    for vcpu in 0..state.vcpus.len() as u8 {
        let own = trial.signals.iter().find(|signal| {
            signal.attendance == Attendance::Comes
                && signal.calls[0].interrupted == running(guest, vcpu)
        });
        let own = own.map_or(5, |signal| signal.calls[0].mcg_status);
        let all = state.seen(vcpu);
        let is_lost = own & 1 == 0;
        assert!(
            !is_lost || !all.is_empty(),
            "{about}: vCPU {vcpu} of guest {guest} has lost its context"
        );
        for (number, seen) in all.iter().enumerate() {
            let is_first = number == 0;
            let about = format!("{about}: guest {guest} vCPU {vcpu} {number}: {seen:?}");
            assert_eq!(seen.mcg_status & 1 == 0, is_first && is_lost, "{about}");
            let is_consumer = is_first && own & 2 != 0;
            assert!(seen.mcg_status & 2 == 0 || is_consumer, "{about}");
        }
    }
}

/// Who of a guest has to get a record in its first #MC.
#[derive(Default)]
struct Receivers {
    /// The pages that a vCPU has consumed.
    consumed: BTreeMap<u8, BTreeSet<u64>>,
    /// There is an error that nobody has consumed, and no processor that found it has another one to tell of.
    has_optional: bool,
}

impl Trial {
    fn receivers(&self, guest: u8) -> Receivers {
        let range = guest_start(guest)..guest_start(guest) + GUEST_SIZE;
        let consumer = |signal: &Signal| match signal.calls[0].interrupted {
            Interrupted::Guest(vcpu)
                if !McgStatus::from(signal.calls[0].mcg_status).is_bystander() =>
            {
                (vcpu.guest.0 == guest).then_some(vcpu.index)
            }
            _ => None,
        };
        let mut receivers = Receivers::default();
        let (mut found, mut consumers) = (BTreeSet::new(), BTreeSet::new());
        for (signal, error) in self.seen().filter(|(_, error)| error.known) {
            let pages = error.pages.iter().flatten();
            let pages: Vec<_> = pages.filter(|page| range.contains(&page.0)).collect();
            if pages.is_empty() {
                continue;
            }
            match (error.class, consumer(signal)) {
                (Class::Srar, Some(vcpu)) => {
                    let pages = pages.iter().map(|page| page.0 - range.start);
                    receivers.consumed.entry(vcpu).or_default().extend(pages);
                    consumers.insert(signal.processor);
                }
                (Class::Srao, _) => {
                    found.insert(signal.processor);
                }
                _ => {}
            }
        }
        receivers.has_optional = !found.is_empty() && found.is_disjoint(&consumers);
        receivers
    }
}

/// A consumer gets a record of its own first; what nobody has consumed goes to the first vCPU that is free.
fn check_receivers(trial: &Trial, guest: u8, receivers: &Receivers, about: &str) {
    let state = &trial.simulation.world.guests[usize::from(guest)];
    let vcpus = 0..state.vcpus.len() as u8;
    let first = |vcpu| state.seen(vcpu).first().and_then(|seen| seen.record);
    for vcpu in vcpus.clone() {
        let record = first(vcpu);
        let about = format!("{about}: guest {guest} vCPU {vcpu}: {record:x?}");
        let requires = record.is_some_and(|record| Status::from(record.status).ar());
        let consumed = receivers.consumed.get(&vcpu);
        assert_eq!(requires, consumed.is_some(), "{about}");
        if let (Some(record), Some(pages)) = (record, consumed) {
            let page = record.address / PAGE_SIZE * PAGE_SIZE;
            assert!(pages.contains(&page), "{about}: it consumed {pages:x?}");
        }
    }
    let free = vcpus
        .clone()
        .find(|vcpu| !receivers.consumed.contains_key(vcpu));
    if let Some(free) = free.filter(|_| receivers.has_optional) {
        let about = format!("{about}: guest {guest}: vCPU {free} is free");
        assert!(first(free).is_some(), "{about}");
    }
}

fn seeds(many: u64) -> std::ops::Range<u64> {
    match std::env::var("BANKSHOT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => 0..many,
    }
}

#[test]
fn small_machines_in_any_order() {
    let mut ends = BTreeMap::new();
    for seed in seeds(3_000) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        let end = check(seed, processors, false, Order::Random(seed));
        *ends.entry(end.map(FatalReason::word)).or_insert(0) += 1;
    }
    // The trials are of every kind.
    if seeds(3_000).count() > 1 {
        assert!(ends[&None] > 1_000, "{ends:?}");
        for reason in [
            "bank",
            "unknown-required",
            "hypervisor-consumed",
            "hypervisor-page",
            "no-bank",
        ] {
            assert!(ends.get(&Some(reason)) > Some(&10), "{reason} in {ends:?}");
        }
    }
}

#[test]
fn small_machines_with_missing_processors() {
    for seed in seeds(300) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        check(seed, processors, true, Order::Turns);
        check(seed, processors, true, Order::Random(seed));
    }
}

#[test]
fn large_machines_with_missing_processors() {
    for seed in seeds(12) {
        let (processors, order) = match seed {
            0..10 => ([64, 250][seed as usize % 2], Order::Random(seed)),
            _ => (1000, Order::Turns),
        };
        check(seed, processors, true, order);
    }
}

#[test]
fn middling_machines_in_any_order() {
    for seed in seeds(100) {
        check(
            seed,
            [16, 64, 100][seed as usize % 3],
            false,
            Order::Random(seed),
        );
    }
}

#[test]
fn large_machines() {
    for seed in seeds(12) {
        let processors = [1000, 2048, 4096][seed as usize % 3];
        let order = if seed < 9 {
            Order::Turns
        } else {
            Order::Random(seed)
        };
        check(seed, processors, false, order);
    }
}
