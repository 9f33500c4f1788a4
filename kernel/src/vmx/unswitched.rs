//! What belongs to a vCPU and is in the processor itself: neither VM exit nor VM entry moves it, and the hypervisor does not use it.
//! It stays there until another vCPU has its turn.
//!
//! MSRs are `super::platform`'s. XMM and x87 are saved at each exit on the slow path. XCR0 and PKRU no guest can change.

use core::arch::asm;

/// DR6 after reset and INIT (SDM vol. 3, table 9-1).
const DR6_RESET: u64 = 0xffff_0ff0;

/// One vCPU's state while another one has the processor.
pub struct Unswitched {
    /// DR0 to DR3.
    breakpoints: [u64; 4],
    dr6: u64,
    cr2: u64,
}

impl Unswitched {
    /// As after power-on.
    pub const RESET: Self = Self {
        breakpoints: [0; 4],
        dr6: DR6_RESET,
        cr2: 0,
    };

    /// Takes it from the processor.
    pub fn save(&mut self) {
        let [dr0, dr1, dr2, dr3] = &mut self.breakpoints;
        // SAFETY: reading debug registers (breakpoints are off in root mode: every exit sets DR7 to 0x400) and CR2 has no effect.
        unsafe {
            asm!(
                "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3", "mov {}, dr6", "mov {}, cr2",
                out(reg) *dr0, out(reg) *dr1, out(reg) *dr2, out(reg) *dr3, out(reg) self.dr6, out(reg) self.cr2,
                options(nostack, nomem, preserves_flags)
            );
        }
    }

    /// Puts it into the processor.
    pub fn load(&self) {
        let [dr0, dr1, dr2, dr3] = self.breakpoints;
        // SAFETY: breakpoints are off in root mode; CR2 is only read after a page fault.
        unsafe {
            asm!(
                "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}", "mov cr2, {}",
                in(reg) dr0, in(reg) dr1, in(reg) dr2, in(reg) dr3, in(reg) self.dr6, in(reg) self.cr2,
                options(nostack, nomem, preserves_flags)
            );
        }
    }
}

/// DR0 to DR3, DR6 and CR2 of the vCPU that has the processor, as INIT leaves them.
pub(super) fn after_init() {
    Unswitched::RESET.load();
}

/// Tells the guest in DR6 why it gets #DB: the bits of the exit qualification.
pub(super) fn add_to_dr6(qualification: u64) {
    const REASONS: u64 = 0x600f;
    // SAFETY: DR6 is the guest's while it has the processor.
    unsafe {
        asm!(
            "mov {dr6}, dr6", "and {dr6}, -16", "or {dr6}, {reasons}", "mov dr6, {dr6}",
            dr6 = out(reg) _, reasons = in(reg) qualification & REASONS, options(nostack)
        );
    }
}
