//! The PVH boot protocol: an ELF image with a note that names its 32-bit entry, and the start information it is handed.
//!
//! Source: Xen's public "x86/HVM direct boot ABI" (pvh.pandoc), also spoken by Linux, QEMU and others.

use elf::ElfBytes;
use elf::abi::{PT_LOAD, PT_NOTE};
use elf::endian::LittleEndian;
use elf::note::Note;

use crate::units::{Gpa, PAGE_SIZE};

/// Type of the note (owner "Xen") that holds the physical address of the 32-bit entry.
const PHYS32_ENTRY: u64 = 18;
const START_MAGIC: u32 = 0x336e_c578;
const START_VERSION: u32 = 1;
const START_SIZE: usize = 56;
const MAP_ENTRY_SIZE: usize = 24;
const RAM: u32 = 1;
/// Conventional memory ends here; up to 1 MiB is not RAM to a PC's operating system.
const LOW_END: u64 = 0x9_f000;
const HIGH_START: u64 = 0x10_0000;

/// Why an image cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not an ELF file for x86-64, or a truncated one.
    NotElf,
    /// It has no PVH entry note.
    NoEntry,
    /// A segment or the start information does not fit into the guest's memory.
    DoesNotFit,
}

impl Error {
    /// What the log has for it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotElf => "the guest's image is not an ELF64 file, or is truncated",
            Self::NoEntry => "the guest's image has no PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY)",
            Self::DoesNotFit => "the guest's image does not fit into its memory",
        }
    }
}

/// Where and with what a loaded guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// First instruction, in 32-bit protected mode.
    pub entry: u32,
    /// The start information; its address goes into EBX.
    pub information: Gpa,
}

/// Loads `image` into `memory`, which holds zeroes and begins at guest-physical 0, and puts the start information with the
/// command line `arguments` into its last page.
pub fn load(image: &[u8], arguments: &str, memory: &mut [u8]) -> Result<Start, Error> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(image).map_err(|_| Error::NotElf)?;
    let entry = entry(&elf).ok_or(Error::NoEntry)?;
    let information = (memory.len() as u64)
        .checked_sub(PAGE_SIZE)
        .ok_or(Error::DoesNotFit)?;
    for segment in elf
        .segments()
        .ok_or(Error::NotElf)?
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD)
    {
        let end = segment
            .p_paddr
            .checked_add(segment.p_memsz)
            .ok_or(Error::DoesNotFit)?;
        if end > information {
            return Err(Error::DoesNotFit);
        }
        let data = elf.segment_data(&segment).map_err(|_| Error::NotElf)?;
        let place = memory
            .get_mut(segment.p_paddr as usize..)
            .and_then(|rest| rest.get_mut(..data.len()));
        place.ok_or(Error::DoesNotFit)?.copy_from_slice(data);
    }
    write_information(arguments, information, memory).ok_or(Error::DoesNotFit)?;
    Ok(Start {
        entry,
        information: Gpa(information),
    })
}

fn entry(elf: &ElfBytes<'_, LittleEndian>) -> Option<u32> {
    let segments = elf.segments()?;
    let notes = segments.iter().filter(|segment| segment.p_type == PT_NOTE);
    notes
        .filter_map(|segment| elf.segment_data_as_notes(&segment).ok())
        .flatten()
        .find_map(|note| match note {
            Note::Unknown(note) if note.n_type == PHYS32_ENTRY && note.name.starts_with(b"Xen") => {
                let bytes = note.desc.first_chunk::<4>()?;
                Some(u32::from_le_bytes(*bytes))
            }
            _ => None,
        })
}

/// hvm_start_info, the memory map, the command line, one after the other.
fn write_information(arguments: &str, at: u64, memory: &mut [u8]) -> Option<()> {
    let page = memory.get_mut(at as usize..)?;
    let map = at + START_SIZE as u64;
    let text = map + 2 * MAP_ENTRY_SIZE as u64;
    put(page, 0, &START_MAGIC.to_le_bytes())?;
    put(page, 4, &START_VERSION.to_le_bytes())?;
    put(page, 24, &text.to_le_bytes())?;
    put(page, 40, &map.to_le_bytes())?;
    put(page, 48, &2u32.to_le_bytes())?;
    let ranges = [
        (0, LOW_END.min(at)),
        (HIGH_START.min(at), at.saturating_sub(HIGH_START)),
    ];
    for (index, (start, length)) in ranges.into_iter().enumerate() {
        let offset = START_SIZE + index * MAP_ENTRY_SIZE;
        put(page, offset, &start.to_le_bytes())?;
        put(page, offset + 8, &length.to_le_bytes())?;
        put(page, offset + 16, &RAM.to_le_bytes())?;
    }
    put(page, (text - at) as usize, arguments.as_bytes())?;
    put(page, (text - at) as usize + arguments.len(), &[0])?;
    Some(())
}

