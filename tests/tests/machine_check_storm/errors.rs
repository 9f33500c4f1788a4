//! The errors of a storm.

use kernel::mca::{Class, Status, grade};
use kernel::units::{Hpa, PAGE_SIZE};
use tests::random::{GUEST_SIZE, GUESTS, is_in, memory_of};
use tests::sim::Raise;

/// Banks of each processor.
pub const BANKS: u8 = 4;

pub const DATA_LOAD: u64 = 0xbd80_0000_0000_0134;
pub const FETCH: u64 = 0xbd80_0000_0000_0150;
pub const SCRUB: u64 = 0xbd00_0000_0000_00c0;
pub const WRITE_BACK: u64 = 0xbd00_0000_0000_017a;
pub const NO_ACTION: u64 = 0xbc00_0000_0000_009f;
pub const CORRECTED: u64 = 0x9c00_0000_0000_009f;
pub const FATAL: u64 = 0xbe00_0000_0000_0134;

/// The pages of an error.
pub fn pages(raise: &Raise) -> impl Iterator<Item = Hpa> + use<> {
    let size = 1u64 << (raise.misc & 0x3f).max(12);
    let start = raise.addr / size * size;
    (0..size / PAGE_SIZE).map(move |page| Hpa(start + page * PAGE_SIZE))
}

pub fn owner(page: Hpa) -> Option<u8> {
    (0..GUESTS).find(|&guest| is_in(guest, page))
}

pub fn class(raise: &Raise) -> Class {
    grade(Status::from(raise.status), true)
}

/// An error in memory of a guest: mostly of `own`, whose vCPU runs there.
pub fn raise(random: &mut fastrand::Rng, status: u64, own: Option<u8>) -> Raise {
    let guest = match own {
        Some(own) if random.u8(..8) != 0 => own,
        _ => random.u8(..GUESTS),
    };
    let lsb = if random.u8(..10) == 0 { 13 } else { 6 };
    // Bank 0 is a core's, and two processors of a core run other guests: what one of them alone has consumed is not in there.
    let bank = match status {
        DATA_LOAD | FETCH | FATAL => random.u8(1..BANKS),
        _ => random.u8(..BANKS),
    };
    Raise {
        bank,
        status,
        addr: memory_of(guest).start + random.u64(..GUEST_SIZE),
        misc: 0x80 | lsb,
    }
}
