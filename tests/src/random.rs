//! What the tests with random machine checks have in common: their guests, and their seeds.

use std::ops::Range;

use kernel::units::Hpa;

/// How many guests there are.
pub const GUESTS: u8 = 3;
/// Memory of each, in bytes.
pub const GUEST_SIZE: u64 = 1 << 24;

/// Where the host has a guest's memory: its start, and what is behind its end.
pub fn memory_of(guest: u8) -> Range<u64> {
    let start = 0x1000_0000 * u64::from(guest + 1);
    start..start + GUEST_SIZE
}

/// Whether a page is a guest's.
pub fn is_in(guest: u8, page: Hpa) -> bool {
    memory_of(guest).contains(&page.0)
}

/// The seeds of a test: so `many`, or the one that `BANKSHOT_SEED` names.
pub fn seeds(many: u64) -> Range<u64> {
    match named_seed() {
        Some(seed) => seed..seed + 1,
        None => 0..many,
    }
}

/// The seed that `BANKSHOT_SEED` names.
pub fn named_seed() -> Option<u64> {
    std::env::var("BANKSHOT_SEED").ok()?.parse().ok()
}
