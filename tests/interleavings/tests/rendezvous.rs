//! Rendezvous, claim, recovery and delivery: every interleaving of two processors with at most so many preemptions
//! (switches from a thread that could have gone on) as each test says, and the mutants that such a search must find.
//!
//! With three, loom lets two waiting threads take turns for ever; more processors are the simulated machine's (`tests::sim`).
#![cfg(loom)]

use std::sync::Arc;

use interleavings::{Machine, Processor, Vcpu, booted, explore};
use kernel::event::Event;
use kernel::mca::mutant::{self, Mutant};
use kernel::mca::{Interrupted, Shared, Verdict, catch_up, handle, registers};
use kernel::ring::EventRing;
use kernel::units::{GuestId, Pcpu, Tsc, VcpuId};
use kernel::vmce::{Delivery, deliver};
use loom::thread;

const SRAO: u64 = 0xbd00_0000_0000_00cf;
const SRAR: u64 = 0xbd80_0000_0000_0134;
const HYPERVISOR: Interrupted = Interrupted::Hypervisor { fix_up: false };

fn vcpu(index: u8) -> VcpuId {
    VcpuId {
        guest: GuestId(0),
        index,
    }
}

/// An #MC on every processor.
fn broadcast<const P: usize>(
    machine: &Arc<Machine>,
    shared: &Arc<Shared<P>>,
    calls: [(Interrupted, u64); P],
    then: impl Fn(&Machine, u16, Verdict) + Copy + Send + 'static,
) {
    let run = move |machine: Arc<Machine>, shared: Arc<Shared<P>>, number: u16| {
        let (interrupted, mcg_status) = calls[usize::from(number)];
        machine.write(number, registers::MCG_STATUS, mcg_status);
        let processor = Processor {
            machine: &machine,
            number,
        };
        then(&machine, number, handle(&shared, &processor, interrupted));
    };
    let others: Vec<_> = (1..P as u16)
        .map(|number| {
            let (machine, shared) = (machine.clone(), shared.clone());
            thread::spawn(move || run(machine, shared, number))
        })
        .collect();
    run(machine.clone(), shared.clone(), 0);
    others.into_iter().for_each(|other| other.join().unwrap());
}

/// Two processors share a bank with an SRAR that the second one consumed.
fn shared_error() {
    let (machine, shared) = booted::<2>(Machine::new(2, true, false));
    machine.put(0, SRAR);
    let calls = [
        (Interrupted::Guest(vcpu(0)), 5),
        (Interrupted::Guest(vcpu(1)), 7),
    ];
    broadcast(&machine, &shared, calls, |machine, _, verdict| {
        assert_eq!(verdict, Verdict::Resume);
        assert_eq!(
            machine.read(0, registers::MC0_CTL + 1),
            0,
            "nobody leaves before the bank is clear"
        );
        assert_eq!(
            machine.count(|event| matches!(event, Event::Worst { .. })),
            1,
            "one recovers"
        );
        assert!(
            machine.mailboxes.iter().all(|mailbox| mailbox.is_pending()),
            "nobody leaves before mail is there"
        );
    });
    assert_eq!(
        machine.count(|event| matches!(event, Event::BankError { .. })),
        1,
        "one owner"
    );
    for number in 0..2 {
        assert!(machine.flushed.lock().unwrap().contains(&number));
        let mut state = Vcpu::default();
        let processor = Processor {
            machine: &machine,
            number,
        };
        let mailbox = &machine.mailboxes[usize::from(number)];
        assert_eq!(
            deliver(&processor, vcpu(number as u8), &mut state, mailbox, true),
            Delivery::Inject
        );
        assert_eq!(
            state.seen[0].record.is_some(),
            number == 1,
            "the consumer gets the record"
        );
        assert_eq!(state.seen[0].error_ip_valid, number == 1);
        assert!(!mailbox.is_pending());
    }
}

#[test]
fn a_shared_error() {
    explore(3, shared_error);
}

