//! The machine, the guests and the errors of these tests.

use kernel::event::Event;
use kernel::mca::{FatalReason, Interrupted, Verdict};
use msr_runtime::ErrorRecord;
use tests::sim::{Seen, Signal, Simulation, World, running};

/// SRAO, memory scrub.
pub const SRAO: u64 = 0xbd00_0000_0000_00cf;
/// SRAR, data load.
pub const SRAR: u64 = 0xbd80_0000_0000_0134;
/// A physical address, good for a page.
pub const MISC: u64 = 0x8c;
pub const HYPERVISOR: Interrupted = Interrupted::Hypervisor { fix_up: false };
pub const COPY: Interrupted = Interrupted::Hypervisor { fix_up: true };
/// MCG_STATUS of a processor with which the error has nothing to do.
pub const BYSTANDER: u64 = 5;
pub const CONSUMER: u64 = 7;
pub const LOCAL: u64 = 15;

/// Host-physical start of guest 0 and guest 1, and of the hypervisor.
pub const GUEST_0: u64 = 0x1000_0000;
pub const GUEST_1: u64 = 0x2000_0000;
pub const HYPERVISORS: u64 = 0x10_0000;

/// `processors` processors with 2 banks; guest 0 with 2 vCPUs, guest 1 with 1.
pub fn world(processors: u16) -> World {
    World::new(processors, 2)
        .guest(2, GUEST_0, 1024)
        .guest(1, GUEST_1, 16)
        .hypervisor(HYPERVISORS, 16)
}

pub fn clean(mcg_status: u64) -> Seen {
    Seen {
        mcg_status,
        record: None,
    }
}

pub fn seen(mcg_status: u64, status: u64, address: u64) -> Seen {
    seen_misc(mcg_status, status, address, MISC)
}

pub fn seen_misc(mcg_status: u64, status: u64, address: u64, misc: u64) -> Seen {
    Seen {
        mcg_status,
        record: Some(ErrorRecord {
            status,
            address,
            misc,
        }),
    }
}

/// Guest 0 on processors 0 and 1, vCPU by vCPU; `mcg_status` of each.
pub fn both(first: u64, second: u64) -> [Signal; 2] {
    [
        Signal::new(0, running(0, 0), first),
        Signal::new(1, running(0, 1), second),
    ]
}

pub fn seen_by(simulation: &Simulation, guest: u8) -> Vec<Vec<Seen>> {
    let guest = &simulation.world.guests[usize::from(guest)];
    (0..guest.vcpus.len() as u8)
        .map(|vcpu| guest.seen(vcpu))
        .collect()
}

pub fn resumes(outcomes: &[Vec<Verdict>]) -> bool {
    outcomes.iter().all(|outcome| outcome == &[Verdict::Resume])
}

/// The reason of a reset that all agree on, one of them doing it.
pub fn reset(outcomes: &[Vec<Verdict>]) -> FatalReason {
    let all: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome.last() {
            Some(&Verdict::Fatal { reason, resets }) => Some((reason, resets)),
            Some(_) => panic!("some go on, some do not"),
            None => None,
        })
        .collect();
    assert_eq!(
        all.iter().filter(|(_, resets)| *resets).count(),
        1,
        "one resets"
    );
    assert!(all.iter().all(|(reason, _)| *reason == all[0].0), "{all:?}");
    all[0].0
}

pub fn banks_claimed(simulation: &Simulation) -> Vec<(u16, u8)> {
    simulation.world.picked(|on, event| match event {
        Event::BankError { bank, .. } => Some((on.0, bank.0)),
        _ => None,
    })
}

pub trait MapLast {
    fn map_last(self) -> Vec<Seen>;
}

impl MapLast for Vec<Vec<Seen>> {
    fn map_last(self) -> Vec<Seen> {
        self.into_iter()
            .map(|mut all| all.pop().expect("something was seen"))
            .collect()
    }
}
