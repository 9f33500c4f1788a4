//! Segments and the task state of one processor (SDM vol. 3, 3.4.5 and 8.7), and the IDT of all.

use core::mem::size_of;

/// 64-bit code.
pub const CODE: u16 = 0x08;
/// Data.
pub const DATA: u16 = 0x10;
/// The task state segment.
pub const TASK: u16 = 0x18;

/// Interrupt stack of NMI.
pub const IST_NMI: u8 = 1;
/// Interrupt stack of #MC: its entry leaves it at once.
pub const IST_MACHINE_CHECK: u8 = 2;
/// Interrupt stack of every other exception: the image's own code has a red zone.
pub const IST_EXCEPTION: u8 = 3;

/// A 64-bit task state segment: only its stacks are used.
#[repr(C, packed(4))]
pub struct TaskState {
    reserved_0: u32,
    stacks: [u64; 3],
    reserved_1: u64,
    /// Stacks 1 to 7.
    interrupt_stacks: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    io_map: u16,
}

impl TaskState {
    /// A task state with the tops of the three interrupt stacks.
    pub const fn new(nmi: u64, machine_check: u64, exception: u64) -> Self {
        Self {
            reserved_0: 0,
            stacks: [0; 3],
            reserved_1: 0,
            interrupt_stacks: [nmi, machine_check, exception, 0, 0, 0, 0],
            reserved_2: 0,
            reserved_3: 0,
            io_map: size_of::<Self>() as u16,
        }
    }
}

/// A processor's own descriptor table: null, code, data, and the task state's two entries.
pub type Gdt = [u64; 5];

/// The descriptor table for a task state at `task`.
pub fn gdt(task: *const TaskState) -> Gdt {
    let base = task as u64;
    let limit = size_of::<TaskState>() as u64 - 1;
    let low = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        low,
        base >> 32,
    ]
}

/// An interrupt gate of the IDT (SDM vol. 3, 6.14.1).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Gate([u64; 2]);

impl Gate {
    /// No handler.
    pub const ABSENT: Self = Self([0; 2]);

    /// A gate to `handler` on interrupt stack `ist`, interrupts off.
    pub const fn new(handler: u64, ist: u8) -> Self {
        Self([
            (handler & 0xffff)
                | (CODE as u64) << 16
                | (ist as u64) << 32
                | 0x8e << 40
                | (handler >> 16 & 0xffff) << 48,
            handler >> 32,
        ])
    }
}

/// What LGDT, LIDT and their kin read.
#[repr(C, packed)]
pub struct TablePointer {
    /// Bytes in the table, less one.
    pub limit: u16,
    /// Its linear address.
    pub base: u64,
}
