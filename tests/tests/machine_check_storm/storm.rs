//! A storm: who has which machine checks, one after the other.

use kernel::mca::Interrupted;
use kernel::units::PAGE_SIZE;
use tests::random::{GUEST_SIZE, GUESTS, memory_of};
use tests::sim::{
    After, Attendance, Call, Order, Outcome, Raise, Signal, Simulation, World, running,
};

use crate::errors::{BANKS, CORRECTED, DATA_LOAD, FETCH, NO_ACTION, SCRUB, WRITE_BACK, raise};

const LOCAL: u64 = 15;
const BYSTANDER: u64 = 5;
const CONSUMER: u64 = 7;

/// Who comes to the broadcast ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attendants {
    All,
    SomeLate,
    SomeMissing,
}

pub struct Storm {
    pub simulation: Simulation,
    pub signals: Vec<Signal>,
    /// The guests' local machine checks are enabled.
    pub local_enabled: bool,
}

pub fn storm(random: &mut fastrand::Rng, processors: u16, attendants: Attendants) -> Storm {
    let mut world = World::new(processors, BANKS);
    let mut vcpus = Vec::new();
    for guest in 0..GUESTS {
        let many = random.u8(1..=4);
        world = world.guest(many, memory_of(guest).start, GUEST_SIZE / PAGE_SIZE);
        vcpus.extend((0..many).map(|vcpu| (guest, vcpu)));
    }
    for first in (0..processors.saturating_sub(1)).step_by(2) {
        world = world.share(0, first, first + 1);
    }
    let simulation = Simulation::new(world).tolerating_empty();
    let local_enabled = random.bool();
    if local_enabled {
        for &(guest, vcpu) in &vcpus {
            let state = &simulation.world.guests[usize::from(guest)];
            state.enable_local(&simulation.view(0), guest, vcpu);
        }
    }
    random.shuffle(&mut vcpus);
    let broadcasts = match attendants {
        Attendants::All => random.u8(0..=2),
        _ => 1,
    };
    let mut locals = random.u8(0..=4);
    let signals = (0..processors).map(|processor| {
        let context = vcpus.pop();
        let mut kinds = vec![true; usize::from(broadcasts)];
        for _ in 0..random.u8(..=2) {
            if locals != 0 {
                locals -= 1;
                kinds.insert(random.usize(..=kinds.len()), false);
            }
        }
        let mut runs = context;
        let mut calls = Vec::new();
        for broadcast in kinds {
            let call = call(random, runs, broadcast, attendants);
            // What comes before the vCPU has run again interrupts the hypervisor.
            runs = runs.filter(|_| call.after != After::Waits);
            calls.push(call);
        }
        let attendance = match (attendants, random.u8(..4)) {
            (Attendants::SomeLate, 0) => Attendance::Late([3, 50, 5_000][random.usize(..3)]),
            (Attendants::SomeMissing, 0) => Attendance::Never,
            _ => Attendance::Comes,
        };
        Signal {
            processor,
            attendance,
            calls,
            starting: None,
        }
    });
    let signals = signals.collect();
    Storm {
        simulation,
        signals,
        local_enabled,
    }
}

fn call(
    random: &mut fastrand::Rng,
    context: Option<(u8, u8)>,
    broadcast: bool,
    attendants: Attendants,
) -> Call {
    let interrupted = match context {
        Some((guest, vcpu)) => running(guest, vcpu),
        None => Interrupted::Hypervisor { fix_up: true },
    };
    let own = context.map(|(guest, _)| guest);
    // With a possible consumer missing, one that requires action is fatal.
    let may_require = !broadcast || attendants == Attendants::All;
    let consumes = may_require && random.u8(..3) == 0;
    let mut raises = Vec::new();
    if consumes {
        let status = if random.bool() { DATA_LOAD } else { FETCH };
        raises.push(raise(random, status, own));
    }
    for _ in 0..random.u8(..=1) + u8::from(!broadcast && !consumes) {
        let status = [SCRUB, SCRUB, WRITE_BACK, NO_ACTION, CORRECTED][random.usize(..5)];
        let error = raise(random, status, None);
        if raises.iter().all(|other| other.bank != error.bank) {
            raises.push(error);
        }
    }
    let mut mcg_status = match (broadcast, consumes) {
        (false, _) => LOCAL,
        (true, true) => CONSUMER,
        (true, false) => BYSTANDER,
    };
    if context.is_some() && random.u8(..12) == 0 {
        // The vCPU cannot go on where it was.
        mcg_status &= !1;
    }
    Call {
        interrupted,
        mcg_status,
        raises,
        after: [After::Waits, After::Runs, After::Handles, After::Handles][random.usize(..4)],
    }
}

impl Storm {
    pub fn run(&self, order: Order) -> Vec<Outcome> {
        self.simulation.run(order, &self.signals)
    }

    pub fn world(&self) -> &World {
        &self.simulation.world
    }

    /// What hardware has raised.
    pub fn raised(&self) -> Vec<Raise> {
        let raised = self.world().raised.borrow();
        raised.iter().map(|&(_, _, raise)| raise).collect()
    }

    /// What was to happen, and what did.
    pub fn tell(&self, about: &str) {
        println!("{about}");
        let events = self.world().events();
        self.signals
            .iter()
            .for_each(|signal| println!("{signal:x?}"));
        events
            .iter()
            .for_each(|event| println!("{:x?} {:x?}", event.on, event.event));
    }

    /// Guests go on until nothing waits any more.
    pub fn drain(&self, about: &str) {
        for guest in 0..GUESTS {
            let state = &self.world().guests[usize::from(guest)];
            for round in 0.. {
                assert!(round < 100, "{about}: guest {guest} has no end");
                self.simulation.enter(guest);
                if state.stopped.get().is_some() || !self.simulation.finish(guest) {
                    break;
                }
            }
        }
    }
}
