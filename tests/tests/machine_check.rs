//! The engine on the simulated machine: what semantics.md says, case by case.

use kernel::event::Event;
use kernel::mca::{FatalReason, Interrupted, Kept, Verdict};
use kernel::units::{GuestId, Hpa, Pcpu};
use kernel::vmce::{Delivery, Outcome as Told, StopReason};
use msr_runtime::ErrorRecord;
use tests::sim::{Attendance, Order, Seen, Signal, Simulation, Step, Work, World, running};

/// SRAO, memory scrub.
const SRAO: u64 = 0xbd00_0000_0000_00cf;
/// SRAR, data load.
const SRAR: u64 = 0xbd80_0000_0000_0134;
/// A physical address, good for a page.
const MISC: u64 = 0x8c;
const HYPERVISOR: Interrupted = Interrupted::Hypervisor { fix_up: false };
const COPY: Interrupted = Interrupted::Hypervisor { fix_up: true };
/// MCG_STATUS of a processor with which the error has nothing to do.
const BYSTANDER: u64 = 5;
const CONSUMER: u64 = 7;
const LOCAL: u64 = 15;

/// Host-physical start of guest 0 and guest 1, and of the hypervisor.
const GUEST_0: u64 = 0x1000_0000;
const GUEST_1: u64 = 0x2000_0000;
const HYPERVISORS: u64 = 0x10_0000;

/// `processors` processors with 2 banks; guest 0 with 2 vCPUs, guest 1 with 1.
fn world(processors: u16) -> World {
    World::new(processors, 2)
        .guest(2, GUEST_0, 1024)
        .guest(1, GUEST_1, 16)
        .hypervisor(HYPERVISORS, 16)
}

fn clean(mcg_status: u64) -> Seen {
    Seen {
        mcg_status,
        record: None,
    }
}

fn seen(mcg_status: u64, status: u64, address: u64) -> Seen {
    seen_misc(mcg_status, status, address, MISC)
}

fn seen_misc(mcg_status: u64, status: u64, address: u64, misc: u64) -> Seen {
    Seen {
        mcg_status,
        record: Some(ErrorRecord {
            status,
            address,
            misc,
        }),
    }
}

/// Guest 0 on processors 0 and 1, vCPU by vCPU; `mcg_status` of each.
fn both(first: u64, second: u64) -> [Signal; 2] {
    [
        Signal::new(0, running(0, 0), first),
        Signal::new(1, running(0, 1), second),
    ]
}

fn seen_by(simulation: &Simulation, guest: u8) -> Vec<Vec<Seen>> {
    let guest = &simulation.world.guests[usize::from(guest)];
    (0..guest.vcpus.len() as u8)
        .map(|vcpu| guest.seen(vcpu))
        .collect()
}

fn resumes(outcomes: &[Vec<Verdict>]) -> bool {
    outcomes.iter().all(|outcome| outcome == &[Verdict::Resume])
}

/// The reason of a reset that all agree on, one of them doing it.
fn reset(outcomes: &[Vec<Verdict>]) -> FatalReason {
    let all: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome.last() {
            Some(&Verdict::Fatal { reason, resets }) => Some((reason, resets)),
            Some(_) => panic!("some go on, some do not"),
            None => None,
        })
        .collect();
    assert_eq!(
        all.iter().filter(|(_, resets)| *resets).count(),
        1,
        "one resets"
    );
    assert!(all.iter().all(|(reason, _)| *reason == all[0].0), "{all:?}");
    all[0].0
}

fn banks_claimed(simulation: &Simulation) -> Vec<(u16, u8)> {
    simulation.world.picked(|on, event| match event {
        Event::BankError { bank, .. } => Some((on.0, bank.0)),
        _ => None,
    })
}

#[test]
fn broadcast_srao_hits_the_guest_that_owns_the_page() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 1, SRAO, GUEST_0 + 0x5678, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.world.retired(), [Hpa(GUEST_0 + 0x5000)]);
    assert!(
        !simulation.world.has_stale_translations(0) && !simulation.world.has_stale_translations(1)
    );
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        simulation.enter(1),
        [Delivery::Nothing],
        "the other guest never notices"
    );
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(5, SRAO, 0x5000)], vec![clean(5)]]
    );
    assert!(!simulation.finish(0), "nothing is left over");
    assert_eq!(simulation.world.bank(0, 1).status, 0);
    assert_eq!(
        (
            simulation.world.mcg_status(0),
            simulation.world.mcg_status(1)
        ),
        (0, 0)
    );
    let kinds: Vec<_> = simulation
        .world
        .events()
        .iter()
        .map(|e| (e.on.0, e.event.kind().name))
        .collect();
    for (kind, times) in [
        ("mc.entered", 2),
        ("mc.rendezvous", 1),
        ("mc.bank", 1),
        ("mc.worst", 1),
        ("mc.hit", 1),
        ("page.retired", 1),
        ("vmce.posted", 2),
        ("mc.resumed", 2),
        ("vmce.injected", 2),
        ("vmce.handled", 2),
    ] {
        assert_eq!(
            kinds.iter().filter(|(_, name)| *name == kind).count(),
            times,
            "{kind} in {kinds:?}"
        );
    }
}