fn put(page: &mut [u8], offset: usize, bytes: &[u8]) -> Option<()> {
    page.get_mut(offset..)?
        .get_mut(..bytes.len())?
        .copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &[u8] = b"code and data";

    /// An ELF64 file with one segment at 1 MiB and the PVH note.
    fn image(owner: &[u8; 4]) -> Vec<u8> {
        let mut out = vec![0; 64 + 2 * 56];
        out[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        for (at, value) in [(16, 2u16), (18, 62), (52, 64), (54, 56), (56, 2), (58, 64)] {
            out[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        out[20] = 1;
        out[32] = 64;
        let mut note = Vec::new();
        for word in [4u32, 4, PHYS32_ENTRY as u32] {
            note.extend(word.to_le_bytes());
        }
        note.extend(owner);
        note.extend(0x10_0020u32.to_le_bytes());
        let parts = [
            (PT_LOAD, SEGMENT, 0x10_0000u64, 0x2000u64),
            (PT_NOTE, &note[..], 0, note.len() as u64),
        ];
        for (index, (kind, bytes, address, size)) in parts.into_iter().enumerate() {
            let header = 64 + 56 * index;
            out[header..header + 4].copy_from_slice(&kind.to_le_bytes());
            let offset = out.len() as u64;
            for (at, value) in [
                (8, offset),
                (16, address),
                (24, address),
                (32, bytes.len() as u64),
                (40, size),
                (48, 4),
            ] {
                out[header + at..header + at + 8].copy_from_slice(&value.to_le_bytes());
            }
            out.extend(bytes);
        }
        out
    }

    #[test]
    fn loads_segments_and_writes_the_start_information() {
        let mut memory = vec![0; 2 << 20];
        let start = load(&image(b"Xen\0"), "a=1 b", &mut memory).expect("a good image");
        assert_eq!(
            start,
            Start {
                entry: 0x10_0020,
                information: Gpa(0x1f_f000)
            }
        );
        assert_eq!(&memory[0x10_0000..][..SEGMENT.len()], SEGMENT);
        let information = &memory[0x1f_f000..];
        let word =
            |at: usize| u64::from_le_bytes(information[at..at + 8].try_into().expect("8 bytes"));
        assert_eq!(
            word(0),
            u64::from(START_VERSION) << 32 | u64::from(START_MAGIC)
        );
        let text = (word(24) - 0x1f_f000) as usize;
        assert_eq!(&information[text..text + 6], b"a=1 b\0");
        let map = (word(40) - 0x1f_f000) as usize;
        assert_eq!((word(map), word(map + 8), word(map + 16)), (0, 0x9_f000, 1));
        assert_eq!(
            (word(map + 24), word(map + 32), word(map + 40)),
            (0x10_0000, 0xf_f000, 1)
        );
        assert_eq!(word(48), 2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut memory = vec![0; 2 << 20];
        assert_eq!(load(b"MZ", "", &mut memory), Err(Error::NotElf));
        assert_eq!(load(&image(b"GNU\0"), "", &mut memory), Err(Error::NoEntry));
        assert_eq!(
            load(&image(b"Xen\0"), "", &mut memory[..1 << 20]),
            Err(Error::DoesNotFit)
        );
        assert_eq!(load(&image(b"Xen\0"), "", &mut []), Err(Error::DoesNotFit));
        let long = "x".repeat(4096);
        assert_eq!(
            load(&image(b"Xen\0"), &long, &mut memory),
            Err(Error::DoesNotFit)
        );
    }

    #[test]
    fn any_truncation_is_refused_without_panic() {
        let image = image(b"Xen\0");
        let mut memory = vec![0; 2 << 20];
        for end in 0..image.len() {
            assert!(load(&image[..end], "", &mut memory).is_err(), "{end}");
        }
    }
}
