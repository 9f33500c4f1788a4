//! The guest of the scenario `vectors`: executes a table of accesses that the boot tool makes from a spec and puts into this program, and
//! says each answer that is wrong, with its line of the spec.
#![no_std]
#![no_main]

use core::mem::size_of;

use guests::{line, msr};

guests::main!(run);

/// How many vectors there is room for.
const MOST: usize = 32 << 10;
/// Wrong answers that are shown.
const SHOWN: u64 = 20;

/// An access (boot/src/scenario/vectors.rs).
#[derive(Clone, Copy)]
#[repr(C)]
struct Vector {
    /// What to do.
    code: u8,
    zero: u8,
    /// The line of the spec.
    line: u16,
    msr: u32,
    /// The value that is read or written.
    value: u64,
}

#[repr(C)]
struct Table {
    magic: [u8; 8],
    count: u64,
    vectors: [Vector; MOST],
}

const MAGIC: [u8; 8] = *b"VECTORS1";

/// Empty here; the boot tool overwrites it in the program's file.
// SAFETY: no other symbol has this name, and the section is one of the program's own data.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.vectors")]
static VECTORS: Table = Table {
    magic: MAGIC,
    count: 0,
    vectors: [Vector {
        code: 0,
        zero: 0,
        line: 0,
        msr: 0,
        value: 0,
    }; MOST],
};

fn run() -> u64 {
    let table = &raw const VECTORS;
    // SAFETY: the table is there, whatever the boot tool has written over it; the compiler must not think that it is still empty.
    let (magic, count) = unsafe {
        (
            (&raw const (*table).magic).read_volatile(),
            (&raw const (*table).count).read_volatile(),
        )
    };
    assert!(magic == MAGIC && count <= MOST as u64 && size_of::<Vector>() == 16);
    let first = (&raw const VECTORS.vectors).cast::<Vector>();
    let mut wrong = 0;
    for index in 0..count as usize {
        // SAFETY: below the count, which is at most that of the table.
        let vector = unsafe { first.add(index).read_volatile() };
        if !is_right(&vector, wrong < SHOWN) {
            wrong += 1;
        }
    }
    line!("vectors {count} wrong {wrong}");
    u64::from(wrong != 0 || count == 0)
}

/// Does it and compares; a wrong answer is said if `shown`.
fn is_right(vector: &Vector, shown: bool) -> bool {
    let Vector {
        code,
        line,
        msr,
        value,
        ..
    } = *vector;
    let right = match code {
        0 => msr::read(msr) == Some(value),
        1 | 4 => msr::read(msr).is_some() == (code == 4),
        2 | 3 => write(msr, value) == (code == 2),
        5 => msr::read(msr).is_some_and(|was| write(msr, was) && msr::read(msr) == Some(was)),
        _ => false,
    };
    if !right && shown {
        let wanted = [
            "reads",
            "faults",
            "takes",
            "refuses",
            "is readable",
            "keeps",
        ];
        let wanted = wanted.get(usize::from(code)).copied().unwrap_or("?");
        match msr::read(msr) {
            Some(now) => {
                line!("wrong: line {line}: {msr:#x} {wanted} {value:#x}; reads {now:#x} now")
            }
            None => line!("wrong: line {line}: {msr:#x} {wanted} {value:#x}; faults now"),
        }
    }
    right
}

fn write(address: u32, value: u64) -> bool {
    // SAFETY: a table has writes of its own values only to registers that are the interface's state, and of its own value to those of the
    // processor.
    unsafe { msr::write(address, value) }.is_some()
}