#[test]
fn an_srar_goes_to_the_vcpu_that_consumed_it() {
    for (consumer, want) in [
        (0, [vec![seen(7, SRAR, 0x3000)], vec![clean(5)]]),
        (1, [vec![clean(5)], vec![seen(7, SRAR, 0x3000)]]),
    ] {
        let simulation = Simulation::new(world(2));
        simulation
            .world
            .put(consumer, 0, SRAR, GUEST_0 + 0x3000, MISC);
        let status = |processor| {
            if processor == consumer {
                CONSUMER
            } else {
                BYSTANDER
            }
        };
        assert!(resumes(
            &simulation.run(Order::Turns, &both(status(0), status(1)))
        ));
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(seen_by(&simulation, 0), want);
    }
}

#[test]
fn a_shared_bank_has_one_owner_and_its_consumer_gets_the_record() {
    for seed in 0..50 {
        let simulation = Simulation::new(world(4).share(1, 0, 3));
        simulation.world.put(0, 1, SRAR, GUEST_0 + 0x3000, MISC);
        let signals = [
            Signal::new(0, running(1, 0), BYSTANDER),
            Signal::new(1, running(0, 0), BYSTANDER),
            Signal::new(2, running(0, 1), CONSUMER),
            Signal::new(3, HYPERVISOR, BYSTANDER),
        ];
        assert!(resumes(&simulation.run(Order::Random(seed), &signals)));
        assert_eq!(banks_claimed(&simulation).len(), 1);
        simulation.enter(0);
        simulation.enter(1);
        assert_eq!(
            seen_by(&simulation, 0),
            [vec![clean(5)], vec![seen(7, SRAR, 0x3000)]],
            "seed {seed}"
        );
        assert_eq!(seen_by(&simulation, 1), [vec![]]);
    }
}

#[test]
fn two_consumers_of_one_shared_error_get_a_record_each() {
    let simulation = Simulation::new(world(2).share(0, 0, 1));
    simulation.world.put(0, 0, SRAR, GUEST_0 + 0x3000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(7, 7))));
    simulation.enter(0);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(7, SRAR, 0x3000)], vec![seen(7, SRAR, 0x3000)]]
    );
}

#[test]
fn fatal_errors_reset_with_the_banks_intact() {
    let fatal = [
        (0xbe00_0000_0000_0134, FatalReason::Bank),
        (SRAR | 1 << 62, FatalReason::Bank),
        (0xbc80_0000_0000_0134, FatalReason::Bank),
        (0xbd80_0000_0000_0135, FatalReason::UnknownRequired),
    ];
    for (status, reason) in fatal {
        for seed in 0..20 {
            let simulation = Simulation::new(world(3));
            simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
            simulation.world.put(1, 1, status, GUEST_0, MISC);
            let before = simulation.world.banks();
            let signals: Vec<_> = (0..3)
                .map(|n| Signal::new(n, running(0, 0), CONSUMER))
                .collect();
            assert_eq!(
                reset(&simulation.run(Order::Random(seed), &signals)),
                reason,
                "{status:#x}"
            );
            assert_eq!(simulation.world.banks(), before);
            assert!(simulation.world.retired().is_empty());
        }
    }
}

#[test]
fn without_recovery_every_uncorrected_error_is_fatal() {
    let simulation = Simulation::new(world(2).without_cap(1 << 24));
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert_eq!(
        reset(&simulation.run(Order::Turns, &both(5, 5))),
        FatalReason::Bank
    );
}

#[test]
fn no_valid_bank_is_fatal_unless_configured_otherwise() {
    let simulation = Simulation::new(world(2));
    assert_eq!(
        reset(&simulation.run(Order::Turns, &both(5, 5))),
        FatalReason::NoBank
    );
    let simulation = Simulation::new(world(2)).tolerating_empty();
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    let local = Simulation::new(world(2));
    assert_eq!(
        reset(&local.run(Order::Turns, &[Signal::new(1, running(0, 0), LOCAL)])),
        FatalReason::NoBank
    );
}

