//! The multiboot2 information structure (multiboot2 specification 2.0, 3.4 to 3.6).

use super::{u32_at, u64_at};
use crate::units::Hpa;

/// What EAX holds at entry from a multiboot2 loader.
pub const BOOT_MAGIC: u32 = 0x36d7_6289;

const TAG_COMMAND_LINE: u32 = 1;
const TAG_MODULE: u32 = 3;
const TAG_MEMORY_MAP: u32 = 6;
const TAG_ACPI_OLD: u32 = 14;
const TAG_ACPI_NEW: u32 = 15;
const AVAILABLE: u32 = 1;

/// A boot module: a file that the loader put in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// First byte.
    pub start: Hpa,
    /// One past the last byte.
    pub end: Hpa,
    /// The string that came with it.
    pub string: &'a str,
}

/// A range of usable RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// First byte.
    pub start: Hpa,
    /// One past the last byte.
    pub end: Hpa,
}

/// The information structure, read in place.
#[derive(Clone, Copy)]
pub struct Information<'a> {
    bytes: &'a [u8],
}

impl<'a> Information<'a> {
    /// Reads a structure whose `total_size` bytes are given, header included.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Where the structure itself lies.
    pub fn range(&self) -> Option<(Hpa, Hpa)> {
        let start = self.bytes.as_ptr() as u64;
        (!self.bytes.is_empty()).then(|| (Hpa(start), Hpa(start + self.bytes.len() as u64)))
    }

    /// The kernel's command line; empty when the loader gave none or one that is not UTF-8.
    pub fn command_line(&self) -> &'a str {
        self.tags()
            .find(|tag| tag.kind == TAG_COMMAND_LINE)
            .map_or("", |tag| c_string(tag.body))
    }

    /// The boot modules in the loader's order.
    pub fn modules(&self) -> impl Iterator<Item = Module<'a>> {
        self.tags()
            .filter(|tag| tag.kind == TAG_MODULE)
            .filter_map(|tag| {
                let start = u32_at(tag.body, 0)?;
                let end = u32_at(tag.body, 4)?;
                (start <= end).then_some(Module {
                    start: Hpa(start.into()),
                    end: Hpa(end.into()),
                    string: c_string(tag.body.get(8..)?),
                })
            })
    }

    /// Usable RAM, in the loader's order.
    pub fn ram(&self) -> impl Iterator<Item = Ram> {
        let body = self
            .tags()
            .find(|tag| tag.kind == TAG_MEMORY_MAP)
            .map_or(&[][..], |tag| tag.body);
        let entry_size = u32_at(body, 0).unwrap_or(0).max(24) as usize;
        body.get(8..)
            .unwrap_or(&[])
            .chunks_exact(entry_size)
            .filter_map(|entry| {
                let start = u64_at(entry, 0)?;
                let end = start.checked_add(u64_at(entry, 8)?)?;
                (u32_at(entry, 16)? == AVAILABLE).then_some(Ram {
                    start: Hpa(start),
                    end: Hpa(end),
                })
            })
    }

    /// A copy of the RSDP, the newer one where there are two.
    pub fn rsdp(&self) -> Option<&'a [u8]> {
        let tag = |kind| {
            self.tags()
                .find(move |tag| tag.kind == kind)
                .map(|tag| tag.body)
        };
        tag(TAG_ACPI_NEW).or_else(|| tag(TAG_ACPI_OLD))
    }

    fn tags(&self) -> Tags<'a> {
        Tags {
            rest: self.bytes.get(8..).unwrap_or(&[]),
        }
    }
}

struct Tag<'a> {
    kind: u32,
    body: &'a [u8],
}

struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let kind = u32_at(self.rest, 0)?;
        let size = u32_at(self.rest, 4)? as usize;
        if kind == 0 {
            return None;
        }
        let body = self.rest.get(8..size)?;
        // Tags start at multiples of 8 bytes.
        self.rest = self.rest.get(size.next_multiple_of(8)..).unwrap_or(&[]);
        Some(Tag { kind, body })
    }
}

fn c_string(bytes: &[u8]) -> &str {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
        out.extend(kind.to_le_bytes());
        out.extend((8 + body.len() as u32).to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(8), 0);
    }

    fn sample() -> Vec<u8> {
        let mut out = vec![0; 8];
        tag(&mut out, TAG_COMMAND_LINE, b"mca=only\0");
        let mut module = Vec::new();
        module.extend(0x20_0000u32.to_le_bytes());
        module.extend(0x20_1234u32.to_le_bytes());
        module.extend(b"guest name=g0\0");
        tag(&mut out, TAG_MODULE, &module);
        let mut map = Vec::new();
        map.extend(24u32.to_le_bytes());
        map.extend(0u32.to_le_bytes());
        for (start, length, kind) in [
            (0u64, 0x9_f000u64, 1u32),
            (0x9_f000, 0x1000, 2),
            (0x10_0000, 0x700_0000, 1),
        ] {
            map.extend(start.to_le_bytes());
            map.extend(length.to_le_bytes());
            map.extend(kind.to_le_bytes());
            map.extend(0u32.to_le_bytes());
        }
        tag(&mut out, TAG_MEMORY_MAP, &map);
        tag(&mut out, TAG_ACPI_OLD, b"RSD PTR old");
        tag(&mut out, TAG_ACPI_NEW, b"RSD PTR new");
        tag(&mut out, 0, &[]);
        out
    }

    #[test]
    fn reads_every_tag_it_needs() {
        let bytes = sample();
        let information = Information::new(&bytes);
        assert_eq!(information.command_line(), "mca=only");
        assert_eq!(
            information.modules().collect::<Vec<_>>(),
            [Module {
                start: Hpa(0x20_0000),
                end: Hpa(0x20_1234),
                string: "guest name=g0"
            }]
        );
        assert_eq!(
            information.ram().collect::<Vec<_>>(),
            [
                Ram {
                    start: Hpa(0),
                    end: Hpa(0x9_f000)
                },
                Ram {
                    start: Hpa(0x10_0000),
                    end: Hpa(0x710_0000)
                }
            ]
        );
        assert_eq!(information.rsdp(), Some(&b"RSD PTR new"[..]));
    }

    #[test]
    fn any_truncation_is_read_without_panic() {
        let bytes = sample();
        for end in 0..bytes.len() {
            let information = Information::new(&bytes[..end]);
            let _ = (information.command_line(), information.rsdp());
            assert!(information.modules().count() <= 1);
            assert!(information.ram().count() <= 2);
        }
    }

    #[test]
    fn a_tag_smaller_than_its_header_ends_the_walk() {
        let mut bytes = sample();
        bytes[12] = 4;
        assert_eq!(Information::new(&bytes).command_line(), "");
    }
}