/// Who consumed the error comes to a bank that is empty, and is told nothing.
#[test]
#[should_panic(expected = "nobody leaves before mail is there")]
fn mutant_that_clears_in_the_first_round() {
    mutant::set(Some(Mutant::ClearsInFirstRound));
    explore(3, shared_error);
}

#[test]
#[should_panic(expected = "nobody leaves before")]
fn mutant_that_leaves_a_barrier_early() {
    mutant::set(Some(Mutant::LeavesEarly));
    explore(3, two_errors);
}

#[test]
#[should_panic(expected = "one recovers")]
fn mutant_that_recovers_on_two_processors() {
    mutant::set(Some(Mutant::RecoversTwice));
    explore(3, two_errors);
}

/// Each of two processors has an error of its own, equally bad.
fn two_errors() {
    let (machine, shared) = booted::<2>(Machine::new(1, false, false));
    machine.put(0, SRAO);
    machine.put(1, SRAO);
    broadcast(
        &machine,
        &shared,
        [(HYPERVISOR, 5); 2],
        |machine, number, verdict| {
            assert_eq!(verdict, Verdict::Resume);
            assert_eq!(
                machine.count(|event| matches!(event, Event::Worst { .. })),
                1,
                "one recovers"
            );
            let is_clear = |number| machine.read(number, registers::MC0_CTL + 1) == 0;
            assert!(
                (0..2).all(is_clear),
                "nobody leaves before the banks are clear"
            );
            assert!(machine.flushed.lock().unwrap().contains(&number));
        },
    );
    assert_eq!(
        machine.count(|event| matches!(event, Event::GuestHit { .. })),
        2
    );
}

#[test]
fn two_errors_of_one_class() {
    explore(3, two_errors);
}

/// A fatal error on one processor: all stop, the other's bank is intact, one resets.
#[test]
fn a_fatal_error() {
    explore(3, || {
        let (machine, shared) = booted::<2>(Machine::new(1, false, false));
        machine.put(0, SRAO);
        machine.put(1, 0xbe00_0000_0000_0134);
        broadcast(&machine, &shared, [(HYPERVISOR, 5); 2], |_, _, verdict| {
            assert!(matches!(verdict, Verdict::Fatal { .. }));
        });
        assert_eq!(
            machine.count(|event| matches!(event, Event::Fatal { .. })),
            1
        );
        assert!((0..2).all(|number| machine.read(number, registers::MC0_CTL + 1) != 0));
    });
}

/// The place is ready for the next machine check when the first processor comes back.
#[test]
fn one_after_the_other() {
    explore(2, || {
        let (machine, shared) = booted::<2>(Machine::new(1, false, false));
        machine.put(0, SRAO);
        let again = shared.clone();
        let run = move |machine: &Machine, shared: &Shared<2>, number: u16| {
            for _ in 0..2 {
                machine.write(number, registers::MCG_STATUS, 5);
                let verdict = handle(shared, &Processor { machine, number }, HYPERVISOR);
                assert_eq!(verdict, Verdict::Resume);
                if number == 0 {
                    machine.put(0, SRAO);
                }
            }
        };
        let (other, others) = (machine.clone(), shared.clone());
        let second = thread::spawn(move || run(&other, &others, 1));
        run(&machine, &again, 0);
        second.join().unwrap();
        assert_eq!(
            machine.count(|event| matches!(event, Event::Worst { .. })),
            2
        );
        assert_eq!(
            machine.count(|event| matches!(event, Event::Missing { .. } | Event::Late {})),
            0
        );
    });
}

/// Local machine checks on two processors at once, each of which has the other flush.
#[test]
fn two_local_ones() {
    explore(3, || {
        let (machine, shared) = booted::<2>(Machine::new(1, false, false));
        machine.put(0, SRAO);
        machine.put(1, SRAO);
        broadcast(&machine, &shared, [(HYPERVISOR, 13); 2], |_, _, verdict| {
            assert_eq!(verdict, Verdict::Resume)
        });
        let shared = &shared;
        (0..2).for_each(|number| {
            catch_up(
                shared,
                &Processor {
                    machine: &machine,
                    number,
                },
            )
        });
        assert!(kernel::mca::is_flushed(shared));
        assert_eq!(
            machine.count(|event| matches!(event, Event::GuestHit { .. })),
            2
        );
    });
}

