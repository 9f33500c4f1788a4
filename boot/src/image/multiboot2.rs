//! The information structure that a multiboot2 loader leaves in memory (Multiboot2 Specification 2.0, section 3.6).

/// EAX at the entry of a kernel that a multiboot2 loader has started.
pub const MAGIC: u32 = 0x36d7_6289;

const TAG_END: u32 = 0;
const TAG_COMMAND_LINE: u32 = 1;
const TAG_MODULE: u32 = 3;
const TAG_MEMORY_MAP: u32 = 6;

const MEMORY_RAM: u32 = 1;
const MEMORY_RESERVED: u32 = 2;
const MEMORY_ACPI: u32 = 3;

/// Memory at the top of what the firmware left for its ACPI tables: more than either emulator's firmware takes.
pub const ACPI_BYTES: u64 = 1 << 20;

/// Where a module lies: first byte and the one after the last, physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub start: u32,
    pub end: u32,
}

/// The information structure for a PC with `memory` bytes of RAM, all below 4 GiB.
pub fn information(command_line: &str, modules: &[(Place, &str)], memory: u64) -> Vec<u8> {
    let mut tags = Vec::new();
    tag(&mut tags, TAG_COMMAND_LINE, |body| {
        string(body, command_line)
    });
    for (place, text) in modules {
        tag(&mut tags, TAG_MODULE, |body| {
            body.extend(place.start.to_le_bytes());
            body.extend(place.end.to_le_bytes());
            string(body, text);
        });
    }
    tag(&mut tags, TAG_MEMORY_MAP, |body| {
        const ENTRY_BYTES: u32 = 24;
        const ENTRY_VERSION: u32 = 0;
        body.extend(ENTRY_BYTES.to_le_bytes());
        body.extend(ENTRY_VERSION.to_le_bytes());
        for (start, end, kind) in memory_map(memory) {
            body.extend(start.to_le_bytes());
            body.extend((end - start).to_le_bytes());
            body.extend(kind.to_le_bytes());
            body.extend([0; 4]);
        }
    });
    tag(&mut tags, TAG_END, |_| ());
    let total = u32::try_from(8 + tags.len()).expect("a few kilobytes");
    [&total.to_le_bytes()[..], &[0; 4], &tags].concat()
}

/// What a PC's firmware says about its memory: start, end, type.
fn memory_map(memory: u64) -> [(u64, u64, u32); 6] {
    /// The firmware's data, and the code that the other processors wait in, start here.
    const LOW_END: u64 = 0x9_f000;
    [
        (0, LOW_END, MEMORY_RAM),
        (LOW_END, 0xa_0000, MEMORY_RESERVED),
        (0xf_0000, 0x10_0000, MEMORY_RESERVED),
        (0x10_0000, memory - ACPI_BYTES, MEMORY_RAM),
        (memory - ACPI_BYTES, memory, MEMORY_ACPI),
        (0xfffc_0000, 0x1_0000_0000, MEMORY_RESERVED),
    ]
}

/// Appends a tag; tags start at multiples of 8, which is not counted in their size.
fn tag(tags: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    let size = u32::try_from(8 + body.len()).expect("a few kilobytes");
    tags.extend(kind.to_le_bytes());
    tags.extend(size.to_le_bytes());
    tags.extend(body);
    tags.resize(tags.len().next_multiple_of(8), 0);
}

/// Appends a zero-terminated string.
fn string(body: &mut Vec<u8>, text: &str) {
    body.extend(text.as_bytes());
    body.push(0);
}

#[cfg(test)]
mod tests {
    use super::{Place, information};

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// Reads the structure back as a kernel does: the tags' kinds and bodies.
    fn tags(information: &[u8]) -> Vec<(u32, &[u8])> {
        assert_eq!(u32_at(information, 0) as usize, information.len());
        let (mut at, mut found) = (8, Vec::new());
        loop {
            let (kind, size) = (
                u32_at(information, at),
                u32_at(information, at + 4) as usize,
            );
            found.push((kind, &information[at + 8..at + size]));
            if kind == 0 {
                assert_eq!(at + size, information.len());
                return found;
            }
            at = (at + size).next_multiple_of(8);
        }
    }

    #[test]
    fn it_reads_back() {
        let place = Place {
            start: 0x20_0000,
            end: 0x20_0123,
        };
        let information = information(
            "mca=only",
            &[(place, "faults"), (place, "guest a=b")],
            64 << 20,
        );
        let tags = tags(&information);
        assert_eq!(
            tags.iter().map(|tag| tag.0).collect::<Vec<_>>(),
            [1, 3, 3, 6, 0]
        );
        assert_eq!(tags[0].1, b"mca=only\0");
        assert_eq!(
            tags[1].1,
            [
                &0x20_0000u32.to_le_bytes()[..],
                &0x20_0123u32.to_le_bytes(),
                b"faults\0"
            ]
            .concat()
        );
        assert_eq!(&tags[2].1[8..], b"guest a=b\0");
    }

    #[test]
    fn the_memory_map_has_the_memory_once() {
        let information = information("", &[], 64 << 20);
        let map = tags(&information)[1].1;
        assert_eq!((u32_at(map, 0), u32_at(map, 4)), (24, 0));
        let entries: Vec<_> = map[8..]
            .chunks(24)
            .map(|entry| {
                let word = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
                (word(0), word(8), u32_at(entry, 16))
            })
            .collect();
        assert!(
            entries
                .windows(2)
                .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0),
            "overlap: {entries:x?}"
        );
        assert!(
            entries.contains(&(0x10_0000, (62 << 20), 1)),
            "{entries:x?}"
        );
        assert!(
            entries.contains(&((63 << 20), (1 << 20), 3)),
            "{entries:x?}"
        );
    }
}