#[test]
fn the_hypervisors_own_context_and_memory() {
    let run = |interrupted, mcg_status, status, address| {
        let simulation = Simulation::new(world(2));
        simulation.world.put(0, 0, status, address, MISC);
        let signals = [
            Signal::new(0, interrupted, mcg_status),
            Signal::new(1, running(0, 1), BYSTANDER),
        ];
        let outcomes = simulation.run(Order::Turns, &signals);
        (outcomes, simulation)
    };
    assert_eq!(
        reset(&run(HYPERVISOR, CONSUMER, SRAR, GUEST_0).0),
        FatalReason::HypervisorConsumed
    );
    assert_eq!(
        reset(&run(HYPERVISOR, 4, SRAO, GUEST_0).0),
        FatalReason::HypervisorContext
    );
    assert_eq!(
        reset(&run(COPY, 6, SRAR, GUEST_0).0),
        FatalReason::HypervisorContext
    );
    assert_eq!(
        reset(&run(COPY, CONSUMER, SRAR & !(1 << 58), GUEST_0).0),
        FatalReason::HypervisorConsumed
    );
    assert_eq!(
        reset(&run(running(0, 0), CONSUMER, SRAR, HYPERVISORS).0),
        FatalReason::HypervisorPage
    );
    assert!(
        resumes(&run(HYPERVISOR, BYSTANDER, SRAO, HYPERVISORS).0),
        "an optional error in unused memory"
    );

    let (outcomes, _) = run(COPY, CONSUMER, SRAR, GUEST_0);
    assert_eq!(outcomes, [[Verdict::FixUp], [Verdict::Resume]]);
}

/// With action required, stock Linux panics: it looks for the context that met the error, and none of its own has.
#[test]
fn a_guest_that_has_not_consumed_the_error_gets_it_with_action_optional() {
    for (interrupted, mcg_status) in [
        (COPY, CONSUMER),
        (HYPERVISOR, BYSTANDER),
        (running(1, 0), BYSTANDER),
        (running(0, 1), BYSTANDER),
        (running(1, 0), CONSUMER),
    ] {
        let simulation = Simulation::new(world(2));
        let model_specific = 0x1234 << 16;
        let status = SRAR | model_specific;
        simulation
            .world
            .put(0, 1, status, GUEST_0 + 0x3040, MISC & !0x3f | 6);
        let signals = [
            Signal::new(0, interrupted, mcg_status),
            Signal::new(1, running(0, 0), BYSTANDER),
        ];
        simulation.run(Order::Turns, &signals);
        simulation.enter(0);
        let record = seen_misc(5, SRAO | model_specific, 0x3040, MISC & !0x3f | 6);
        assert_eq!(
            seen_by(&simulation, 0),
            [vec![record], vec![clean(5)]],
            "{interrupted:?} {mcg_status}"
        );
        let stopped = simulation.enter(1) == [Delivery::Stop(StopReason::ForeignPage)];
        assert_eq!(
            stopped,
            mcg_status == CONSUMER && interrupted == running(1, 0)
        );
    }
}

#[test]
fn what_needs_no_action_is_logged_and_cleared() {
    let harmless = [
        0x9c00_0000_0000_009f,
        0xac00_0000_0000_009f,
        0xbc00_0000_0000_009f,
        0xbd00_0000_0000_0e0f,
    ];
    for status in harmless {
        let simulation = Simulation::new(world(2));
        simulation.world.put(1, 1, status, GUEST_0, MISC);
        assert!(
            resumes(&simulation.run(Order::Turns, &both(5, 5))),
            "{status:#x}"
        );
        assert_eq!(banks_claimed(&simulation), [(1, 1)]);
        assert_eq!(simulation.world.bank(1, 1).status, 0);
        assert!(simulation.world.retired().is_empty());
        assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
    }
}

#[test]
fn an_address_that_does_not_count() {
    for (status, misc) in [(1 << 58, MISC), (1 << 59, MISC), (0, 0x4c)] {
        let simulation = Simulation::new(world(2));
        simulation.world.put(0, 0, SRAO & !status, GUEST_0, misc);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        assert_eq!(
            simulation.enter(0),
            [Delivery::Nothing; 2],
            "SRAO without address: log"
        );

        let simulation = Simulation::new(world(2));
        simulation.world.put(0, 0, SRAR & !status, GUEST_0, misc);
        let signals = [
            Signal::new(0, running(1, 0), CONSUMER),
            Signal::new(1, running(0, 1), BYSTANDER),
        ];
        assert!(resumes(&simulation.run(Order::Turns, &signals)));
        assert_eq!(
            simulation.enter(1),
            [Delivery::Stop(StopReason::NoAddress)],
            "the consumer's guest"
        );
        assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
    }
}

#[test]
fn a_free_page_is_out_of_use_and_nobody_is_hit() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, 0x7000_0000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.world.retired(), [Hpa(0x7000_0000)]);
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
}

#[test]
fn a_consumer_of_memory_that_is_not_its_guests_is_stopped() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAR, GUEST_1, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(7, 5))));
    assert_eq!(
        simulation.enter(0),
        [Delivery::Stop(StopReason::ForeignPage); 2]
    );
    assert_eq!(simulation.enter(1), [Delivery::Inject]);
}

