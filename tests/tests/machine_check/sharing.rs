//! Banks that processors share, and machine checks in which not everybody takes part.

use kernel::mca::{FatalReason, Interrupted, Verdict};
use kernel::units::Hpa;
use kernel::vmce::Delivery;
use tests::sim::{Attendance, Order, Signal, Simulation, running};

use crate::common::{
    BYSTANDER, COPY, GUEST_0, GUEST_1, HYPERVISOR, LOCAL, MISC, SRAO, SRAR, banks_claimed, reset,
    resumes, seen, seen_by, world,
};

/// Two processors that have both their banks in common, each with an error that it consumed.
fn two_consumed(first: u64, second: u64) -> Simulation {
    let simulation = Simulation::new(world(3).share(0, 0, 1).share(1, 0, 1));
    simulation.world.put(0, 1, SRAR, first, MISC);
    simulation.world.put(1, 0, SRAR, second, MISC);
    simulation
}

#[test]
fn of_two_local_ones_with_shared_banks_each_gets_its_own() {
    for seed in 0..100 {
        let simulation = two_consumed(GUEST_0 + 0x1000, GUEST_1 + 0x2000);
        simulation.world.guests[0].enable_local(&simulation.view(0), 0, 1);
        simulation.world.guests[1].enable_local(&simulation.view(1), 1, 0);
        let signals = [
            Signal::new(0, running(0, 1), LOCAL),
            Signal::new(1, running(1, 0), LOCAL),
        ];
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert!(resumes(&outcomes), "seed {seed}: {outcomes:?}");
        assert_eq!(banks_claimed(&simulation).len(), 2);
        assert_eq!(simulation.enter(0), [Delivery::Nothing, Delivery::Inject]);
        assert_eq!(simulation.enter(1), [Delivery::Inject]);
        assert_eq!(
            seen_by(&simulation, 0),
            [vec![], vec![seen(LOCAL, SRAR, 0x1000)]]
        );
        assert_eq!(seen_by(&simulation, 1), [vec![seen(LOCAL, SRAR, 0x2000)]]);
    }
}

/// No register says which of the two is whose; each gets one, and both pages go out of use.
#[test]
fn of_two_local_ones_of_one_guest_each_gets_one() {
    for seed in 0..100 {
        let simulation = two_consumed(GUEST_0 + 0x1000, GUEST_0 + 0x2000);
        for vcpu in 0..2 {
            simulation.world.guests[0].enable_local(&simulation.view(0), 0, vcpu);
        }
        let signals = [
            Signal::new(0, running(0, 0), LOCAL),
            Signal::new(1, running(0, 1), LOCAL),
        ];
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert!(resumes(&outcomes), "seed {seed}: {outcomes:?}");
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        let all = seen_by(&simulation, 0);
        let mut pages: Vec<_> = all
            .iter()
            .flat_map(|seen| seen.iter().filter_map(|seen| seen.record))
            .map(|record| record.address)
            .collect();
        pages.sort_unstable();
        assert_eq!(pages, [0x1000, 0x2000]);
        assert!(all.iter().all(|seen| seen.len() == 1), "{all:?}");
        assert_eq!(
            simulation.world.retired(),
            [Hpa(GUEST_0 + 0x1000), Hpa(GUEST_0 + 0x2000)]
        );
    }
}

/// A marked copy and a guest: what the copy met is not taken for the guest's own.
#[test]
fn a_local_one_in_a_copy_and_one_in_a_guest() {
    for seed in 0..100 {
        let simulation = two_consumed(GUEST_1 + 0x1000, GUEST_0 + 0x2000);
        let signals = [
            Signal::new(0, COPY, LOCAL),
            Signal::new(1, running(0, 1), LOCAL),
        ];
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert_eq!(outcomes[0], [Verdict::FixUp], "seed {seed}");
        assert_eq!(outcomes[1], [Verdict::Resume], "seed {seed}");
        assert_eq!(simulation.world.retired().len(), 2);
    }
}

