//! Where the processors meet: the rendezvous, those who do not come, local machine checks, shared banks.

use kernel::event::Event;
use kernel::mca::{Class, FatalReason, Interrupted, Owner, Verdict, take_out};
use kernel::units::{Gpa, GuestId, Hpa, Pcpu};
use kernel::vmce::Delivery;
use tests::sim::{Attendance, Order, Signal, Simulation, Step, Work, running};

use crate::common::{
    BYSTANDER, CONSUMER, GUEST_0, GUEST_1, HYPERVISOR, LOCAL, MISC, SRAO, SRAR, banks_claimed,
    both, clean, reset, resumes, seen, seen_by, world,
};

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
    let mut entered = simulation.world.picked(|on, event| match event {
        Event::EnteredHypervisor { .. } => Some(on.0),
        _ => None,
    });
    entered.sort_unstable();
    assert_eq!(entered, [0, 1, 3], "each says so once");
    assert!(
        simulation
            .world
            .steps()
            .contains(&(Pcpu(0), Step::Kick(Pcpu(2))))
    );
    let missing = |n| kernel::mca::is_missing(simulation.shared(), Pcpu(n));
    assert_eq!([0, 1, 2, 3].map(missing), [false, false, true, false]);
    assert!(simulation.world.has_stale_translations(2), "it hangs");
    assert!(!kernel::mca::is_flushed(simulation.shared()));
    let put_back = || kernel::mca::put_back(simulation.shared(), || "back");
    assert_eq!(put_back(), None, "it may still use the page");
    kernel::mca::catch_up(simulation.shared(), &simulation.view(2));
    assert!(!simulation.world.has_stale_translations(2));
    assert!(kernel::mca::is_flushed(simulation.shared()));
    assert_eq!(put_back(), Some("back"));
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

/// A processor dies at any step of its machine check: the others end it together, and no error gets lost on the way.
#[test]
fn a_processor_that_dies_anywhere_hangs_nobody() {
    let mut ends = [0; 2];
    for after in 0..60 {
        for dying in 0..3 {
            let about = format!("processor {dying} dies after {after} steps");
            let simulation = Simulation::new(world(3).share(0, 0, 1));
            let errors = [(0, 0, GUEST_0), (2, 1, GUEST_1)];
            for (processor, bank, address) in errors {
                simulation.world.put(processor, bank, SRAO, address, MISC);
            }
            let mut signals: Vec<_> = (0..3).map(|n| Signal::new(n, HYPERVISOR, 5)).collect();
            signals[dying].attendance = Attendance::Dies(after);
            let outcomes = simulation.run(Order::Random(after), &signals);
            let alive = outcomes.iter().enumerate().filter(|(n, _)| *n != dying);
            let alive: Vec<_> = alive.map(|(_, outcome)| outcome.clone()).collect();
            assert!(alive.iter().all(|outcome| outcome.len() == 1), "{about}");
            let is_fatal = |outcome: &Vec<Verdict>| {
                outcome
                    .iter()
                    .any(|verdict| matches!(verdict, Verdict::Fatal { .. }))
            };
            let fatal = alive.iter().any(is_fatal);
            ends[usize::from(fatal)] += 1;
            if fatal {
                assert_eq!(reset(&alive), FatalReason::Stuck, "{about}");
            } else {
                assert!(resumes(&alive), "{about}: {alive:?}");
            }
            let told = banks_claimed(&simulation);
            let retired = simulation.world.retired();
            for (processor, bank, address) in errors {
                let is_left = simulation.world.bank(processor, bank).status != 0;
                let is_told = told.iter().any(|(on, of)| {
                    let shares = bank == 0 && *on < 2;
                    *of == bank && (*on == processor || shares)
                });
                assert!(is_left || is_told, "{about}: bank {bank} is lost");
                let is_seen = usize::from(processor) != dying || bank == 0;
                if !fatal && is_seen {
                    assert!(!is_left, "{about}: bank {bank}");
                    assert!(retired.contains(&Hpa(address)), "{about}: bank {bank}");
                }
            }
            for processor in (0..3).filter(|n| *n != dying as u16 && !fatal) {
                assert!(
                    !simulation.world.has_stale_translations(processor),
                    "{about}: processor {processor}"
                );
            }
        }
    }
    assert!(
        ends[0] > 10 && ends[1] > 10,
        "both kinds of end were seen: {ends:?}"
    );
}

