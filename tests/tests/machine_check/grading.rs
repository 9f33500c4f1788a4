//! What an error means for the host: fatal, logged, or in memory that is no guest's.

use kernel::event::Event;
use kernel::mca::{FatalReason, Verdict};
use kernel::units::Hpa;
use kernel::vmce::{Delivery, StopReason};
use tests::sim::{Order, Signal, Simulation, running};

use crate::common::{
    BYSTANDER, CONSUMER, COPY, GUEST_0, HYPERVISOR, HYPERVISORS, LOCAL, MISC, SRAO, SRAR,
    banks_claimed, both, reset, resumes, world,
};

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
