//! Errors that no #MC announces: from before the reset, and those that polling finds.

use std::cell::Cell;
use std::rc::Rc;

use kernel::event::Event;
use kernel::mca::Kept;
use kernel::vmce::Delivery;
use tests::sim::{Order, Signal, Simulation, World, running};

use crate::common::{BYSTANDER, GUEST_0, HYPERVISOR, MISC, SRAO, SRAR, both, resumes, world};

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

/// One error in each of three machine checks and one that a poll finds are four of one page, whoever meets them.
#[test]
fn a_corrected_error_met_in_a_machine_check_is_counted_with_the_others() {
    const CORRECTED: u64 = 0x9c00_0040_0000_009f;
    const PAGE: u64 = GUEST_0 + 0x5000;
    let simulation = Simulation::new(world(2).spare(0x80_0000)).replacing_after(4);
    let in_machine_check = |processor| {
        simulation
            .world
            .put(processor, 1, CORRECTED, PAGE + 0x10, MISC);
        let outcomes = simulation.run(Order::Turns, &both(BYSTANDER, BYSTANDER));
        assert!(resumes(&outcomes), "a corrected error is fatal to nobody");
    };
    let poll = || kernel::mca::poll(simulation.shared(), &simulation.view(0));
    let told = || {
        let told = simulation.world.picked(|_, event| match *event {
            Event::BankError { class, .. } => Some(class.word().to_owned()),
            Event::CorrectedError { count, .. } => Some(format!("count {count}")),
            Event::PageReplaced { gpa, count, .. } => Some(format!("{:#x} {count}", gpa.0)),
            _ => None,
        });
        simulation.world.clear_log();
        told
    };
    in_machine_check(0);
    in_machine_check(1);
    assert_eq!(told(), ["corrected", "corrected"], "logged in the #MC");
    simulation.world.put(0, 0, CORRECTED, PAGE + 0x20, MISC);
    poll();
    assert_eq!(told(), ["count 3"]);
    in_machine_check(1);
    assert_eq!(told(), ["corrected"], "no page is replaced in an #MC");
    poll();
    assert_eq!(told(), ["0x5000 4"], "once it is over");
    poll();
    assert_eq!(told(), [""; 0], "each is counted once");
    assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));
    assert_eq!(simulation.enter(0), [Delivery::Nothing; 2]);
}

/// What one machine check cannot note stays in its bank, and polls find it: none goes uncounted.
#[test]
fn more_corrected_errors_than_a_machine_check_can_note_are_counted_all_the_same() {
    const CORRECTED: u64 = 0x8000_0040_0000_0005;
    const PROCESSORS: u16 = 40;
    let simulation = Simulation::new(World::new(PROCESSORS, 1).guest(1, GUEST_0, 16));
    for processor in 0..PROCESSORS {
        simulation.world.put(processor, 0, CORRECTED, 0, 0);
    }
    let signals: Vec<_> = (0..PROCESSORS)
        .map(|processor| Signal::new(processor, HYPERVISOR, BYSTANDER))
        .collect();
    assert!(resumes(&simulation.run(Order::Turns, &signals)));
    for processor in 0..PROCESSORS {
        kernel::mca::poll(simulation.shared(), &simulation.view(processor));
    }
    let logged = simulation.world.picked(|_, event| match *event {
        Event::BankError { .. } => Some(None),
        Event::CorrectedError { count, .. } => Some(Some(count)),
        _ => None,
    });
    assert_eq!(logged.len(), usize::from(PROCESSORS), "one record for each");
    let noted = logged.iter().filter(|count| count.is_none()).count() as u32;
    let polled: Vec<_> = logged.into_iter().flatten().collect();
    let rest: Vec<_> = (noted + 1..=u32::from(PROCESSORS)).collect();
    assert!(noted > 1 && polled.len() > 1, "{noted} {polled:?}");
    assert_eq!(polled, rest, "each is counted after those that were noted");
    assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));
}

