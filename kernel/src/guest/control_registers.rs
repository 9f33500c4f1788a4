//! CR0 and CR4 in two halves: what the processor holds while the guest runs, and what the guest reads (SDM vol. 3, 25.6.6).
//!
//! CR4.MCE belongs to the host and is always set in hardware: a #MC with it clear shuts the processor down. The guest's own bit is in the
//! shadow, where delivery asks it. An emulator does not show its absence, so the tests here look at the values.

/// CR0.PE.
pub const CR0_PROTECTION: u64 = 1 << 0;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
const CR0_NUMERIC_ERROR: u64 = 1 << 5;
const CR0_NOT_WRITE_THROUGH: u64 = 1 << 29;
const CR0_CACHE_DISABLE: u64 = 1 << 30;
/// CR0.PG.
pub const CR0_PAGING: u64 = 1 << 31;
/// Bits of CR0 that the host owns: VMX operation demands NE, and caching is not the guest's to turn off.
pub const CR0_HOST_OWNED: u64 = CR0_NUMERIC_ERROR | CR0_NOT_WRITE_THROUGH | CR0_CACHE_DISABLE;
/// CR0 after reset or INIT, as a guest reads it.
pub const CR0_RESET: u64 = CR0_EXTENSION_TYPE | CR0_CACHE_DISABLE | CR0_NOT_WRITE_THROUGH;

/// CR4.PAE.
pub const CR4_PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
/// CR4.MCE.
pub const CR4_MACHINE_CHECK: u64 = 1 << 6;
/// CR4.VMXE: VMX operation demands it.
pub const CR4_VMX: u64 = 1 << 13;
/// Bits of CR4 that are the guest's alone: VME, PVI, TSD, DE, PSE, PAE, PGE, PCE, OSFXSR, OSXMMEXCPT, FSGSBASE, SMEP, SMAP.
const CR4_GUEST_OWNED: u64 = 0x7bf | 1 << 16 | 1 << 20 | 1 << 21;
/// Every other bit is the host's.
pub const CR4_HOST_OWNED: u64 = !CR4_GUEST_OWNED;

/// A control register while a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    /// What the processor holds.
    pub real: u64,
    /// What the guest reads, as far as the host owns a bit.
    pub shadow: u64,
}

/// CR0 with what the guest writes; none where MOV to CR0 is #GP whatever the mode (SDM vol. 2, MOV to control registers).
pub fn cr0(value: u64) -> Option<Halves> {
    let has = |bit| value & bit != 0;
    if value >> 32 != 0
        || has(CR0_PAGING) && !has(CR0_PROTECTION)
        || has(CR0_NOT_WRITE_THROUGH) && !has(CR0_CACHE_DISABLE)
    {
        return None;
    }
    let shadow = value | CR0_EXTENSION_TYPE;
    Some(Halves {
        real: shadow & !CR0_HOST_OWNED | CR0_NUMERIC_ERROR,
        shadow,
    })
}

/// CR4 with what the guest writes; none where it sets a bit that it is not offered or that the processor lacks. `supported` is
/// IA32_VMX_CR4_FIXED1.
pub fn cr4(value: u64, supported: u64) -> Option<Halves> {
    let may_set = (CR4_GUEST_OWNED & supported) | CR4_MACHINE_CHECK;
    (value & !may_set == 0).then_some(Halves {
        real: value | CR4_MACHINE_CHECK | CR4_VMX,
        shadow: value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of the low 32 bits in which at most three bits are set.
    fn values() -> impl Iterator<Item = u64> {
        let bits = || (0..33).map(|n| (1u64 << n) & 0xffff_ffff);
        bits().flat_map(move |a| bits().flat_map(move |b| bits().map(move |c| a | b | c)))
    }

    #[test]
    fn the_host_keeps_its_bits_whatever_the_guest_writes() {
        for value in values() {
            if let Some(Halves { real, shadow }) = cr4(value, u64::MAX) {
                assert_eq!(
                    real & (CR4_MACHINE_CHECK | CR4_VMX),
                    CR4_MACHINE_CHECK | CR4_VMX,
                    "{value:#x}"
                );
                assert_eq!(
                    real & !(CR4_MACHINE_CHECK | CR4_VMX),
                    value & !CR4_MACHINE_CHECK,
                    "{value:#x}"
                );
                assert_eq!(shadow, value);
            }
            if let Some(Halves { real, shadow }) = cr0(value) {
                assert_eq!(real & CR0_HOST_OWNED, CR0_NUMERIC_ERROR, "{value:#x}");
                assert_eq!(shadow, value | CR0_EXTENSION_TYPE);
                assert_eq!(real & !CR0_HOST_OWNED, shadow & !CR0_HOST_OWNED);
            }
        }
    }

    #[test]
    fn what_a_guest_reads_is_what_it_wrote() {
        // Owned bits come from the shadow, the others from the processor.
        for value in values() {
            let reads =
                |Halves { real, shadow }: Halves, owned: u64| real & !owned | shadow & owned;
            if let Some(halves) = cr4(value, u64::MAX) {
                assert_eq!(reads(halves, CR4_HOST_OWNED), value);
            }
            if let Some(halves) = cr0(value) {
                assert_eq!(reads(halves, CR0_HOST_OWNED), value | CR0_EXTENSION_TYPE);
            }
        }
    }

    #[test]
    fn what_is_refused() {
        const SMAP: u64 = 1 << 21;
        assert_eq!(cr4(CR4_VMX, u64::MAX), None);
        assert_eq!(cr4(SMAP, !SMAP), None);
        assert!(cr4(SMAP | CR4_MACHINE_CHECK, SMAP).is_some());
        assert_eq!(cr0(CR0_PAGING), None);
        assert_eq!(cr0(CR0_NOT_WRITE_THROUGH), None);
        assert_eq!(cr0(1 << 32), None);
        assert!(cr0(CR0_RESET).is_some());
    }
}
