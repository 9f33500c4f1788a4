//! Errors that meet a guest which has not yet finished with, or not yet been told of, the ones before.

use kernel::event::Event;
use kernel::units::{GuestId, VcpuId};
use kernel::vmce::{Delivery, HANDLER_LEAVES, Outcome as Told, StopReason, deliver, follow_up};
use msr_runtime::{MachineCheck, MachineCheckEvent};
use tests::sim::{Order, Signal, Simulation, running};

use crate::common::{
    GUEST_0, HYPERVISOR, MISC, SRAO, SRAR, both, clean, resumes, seen, seen_by, world,
};

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
    for (second, status, told) in [
        (GUEST_0 + 0x8000, 5, (SRAO, 0x8000)),
        (0x7000_0000, 4, (0, 0)),
    ] {
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
        let later = simulation.world.picked(|_, event| match *event {
            Event::StopRecord {
                which: 2,
                status,
                addr,
                ..
            } => Some((status, addr)),
            _ => None,
        });
        assert_eq!(later, [told; 2], "told even if it has no record");
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

/// A handler clears MCIP while it still runs on the stack that the next #MC would overwrite: what follows waits until every vCPU that has had
/// an #MC has run on for a while or halts, however often housekeeping looks and whatever else runs meanwhile.
#[test]
fn what_follows_waits_until_every_handler_has_left_its_stack() {
    let simulation = Simulation::new(world(2));
    simulation.world.put(0, 0, SRAO, GUEST_0, 0x8d);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    let guest = &simulation.world.guests[0];
    let looks = || (0..3).any(|_| follow_up(&guest.mailboxes));
    let finish = |vcpu| guest.finish(&simulation.view(0), 0, vcpu);
    let enter = |vcpu| guest.before_entry(&simulation.view(0), 0, vcpu);
    assert_eq!(enter(0), Delivery::Inject);
    finish(0);
    guest.mailboxes[0].ran(HANDLER_LEAVES);
    assert!(!looks(), "vCPU 1 has not even had its first");
    assert_eq!(enter(1), Delivery::Inject);
    assert!(!looks(), "nor finished with it");
    finish(1);
    assert!(!looks(), "nor run since");
    guest.mailboxes[1].ran(HANDLER_LEAVES - 1);
    assert!(!looks(), "nor for long enough");
    guest.mailboxes[1].ran(1);
    assert!(looks());
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    (0..2).for_each(finish);
    guest.mailboxes[0].ran(HANDLER_LEAVES);
    assert!(!looks());
    guest.mailboxes[1].halts();
    assert!(!looks(), "there is nothing more");
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

/// What waits for the guest holds up nothing: the next machine check goes first, and what it took from a vCPU is told before that runs on.
#[test]
fn a_machine_check_goes_before_what_waits() {
    let waits = || {
        let simulation = Simulation::new(world(2));
        // Two pages: the second waits until the guest has finished with the first, which it then has.
        simulation.world.put(0, 0, SRAO, GUEST_0, 0x8d);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
        assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
        let guest = &simulation.world.guests[0];
        (0..2).for_each(|vcpu| guest.finish(&simulation.view(0), 0, vcpu));
        assert!(!follow_up(&guest.mailboxes));
        simulation.world.clear_log();
        simulation
    };
    let told = |simulation: &Simulation| {
        simulation.world.picked(|_, event| match event {
            Event::Posted { outcome, .. } => Some(*outcome),
            _ => None,
        })
    };
    // vCPU 1 consumes an error: recoverable, if it hears of that one first, and as its own.
    let simulation = waits();
    simulation.world.put(1, 0, SRAR, GUEST_0 + 0x8000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 7))));
    assert_eq!(told(&simulation), [Told::Record, Told::Clean]);
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(simulation.finish(0));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0),
        [
            vec![seen(5, SRAO, 0), clean(5), seen(5, SRAO, 0x1000)],
            vec![clean(5), seen(7, SRAR, 0x8000), clean(5)]
        ]
    );
    assert!(!simulation.finish(0));

    // vCPU 1's context is lost.
    let simulation = waits();
    simulation.world.put(0, 0, SRAO, 0x7000_0000, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 6))));
    assert_eq!(told(&simulation), [Told::Clean; 2]);
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(simulation.finish(0));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert_eq!(
        seen_by(&simulation, 0),
        [
            vec![seen(5, SRAO, 0), clean(5), seen(5, SRAO, 0x1000)],
            vec![clean(5), clean(6), clean(5)]
        ]
    );
}

