//! The local APIC, as xAPIC (memory) or x2APIC (MSRs): its identifier and interprocessor interrupts (SDM vol. 3, 11.6, 11.12).

use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicBool, Ordering};

use kernel::xapic;
use x86::msr::{IA32_APIC_BASE, IA32_X2APIC_APICID};

use super::{rdmsr, wrmsr};

const ENABLE: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const X2APIC_ICR: u32 = 0x830;
const X2APIC_SIVR: u32 = 0x80f;
/// Where the xAPIC's registers are unless somebody moved them.
const XAPIC_BASE: u64 = 0xfee0_0000;
const XAPIC_ID: u64 = 0x20;
const XAPIC_SIVR: u64 = 0xf0;
/// Software enable, spurious vector 0xff.
const SPURIOUS: u32 = 1 << 8 | 0xff;
const CPUID_X2APIC: u32 = 1 << 21;

/// All processors are in x2APIC mode; found once, by processor 0.
static IS_X2APIC: AtomicBool = AtomicBool::new(false);

/// An interprocessor interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ipi {
    /// INIT, level assert.
    Init,
    /// Start-up at this page number.
    Startup(u8),
    /// NMI.
    Nmi,
}

impl Ipi {
    const fn command(self) -> u32 {
        match self {
            Self::Init => 0x0000_4500,
            Self::Startup(page) => 0x0000_4600 | page as u32,
            Self::Nmi => 0x0000_4400,
        }
    }
}

/// Enables this processor's local APIC, in x2APIC mode where there is one.
pub fn init() {
    let has_x2apic = __cpuid(1).ecx & CPUID_X2APIC != 0;
    IS_X2APIC.store(has_x2apic, Ordering::Relaxed);
    // SAFETY: IA32_APIC_BASE exists on every processor with long mode; x2APIC mode only where CPUID offers it, and the two
    // steps are in the order that SDM vol. 3, 11.12.5 allows from any state.
    unsafe {
        let base = rdmsr(IA32_APIC_BASE) | ENABLE;
        wrmsr(IA32_APIC_BASE, base);
        if has_x2apic {
            wrmsr(IA32_APIC_BASE, base | X2APIC);
            wrmsr(X2APIC_SIVR, SPURIOUS.into());
        } else {
            xapic_write(XAPIC_SIVR, SPURIOUS);
        }
    }
}

/// This processor's APIC identifier.
pub fn id() -> u32 {
    // SAFETY: the mode is the one that `init` set.
    unsafe {
        if IS_X2APIC.load(Ordering::Relaxed) {
            rdmsr(IA32_X2APIC_APICID) as u32
        } else {
            xapic_read(XAPIC_ID) >> 24
        }
    }
}

/// Sends an interrupt to the processor with APIC identifier `target`.
pub fn send(target: u32, ipi: Ipi) {
    // SAFETY: the mode is the one that `init` set; INIT and SIPI are sent only to processors that wait for them, NMI has a handler
    // on every processor that runs.
    unsafe {
        if IS_X2APIC.load(Ordering::Relaxed) {
            // Stores of what the target is to see come first: WRMSR to the ICR is not serialising (SDM vol. 3, 11.12.3).
            core::arch::asm!("mfence", "lfence", options(nostack));
            wrmsr(
                X2APIC_ICR,
                u64::from(target) << 32 | u64::from(ipi.command()),
            );
        } else {
            xapic::send(&mut Memory, target, ipi.command());
        }
    }
}

/// The registers where the processor has them.
struct Memory;

impl xapic::Registers for Memory {
    fn read(&mut self, register: u64) -> u32 {
        // SAFETY: only `send` makes one, in xAPIC mode.
        unsafe { xapic_read(register) }
    }

    fn write(&mut self, register: u64, value: u32) {
        // SAFETY: as in `read`; what is written is an interrupt that `send` may send.
        unsafe { xapic_write(register, value) }
    }
}

unsafe fn xapic_read(register: u64) -> u32 {
    // SAFETY: the caller knows that the APIC is in xAPIC mode; its page is mapped one to one.
    unsafe { ((XAPIC_BASE + register) as *const u32).read_volatile() }
}

unsafe fn xapic_write(register: u64, value: u32) {
    // SAFETY: as in `xapic_read`.
    unsafe { ((XAPIC_BASE + register) as *mut u32).write_volatile(value) }
}

/// By how many bits an APIC identifier is shifted to give the number of the package: what CPUID says of the levels below one (SDM vol. 3,
/// "Identifying Topological Relationships").
pub fn package_shift() -> u32 {
    const TOPOLOGY: u32 = 0xb;
    let most = __cpuid(0).eax;
    let levels = (0..8)
        .filter(|_| most >= TOPOLOGY)
        .map(|level| __cpuid_count(TOPOLOGY, level))
        .take_while(|level| level.ebx != 0);
    levels
        .map(|level| level.eax & 0x1f)
        .last()
        .unwrap_or_else(|| {
            // Older processors: how many identifiers a package has.
            const SEVERAL: u32 = 1 << 28;
            let leaf = __cpuid(1);
            let identifiers = if leaf.edx & SEVERAL != 0 {
                leaf.ebx >> 16 & 0xff
            } else {
                1
            };
            identifiers.max(1).next_power_of_two().trailing_zeros()
        })
}
