//! The fast way: the payload as it lies in memory once a loader is done, and an option ROM that starts it.
//!
//! From [`BASE`](super::flat::BASE): the hypervisor's segments, the information structure, the modules; each part
//! starts a page.

use super::flat::{self, Flat};
use super::multiboot2::{self, Place};
use super::{Payload, rom};
use crate::error::{self, Error, Result};

const PAGE: usize = 4096;
/// Bytes of a cylinder of 16 heads and 63 sectors: a disk of an emulator has whole ones.
const CYLINDER: usize = 16 * 63 * rom::SECTOR;

/// What is put into the machine before it starts.
#[derive(Debug)]
pub struct Direct {
    /// The first disk: bytes for memory from [`Direct::ADDRESS`] on, filled up to whole cylinders.
    pub disk: Vec<u8>,
    /// The option ROM.
    pub rom: [u8; rom::BYTES],
}

impl Direct {
    /// Physical address that the first byte of [`Direct::disk`] goes to.
    pub const ADDRESS: u64 = flat::BASE;
}

/// Lays out the payload for a machine with `memory_mib` MiB of RAM.
///
/// # Errors
/// The hypervisor's file cannot be read or laid out, or the payload does not fit into the machine's memory.
pub fn direct(payload: &Payload, memory_mib: u32) -> Result<Direct> {
    let kernel = error::read(&payload.kernel_elf)?;
    lay_out(payload, &kernel, memory_mib).map_err(|reason| {
        Error::Impossible(format!(
            "cannot load {}: {reason}",
            payload.kernel_elf.display()
        ))
    })
}

fn lay_out(payload: &Payload, kernel: &[u8], memory_mib: u32) -> Result<Direct, String> {
    let ram = u64::from(memory_mib) << 20;
    let limit = ram.saturating_sub(multiboot2::ACPI_BYTES);
    let Flat {
        bytes: mut memory,
        entry,
    } = flat::flatten(kernel, limit)?;

    fill_page(&mut memory);
    let information = end(&memory);
    // Its size does not depend on where the modules lie.
    let nowhere = vec![Place { start: 0, end: 0 }; payload.modules.len()];
    memory.resize(memory.len() + describe(payload, &nowhere, ram).len(), 0);
    let mut places = Vec::new();
    for module in &payload.modules {
        fill_page(&mut memory);
        let start = end(&memory);
        memory.extend(&module.bytes);
        places.push((start, end(&memory)));
    }
    if end(&memory) > limit || limit > u64::from(u32::MAX) {
        let kib = memory.len() >> 10;
        return Err(format!(
            "with its modules it takes {kib} KiB, which do not fit into a machine of {memory_mib} MiB \
             (less than 4096)"
        ));
    }
    // Below the limit, and that is below 4 GiB.
    let address = |address: u64| u32::try_from(address).expect("an address below 4 GiB");
    let places: Vec<_> = places
        .into_iter()
        .map(|(start, end)| Place {
            start: address(start),
            end: address(end),
        })
        .collect();
    let description = describe(payload, &places, ram);
    let start = (information - flat::BASE) as usize;
    memory[start..start + description.len()].copy_from_slice(&description);
    let command = rom::SECTORS_AT_ONCE * rom::SECTOR;
    let commands = memory.len().div_ceil(command);
    if end(&memory).next_multiple_of(command as u64) > limit {
        return Err(format!(
            "with its modules it does not fit into a machine of {memory_mib} MiB"
        ));
    }
    memory.resize((commands * command).next_multiple_of(CYLINDER), 0);
    let load_at = address(flat::BASE);
    Ok(Direct {
        disk: memory,
        rom: rom::build(entry, address(information), load_at, commands as u32),
    })
}

fn describe(payload: &Payload, places: &[Place], ram: u64) -> Vec<u8> {
    let strings = payload.modules.iter().map(|module| module.string.as_str());
    let modules: Vec<_> = places.iter().copied().zip(strings).collect();
    multiboot2::information(&payload.command_line, &modules, ram)
}

/// Fills the last page with zeros.
fn fill_page(memory: &mut Vec<u8>) {
    memory.resize(memory.len().next_multiple_of(PAGE), 0);
}

/// Physical address behind the last byte.
fn end(memory: &[u8]) -> u64 {
    flat::BASE + memory.len() as u64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::flat::tests::elf;
    use super::super::{Module, Payload, flat};
    use super::{Direct, lay_out};

    fn payload(sizes: &[usize]) -> Payload {
        let module = |&size: &usize| Module {
            string: format!("m{size}"),
            bytes: vec![7; size],
        };
        Payload {
            kernel_elf: PathBuf::new(),
            command_line: "words".into(),
            modules: sizes.iter().map(module).collect(),
        }
    }

    /// Reads a little-endian word at a physical address.
    fn word(direct: &Direct, address: u64) -> u32 {
        let at = (address - Direct::ADDRESS) as usize;
        u32::from_le_bytes(direct.disk[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn modules_lie_where_the_structure_says() {
        let kernel = elf(flat::BASE, b"kernel", 5000, flat::BASE);
        let direct = lay_out(&payload(&[5000, 3]), &kernel, 16).unwrap();
        let information = flat::BASE + 2 * 4096;
        let mut tag = information + 8;
        let mut seen = Vec::new();
        while word(&direct, tag) != 0 {
            if word(&direct, tag) == 3 {
                let (start, end) = (word(&direct, tag + 8), word(&direct, tag + 12));
                assert_eq!(start % 4096, 0);
                let offset = |address: u32| (u64::from(address) - Direct::ADDRESS) as usize;
                let bytes = &direct.disk[offset(start)..offset(end)];
                assert!(bytes.iter().all(|byte| *byte == 7));
                seen.push(bytes.len());
            }
            tag += u64::from(word(&direct, tag + 4)).next_multiple_of(8);
        }
        assert_eq!(seen, [5000, 3]);
        assert_eq!(tag + 8 - information, u64::from(word(&direct, information)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let kernel = elf(flat::BASE, b"kernel", 5000, flat::BASE);
        let refused = lay_out(&payload(&[3 << 20]), &kernel, 4).unwrap_err();
        assert!(
            refused.contains("do not fit into a machine of 4 MiB"),
            "{refused}"
        );
        assert!(lay_out(&payload(&[3 << 20]), &kernel, 6).is_ok());
        assert!(
            lay_out(&payload(&[]), &kernel, 1)
                .unwrap_err()
                .contains("does not fit")
        );
        assert!(lay_out(&payload(&[]), &kernel, 1 << 20).is_err());
    }
}