/// A vCPU that consumes an error while an #MC is on its way to it would meet the error again after that one: so that one is about it.
#[test]
fn what_a_vcpu_consumes_goes_before_what_it_has_not_been_told() {
    let told = |simulation: &Simulation| {
        simulation.world.picked(|_, event| match event {
            Event::Posted { outcome, .. } => Some(*outcome),
            _ => None,
        })
    };
    let consume = |first: u64, status: u64, mcg_status: [u64; 2]| {
        let simulation = Simulation::new(world(2));
        let vcpu = usize::from(status == SRAR);
        simulation
            .world
            .put(vcpu as u16, 0, status, GUEST_0 + first, MISC);
        let [own, other] = mcg_status;
        let signals = if vcpu == 0 {
            both(own, other)
        } else {
            both(other, own)
        };
        assert!(resumes(&simulation.run(Order::Turns, &signals)));
        simulation.world.clear_log();
        // vCPU 0 has not run since, and its processor tells of the next.
        simulation.world.put(0, 1, SRAR, GUEST_0 + 0x8000, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(7, 5))));
        simulation
    };

    // Clean banks were on their way to it: one #MC says both, and nobody gets another.
    let simulation = consume(0x1000, SRAR, [7, 5]);
    assert_eq!(told(&simulation), [Told::Merged; 2]);
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(!simulation.finish(0));
    assert_eq!(
        seen_by(&simulation, 0),
        [vec![seen(7, SRAR, 0x8000)], vec![seen(7, SRAR, 0x1000)]]
    );

    // A record was: it follows.
    let simulation = consume(0x1000, SRAO, [5, 5]);
    assert_eq!(
        told(&simulation),
        [Told::Record, Told::Deferred, Told::Deferred]
    );
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(simulation.finish(0));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(!simulation.finish(0));
    assert_eq!(
        seen_by(&simulation, 0),
        [
            vec![seen(7, SRAR, 0x8000), seen(5, SRAO, 0x1000)],
            vec![clean(5), clean(5)]
        ]
    );
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

/// The registers of a vCPU in the middle of whose delivery another machine check comes.
struct Interrupted<F> {
    then: F,
    in_progress: bool,
}

impl<F: FnMut()> MachineCheck for Interrupted<F> {
    fn is_broadcast(&self) -> bool {
        true
    }

    fn in_progress(&self) -> bool {
        self.in_progress
    }

    fn local_enabled(&self) -> bool {
        false
    }

    fn inject(&mut self, _: &MachineCheckEvent) {
        (self.then)();
        self.in_progress = true;
    }
}

/// Between the moment at which the mail is taken out and the guest's first instruction there is no moment at which a machine check is taken for one that
/// comes while MCIP is set, be the first one due at once or one that has waited.
#[test]
fn a_machine_check_in_the_middle_of_a_delivery_is_kept() {
    for waited in [false, true] {
        let simulation = Simulation::new(world(2));
        let guest = &simulation.world.guests[0];
        simulation
            .world
            .put(0, 0, SRAO, GUEST_0, if waited { 0x8d } else { MISC });
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
        if waited {
            assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
            assert!(simulation.finish(0));
        }
        let mut state = Interrupted {
            in_progress: false,
            then: || {
                simulation.world.clear_log();
                simulation.world.put(0, 0, SRAO, GUEST_0 + 0x5000, MISC);
                assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
            },
        };
        let (vcpu, mailbox) = (
            VcpuId {
                guest: GuestId(0),
                index: 0,
            },
            &guest.mailboxes[0],
        );
        let mut tell = || deliver(&simulation.view(0), vcpu, &mut state, mailbox, true);
        assert_eq!(tell(), Delivery::Inject, "waited: {waited}");
        assert_eq!(tell(), Delivery::Nothing, "waited: {waited}");
        let told = simulation.world.picked(|_, event| match event {
            Event::Posted { outcome, .. } => Some(*outcome),
            _ => None,
        });
        assert_eq!(told.first(), Some(&Told::Deferred), "waited: {waited}");
    }
}

