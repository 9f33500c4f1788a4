//! Who is hit, and what each vCPU gets.

use kernel::event::Event;
use kernel::units::{Hpa, Pcpu};
use kernel::vmce::{Delivery, Outcome, StopReason};
use tests::sim::{Attendance, Order, Signal, Simulation, Step, World, running};

use crate::common::{
    BYSTANDER, CONSUMER, COPY, GUEST_0, GUEST_1, HYPERVISOR, LOCAL, MISC, MapLast, SRAO, SRAR,
    both, clean, resumes, seen, seen_by, seen_misc, world,
};

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
    // With EIPV the handler knows whose context it was.
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 6))));
    simulation.enter(0);
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(5, SRAO, 0)], vec![clean(6)]]
    );
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

/// A guest that has ended is told nothing, and that is said once for each vCPU; its page goes out of use.
#[test]
fn a_guest_that_has_ended_is_told_nothing() {
    let told = |simulation: &Simulation| {
        simulation.world.picked(|_, event| match *event {
            Event::Posted { vcpu, outcome, .. } => Some((vcpu, outcome)),
            _ => None,
        })
    };
    for broadcast in [true, false] {
        let mut world = world(2);
        world.guests[0].broadcast = broadcast;
        let simulation = Simulation::new(world);
        simulation.world.put(0, 0, SRAO, GUEST_0 + 0x1000, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        let waits: Vec<_> = simulation.world.guests[0]
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.end())
            .collect();
        assert_eq!(waits, [true, broadcast], "there was mail");
        simulation.world.clear_log();
        // Two pages: nothing of the second follows.
        simulation.world.put(0, 0, SRAO, GUEST_0 + 0x2000, 0x8d);
        let others = [
            Signal::new(0, HYPERVISOR, BYSTANDER),
            Signal::new(1, HYPERVISOR, BYSTANDER),
        ];
        assert!(resumes(&simulation.run(Order::Turns, &others)));
        let all = [(0, Outcome::Ended), (1, Outcome::Ended)];
        let number = if broadcast { 2 } else { 1 };
        assert_eq!(told(&simulation), all[..number]);
        assert_eq!(simulation.world.retired().len(), 3);
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

/// A guest's handler takes an error that requires action for fatal where EIPV is clear and RIPV set.
#[test]
fn what_a_vcpu_has_not_met_does_not_require_action() {
    let simulation = Simulation::new(world(2));
    // LSB 13: two pages, of which vCPU 1 met one.
    simulation.world.put(1, 0, SRAR, GUEST_0 + 0x4000, 0x8d);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 7))));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0).map_last(),
        [clean(5), seen_misc(7, SRAR, 0x4000, 0x8c)]
    );
    assert!(simulation.finish(0));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0).map_last(),
        [clean(5), seen_misc(5, SRAO, 0x5000, 0x8c)]
    );
    assert!(!simulation.finish(0));

    // One met before an earlier one was delivered: by then the vCPU is elsewhere.
    let simulation = Simulation::new(world(2));
    for at in [0x4000, 0x6000] {
        simulation.world.put(1, 0, SRAR, GUEST_0 + at, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 7))));
    }
    for record in [seen(7, SRAR, 0x4000), seen(5, SRAO, 0x6000)] {
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(seen_by(&simulation, 0).map_last(), [clean(5), record]);
        simulation.finish(0);
    }
}

