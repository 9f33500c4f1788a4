//! One processor's own block: stacks, descriptors, what others ask of it. Reached through GS.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use kernel::handover::arena::OutOfMemory;
use kernel::mca::McgCap;
use kernel::ring::EventRing;
use kernel::units::{PAGE_SIZE, Pcpu};
use x86::msr::IA32_GS_BASE;

use super::descriptors::{self, Gdt, TablePointer, TaskState};
use super::identity::Identity;
use super::slots::Slots;
use super::{apic, machine_check, memory, traps, wrmsr};

/// Processors that this image brings up, at most; further ones stay as the firmware left them.
pub const MAX_PROCESSORS: usize = 64;

/// Pages of each stack. The ordinary one is the deepest.
const STACK_PAGES: u64 = 4;

/// Pages of the stack of #MC handlers: one may come while another is about to return.
const MACHINE_CHECK_STACK_PAGES: u64 = 8;

/// Pages on which an #MC lands before it goes to that stack.
const LANDING_PAGES: u64 = 1;

/// Events that one processor keeps until they are logged, at most.
pub const RING: usize = 256;

/// Another processor wants this one to take a machine check (the injector's vector).
pub const RAISE_MACHINE_CHECK: u32 = 1 << 0;

/// vCPUs are to leave this processor, or have been handed over to it.
pub const SETTLE_VCPUS: u32 = 1 << 1;

/// There is something to look at. The NMI alone does not say so: it may come after the look and before the sleep.
const NEWS: u32 = 1 << 31;

/// What belongs to one processor. The first fields are known to assembly by their offsets.
#[repr(C)]
pub struct Processor {
    /// This block's address: GS:0.
    this: u64,
    /// Top of the stack of ordinary context: every VM exit starts there.
    stack_top: u64,
    nmi_stack_bottom: u64,
    nmi_stack_top: u64,
    machine_check_stack_bottom: u64,
    machine_check_stack_top: u64,
    /// Its number.
    pub number: Pcpu,
    /// Its APIC identifier.
    pub apic_id: u32,
    /// The package (socket) that it is in.
    pub package: u32,
    /// Who it is.
    pub identity: Identity,
    /// Its MCG_CAP.
    pub machine_check: McgCap,
    /// How many MSRs from MC0_CTL on are its banks' and nobody else's; 0 where the injector stands before them. See
    /// [`machine_check::read_bank`].
    pub bank_msrs: AtomicU32,
    /// What others ask, by [`RAISE_MACHINE_CHECK`] and its like.
    pub requests: AtomicU32,
    /// What happened here and has not been logged.
    pub ring: EventRing<RING>,
    task: TaskState,
    gdt: Gdt,
}

/// GS offset of the ordinary stack's top.
pub const STACK_TOP: usize = offset_of!(Processor, stack_top);
/// GS offset of the NMI stack's lowest address.
pub const NMI_STACK_BOTTOM: usize = offset_of!(Processor, nmi_stack_bottom);
/// GS offset of the NMI stack's top.
pub const NMI_STACK_TOP: usize = offset_of!(Processor, nmi_stack_top);
/// GS offset of the lowest address of the #MC handlers' stack.
pub const MACHINE_CHECK_STACK_BOTTOM: usize = offset_of!(Processor, machine_check_stack_bottom);
/// GS offset of the top of the #MC handlers' stack.
pub const MACHINE_CHECK_STACK_TOP: usize = offset_of!(Processor, machine_check_stack_top);

static PROCESSORS: Slots<Processor, MAX_PROCESSORS> = Slots::new();
static COUNT: AtomicU16 = AtomicU16::new(0);

