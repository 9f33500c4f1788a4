//! Machine checks of processors that are still being brought up, and beside a bring-up.

use kernel::event::Event;
use kernel::mca::FatalReason;
use kernel::units::Hpa;
use kernel::vmce::Delivery;
use tests::sim::{Attendance, Order, Signal, Simulation, World, running};

use crate::common::{
    BYSTANDER, CONSUMER, GUEST_0, HYPERVISOR, MISC, SRAO, SRAR, clean, reset, resumes, seen,
    seen_by, world,
};

/// Corrupt context: fatal wherever it is found.
const FATAL: u64 = 0xbe00_0000_0000_0134;

/// At every point of a bring-up: suspensions until the processor is up, and some more.
const POINTS: u64 = 60;

/// Three processors with both their banks in common, of which two are up.
fn two_of_three() -> World {
    world(3).share(0, 0, 2).share(1, 0, 2)
}

/// Guest 0 on the two processors that are up, and the one that is being brought up
/// (which may have had its #MC long before they come to theirs).
fn signals(first: u64, second: u64, point: u64) -> [Signal; 3] {
    let comes = Attendance::Late(point % 2 * 40);
    [
        Signal::new(0, running(0, 0), first).attending(comes),
        Signal::new(1, running(0, 1), second).attending(comes),
        Signal::new(2, HYPERVISOR, BYSTANDER).while_starting(point),
    ]
}

fn records(simulation: &Simulation) -> Vec<&'static str> {
    simulation.world.picked(|_, event| match event {
        Event::BankError { .. } => Some("now"),
        Event::EarlierError { .. } => Some("earlier"),
        Event::Missing { .. } => Some("missing"),
        _ => None,
    })
}

#[test]
fn a_bring_up_takes_no_error_from_the_rendezvous_beside_it() {
    for point in 0..POINTS {
        for seed in 0..4 {
            let simulation = Simulation::up_to(two_of_three(), 2);
            simulation.world.put(0, 1, SRAR, GUEST_0 + 0x3000, MISC);
            let signals = signals(BYSTANDER, CONSUMER, point);
            let outcomes = simulation.run(Order::Random(seed), &signals);
            let what = format!("point {point}, seed {seed}");
            assert!(resumes(&outcomes), "{what}: {outcomes:?}");
            assert_eq!(records(&simulation), ["now"], "{what}");
            assert_eq!(simulation.world.retired(), [Hpa(GUEST_0 + 0x3000)]);
            assert_eq!(simulation.enter(0), [Delivery::Inject; 2], "{what}");
            assert_eq!(
                seen_by(&simulation, 0),
                [vec![clean(5)], vec![seen(7, SRAR, 0x3000)]],
                "{what}"
            );
            expected_from_now_on(&simulation, &what);
        }
    }
}

#[test]
fn an_error_that_nobody_consumed_is_handled_once_by_whoever_comes_first() {
    for point in 0..POINTS {
        for seed in 0..4 {
            let simulation = Simulation::up_to(two_of_three(), 2);
            simulation.world.put(0, 1, SRAO, GUEST_0 + 0x3000, MISC);
            let signals = signals(BYSTANDER, BYSTANDER, point);
            let outcomes = simulation.run(Order::Random(seed), &signals);
            let what = format!("point {point}, seed {seed}");
            assert!(resumes(&outcomes), "{what}: {outcomes:?}");
            assert_eq!(records(&simulation), ["now"], "{what}");
            assert_eq!(simulation.enter(0), [Delivery::Inject; 2], "{what}");
            assert_eq!(
                seen_by(&simulation, 0),
                [vec![seen(5, SRAO, 0x3000)], vec![clean(5)]],
                "{what}"
            );
            assert!((0..3).all(|n| !simulation.world.has_stale_translations(n)));
            expected_from_now_on(&simulation, &what);
        }
    }
}

/// The processor that has come up takes part in the next machine check.
fn expected_from_now_on(simulation: &Simulation, what: &str) {
    simulation.world.clear_log();
    simulation.world.put(2, 0, SRAO, 0x7000_0000, MISC);
    let signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
    assert!(resumes(&simulation.run(Order::Turns, &signals)), "{what}");
    let met = simulation.world.picked(|_, event| match event {
        Event::Rendezvous {
            expected, arrived, ..
        } => Some((*expected, *arrived)),
        _ => None,
    });
    assert_eq!(met, [(3, 3)], "{what}");
}

/// Its own bank, and nobody else's: who is being brought up handles it.
#[test]
fn an_error_of_a_processor_that_is_being_brought_up_is_not_from_before_the_reset() {
    for point in 0..POINTS {
        let simulation = Simulation::up_to(world(3), 2);
        simulation.world.put(2, 1, SRAO, GUEST_0 + 0x3000, MISC);
        let signals = signals(BYSTANDER, BYSTANDER, point);
        let simulation = simulation.tolerating_empty();
        let outcomes = simulation.run(Order::Random(point), &signals);
        assert!(resumes(&outcomes), "point {point}: {outcomes:?}");
        assert_eq!(records(&simulation), ["now"], "point {point}");
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2], "point {point}");
    }
}

/// Nobody is up: each sees to what its banks hold, and nothing of it is lost. The #MC comes while each looks at them.
#[test]
fn before_anybody_is_up_each_handles_its_machine_checks_by_itself() {
    let mut handled = 0;
    for seed in 0..300 {
        let simulation = Simulation::up_to(two_of_three(), 0);
        simulation.world.put(0, 1, SRAO, GUEST_0 + 0x3000, MISC);
        simulation.world.put(0, 0, SRAO, GUEST_0 + 0x4000, MISC);
        let mut random = fastrand::Rng::with_seed(seed);
        let signals: Vec<_> = (0..3)
            .map(|n| Signal::new(n, HYPERVISOR, BYSTANDER).while_starting(random.u64(..8)))
            .collect();
        let outcomes = simulation.run(Order::Random(seed), &signals);
        assert!(resumes(&outcomes), "seed {seed}: {outcomes:?}");
        assert!(records(&simulation).len() >= 2, "seed {seed}");
        assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));
        handled += simulation.world.retired().len();
    }
    assert!(
        handled > 300,
        "most are handled, not taken for earlier ones: {handled}"
    );
}

#[test]
fn a_fatal_error_of_a_processor_that_is_being_brought_up_resets_the_machine() {
    for point in 0..10 {
        let simulation = Simulation::up_to(world(3), 2);
        simulation.world.put(2, 1, FATAL, 0, 0);
        let mut signals = signals(BYSTANDER, BYSTANDER, point);
        signals[0].attendance = Attendance::Never;
        signals[1].attendance = Attendance::Never;
        let outcomes = simulation.run(Order::Random(point), &signals);
        assert_eq!(reset(&outcomes), FatalReason::Bank, "point {point}");
        assert_eq!(simulation.world.bank(2, 1).status, FATAL);
    }
}