#[test]
fn a_context_that_cannot_go_on_is_told_so() {
    // Whoever is hit: processor 1 was interrupted in guest 0 with RIPV clear.
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_1, MISC);
    let signals = [
        Signal::new(0, running(1, 0), 5),
        Signal::new(1, running(0, 1), 4),
    ];
    assert!(resumes(&simulation.run(Order::Turns, &signals)));
    simulation.enter(0);
    simulation.enter(1);
    assert_eq!(seen_by(&simulation, 0), [vec![clean(5)], vec![clean(4)]]);
    assert_eq!(seen_by(&simulation, 1), [vec![seen(5, SRAO, 0)]]);
    // The same for the consumer.
    let simulation = Simulation::new(world(2));
    simulation.world.put(1, 0, SRAR, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 6))));
    simulation.enter(0);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![clean(5)], vec![seen(6, SRAR, 0)]]
    );
}

#[test]
fn missing_processors_are_named_and_do_not_run_before_they_have_flushed() {
    let simulation = Simulation::new(world(4));
    simulation.world.put(0, 1, SRAO, GUEST_0, MISC);
    let mut signals: Vec<_> = (0..4).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
    signals[2].attendance = Attendance::Never;
    let outcomes = simulation.run(Order::Turns, &signals);
    assert_eq!(outcomes[2], []);
    let named = simulation.world.picked(|_, event| match event {
        Event::Missing { processor } => Some(processor.0),
        _ => None,
    });
    assert_eq!(named, [2]);
    assert!(
        simulation
            .world
            .steps()
            .contains(&(Pcpu(0), Step::Kick(Pcpu(2))))
    );
    assert!(simulation.world.has_stale_translations(2), "it hangs");
    assert!(!kernel::mca::is_flushed(simulation.shared()));
    kernel::mca::catch_up(simulation.shared(), &simulation.view(2));
    assert!(!simulation.world.has_stale_translations(2));
    assert!(kernel::mca::is_flushed(simulation.shared()));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
}

#[test]
fn an_srar_with_a_possible_consumer_missing_is_fatal() {
    let simulation = Simulation::new(world(3));
    simulation.world.put(0, 1, SRAR, GUEST_0, MISC);
    let before = simulation.world.banks();
    let mut signals: Vec<_> = (0..3).map(|n| Signal::new(n, running(0, 0), 5)).collect();
    signals[2].attendance = Attendance::Never;
    assert_eq!(
        reset(&simulation.run(Order::Turns, &signals)),
        FatalReason::ConsumerMissing
    );
    assert_eq!(simulation.world.banks(), before);
}

#[test]
fn a_late_processor_handles_its_own_banks_alone() {
    for seed in 0..50 {
        let simulation = Simulation::new(world(3));
        simulation.world.put(0, 1, SRAO, GUEST_0, MISC);
        simulation.world.put(2, 1, SRAO, GUEST_1, MISC);
        let mut signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
        signals[2].attendance = Attendance::Late(2_000 + seed * 20);
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert!(resumes(&outcomes), "{outcomes:?}");
        let mut claimed = banks_claimed(&simulation);
        claimed.sort_unstable();
        assert_eq!(claimed, [(0, 1), (2, 1)]);
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(simulation.enter(1), [Delivery::Inject]);
        assert!((0..3).all(|n| !simulation.world.has_stale_translations(n)));
        // It is expected again.
        simulation.world.put(1, 0, SRAO, 0x7000_0000, MISC);
        simulation.world.clear_log();
        let signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
        assert!(resumes(&simulation.run(Order::Random(seed), &signals)));
        let met = simulation.world.picked(|_, event| match event {
            Event::Rendezvous {
                expected, arrived, ..
            } => Some((*expected, *arrived)),
            _ => None,
        });
        assert_eq!(met, [(3, 3)], "seed {seed}");
    }
}

#[test]
fn a_processor_that_dies_anywhere_hangs_nobody() {
    let mut ends = [0; 2];
    for after in 0..60 {
        for dying in 0..3 {
            let simulation = Simulation::new(world(3).share(0, 0, 1));
            simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
            simulation.world.put(2, 1, SRAO, GUEST_1, MISC);
            let mut signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
            signals[dying].attendance = Attendance::Dies(after);
            let outcomes = simulation.run(Order::Random(after), &signals);
            let fatal = outcomes
                .iter()
                .flatten()
                .any(|verdict| matches!(verdict, Verdict::Fatal { .. }));
            ends[usize::from(fatal)] += 1;
        }
    }
    assert!(
        ends[0] > 10 && ends[1] > 10,
        "both kinds of end were seen: {ends:?}"
    );
}

