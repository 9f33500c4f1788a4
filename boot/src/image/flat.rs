//! An ELF as a loader lays it out in memory.

use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};

/// Where the hypervisor is linked, and where the flat copy starts.
pub const BASE: u64 = 0x10_0000;

/// Bytes of the loadable segments at their physical addresses, gaps and `.bss` as zeros.
#[derive(Debug)]
pub struct Flat {
    /// Memory from [`BASE`] on.
    pub bytes: Vec<u8>,
    /// Physical address of the first instruction.
    pub entry: u32,
}

/// Lays out the loadable segments of an ELF64; the error is the reason, in words.
///
/// # Errors
/// The bytes are no x86-64 ELF, a segment lies below [`BASE`] or reaches beyond `limit` (a physical address), or
/// the entry is in no segment.
pub fn flatten(file: &[u8], limit: u64) -> Result<Flat, String> {
    let header = elf::FileHeader64::<LittleEndian>::parse(file).map_err(|_| "not an ELF64 file")?;
    let endian = header.endian().map_err(|_| "not a little-endian ELF")?;
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Err("an ELF for another processor than x86-64".into());
    }
    let segments = header.program_headers(endian, file);
    let segments = segments.map_err(|_| "its program headers lie outside the file")?;

    let mut bytes = Vec::new();
    let mut entry = None;
    for segment in segments {
        let (address, size) = (segment.p_paddr(endian), segment.p_memsz(endian));
        if segment.p_type(endian) != elf::PT_LOAD || size == 0 {
            continue;
        }
        let end = address.checked_add(size).filter(|&end| end <= limit);
        let end = end
            .ok_or_else(|| format!("the segment at {address:#x} does not fit below {limit:#x}"))?;
        if address < BASE {
            return Err(format!("the segment at {address:#x} lies below {BASE:#x}"));
        }
        let data = segment.data(endian, file);
        let data = data.map_err(|()| format!("the segment at {address:#x} is cut off"))?;
        if data.len() as u64 > size {
            return Err(format!(
                "the segment at {address:#x} is longer in the file than in memory"
            ));
        }
        let start = (address - BASE) as usize;
        bytes.resize(bytes.len().max((end - BASE) as usize), 0);
        bytes[start..start + data.len()].copy_from_slice(data);
        let offset = header.e_entry(endian).checked_sub(segment.p_vaddr(endian));
        entry = entry.or(offset
            .filter(|offset| *offset < size)
            .map(|offset| address + offset));
    }
    let entry = entry.ok_or("its entry lies in no loadable segment")?;
    let entry = u32::try_from(entry).map_err(|_| "its entry lies above 4 GiB")?;
    Ok(Flat { bytes, entry })
}

#[cfg(test)]
pub mod tests {
    use super::{BASE, flatten};

    /// An ELF64 with one segment: `file` at `address`, `memory` bytes long there.
    pub fn elf(address: u64, file: &[u8], memory: u64, entry: u64) -> Vec<u8> {
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        elf.resize(16, 0);
        elf.extend([2, 0, 0x3e, 0, 1, 0, 0, 0]);
        elf.extend(entry.to_le_bytes());
        elf.extend(64u64.to_le_bytes());
        elf.extend([0; 8 + 4]);
        elf.extend([64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        for word in [120, address, address, file.len() as u64, memory, 0x1000] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(file);
        elf
    }

    #[test]
    fn a_segment_lies_at_its_address_and_its_bss_is_zero() {
        let flat = flatten(&elf(BASE + 16, b"abc", 8, BASE + 17), 1 << 30).unwrap();
        assert_eq!(flat.bytes, [&[0; 16][..], b"abc", &[0; 5]].concat());
        assert_eq!(flat.entry, 0x10_0011);
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused_with_its_reason() {
        let refused = |elf: &[u8]| flatten(elf, 0x20_0000).unwrap_err();
        assert!(refused(b"MZ").contains("not an ELF64"));
        assert!(refused(&elf(0x8000, b"a", 1, 0x8000)).contains("lies below"));
        assert!(refused(&elf(0x1f_fff0, b"a", 17, 0x1f_fff0)).contains("does not fit"));
        assert!(refused(&elf(u64::MAX, b"a", 1, 0)).contains("does not fit"));
        assert!(refused(&elf(BASE, b"a", 1, BASE + 1)).contains("entry lies in no"));
        assert!(refused(&elf(BASE, b"abc", 1, BASE)).contains("longer in the file"));
    }
}