/// The only error of a broadcast lies in a shared bank, and a local machine check empties that before the broadcast begins.
#[test]
fn what_a_local_one_has_claimed_explains_an_empty_broadcast() {
    let broadcast = |interrupted: Interrupted| -> Vec<_> {
        (0..3)
            .map(|n| Signal::new(n, interrupted, BYSTANDER))
            .collect()
    };
    let simulation = Simulation::new(world(3).share(1, 0, 1));
    simulation.world.put(0, 0, SRAR, GUEST_0 + 0x1000, MISC);
    simulation.world.put(0, 1, SRAO, GUEST_1 + 0x2000, MISC);
    let local = [Signal::new(0, running(0, 0), LOCAL)];
    assert!(resumes(&simulation.run(Order::Turns, &local)));
    assert_eq!(banks_claimed(&simulation), [(0, 0), (0, 1)]);
    let run = || simulation.run(Order::Turns, &broadcast(HYPERVISOR));
    assert!(resumes(&run()), "its error has had its record");
    // Who has been at work since has had its #MC.
    (0..3).for_each(|n| kernel::mca::poll(simulation.shared(), &simulation.view(n)));
    assert_eq!(reset(&run()), FatalReason::NoBank);
}

/// A late processor takes what a local #MC is for.
#[test]
fn what_a_late_one_has_claimed_explains_an_empty_local_one() {
    let simulation = Simulation::new(world(3).share(1, 1, 2));
    simulation.world.put(0, 0, SRAO, GUEST_0 + 0x1000, MISC);
    let signals = [
        Signal::new(0, HYPERVISOR, BYSTANDER),
        Signal::new(1, HYPERVISOR, BYSTANDER),
        Signal::new(2, HYPERVISOR, BYSTANDER).attending(Attendance::Never),
    ];
    simulation.run(Order::Turns, &signals);
    simulation.world.put(1, 1, SRAR, GUEST_1 + 0x3000, MISC);
    let late = [Signal::new(2, HYPERVISOR, BYSTANDER)];
    assert!(resumes(&simulation.run(Order::Turns, &late)));
    let local = [Signal::new(1, running(1, 0), LOCAL)];
    assert!(resumes(&simulation.run(Order::Turns, &local)));
    assert_eq!(
        reset(&simulation.run(Order::Turns, &local)),
        FatalReason::NoBank,
        "once"
    );
    assert_eq!(simulation.enter(1), [Delivery::Inject]);
}

/// Whether no bank holds anything is not known before all have come.
#[test]
fn an_error_in_the_bank_of_a_late_one_is_no_empty_machine_check() {
    for seed in 0..30 {
        for late in [&[2][..], &[1, 2]] {
            for has_error in [true, false] {
                let simulation = Simulation::new(world(4));
                if has_error {
                    simulation.world.put(2, 1, SRAO, GUEST_0 + 0x1000, MISC);
                }
                let signals: Vec<_> = (0..4)
                    .map(|n| {
                        let after = 3_000 + 40 * (seed + u64::from(n) % 2 * 20);
                        Signal::new(n, HYPERVISOR, BYSTANDER).attending(if late.contains(&n) {
                            Attendance::Late(after)
                        } else {
                            Attendance::Comes
                        })
                    })
                    .collect();
                let outcomes = simulation.run(Order::Random(seed), &signals);
                let fatal: Vec<_> = outcomes
                    .iter()
                    .filter_map(|outcome| match outcome[..] {
                        [Verdict::Fatal { reason, resets }] => Some((reason, resets)),
                        _ => None,
                    })
                    .collect();
                if has_error {
                    assert_eq!(fatal, [], "seed {seed}, {late:?}");
                    assert_eq!(banks_claimed(&simulation), [(2, 1)]);
                    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
                } else {
                    assert_eq!(fatal, [(FatalReason::NoBank, true)], "the last decides");
                }
            }
        }
    }
}