#[test]
fn local_machine_checks_need_nobody_else() {
    let simulation = Simulation::new(world(4));
    assert!((0..4).all(|n| simulation.world.local_enabled(n)));
    simulation.world.guests[0].enable_local(&simulation.view(0), 0, 1);
    simulation.world.put(3, 0, SRAR, GUEST_0 + 0x1000, MISC);
    assert!(resumes(
        &simulation.run(Order::Random(1), &[Signal::new(3, running(0, 1), LOCAL)])
    ));
    assert_eq!(simulation.enter(0), [Delivery::Nothing, Delivery::Inject]);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![], vec![seen(LOCAL, SRAR, 0x1000)]]
    );
    assert!(
        (0..4).all(|n| !simulation.world.has_stale_translations(n)),
        "the others were kicked and have flushed"
    );
}

#[test]
fn a_local_one_is_broadcast_to_a_guest_that_has_not_enabled_it() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAR, GUEST_0 + 0x1000, MISC);
    assert!(resumes(
        &simulation.run(Order::Turns, &[Signal::new(0, running(0, 1), LOCAL)])
    ));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![clean(5)], vec![seen(7, SRAR, 0x1000)]]
    );
    assert!(
        simulation
            .world
            .steps()
            .contains(&(Pcpu(0), Step::Kick(Pcpu(1))))
    );
}

#[test]
fn local_and_broadcast_ones_at_once_are_serialised() {
    for seed in 0..200 {
        let simulation = Simulation::new(world(4));
        simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
        simulation.world.put(1, 1, SRAO, GUEST_0 + 0x1000, MISC);
        simulation.world.put(2, 0, SRAO, GUEST_1, MISC);
        let signals = [
            Signal::new(0, HYPERVISOR, LOCAL).then(HYPERVISOR, 5),
            Signal::new(1, HYPERVISOR, LOCAL).then(HYPERVISOR, 5),
            Signal::new(2, HYPERVISOR, 5),
            Signal::new(3, HYPERVISOR, 5),
        ];
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert!(
            outcomes
                .iter()
                .flatten()
                .all(|verdict| *verdict == Verdict::Resume),
            "seed {seed}: {outcomes:?}"
        );
        assert_eq!(banks_claimed(&simulation).len(), 3);
        assert!(
            simulation
                .world
                .picked(|_, event| matches!(event, Event::Missing { .. }).then_some(()))
                .is_empty()
        );
    }
}

#[test]
fn several_pages_follow_one_by_one() {
    let simulation = Simulation::new(world(2));
    // LSB 14: four pages.
    simulation.world.put(0, 0, SRAO, GUEST_0 + 0x4000, 0x8e);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(
        simulation.world.retired(),
        [0x4000, 0x5000, 0x6000, 0x7000].map(|at| Hpa(GUEST_0 + at))
    );
    for page in 0..4u64 {
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2], "page {page}");
        assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
        let last = seen_by(&simulation, 0).map_last();
        assert_eq!(
            last,
            [seen_misc(5, SRAO, 0x4000 + page * 0x1000, 0x8c), clean(5)]
        );
        assert_eq!(simulation.finish(0), page < 3, "page {page}");
    }
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
}

#[test]
fn records_of_several_processors_go_to_free_vcpus_in_order() {
    let simulation = Simulation::new(world(3));
    for processor in 0..3 {
        simulation.world.put(
            processor,
            0,
            SRAO,
            GUEST_0 + 0x1000 * u64::from(processor),
            MISC,
        );
    }
    let signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
    assert!(resumes(&simulation.run(Order::Turns, &signals)));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    let first = seen_by(&simulation, 0);
    assert!(simulation.finish(0), "one is left over");
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    let all = seen_by(&simulation, 0);
    assert_eq!(
        first
            .iter()
            .flatten()
            .filter(|seen| seen.record.is_some())
            .count(),
        2
    );
    assert!(all[0][1].record.is_some() && all[1][1] == clean(5));
    let mut pages: Vec<_> = all
        .iter()
        .flatten()
        .filter_map(|seen| seen.record)
        .map(|r| r.address)
        .collect();
    pages.sort_unstable();
    assert_eq!(pages, [0, 0x1000, 0x2000], "nothing is lost");
    assert!(!simulation.finish(0));
}

#[test]
fn several_banks_of_one_processor_make_one_record_and_the_rest_follows() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_0 + 0x1000, MISC);
    simulation.world.put(0, 1, SRAR, GUEST_0 + 0x2000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(7, 5))));
    simulation.enter(0);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(7, SRAR, 0x2000)], vec![clean(5)]]
    );
    assert!(simulation.finish(0));
    simulation.enter(0);
    assert_eq!(
        seen_by(&simulation, 0).map_last(),
        [seen(5, SRAO, 0x1000), clean(5)]
    );
}

