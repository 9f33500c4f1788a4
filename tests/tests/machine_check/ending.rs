//! After a fatal machine check: nobody goes on, and the machine is reset whoever hangs.

use kernel::mca::Interrupted;
use kernel::units::Pcpu;
use tests::sim::{Attendance, Order, Signal, Simulation, Step, running};

use crate::common::{BYSTANDER, GUEST_0, HYPERVISOR, LOCAL, MISC, SRAO, world};

/// Corrupt context: fatal wherever it is found.
const FATAL: u64 = 0xbe00_0000_0000_0134;

/// A fatal local machine check on processor 0; the others run guests.
fn local_one(end: Attendance) -> (Simulation, Vec<Signal>) {
    let simulation = Simulation::new(world(4)).playing_the_end();
    simulation.world.put(0, 0, FATAL, 0, 0);
    let mut signals = vec![Signal::new(0, running(0, 0), LOCAL).attending(end)];
    signals.extend((1..4).map(Signal::at_work));
    (simulation, signals)
}

fn stopped(simulation: &Simulation) -> Vec<u16> {
    let mut stopped: Vec<_> = (simulation.world.steps().iter())
        .filter(|(_, step)| *step == Step::Stop)
        .map(|(processor, _)| processor.0)
        .collect();
    stopped.sort_unstable();
    stopped
}

#[test]
fn after_a_fatal_local_one_nobody_goes_on_when_the_last_words_are_written() {
    for seed in 0..50 {
        let (simulation, signals) = local_one(Attendance::Comes);
        simulation.run(Order::Random(seed), &signals);
        assert_eq!(simulation.world.resets(), [Pcpu(0)], "seed {seed}");
        assert_eq!(stopped(&simulation), [1, 2, 3], "seed {seed}");
    }
}

#[test]
fn if_the_one_that_resets_the_machine_hangs_another_one_does() {
    let mut by_another = 0;
    for after in (8..120).step_by(4) {
        let (simulation, signals) = local_one(Attendance::Dies(after));
        simulation.run(Order::Random(after), &signals);
        // If it hangs before it has told anybody, nobody knows.
        if stopped(&simulation).len() == 3 {
            assert_eq!(simulation.world.resets().len(), 1, "after {after}");
            by_another += usize::from(simulation.world.resets() != [Pcpu(0)]);
        }
    }
    assert!(by_another > 10, "{by_another}");
}

/// All have come, and the one that owns the worst hangs when all know that it is fatal.
#[test]
fn in_a_rendezvous_too() {
    let mut by_another = 0;
    for after in (0..60).step_by(2) {
        let simulation = Simulation::new(world(3)).playing_the_end();
        simulation.world.put(1, 0, FATAL, 0, 0);
        let banks = simulation.world.banks();
        let signals: Vec<_> = (0..3)
            .map(|n| Signal::new(n, HYPERVISOR, BYSTANDER))
            .map(|signal| match signal.processor {
                1 => signal.attending(Attendance::Dies(after)),
                _ => signal,
            })
            .collect();
        simulation.run(Order::Random(after), &signals);
        assert_eq!(simulation.world.banks(), banks, "after {after}");
        by_another += usize::from(simulation.world.resets().iter().any(|&by| by != Pcpu(1)));
    }
    assert!(by_another > 5, "{by_another}");
}

/// It is given up, and the banks say what was.
#[test]
fn one_that_takes_no_nmi_holds_up_nothing() {
    for seed in 0..20 {
        let (simulation, mut signals) = local_one(Attendance::Comes);
        signals[2].attendance = Attendance::Dies(0);
        simulation.run(Order::Random(seed), &signals);
        assert_eq!(simulation.world.resets(), [Pcpu(0)], "seed {seed}");
        assert_eq!(stopped(&simulation), [1, 3], "seed {seed}");
        assert_eq!(simulation.world.bank(0, 0).status, FATAL);
    }
}

/// A fatal local machine check stops a rendezvous that goes on beside it.
#[test]
fn others_stop_in_the_middle_of_their_machine_check() {
    for seed in 0..50 {
        let simulation = Simulation::new(world(4)).playing_the_end();
        simulation.world.put(0, 0, FATAL, 0, 0);
        simulation.world.put(1, 0, SRAO, GUEST_0, MISC);
        let context = Interrupted::Hypervisor { fix_up: false };
        let signals: Vec<_> = (0..4)
            .map(|n| Signal::new(n, context, if n == 0 { LOCAL } else { BYSTANDER }))
            .collect();
        simulation.run(Order::Random(seed), &signals);
        assert_eq!(simulation.world.resets(), [Pcpu(0)], "seed {seed}");
        assert_eq!(simulation.world.bank(0, 0).status, FATAL, "seed {seed}");
    }
}
