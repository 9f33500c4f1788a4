//! The processors, from ACPI's MADT (ACPI specification 6.5, 5.2.5 RSDP, 5.2.7 and 5.2.8 RSDT and XSDT, 5.2.12 MADT).

use super::{u32_at, u64_at};
use crate::units::Hpa;

const LOCAL_APIC: u8 = 0;
const LOCAL_X2APIC: u8 = 9;
const ENABLED: u32 = 1;

/// Finds the RSDP in the BIOS area (0xe0000 to 0xfffff): its signature at a 16-byte boundary, with a right checksum.
pub fn find_rsdp(bios_area: &[u8]) -> Option<&[u8]> {
    let candidates = (0..bios_area.len()).step_by(16);
    candidates
        .filter_map(|offset| bios_area.get(offset..))
        .find(|bytes| {
            bytes.starts_with(b"RSD PTR ")
                && bytes.get(..20).is_some_and(|first| checksum(first) == 0)
        })
}

/// Finds the MADT by way of the RSDP. `table` gives the bytes of the ACPI table at an address, its whole length, or none
/// where there can be no table.
pub fn find_madt<'a>(rsdp: &[u8], table: impl Fn(Hpa) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
    let revision = *rsdp.get(15)?;
    let xsdt = if revision >= 2 {
        u64_at(rsdp, 24).filter(|&address| address != 0)
    } else {
        None
    };
    let (root, entry_size) = match xsdt {
        Some(address) => (table(Hpa(address))?, 8),
        None => (table(Hpa(u32_at(rsdp, 16)?.into()))?, 4),
    };
    let entries = root.get(36..)?.chunks_exact(entry_size);
    let addresses = entries.filter_map(|entry| match entry_size {
        8 => u64_at(entry, 0),
        _ => u32_at(entry, 0).map(u64::from),
    });
    addresses
        .filter_map(|address| table(Hpa(address)))
        .find(|bytes| bytes.starts_with(b"APIC") && checksum(bytes) == 0)
}

/// The local APIC identifiers of the processors that the MADT calls enabled, in its order.
pub fn processors(madt: &[u8]) -> impl Iterator<Item = u32> {
    structures(madt.get(44..).unwrap_or(&[])).filter_map(|(kind, body)| match kind {
        LOCAL_APIC => (u32_at(body, 4)? & ENABLED != 0).then_some((*body.get(3)?).into()),
        LOCAL_X2APIC => {
            let id = u32_at(body, 4)?;
            (u32_at(body, 8)? & ENABLED != 0).then_some(id)
        }
        _ => None,
    })
}

fn structures(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let kind = *rest.first()?;
        let length = usize::from(*rest.get(1)?);
        let body = rest.get(..length).filter(|_| length >= 2)?;
        rest = &rest[length..];
        Some((kind, body))
    })
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 36];
        out[..4].copy_from_slice(signature);
        out[4..8].copy_from_slice(&(36 + body.len() as u32).to_le_bytes());
        out.extend(body);
        out[9] = 0u8.wrapping_sub(checksum(&out));
        out
    }

    fn madt() -> Vec<u8> {
        let mut body = vec![0; 8];
        body.extend([0, 8, 0, 0, 1, 0, 0, 0]); // processor 0, APIC 0, enabled
        body.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]); // I/O APIC
        body.extend([0, 8, 1, 3, 1, 0, 0, 0]); // APIC 3, enabled
        body.extend([0, 8, 2, 4, 0, 0, 0, 0]); // APIC 4, disabled
        body.extend([9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]); // x2APIC 300, enabled
        table(b"APIC", &body)
    }

    fn rsdp(revision: u8) -> Vec<u8> {
        let mut out = vec![0; 36];
        out[..8].copy_from_slice(b"RSD PTR ");
        out[15] = revision;
        out[16..20].copy_from_slice(&0x1000u32.to_le_bytes());
        out[24..32].copy_from_slice(&0x2000u64.to_le_bytes());
        out[8] = 0u8.wrapping_sub(checksum(&out[..20]));
        out
    }

    #[test]
    fn lists_enabled_processors() {
        assert_eq!(processors(&madt()).collect::<Vec<_>>(), [0, 3, 300]);
    }

    #[test]
    fn walks_both_roots() {
        let madt = madt();
        let other = table(b"FACP", &[1, 2, 3]);
        let rsdt = table(b"RSDT", &[0, 0x30, 0, 0, 0, 0x40, 0, 0]);
        let xsdt = table(
            b"XSDT",
            &[0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0],
        );
        let read = |address: Hpa| match address.0 {
            0x1000 => Some(&rsdt[..]),
            0x2000 => Some(&xsdt[..]),
            0x3000 => Some(&other[..]),
            0x4000 => Some(&madt[..]),
            _ => None,
        };
        for revision in [0, 2] {
            assert_eq!(find_madt(&rsdp(revision), read), Some(&madt[..]));
        }
    }

    #[test]
    fn finds_the_rsdp_by_signature_and_checksum() {
        let mut area = vec![0; 256];
        area[32..40].copy_from_slice(b"RSD PTR "); // wrong checksum
        area[128..164].copy_from_slice(&rsdp(0));
        assert_eq!(
            find_rsdp(&area).map(|found| found.as_ptr()),
            Some(area[128..].as_ptr())
        );
    }

    #[test]
    fn any_truncation_is_read_without_panic() {
        let madt = madt();
        for end in 0..madt.len() {
            assert!(processors(&madt[..end]).count() <= 3);
        }
        assert_eq!(processors(&[0; 100]).count(), 0);
    }
}
