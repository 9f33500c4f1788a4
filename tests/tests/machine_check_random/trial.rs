//! A random machine check.

use kernel::mca::Interrupted;
use kernel::units::PAGE_SIZE;
use tests::random::{GUEST_SIZE, GUESTS, memory_of};
use tests::sim::{Attendance, Order, Outcome, Signal, Simulation, World, running};

/// The hypervisor's memory, which has 16 pages.
pub const HYPERVISORS: u64 = 0x10_0000;

/// A machine check, and what is known about it beforehand.
pub struct Trial {
    pub simulation: Simulation,
    pub signals: Vec<Signal>,
    pub banks: u8,
    /// (processor, bank) of each physical bank that holds something.
    pub errors: Vec<(u16, u8)>,
}

pub fn trial(random: &mut fastrand::Rng, processors: u16, some_miss: bool) -> Trial {
    let banks = random.u8(2..=6);
    let mut world = World::new(processors, banks).hypervisor(HYPERVISORS, 16);
    for guest in 0..GUESTS {
        world = world.guest(
            random.u8(1..=4),
            memory_of(guest).start,
            GUEST_SIZE / PAGE_SIZE,
        );
    }
    // One bank is a package's, one a core's.
    let package = random.u16(1..=processors);
    for first in (0..processors).step_by(usize::from(package)) {
        world = world.share(0, first, (first + package - 1).min(processors - 1));
    }
    for first in (0..processors.saturating_sub(1)).step_by(2) {
        world = world.share(1, first, first + 1);
    }
    let vcpus: Vec<_> = world
        .guests
        .iter()
        .map(|guest| guest.vcpus.len() as u8)
        .collect();
    // Whatever is in the banks at bring-up is cleared, so errors come after it.
    let simulation = Simulation::new(world);
    let mut errors = Vec::new();
    for _ in 0..random.u8(0..=4) {
        let (processor, bank) = (random.u16(..processors), random.u8(..banks));
        if simulation.world.bank(processor, bank).status == 0 {
            let (status, addr, misc) = error(random);
            simulation.world.put(processor, bank, status, addr, misc);
            errors.push((processor, bank));
        }
    }
    let mut free: Vec<_> = (0..GUESTS)
        .flat_map(|g| (0..vcpus[usize::from(g)]).map(move |v| (g, v)))
        .collect();
    random.shuffle(&mut free);
    let signals = (0..processors)
        .map(|processor| {
            let interrupted = match random.u8(..8) {
                0 => Interrupted::Hypervisor { fix_up: true },
                1 => Interrupted::Hypervisor { fix_up: false },
                _ => free
                    .pop()
                    .map_or(Interrupted::Hypervisor { fix_up: true }, |(g, v)| {
                        running(g, v)
                    }),
            };
            let mcg_status = match (interrupted, random.u8(..64)) {
                (Interrupted::Guest(_), 0..8) | (Interrupted::Hypervisor { .. }, 0) => 4,
                (Interrupted::Guest(_), 8..32) | (Interrupted::Hypervisor { .. }, 8..28) => 7,
                _ => 5,
            };
            Signal::new(processor, interrupted, mcg_status).attending(match random.u8(..10) {
                0 if some_miss => Attendance::Never,
                _ => Attendance::Comes,
            })
        })
        .collect();
    Trial {
        simulation,
        signals,
        banks,
        errors,
    }
}

fn error(random: &mut fastrand::Rng) -> (u64, u64, u64) {
    const STATUSES: [u64; 8] = [
        0xbd00_0000_0000_00c0,
        0xbd00_0000_0000_017a,
        0xbd80_0000_0000_0134,
        0xbd80_0000_0000_0150,
        0x9c00_0000_0000_009f,
        0xac00_0000_0000_009f,
        0xbc00_0000_0000_009f,
        0xbd00_0000_0000_0e0f,
    ];
    let status = match random.u8(..40) {
        0 => 0xbe00_0000_0000_0134,
        1 => 0xfd80_0000_0000_0134,
        2 => 0xbd80_0000_0000_0e0f,
        3 => 0xb900_0000_0000_00c0,
        _ => STATUSES[random.usize(..STATUSES.len())],
    };
    let addr = match random.u8(..12) {
        0 => HYPERVISORS + random.u64(..16 * PAGE_SIZE),
        1 => 0x7000_0000 + random.u64(..GUEST_SIZE),
        _ => memory_of(random.u8(..GUESTS)).start + random.u64(..GUEST_SIZE),
    };
    let lsb = if random.u8(..6) == 0 {
        random.u64(13..=15)
    } else {
        random.u64(6..=12)
    };
    (status, addr, 0x80 | lsb)
}

impl Trial {
    /// Runs it.
    pub fn run(&self, order: Order) -> Vec<Outcome> {
        self.simulation.run(order, &self.signals)
    }
}