/// What follows a local one is local too: a guest takes an #MC that one vCPU alone sees for broken if it does not say so.
#[test]
fn further_pages_of_a_local_one_are_local() {
    let simulation = Simulation::new(world(2));
    simulation.world.guests[0].enable_local(&simulation.view(0), 0, 1);
    simulation.world.put(1, 0, SRAR, GUEST_0 + 0x4000, 0x8d);
    assert!(resumes(
        &simulation.run(Order::Turns, &[Signal::new(1, running(0, 1), LOCAL)])
    ));
    let first = seen_misc(LOCAL, SRAR, 0x4000, 0x8c);
    assert_eq!(simulation.enter(0), [Delivery::Nothing, Delivery::Inject]);
    assert_eq!(seen_by(&simulation, 0), [vec![], vec![first]]);
    assert!(simulation.finish(0));
    let second = seen_misc(LOCAL & !2, SRAO, 0x5000, 0x8c);
    assert_eq!(simulation.enter(0), [Delivery::Nothing, Delivery::Inject]);
    assert_eq!(seen_by(&simulation, 0), [vec![], vec![first, second]]);
    assert!(!simulation.finish(0));
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
fn any_number_of_contexts_can_be_lost_at_once() {
    const PROCESSORS: u16 = 70;
    let simulation = Simulation::new(World::new(PROCESSORS, 2).guest(70, GUEST_0, 16));
    simulation.world.put(3, 0, SRAO, GUEST_0 + 0x1000, MISC);
    let signals: Vec<_> = (0..PROCESSORS)
        .map(|n| Signal::new(n, running(0, n as u8), 4))
        .collect();
    assert!(resumes(&simulation.run(Order::Turns, &signals)));
    assert!(
        simulation
            .enter(0)
            .iter()
            .all(|delivery| *delivery == Delivery::Inject)
    );
    let last = seen_by(&simulation, 0).map_last();
    assert_eq!(last[0], seen(4, SRAO, 0x1000));
    assert!(last[1..].iter().all(|seen| *seen == clean(4)));
    assert!(!simulation.finish(0));
}

/// More than can be handled at once: those that find no room are handled one processor after the other.
#[test]
fn any_number_of_errors_can_come_at_once() {
    const PROCESSORS: u16 = 50;
    for order in (0..5).map(Order::Random).chain([Order::Turns]) {
        let mut world = World::new(PROCESSORS, 2);
        let start = |guest: u16| GUEST_0 + u64::from(guest) * 0x10_0000;
        for guest in 0..PROCESSORS {
            world = world.guest(2, start(guest), 16);
        }
        let simulation = Simulation::new(world);
        let page = |processor: u16, bank: u64| start(processor) + 0x1000 * (bank + 1);
        for processor in 0..PROCESSORS {
            simulation
                .world
                .put(processor, 0, SRAO, page(processor, 0), MISC);
            simulation
                .world
                .put(processor, 1, SRAR, page(processor, 1), MISC);
        }
        let signals: Vec<_> = (0..PROCESSORS)
            .map(|n| Signal::new(n, running(n as u8, 1), CONSUMER))
            .collect();
        assert!(resumes(&simulation.run(order, &signals)), "{order:?}");
        assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));
        let lost: Vec<_> = (0..PROCESSORS)
            .flat_map(|n| [0, 1].map(|bank| Hpa(page(n, bank))))
            .collect();
        assert_eq!(simulation.world.retired(), lost);
        assert!((0..PROCESSORS).all(|n| !simulation.world.has_stale_translations(n)));
        for guest in 0..PROCESSORS as u8 {
            assert_eq!(simulation.enter(guest), [Delivery::Inject; 2]);
            let mut all = vec![seen_by(&simulation, guest).map_last()];
            assert!(simulation.finish(guest));
            assert_eq!(simulation.enter(guest), [Delivery::Inject; 2]);
            all.push(seen_by(&simulation, guest).map_last());
            assert!(!simulation.finish(guest));
            let required = [clean(5), seen(7, SRAR, 0x2000)];
            let optional = [seen(5, SRAO, 0x1000), clean(5)];
            assert_eq!(all, [required, optional], "{order:?}");
        }
    }
}

/// Those that find no room are handled by themselves, and before anybody goes on who is not there is waited for, and named.
#[test]
fn errors_that_find_no_room_wait_for_the_flush_of_those_who_are_missing() {
    const PROCESSORS: u16 = 40;
    const MISSING: u16 = 17;
    for order in (0..5).map(Order::Random).chain([Order::Turns]) {
        let simulation = Simulation::new(World::new(PROCESSORS, 1).guest(2, GUEST_0, 1024));
        let page = |processor: u16| GUEST_0 + 0x1000 * u64::from(processor);
        let mut signals = Vec::new();
        for processor in 0..PROCESSORS {
            simulation
                .world
                .put(processor, 0, SRAO, page(processor), MISC);
            let mut signal = Signal::new(processor, HYPERVISOR, BYSTANDER);
            if processor == MISSING {
                signal.attendance = Attendance::Never;
            }
            signals.push(signal);
        }
        simulation.run(order, &signals);
        assert_eq!(
            simulation.world.retired().len(),
            usize::from(PROCESSORS) - 1
        );
        let named = simulation.world.picked(|on, event| match event {
            Event::Unflushed { processor } => Some((on.0, processor.0)),
            _ => None,
        });
        // The pool has room for 32, and each of the others is handled in a pass of its own.
        assert_eq!(named.len(), 7, "{order:?}: {named:?}");
        assert!(named.iter().all(|&(_, processor)| processor == MISSING));
    }
}