/// A machine check in the middle of a `page out` meets that very page: it is out of use already, but some may still reach it.
#[test]
fn a_page_on_its_way_out_is_flushed_by_the_machine_check_that_meets_it() {
    let simulation = Simulation::new(world(2));
    let page = Hpa(GUEST_0 + 0x3000);
    simulation.in_retire(move |simulation| {
        simulation.world.put(1, 0, SRAO, page.0, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        for processor in 0..2 {
            assert!(
                !simulation.world.has_stale_translations(processor),
                "processor {processor} goes on with the page"
            );
        }
    });
    let owner = Owner::Guest {
        guest: GuestId(0),
        gpa: Gpa(0x3000),
    };
    let view = simulation.view(0);
    assert!(take_out(simulation.shared(), &view, page, owner));
    assert_eq!(simulation.world.retired(), [page]);
    assert!(!take_out(simulation.shared(), &view, page, owner));
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

/// The one that did not come may never have had that #MC. When it has been seen at work, its next is a new one: it opens the gate.
#[test]
fn one_that_was_missed_is_expected_again_once_it_has_been_seen_at_work() {
    for (seen_at_work, polls) in [(true, true), (true, false), (false, false)] {
        let simulation = Simulation::new(world(2));
        simulation.world.put(0, 1, SRAO, GUEST_0 + 0x1000, MISC);
        let [first, second] = both(BYSTANDER, BYSTANDER);
        let missed = [first.clone(), second.clone().attending(Attendance::Never)];
        // Kicked in the middle, it is not yet.
        simulation.in_flush(|simulation| {
            let second = simulation.view(1);
            assert!(!kernel::mca::at_work(simulation.shared(), &second));
        });
        simulation.run(Order::Turns, &missed);
        simulation.enter(0);
        simulation.finish(0);
        if polls {
            kernel::mca::poll(simulation.shared(), &simulation.view(1));
        } else if seen_at_work {
            assert!(kernel::mca::at_work(
                simulation.shared(),
                &simulation.view(1)
            ));
        }
        simulation.world.clear_log();
        simulation.world.put(0, 1, SRAO, GUEST_0 + 0x2000, MISC);
        // It comes first.
        assert!(resumes(&simulation.run(Order::Turns, &[second, first])));
        let met = simulation.world.picked(|_, event| match *event {
            Event::Late {} => Some(("late", 0)),
            Event::Rendezvous { arrived, .. } => Some(("met", arrived)),
            _ => None,
        });
        if seen_at_work {
            assert_eq!(met, [("met", 2)]);
        } else {
            assert_eq!(met, [("late", 0), ("met", 1)]);
        }
    }
}

/// A processor on its way to the gate sees an error of a bank that it shares, which a local machine check then clears.
#[test]
fn what_was_seen_on_the_way_counts_only_if_nobody_has_recovered_since() {
    for seed in 0..100 {
        let simulation = Simulation::new(world(2).share(1, 0, 1));
        simulation.world.put(0, 1, SRAR, GUEST_0 + 0x1000, MISC);
        simulation.world.put(0, 0, SRAO, GUEST_0 + 0x2000, MISC);
        let signals = [
            Signal::new(0, running(1, 0), BYSTANDER),
            Signal::new(1, running(0, 1), LOCAL).then(running(0, 1), BYSTANDER),
        ];
        simulation.run(Order::Random(seed), &signals);
        let mut worst = simulation.world.picked(|_, event| match *event {
            Event::Worst { class, .. } => Some(class),
            _ => None,
        });
        worst.sort();
        assert_eq!(worst, [Class::Srao, Class::Srar], "seed {seed}");
    }
}

/// A processor flushes; in the middle another page goes out of use elsewhere, and an NMI has it flush for that one too.
#[test]
fn a_flush_in_the_middle_of_another_is_not_taken_back() {
    use kernel::mca::{catch_up, flush_everywhere, is_flushed};
    let simulation = Simulation::new(world(2));
    simulation.in_flush(|simulation| {
        assert!(
            !flush_everywhere(simulation.shared(), &simulation.view(1)),
            "processor 0 is in the middle of its own"
        );
        catch_up(simulation.shared(), &simulation.view(0));
    });
    assert!(flush_everywhere(simulation.shared(), &simulation.view(0)));
    assert!(is_flushed(simulation.shared()));
}
