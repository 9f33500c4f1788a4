//! Stacks and descriptor tables. Every exception has a stack of its own: compiled Rust keeps data below its stack
//! pointer (the red zone).

use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::size_of;

use crate::exceptions;

/// Most vCPUs that a guest here can have.
pub const MOST_VCPUS: usize = 16;

/// Size of each stack.
pub(crate) const STACK_BYTES: usize = 16 << 10;

/// Memory that the processor or assembly changes, or each vCPU its own part of.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: it gives out a raw pointer alone; each user says how its parts are divided among vCPUs.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Memory that starts as `value`.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Its address.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// Which entry of the interrupt stack table an exception takes (1 to 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExceptionStack {
    /// Machine checks: they can interrupt the handler of any other exception.
    MachineCheck = 1,
    /// Everything else.
    Other = 2,
}

const EXCEPTION_STACKS: usize = 2;

#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Stack([u8; STACK_BYTES]);

impl Stack {
    const EMPTY: Self = Self([0; STACK_BYTES]);
}

/// The ordinary stack of each vCPU.
pub(crate) static STACKS: Shared<[Stack; MOST_VCPUS]> = Shared::new([Stack::EMPTY; MOST_VCPUS]);

static EXCEPTIONS: Shared<[[Stack; EXCEPTION_STACKS]; MOST_VCPUS]> =
    Shared::new([[Stack::EMPTY; EXCEPTION_STACKS]; MOST_VCPUS]);

/// Where the stack of an exception on that vCPU starts; stacks grow down.
pub fn exception_stack_top(vcpu: usize, stack: ExceptionStack) -> usize {
    let index = vcpu * EXCEPTION_STACKS + stack as usize - 1;
    EXCEPTIONS.get() as usize + (index + 1) * size_of::<Stack>()
}

/// 64-bit task state segment (SDM volume 3, 8.7).
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    privileged_stacks: [u64; 3],
    reserved_too: u64,
    interrupt_stacks: [u64; 7],
    reserved_at_the_end: u64,
    io_map: u32,
}

impl TaskState {
    const EMPTY: Self = Self {
        reserved: 0,
        privileged_stacks: [0; 3],
        reserved_too: 0,
        interrupt_stacks: [0; 7],
        reserved_at_the_end: 0,
        io_map: 0,
    };
}

static TASK_STATES: Shared<[TaskState; MOST_VCPUS]> = Shared::new([TaskState::EMPTY; MOST_VCPUS]);

/// Selector of 64-bit code; the entry code knows it, and 16 (data) and 24 (32-bit code).
pub(crate) const CODE: u16 = 8;

const FIRST_TASK_STATE: usize = 4;
const GDT_ENTRIES: usize = FIRST_TASK_STATE + 2 * MOST_VCPUS;

/// Size of [`GDT`].
pub const GDT_BYTES: usize = GDT_ENTRIES * size_of::<u64>();

/// One for all: each vCPU fills in the descriptor of its task state segment.
pub static GDT: Shared<[u64; GDT_ENTRIES]> = Shared::new({
    let mut table = [0; GDT_ENTRIES];
    table[1] = 0x00af_9a00_0000_ffff;
    table[2] = 0x00cf_9200_0000_ffff;
    table[3] = 0x00cf_9a00_0000_ffff;
    table
});

#[repr(C, packed(2))]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Gives a vCPU its task state segment and the common interrupt descriptor table. Called once by each, first thing.
pub(crate) fn load(vcpu: usize) {
    let state = TASK_STATES.get().cast::<TaskState>().wrapping_add(vcpu);
    let mut filled = TaskState::EMPTY;
    let top = |stack| exception_stack_top(vcpu, stack) as u64;
    let stacks = [
        top(ExceptionStack::MachineCheck),
        top(ExceptionStack::Other),
    ];
    let mut table = [0; 7];
    table[..EXCEPTION_STACKS].copy_from_slice(&stacks);
    filled.interrupt_stacks = table;
    filled.io_map = (size_of::<TaskState>() as u32) << 16;

    let (base, limit) = (state as u64, size_of::<TaskState>() as u64 - 1);
    let low = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    let index = FIRST_TASK_STATE + 2 * vcpu;
    let descriptor = GDT.get().cast::<u64>().wrapping_add(index);
    let pointer = exceptions::table(vcpu);
    let pointer = Pointer {
        limit: pointer.1,
        base: pointer.0,
    };
    // SAFETY: the task state and its descriptor are this vCPU's alone; both tables live for ever.
    unsafe {
        state.write(filled);
        descriptor.write(low);
        descriptor.add(1).write(base >> 32);
        asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags));
        asm!("ltr {0:x}", in(reg) index * 8, options(nostack, preserves_flags));
    }
}
