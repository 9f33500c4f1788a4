//! What a VM exit saves and an entry restores beside the VMCS.

/// The guest's registers, in the order in which entry and exit move them.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Registers {
    /// R11.
    pub r11: u64,
    /// R10.
    pub r10: u64,
    /// R9.
    pub r9: u64,
    /// R8.
    pub r8: u64,
    /// RDI.
    pub rdi: u64,
    /// RSI.
    pub rsi: u64,
    /// RBX.
    pub rbx: u64,
    /// RDX.
    pub rdx: u64,
    /// RCX.
    pub rcx: u64,
    /// RAX. The VM exit's stack pointer is just above it: the exit pushes downwards from here.
    pub rax: u64,
    /// RBP; it and the following are saved on the slow path only, since Rust keeps them for its caller.
    pub rbp: u64,
    /// R12.
    pub r12: u64,
    /// R13.
    pub r13: u64,
    /// R14.
    pub r14: u64,
    /// R15.
    pub r15: u64,
}

impl Registers {
    /// As INIT leaves them: zero, but for the processor's signature in EDX (SDM vol. 3, table 9-1).
    pub fn after_init() -> Self {
        Self {
            rdx: core::arch::x86_64::__cpuid(1).eax.into(),
            ..Self::default()
        }
    }

    /// EDX:EAX, as WRMSR takes its value.
    #[inline(always)]
    pub fn edx_eax(&self) -> u64 {
        self.rdx << 32 | self.rax & 0xffff_ffff
    }

    /// Sets EDX:EAX, as RDMSR gives its value.
    #[inline(always)]
    pub fn set_edx_eax(&mut self, value: u64) {
        self.rax = value & 0xffff_ffff;
        self.rdx = value >> 32;
    }
}

/// Bytes of an FXSAVE area.
const FXSAVE: usize = 512;

/// x87 and XMM state: an FXSAVE area.
#[repr(C, align(16))]
pub struct FxState([u8; FXSAVE]);

impl FxState {
    /// x87 and MXCSR as after FNINIT and reset.
    pub const RESET: Self = {
        let mut area = [0; FXSAVE];
        (area[0], area[1]) = (0x7f, 0x03); // FCW
        (area[24], area[25]) = (0x80, 0x1f); // MXCSR
        Self(area)
    };
}
