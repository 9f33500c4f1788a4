//! What an error is about.

use kernel::mca::{Class, ErrorCode, Misc, Status, grade};
use kernel::units::{Hpa, PAGE_SIZE};
use tests::sim::World;

use crate::trial::HYPERVISORS;

/// What an error is about, worked out in another way than the engine does.
pub struct Meaning {
    pub class: Class,
    pub known: bool,
    pub pages: Option<Vec<Hpa>>,
}

pub fn meaning(world: &World, processor: u16, bank: u8) -> Meaning {
    let regs = world.bank(processor, bank);
    let (status, misc) = (Status::from(regs.status), Misc::from(regs.misc));
    let code = ErrorCode(status.mcacod());
    let class = grade(status, true);
    let usable = status.addrv() && status.miscv() && misc.mode() == 2;
    let size = 1u64 << misc.lsb().max(12);
    let start = regs.addr / size * size;
    Meaning {
        class,
        known: if class == Class::Srar {
            code.is_known_required()
        } else {
            code.is_known_optional()
        },
        pages: usable.then(|| {
            (0..size / PAGE_SIZE)
                .map(|page| Hpa(start + page * PAGE_SIZE))
                .collect()
        }),
    }
}

pub fn is_hypervisors(page: Hpa) -> bool {
    (HYPERVISORS..HYPERVISORS + 16 * PAGE_SIZE).contains(&page.0)
}