#[test]
fn a_guest_that_has_not_finished_is_stopped_with_both_records() {
    let simulation = Simulation::new(world(2));
    for page in [0x1000, 0x2000] {
        simulation.world.put(0, 0, SRAO, GUEST_0 + page, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        if page == 0x1000 {
            assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        }
    }
    assert_eq!(
        simulation.enter(0)[0],
        Delivery::Stop(StopReason::InProgress)
    );
    let records = simulation.world.picked(|_, event| match *event {
        Event::StopRecord {
            guest: GuestId(0),
            vcpu,
            which,
            addr,
            ..
        } => Some((vcpu, which, addr)),
        _ => None,
    });
    // vCPU 1 got clean banks the first time; the second time it says what vCPU 0 was to get.
    assert_eq!(records, [(0, 1, 0x1000), (0, 2, 0x2000), (1, 2, 0x2000)]);
    assert_eq!(simulation.enter(1), [Delivery::Nothing]);
}

#[test]
fn a_guest_that_has_not_finished_is_stopped_whatever_waits() {
    for (second, status) in [(GUEST_0 + 0x8000, 5), (0x7000_0000, 4)] {
        let simulation = Simulation::new(world(2));
        // Two pages: one waits until the guest has finished.
        simulation.world.put(0, 0, SRAO, GUEST_0, 0x8d);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
        // Another error of the guest, or a context that cannot go on.
        simulation.world.put(0, 0, SRAO, second, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, status))));
        assert_eq!(
            simulation.enter(0),
            [Delivery::Stop(StopReason::InProgress); 2]
        );
    }
}

/// A context that cannot go on, without an error of its guest, is told of by the #MC that waits already.
#[test]
fn a_lost_context_is_told_by_the_machine_check_that_waits() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    simulation.world.put(0, 0, SRAO, 0x7000_0000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 4))));
    let told = simulation.world.picked(|_, event| match event {
        Event::Posted { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(
        told,
        [Told::Record, Told::Clean, Told::Merged, Told::Merged]
    );
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
}

#[test]
fn errors_before_the_first_delivery_are_not_lost() {
    let simulation = Simulation::new(world(2));
    for page in [0x1000, 0x2000] {
        simulation.world.put(0, 0, SRAO, GUEST_0 + page, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    }
    let told = simulation.world.picked(|_, event| match event {
        Event::Posted { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(
        told,
        [Told::Record, Told::Clean, Told::Deferred, Told::Deferred]
    );
    simulation.enter(0);
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
    assert!(simulation.finish(0));
    assert_eq!(
        simulation.enter(0),
        [Delivery::Inject; 2],
        "all vCPUs, each time"
    );
    assert_eq!(
        seen_by(&simulation, 0)[0],
        [seen(5, SRAO, 0x1000), seen(5, SRAO, 0x2000)]
    );
}

#[test]
fn a_lost_context_needs_no_machine_check_of_its_own() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    let elsewhere = [Signal::new(0, HYPERVISOR, 5), Signal::new(1, HYPERVISOR, 5)];
    assert!(resumes(&simulation.run(Order::Turns, &elsewhere)));
    // Before that is delivered, another one interrupts vCPU 1 where it cannot go on.
    simulation.world.put(0, 0, SRAO, 0x7000_0000, MISC);
    let lost = [
        Signal::new(0, HYPERVISOR, 5),
        Signal::new(1, running(0, 1), 4),
    ];
    assert!(resumes(&simulation.run(Order::Turns, &lost)));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(5, SRAO, 0)], vec![clean(4)]]
    );
    assert!(!simulation.finish(0));
}

#[test]
fn the_same_page_may_be_hit_again() {
    let simulation = Simulation::new(world(2));
    for times in 1..=3 {
        simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(seen_by(&simulation, 0)[0].len(), times);
        simulation.finish(0);
    }
    let retired = simulation
        .world
        .picked(|_, event| matches!(event, Event::PageRetired { .. }).then_some(()));
    assert_eq!(retired.len(), 1);
}

#[test]
fn a_guest_with_machine_checks_disabled_shuts_down() {
    let simulation = Simulation::new(world(2));
    simulation.world.guests[0].vcpus[0]
        .borrow_mut()
        .mce_disabled = true;
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Shutdown, Delivery::Inject]);
}

#[test]
fn vcpus_that_wait_for_sipi_get_nothing() {
    let simulation = Simulation::new(world(2));
    simulation.world.guests[0].mailboxes[1].park();
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Inject, Delivery::Nothing]);
    simulation.world.guests[0].mailboxes[1].start();
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
}

