//! Machine checks beside what other processors do in ordinary context: delivery and polling.
#![cfg(loom)]

use std::sync::Arc;

use interleavings::{Machine, Processor, Vcpu, booted, explore};
use kernel::event::Event;
use kernel::mca::{Interrupted, Shared, Verdict, handle, poll, registers};
use kernel::units::{GuestId, VcpuId};
use kernel::vmce::{Delivery, deliver, follow_up};
use loom::thread::{self, JoinHandle};

const SRAO: u64 = 0xbd00_0000_0000_00cf;
const CORRECTED: u64 = 0x9c00_0000_0000_009f;
const LOCAL: u64 = 13;
const STATUS: u32 = registers::MC0_CTL + 1;
const HYPERVISOR: Interrupted = Interrupted::Hypervisor { fix_up: false };
const VCPU: VcpuId = VcpuId {
    guest: GuestId(0),
    index: 0,
};

/// Local machine checks of processor 0, one after the other, for errors of this kind.
fn machine_checks<const P: usize>(
    machine: &Arc<Machine>,
    shared: &Arc<Shared<P>>,
    errors: &'static [u64],
) -> JoinHandle<()> {
    let (machine, shared) = (machine.clone(), shared.clone());
    thread::spawn(move || {
        for &status in errors {
            machine.put(0, status);
            machine.write(0, registers::MCG_STATUS, LOCAL);
            let processor = Processor {
                machine: &machine,
                number: 0,
            };
            assert_eq!(handle(&shared, &processor, HYPERVISOR), Verdict::Resume);
        }
    })
}

/// Two machine checks while the vCPU's processor delivers: the vCPU gets both, whenever each comes, and in the middle of a delivery too.
#[test]
fn two_posts_beside_a_delivery() {
    explore(2, || {
        let (machine, shared) = booted::<1>(Machine::new(1, false, false));
        let recoverer = machine_checks(&machine, &shared, &[SRAO, SRAO]);
        let processor = Processor {
            machine: &machine,
            number: 0,
        };
        let mailbox = &machine.mailboxes[0];
        let mut state = Vcpu::default();
        let look = |state: &mut Vcpu| {
            follow_up(&machine.mailboxes);
            if mailbox.is_pending()
                && deliver(&processor, VCPU, state, mailbox, true) == Delivery::Inject
            {
                state.finish(&processor, VCPU, mailbox);
            }
        };
        look(&mut state);
        look(&mut state);
        recoverer.join().unwrap();
        look(&mut state);
        look(&mut state);
        assert_eq!(state.seen.len(), 2);
        assert!(state.seen.iter().all(|event| event.record.is_some()));
        assert!(!mailbox.is_pending() && !follow_up(&machine.mailboxes));
    });
}

/// An error overwrites a corrected one in a bank that two processors share, and raises an #MC on one of them while the other one polls: the poll
/// leaves it to the machine check.
#[test]
fn a_poll_beside_a_claim() {
    explore(3, || {
        let (machine, shared) = booted::<2>(Machine::new(1, true, true));
        machine.put(1, CORRECTED);
        let recoverer = machine_checks(&machine, &shared, &[SRAO]);
        let other = Processor {
            machine: &machine,
            number: 1,
        };
        poll(&shared, &other);
        recoverer.join().unwrap();
        assert_eq!(machine.read(1, STATUS), 0);
        let claimed =
            |event: &Event| matches!(*event, Event::BankError { status, .. } if status == SRAO);
        assert_eq!(machine.count(claimed), 1);
        let corrected = |event: &Event| matches!(event, Event::CorrectedError { .. });
        assert!(machine.count(corrected) <= 1);
        let polled = |event: &Event| matches!(event, Event::UncorrectedError { .. });
        assert_eq!(machine.count(polled), 0);
    });
}

/// Machine checks note corrected errors while a poll takes down what was noted: each is counted, once.
#[test]
fn noted_errors_are_counted_once() {
    explore(3, || {
        let (machine, shared) = booted::<2>(Machine::new(1, false, false));
        let recoverer = machine_checks(&machine, &shared, &[CORRECTED, CORRECTED]);
        let other = Processor {
            machine: &machine,
            number: 1,
        };
        poll(&shared, &other);
        recoverer.join().unwrap();
        machine.put(1, CORRECTED);
        poll(&shared, &other);
        let count_of = |event: &Event| match *event {
            Event::CorrectedError { count, .. } => Some(count),
            _ => None,
        };
        let events = machine.events.lock().unwrap();
        let counts: Vec<_> = events
            .iter()
            .filter_map(|(_, event)| count_of(event))
            .collect();
        assert_eq!(counts, [3]);
    });
}