/// Mail that comes while the vCPU's processor looks is seen then or at the next look.
#[test]
fn mail_while_the_reader_looks() {
    explore(3, || {
        let (machine, shared) = booted::<1>(Machine::new(1, false, false));
        machine.put(0, SRAO);
        let (other, others) = (machine.clone(), shared.clone());
        let recoverer = thread::spawn(move || {
            other.write(0, registers::MCG_STATUS, 13);
            handle(
                &others,
                &Processor {
                    machine: &other,
                    number: 0,
                },
                HYPERVISOR,
            )
        });
        let mut state = Vcpu::default();
        let look = |state: &mut Vcpu| {
            let mailbox = &machine.mailboxes[0];
            if mailbox.is_pending() {
                deliver(
                    &Processor {
                        machine: &machine,
                        number: 0,
                    },
                    vcpu(0),
                    state,
                    mailbox,
                    true,
                );
            }
        };
        look(&mut state);
        look(&mut state);
        assert_eq!(recoverer.join().unwrap(), Verdict::Resume);
        look(&mut state);
        assert_eq!(state.seen.len(), 1);
        assert!(state.seen[0].record.is_some());
    });
}

/// A processor that comes when the others have stopped waiting is missed, and handles its own, whatever the others are doing.
#[test]
fn a_late_processor() {
    explore(3, || {
        let (machine, shared) = booted::<2>(Machine::new(1, false, true));
        machine.put(0, SRAO);
        machine.put(1, SRAO);
        let (other, others) = (machine.clone(), shared.clone());
        let late = thread::spawn(move || {
            while other.count(|event| matches!(event, Event::Rendezvous { .. })) == 0 {
                thread::yield_now();
            }
            other.write(1, registers::MCG_STATUS, 5);
            let processor = Processor {
                machine: &other,
                number: 1,
            };
            handle(&others, &processor, HYPERVISOR)
        });
        machine.write(0, registers::MCG_STATUS, 5);
        let processor = Processor {
            machine: &machine,
            number: 0,
        };
        assert_eq!(handle(&shared, &processor, HYPERVISOR), Verdict::Resume);
        assert_eq!(late.join().unwrap(), Verdict::Resume);
        assert!((0..2).all(|number| machine.read(number, registers::MC0_CTL + 1) == 0));
        assert_eq!(
            machine.count(|event| matches!(event, Event::GuestHit { .. })),
            2
        );
        assert_eq!(machine.count(|event| matches!(event, Event::Late {})), 1);
        assert_eq!(
            machine.count(|event| matches!(event, Event::Missing { .. })),
            1
        );
        let processor = Processor {
            machine: &machine,
            number: 0,
        };
        catch_up(&shared, &processor);
        assert!(kernel::mca::is_flushed(&shared));
    });
}

/// A ring is written and read at once: nothing is torn, lost or twice.
#[test]
fn a_ring_is_read_while_it_is_written() {
    explore(3, || {
        let ring = Arc::new(EventRing::<2>::new());
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                (0..3).for_each(|n| ring.emit(Tsc(n), Event::RecordsLost { count: n }))
            })
        };
        let mut got = Vec::new();
        for _ in 0..2 {
            got.extend(ring.take(Pcpu(0)));
        }
        writer.join().unwrap();
        got.extend(std::iter::from_fn(|| ring.take(Pcpu(0))));
        let lost = ring.take_lost();
        assert_eq!(got.len() as u64 + lost, 3);
        for stamped in &got {
            assert_eq!(
                stamped.event,
                Event::RecordsLost {
                    count: stamped.at.0
                }
            );
        }
        assert!(got.windows(2).all(|pair| pair[0].at < pair[1].at));
    });
}