impl Processor {
    /// Makes the block and the stacks of the next processor.
    pub fn create() -> Result<&'static mut Self, OutOfMemory> {
        let stack = |pages| Ok(memory::pages(pages)?.0 + pages * PAGE_SIZE);
        let (ordinary, nmi, exception) = (
            stack(STACK_PAGES)?,
            stack(STACK_PAGES)?,
            stack(STACK_PAGES)?,
        );
        let (landing, machine_check) = (stack(LANDING_PAGES)?, stack(MACHINE_CHECK_STACK_PAGES)?);
        let number = COUNT.load(Ordering::Relaxed);
        let block = memory::place(Self {
            this: 0,
            stack_top: ordinary,
            nmi_stack_bottom: nmi - STACK_PAGES * PAGE_SIZE,
            nmi_stack_top: nmi,
            machine_check_stack_bottom: machine_check - MACHINE_CHECK_STACK_PAGES * PAGE_SIZE,
            machine_check_stack_top: machine_check,
            number: Pcpu(number),
            apic_id: 0,
            package: 0,
            identity: Identity::default(),
            machine_check: McgCap::new(),
            bank_msrs: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            ring: EventRing::new(),
            task: TaskState::new(nmi, landing, exception),
            gdt: [0; 5],
        })?;
        block.this = (&raw const *block) as u64;
        block.gdt = descriptors::gdt(&raw const block.task);
        Ok(block)
    }

    /// Makes the running processor the one of this block: GDT, task, IDT, GS, local APIC; and lets #MC through. Called on it, once.
    ///
    /// # Safety
    /// `self` was created for this processor and is used by no other.
    pub unsafe fn adopt(&'static mut self) -> &'static Self {
        let gdt = TablePointer {
            limit: size_of::<Gdt>() as u16 - 1,
            base: (&raw const self.gdt) as u64,
        };
        // SAFETY: the table has flat 64-bit code and data at the selectors that are loaded; it lives for ever, as the task state does.
        unsafe {
            asm!(
                "lgdt [{gdt}]",
                "push {code}",
                "lea {scratch}, [rip + 2f]",
                "push {scratch}",
                "retfq", // CS from the new table
                "2:",
                "mov ds, {data:e}",
                "mov es, {data:e}",
                "mov ss, {data:e}",
                "mov fs, {zero:e}",
                "mov gs, {zero:e}",
                "ltr {task:x}",
                gdt = in(reg) &gdt,
                code = in(reg) u64::from(descriptors::CODE),
                data = in(reg) u32::from(descriptors::DATA),
                zero = in(reg) 0,
                task = in(reg) descriptors::TASK,
                scratch = out(reg) _,
            );
            wrmsr(IA32_GS_BASE, self.this);
        }
        traps::load();
        apic::init();
        self.apic_id = apic::id();
        self.package = self.apic_id >> apic::package_shift();
        self.identity = Identity::read();
        self.machine_check = machine_check::capabilities();
        if cfg!(not(feature = "faults")) {
            self.bank_msrs = AtomicU32::new(4 * u32::from(self.machine_check.banks()));
        }
        // From here on a machine check is handled, which finds this block complete.
        machine_check::enable_exception(self.machine_check);
        PROCESSORS.set(self.number.0.into(), self);
        COUNT.fetch_add(1, Ordering::Release);
        self
    }

    /// The running processor's block.
    #[inline(always)]
    pub fn current() -> &'static Self {
        let this: *const Self;
        // SAFETY: GS:0 is the block's own address since `adopt`, which precedes all other code that runs on a processor;
        // VM exits load it again from the VMCS.
        unsafe {
            asm!("mov {}, gs:[0]", out(reg) this, options(nostack, readonly, preserves_flags));
            &*this
        }
    }

    /// The processor of that number, if it has been brought up.
    pub fn get(number: Pcpu) -> Option<&'static Self> {
        PROCESSORS.get(number.0.into())
    }

    /// Processors that have been brought up.
    pub fn count() -> u16 {
        COUNT.load(Ordering::Acquire)
    }

    /// Every processor that has been brought up.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        (0..Self::count()).filter_map(|number| Self::get(Pcpu(number)))
    }

    /// Top of the stack of ordinary context.
    pub const fn stack_top(&self) -> u64 {
        self.stack_top
    }

    /// Address of the GDT, for the VMCS.
    pub fn gdt_base(&self) -> u64 {
        (&raw const self.gdt) as u64
    }

    /// Address of the task state, for the VMCS.
    pub fn task_base(&self) -> u64 {
        (&raw const self.task) as u64
    }

    /// This block's address, for the VMCS.
    pub fn base(&self) -> u64 {
        self.this
    }

    /// Asks this processor for something and gets it out of its guest or out of its sleep.
    pub fn request(&self, what: u32) {
        self.requests.fetch_or(what | NEWS, Ordering::Release);
        apic::send(self.apic_id, apic::Ipi::Nmi);
    }
}