/// INIT on its way: nothing more is left for the vCPU. INIT before delivery: what was left is lost, and that is said.
#[test]
fn init_comes_before_what_waits() {
    let simulation = Simulation::new(world(2));
    let mailbox = &simulation.world.guests[0].mailboxes[1];
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    mailbox.will_park();
    assert!(mailbox.park(), "an #MC was waiting");
    assert!(!mailbox.park());
    mailbox.start();
    assert_eq!(simulation.enter(0), [Delivery::Inject, Delivery::Nothing]);
    simulation.finish(0);

    mailbox.will_park();
    simulation.world.put(0, 0, SRAO, GUEST_0 + 0x1000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert!(!mailbox.park());
    assert_eq!(simulation.enter(0), [Delivery::Inject, Delivery::Nothing]);
}

#[test]
fn errors_that_cannot_be_kept_stop_the_guest() {
    let simulation = Simulation::new(world(2));
    for page in 0..9u64 {
        simulation
            .world
            .put(0, 0, SRAO, GUEST_0 + page * 0x1000, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    }
    assert_eq!(
        simulation.enter(0)[0],
        Delivery::Stop(StopReason::TooManyErrors)
    );
}

#[test]
fn without_broadcast_only_the_consumer_or_vcpu_0_is_told() {
    let mut world = world(2);
    world.guests[0].broadcast = false;
    let simulation = Simulation::new(world);
    simulation.world.put(1, 0, SRAR, GUEST_0 + 0x1000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 7))));
    assert_eq!(simulation.enter(0), [Delivery::Nothing, Delivery::Inject]);
    simulation.world.put(1, 0, SRAO, GUEST_0 + 0x2000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Inject, Delivery::Nothing]);
}

#[test]
fn errors_from_before_the_reset_are_logged_and_cleared() {
    let world = world(2);
    world.put(1, 0, 0xbe00_0000_0000_0134, GUEST_0, MISC);
    let simulation = Simulation::keeping_log(world);
    let earlier = simulation.world.picked(|on, event| match *event {
        Event::EarlierError { bank, status, .. } => Some((on.0, bank.0, status)),
        _ => None,
    });
    assert_eq!(earlier, [(1, 0, 0xbe00_0000_0000_0134)]);
    assert_eq!(simulation.world.bank(1, 0).status, 0);
    assert_eq!(simulation.world.bank(1, 0).ctl, u64::MAX);
}

#[test]
fn a_poll_counts_and_clears_what_was_not_signalled() {
    let corrected = 0x9c00_00c0_0000_009f;
    let simulation = Simulation::new(world(2));
    let poll = |processor| kernel::mca::poll(simulation.shared(), &simulation.view(processor));
    simulation
        .world
        .put(0, 0, corrected, GUEST_0 + 0x1234, MISC);
    simulation
        .world
        .put(0, 1, 0xac00_0000_0000_009f, GUEST_0, MISC);
    poll(0);
    simulation
        .world
        .put(1, 0, corrected, GUEST_0 + 0x1000, MISC);
    poll(1);
    let counts = simulation.world.picked(|on, event| match *event {
        Event::CorrectedError { count, .. } => Some((on.0, count)),
        _ => None,
    });
    assert_eq!(
        counts,
        [(0, 3), (1, 6)],
        "the hardware had counted three each"
    );
    let uncorrected = simulation.world.picked(|on, event| match *event {
        Event::UncorrectedError { bank, .. } => Some((on.0, bank.0)),
        _ => None,
    });
    assert_eq!(uncorrected, [(0, 1)]);
    assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));

    simulation.world.clear_log();
    for status in [SRAO, SRAR, 0xbe00_0000_0000_0134, SRAR | 1 << 62] {
        simulation.world.put(0, 0, status, GUEST_0, MISC);
        poll(0);
        assert_eq!(
            simulation.world.bank(0, 0).status,
            status,
            "left to the #MC handler"
        );
    }
    assert_eq!(simulation.world.events(), []);
    assert_eq!(
        simulation.enter(0),
        [Delivery::Nothing; 2],
        "guests never see corrected errors"
    );
}

trait MapLast {
    fn map_last(self) -> Vec<Seen>;
}

impl MapLast for Vec<Vec<Seen>> {
    fn map_last(self) -> Vec<Seen> {
        self.into_iter()
            .map(|mut all| all.pop().expect("something was seen"))
            .collect()
    }
}

