//! The table of conformance vectors that a guest program executes (tests/guests/src/bin/vectors.rs).
//!
//! Little-endian: [`MAGIC`], how many (four bytes), four bytes of zero; then 16 bytes for each: what to do (`code`), zero, the line of the
//! spec (two bytes), the MSR (four bytes), the value that is read or written (eight bytes).

use msr_dsl::interpret::Machine;
use msr_dsl::vectors::{Act, Vector, program};
use object::{Object, ObjectSegment, ObjectSymbol};

use super::Known;
use super::interface::born;

/// The first bytes of a table; the program's own has no vectors.
pub const MAGIC: [u8; 8] = *b"VECTORS1";
/// The program's variable that holds the table.
const SYMBOL: &str = "VECTORS";
/// Bytes before the first vector.
pub const HEADER: usize = 16;
/// Bytes of a vector.
pub const ENTRY: usize = 16;

/// A table of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Table {
    /// The vectors of an interface (`NAME@VERSION[+FEATURE...]`), or of `platform`, for a guest under `interface`. `None`: there is no
    /// such interface, or its spec has mistakes.
    pub fn of(what: &str, interface: &str, known: &Known) -> Option<Self> {
        let guest = born(interface, known)?;
        let platform = Machine::new(known.platform.as_ref()?.newest());
        let vectors = match what {
            "platform" => program(&mut [guest, platform], 1),
            _ => program(&mut [born(what, known)?, platform], 0),
        };
        Some(Self::new(&vectors))
    }

    fn new(vectors: &[Vector]) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((vectors.len() as u64).to_le_bytes());
        for vector in vectors {
            let (code, value) = code(vector.act);
            bytes.extend([code, 0]);
            bytes.extend(u16::try_from(vector.line).unwrap_or(0).to_le_bytes());
            bytes.extend(vector.msr.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        Self { bytes }
    }

    /// How many vectors.
    pub fn count(&self) -> usize {
        (self.bytes.len() - HEADER) / ENTRY
    }

    /// Puts the table into the program.
    ///
    /// # Errors
    /// The program has no place for a table, or not enough.
    pub fn put(&self, elf: &mut [u8]) -> Result<(), String> {
        let (place, size) = place(elf).ok_or("the guest program holds no table of vectors")?;
        if self.bytes.len() > size {
            return Err(format!(
                "{} vectors do not fit into the guest program: it has {size} bytes for them",
                self.count()
            ));
        }
        elf.get_mut(place..place + self.bytes.len())
            .ok_or("the guest program is cut off")?
            .copy_from_slice(&self.bytes);
        Ok(())
    }
}

/// What to do, as the program knows it, and the value for it.
const fn code(act: Act) -> (u8, u64) {
    match act {
        Act::Reads(value) => (0, value),
        Act::ReadFaults => (1, 0),
        Act::Takes(value) => (2, value),
        Act::WriteFaults(value) => (3, value),
        Act::Readable => (4, 0),
        Act::Keeps => (5, 0),
    }
}

/// Where the table begins in the file, and how long it may be.
fn place(elf: &[u8]) -> Option<(usize, usize)> {
    let file = object::File::parse(elf).ok()?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(SYMBOL))?;
    let segment = file.segments().find(|segment| {
        (segment.address()..segment.address() + segment.size()).contains(&symbol.address())
    })?;
    let offset = segment.file_range().0 + (symbol.address() - segment.address());
    Some((offset as usize, symbol.size() as usize))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_table_holds_what_the_spec_says() {
        let known = Known::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let table = Table::of("vmce@2", "vmce@2", &known).unwrap();
        assert!(table.count() > 1000, "{}", table.count());
        // MCG_CAP's first read, which is the first vector.
        let first = &table.bytes[HEADER..HEADER + ENTRY];
        assert_eq!(first[0], 0);
        assert_eq!(first[4..8], 0x179u32.to_le_bytes());
        assert_eq!(first[8..], 0x100_0c02u64.to_le_bytes());
        assert!(Table::of("platform", "vmce@2", &known).is_some());
        assert_eq!(Table::of("vmce@1", "vmce@2", &known), None);
        assert!(table.put(&mut [0; 64]).is_err());
    }
}