/// Between a poll's last look at a bank and its clearing an #MC comes, whose error is in that bank or in another.
#[test]
fn an_error_between_look_and_clearing_is_in_a_record() {
    const CORRECTED: u64 = 0x9c00_0040_0000_009f;
    for bank in [0, 1] {
        let simulation = Simulation::new(World::new(1, 2).guest(1, GUEST_0, 16));
        simulation
            .world
            .put(0, 0, CORRECTED, GUEST_0 + 0x1000, MISC);
        const LOOKS: u32 = 2;
        simulation.after_status_reads(LOOKS, move |simulation| {
            simulation.world.put(0, bank, SRAO, GUEST_0 + 0x2000, MISC);
            let signal = Signal::new(0, running(0, 0), BYSTANDER);
            assert!(resumes(&simulation.run(Order::Turns, &[signal])));
        });
        kernel::mca::poll(simulation.shared(), &simulation.view(0));
        let recorded = simulation.world.picked(|_, event| match *event {
            Event::BankError { class, status, .. } => Some((class.word(), status)),
            Event::CorrectedError { status, .. } => Some(("polled", status)),
            _ => None,
        });
        let want: &[_] = match bank {
            0 => &[("srao", SRAO), ("polled", CORRECTED)],
            _ => &[
                ("corrected", CORRECTED),
                ("srao", SRAO),
                ("polled", CORRECTED),
            ],
        };
        assert_eq!(recorded, want, "each error at least once");
        assert_eq!(simulation.enter(0), [Delivery::Inject]);
        assert!(simulation.world.banks().iter().all(|bank| bank.status == 0));
    }
}

/// Between the first round and the second another error comes to the same bank.
#[test]
fn an_error_that_is_overwritten_between_the_rounds_is_in_a_record() {
    const CORRECTED: u64 = 0x9c00_0040_0000_009f;
    const TWICE: u64 = 0x9c00_0080_0000_009f;
    const FATAL: u64 = 0xfe00_0000_0000_0134;
    const FIRST: u64 = GUEST_0 + 0x1000;
    const SECOND: u64 = GUEST_0 + 0x2000;
    let happens = |first: u64, second: u64, address: u64| {
        let world = world(2).spare(0x80_0000).spare(0x80_1000);
        let simulation = Simulation::new(world).replacing_after(1);
        simulation.world.put(0, 1, first, FIRST, MISC);
        simulation.after_status_reads(4, move |simulation| {
            simulation.world.put(0, 1, second, address, MISC);
        });
        assert!(resumes(
            &simulation.run(Order::Turns, &both(BYSTANDER, BYSTANDER))
        ));
        let recorded = simulation.world.picked(|_, event| match *event {
            Event::BankError { status, addr, .. } => Some((status, addr)),
            _ => None,
        });
        (recorded, simulation)
    };
    let counted = |simulation: &Simulation| {
        kernel::mca::poll(simulation.shared(), &simulation.view(0));
        simulation.world.picked(|_, event| match *event {
            Event::PageReplaced { hpa, count, .. } => Some((hpa.0, count)),
            Event::PageKept { hpa, count, .. } => Some((hpa.0, count)),
            _ => None,
        })
    };
    let (recorded, simulation) = happens(CORRECTED, TWICE, SECOND);
    assert_eq!(recorded, [(CORRECTED, FIRST), (TWICE, SECOND)]);
    assert_eq!(counted(&simulation), [(FIRST, 1), (SECOND, 1)]);
    assert_eq!(simulation.world.bank(0, 1).status, 0);

    for second in [SRAO, FATAL] {
        let (recorded, simulation) = happens(SRAO, second | 1 << 62, SECOND);
        let is_worse = second == FATAL;
        let both = [(SRAO, FIRST), (second | 1 << 62, SECOND)];
        assert_eq!(recorded, both[..2 - usize::from(is_worse)]);
        let left = simulation.world.bank(0, 1).status;
        assert_eq!(
            left != 0,
            is_worse,
            "what is worse is its own machine check's"
        );
        let mut pages = Vec::new();
        loop {
            assert_eq!(simulation.enter(0), [Delivery::Inject; 2]);
            let last = simulation.world.guests[0].seen(0);
            pages.extend(last.last().and_then(|seen| seen.record).map(|r| r.address));
            if !simulation.finish(0) {
                break;
            }
        }
        assert_eq!(pages, [0x1000, 0x2000][..2 - usize::from(is_worse)]);
        assert_eq!(simulation.world.retired().len(), pages.len());
    }
}