/// One corrected error each: the third takes the page out of use, and the guest hears nothing.
#[test]
fn a_page_with_too_many_corrected_errors_is_replaced() {
    const CORRECTED: u64 = 0x9c00_0040_0000_009f;
    const SPARE: u64 = 0x80_0000;
    let simulation = Simulation::new(world(2).spare(SPARE)).replacing_after(3);
    let errors = |times: u32, address: u64, misc: u64| {
        for _ in 0..times {
            simulation.world.put(0, 0, CORRECTED, address, misc);
            kernel::mca::poll(simulation.shared(), &simulation.view(0));
        }
    };
    let told = || {
        let told = simulation.world.picked(|_, event| match *event {
            Event::PageReplaced {
                hpa,
                guest,
                gpa,
                by,
                count,
            } => Some(format!(
                "{:#x} {} {:#x} {:#x} {count}",
                hpa.0, guest.0, gpa.0, by.0
            )),
            Event::PageKept { hpa, reason, count } => {
                Some(format!("{:#x} {} {count}", hpa.0, reason.word()))
            }
            Event::FreePageRetired { hpa, pages } => Some(format!("{:#x} free {pages}", hpa.0)),
            _ => None,
        });
        simulation.world.clear_log();
        told
    };
    errors(2, GUEST_0 + 0x3010, MISC);
    assert_eq!(told(), [""; 0]);
    errors(1, GUEST_0 + 0x3ff0, MISC);
    assert_eq!(told(), ["0x10003000 0 0x3000 0x800000 3"]);
    // There was one spare page: the next stays, which is said once.
    errors(5, GUEST_0 + 0x4000, MISC);
    let kept = format!("{:#x} {} 3", GUEST_0 + 0x4000, Kept::NoSpare.word());
    assert_eq!(told(), [kept]);
    errors(3, 0x4000_0000, MISC);
    assert_eq!(told(), ["0x40000000 free 1"]);
    errors(3, GUEST_0 + 0x8000, MISC + 1);
    assert_eq!(told(), ["0x10008000 several-pages 3"]);
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
}

/// An error over a gigabyte is a few events, not a quarter of a million.
#[test]
fn pages_side_by_side_are_told_together() {
    let simulation = Simulation::new(world(2));
    // 4 MiB from the guest's start: all its 1024 pages, then the same again of what is nobody's.
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC & !0x3f | 23);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    let told = simulation.world.picked(|_, event| match *event {
        Event::PageRetired { hpa, pages, .. } => Some(("out", hpa.0, pages)),
        Event::FreePageRetired { hpa, pages } => Some(("out free", hpa.0, pages)),
        Event::GuestHit { hpa, pages, .. } => Some(("hit", hpa.0, pages)),
        Event::FreeHit { hpa, pages } => Some(("hit free", hpa.0, pages)),
        _ => None,
    });
    let behind = GUEST_0 + (4 << 20);
    assert_eq!(
        told,
        [
            ("out", GUEST_0, 1024),
            ("hit", GUEST_0, 1024),
            ("out free", behind, 1024),
            ("hit free", behind, 1024)
        ]
    );
}

/// What a processor does in a rendezvous does not depend on how many take part; only how long it waits does.
#[test]
fn the_work_of_a_processor_is_the_same_on_every_machine() {
    let work = |processors: u16| -> [Work; 3] {
        let simulation = Simulation::new(world(processors));
        let before: Vec<_> = (0..processors).map(|p| simulation.world.work(p)).collect();
        simulation.world.put(0, 0, SRAO, GUEST_0 + 0x1000, MISC);
        let signals: Vec<_> = (0..processors)
            .map(|processor| {
                let interrupted = match processor {
                    0 | 1 => running(0, processor as u8),
                    _ => Interrupted::Hypervisor { fix_up: false },
                };
                Signal::new(processor, interrupted, BYSTANDER)
            })
            .collect();
        assert!(resumes(&simulation.run(Order::Turns, &signals)));
        // Who recovers, who has a vCPU of the guest that is hit, and who closes the gate.
        [0, 1, processors - 1].map(|processor| {
            let (now, before) = (
                simulation.world.work(processor),
                before[usize::from(processor)],
            );
            Work {
                msrs: now.msrs - before.msrs,
                calls: now.calls - before.calls,
                pauses: now.pauses - before.pauses,
            }
        })
    };
    let doing = |work: Work| (work.msrs, work.calls);
    let of_three = work(3).map(doing);
    // MCG_STATUS, two banks, and MCG_STATUS cleared; in the bank with the error ADDR, MISC, and STATUS looked at again and cleared.
    assert_eq!(of_three.map(|(msrs, _)| msrs), [8, 4, 4]);
    for processors in [4, 5, 16, 64, 100, 512, 1024, 2048, 4096] {
        let now = work(processors);
        assert_eq!(now.map(doing), of_three, "{processors} processors");
        // The barriers' own term: a look or two of each waiting loop for each time that all others have had their turn.
        assert!(
            now.iter().all(|work| work.pauses <= 8),
            "{processors} processors: {now:?}"
        );
    }
    let [first, last] = [work(2)[0], work(2)[1]];
    assert_eq!(doing(first), of_three[0], "2 processors");
    // The second of two has the vCPU and closes the gate.
    assert_eq!(last.msrs, of_three[1].0);
}
