//! Types that carry units, so that one kind of number cannot pass for another.

use core::fmt;

/// Bytes in a 4 KiB page.
pub const PAGE_SIZE: u64 = 4096;
/// Bytes in a 2 MiB page.
pub const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// Guest-physical address, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gpa(pub u64);

/// Host-physical address, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hpa(pub u64);

/// A physical (logical, in the SDM's words) processor, numbered from 0 in the order of bring-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pcpu(pub u16);

/// A guest, numbered from 0 in the order of the boot modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(pub u8);

/// A virtual processor of some guest, numbered from 0 within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId {
    /// The guest it belongs to.
    pub guest: GuestId,
    /// Its number within the guest.
    pub index: u8,
}

/// A machine-check bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bank(pub u8);

/// Time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tsc(pub u64);

macro_rules! address {
    ($name:ident) => {
        impl $name {
            /// The start of the 4 KiB page that holds this address.
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// This address, `bytes` further on; stays at the top instead of wrapping.
            pub const fn plus(self, bytes: u64) -> Self {
                Self(self.0.saturating_add(bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

address!(Gpa);
address!(Hpa);

impl Tsc {
    /// Ticks from `earlier` to this moment; 0 where that is negative (another processor's counter may lag).
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