/// The bank counts on, or loses an error (OVER), after a poll has read it: what was told is not counted again.
#[test]
fn errors_that_a_bank_counts_while_it_is_polled_are_counted_once() {
    const THREE: u64 = 0x9c00_00c0_0000_009f;
    const FIVE: u64 = 0x9c00_0140_0000_009f;
    const UNCOUNTED: u64 = 0x9c00_0000_0000_009f;
    const OVER: u64 = 1 << 62;
    const PAGE: u64 = GUEST_0 + 0x1000;
    // One look to grade it, one for the record; the next is the one before the clearing.
    const RECORD: u32 = 2;
    // What the bank holds, and then; where; how many the pages have had after each event.
    let cases: [(u64, u64, u64, &[u32]); 5] = [
        (THREE, FIVE, PAGE, &[3, 5]),
        (UNCOUNTED, UNCOUNTED | OVER, PAGE, &[1, 2]),
        (THREE, THREE | OVER, PAGE, &[3, 4]),
        (THREE, FIVE | OVER, PAGE + 0x1000, &[3, 2]),
        // Another error altogether: not this poll's.
        (THREE, FIVE + 1, PAGE, &[3]),
    ];
    for (first, then, address, want) in cases {
        let simulation = Simulation::new(world(1));
        simulation.world.put(0, 0, first, PAGE, MISC);
        simulation.after_status_reads(RECORD, move |simulation| {
            simulation.world.put(0, 0, then, address, MISC);
        });
        // As it is read, the last look sees it already.
        let poll = || kernel::mca::poll(simulation.shared(), &simulation.view(0));
        let told = || {
            simulation.world.picked(|_, event| match *event {
                Event::CorrectedError {
                    status,
                    addr,
                    count,
                    ..
                } => Some((status, addr, count)),
                _ => None,
            })
        };
        poll();
        let is_same = want.len() == 2;
        assert_eq!(
            told().iter().map(|told| told.2).collect::<Vec<_>>(),
            want,
            "{then:#x}"
        );
        assert_eq!(told()[0], (first, PAGE, want[0]));
        let left = simulation.world.bank(0, 0).status;
        assert_eq!(left, if is_same { 0 } else { then });
        if is_same {
            assert_eq!(told()[1], (then, address, want[1]));
            poll();
            assert_eq!(told().len(), 2, "each was told once");
        }
    }
}

/// A fatal #MC may come at any point of a poll, and this processor then never goes on.
#[test]
fn a_poll_tells_of_an_error_before_it_clears_it() {
    // Corrected, and one that needs no action.
    for status in [0x9c00_0040_0000_009f, 0xbc00_0000_0000_009f] {
        let simulation = Simulation::new(world(1));
        simulation.world.put(0, 0, status, GUEST_0 + 0x1000, MISC);
        let told = move |simulation: &Simulation| {
            let told = simulation.world.picked(|_, event| match *event {
                Event::CorrectedError { status, .. } | Event::UncorrectedError { status, .. } => {
                    Some(status)
                }
                _ => None,
            });
            told == [status]
        };
        // One look to grade it, one for the record, the last before the clearing.
        const LAST_LOOK: u32 = 3;
        let was_told = Rc::new(Cell::new(false));
        let seen = was_told.clone();
        simulation.after_status_reads(LAST_LOOK, move |simulation| {
            assert_eq!(simulation.world.bank(0, 0).status, status);
            seen.set(told(simulation));
        });
        kernel::mca::poll(simulation.shared(), &simulation.view(0));
        assert!(was_told.get());
        assert!(told(&simulation));
        assert_eq!(simulation.world.bank(0, 0).status, 0);
    }
}