/// INIT leaves MCG_STATUS as it is, and what the mailbox knows of it.
#[test]
fn init_in_a_handler_leaves_it_unfinished() {
    let simulation = Simulation::new(world(2));
    let mailbox = &simulation.world.guests[0].mailboxes[1];
    simulation.world.put(0, 0, SRAO, GUEST_0, 0x8d);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    mailbox.will_park();
    assert!(mailbox.park(), "the second page");
    mailbox.start();
    assert!(mailbox.is_in_progress());
    assert!(simulation.finish(0));
    assert!(!mailbox.is_in_progress());
}

#[test]
fn errors_that_cannot_be_kept_stop_the_guest() {
    let simulation = Simulation::new(world(2));
    let raise = |page: u64| {
        simulation
            .world
            .put(0, 0, SRAO, GUEST_0 + page * 0x1000, MISC);
        assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    };
    (0..33).for_each(raise);
    let stopped = || {
        simulation.world.picked(|_, event| {
            let is_stopped = |event: &Event| {
                matches!(
                    event,
                    Event::Posted {
                        outcome: Told::Stopped,
                        ..
                    }
                )
            };
            is_stopped(event).then_some(())
        })
    };
    assert!(stopped().is_empty(), "one is due, and 32 can wait");
    raise(33);
    assert!(!stopped().is_empty());
    assert_eq!(
        simulation.enter(0)[0],
        Delivery::Stop(StopReason::TooManyErrors)
    );
}

/// A guest may set MCIP itself and clear it again, as often as it likes: that is no handler's end, of which anybody would be told, or for which
/// housekeeping would be due.
#[test]
fn what_a_guest_does_to_mcip_by_itself_is_no_handlers_end() {
    let simulation = Simulation::new(world(2));
    let guest = &simulation.world.guests[0];
    let handled = || {
        simulation.world.picked(|_, event| match *event {
            Event::Handled { vcpu, .. } => Some(vcpu),
            _ => None,
        })
    };
    guest.set_in_progress(0);
    assert!(guest.mailboxes[0].is_in_progress());
    guest.finish(&simulation.view(0), 0, 0);
    assert!(!guest.mailboxes[0].is_in_progress() && !guest.mailboxes[0].is_leaving());
    assert!(handled().is_empty());
    simulation.world.put(0, 0, SRAO, GUEST_0, MISC);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    guest.finish(&simulation.view(0), 0, 0);
    assert!(guest.mailboxes[0].is_leaving());
    assert_eq!(handled(), [0]);
}

/// No vCPU gets the second #MC that follows before another one has had the first.
#[test]
fn what_follows_comes_to_all_before_the_next_does() {
    let simulation = Simulation::new(world(2));
    // Four pages.
    simulation.world.put(0, 0, SRAO, GUEST_0, 0x8e);
    assert!(resumes(&simulation.run(Order::Turns, &both(5, 5))));
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
    assert!(simulation.finish(0), "the second page");
    let guest = &simulation.world.guests[0];
    let enter = |vcpu| guest.before_entry(&simulation.view(0), 0, vcpu);
    // vCPU 0's processor is busy with something else.
    assert_eq!(enter(1), Delivery::Inject);
    guest.finish(&simulation.view(0), 0, 1);
    guest.mailboxes[1].ran(HANDLER_LEAVES);
    assert!(!follow_up(&guest.mailboxes), "vCPU 0 has not had it yet");
    assert_eq!(enter(1), Delivery::Nothing);
    assert_eq!(enter(0), Delivery::Inject);
    assert!(simulation.finish(0), "the third");
    assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
}
