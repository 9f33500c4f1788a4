//! Events as VM entry delivers them (SDM vol. 3, 25.8.3, 25.9.3), and what becomes of one that gives way to a machine check.

/// Interruption information: vector, kind, whether there is an error code, and that there is an event at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interruption(u32);

/// Kinds of events, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// External interrupt.
    External,
    /// NMI.
    Nmi,
    /// An exception that the processor raised, #DB and #MC included.
    Exception,
    /// INT n, INT3, INTO, INT1.
    Software,
}

/// What becomes of an event that was about to be delivered when #MC took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its instruction has not been completed and raises it again when the handler of #MC returns there.
    ComesAgain,
    /// It waits until the vCPU can take it, as in hardware: an NMI at once, on top of the handler of #MC.
    Waits,
    /// A debug trap: an exception of higher priority discards it (SDM vol. 3, 6.9). DR6 still tells of it.
    Lost,
}

const VALID: u32 = 1 << 31;
const WITH_ERROR_CODE: u32 = 1 << 11;
const DEBUG: u8 = 1;
const NMI: u8 = 2;
const MACHINE_CHECK: u8 = 18;
const BLOCKED_BY_STI_OR_MOV_SS: u64 = 0b11;
const BLOCKED_BY_NMI: u64 = 1 << 3;
const FLAGS_INTERRUPT: u64 = 1 << 9;

impl Interruption {
    /// #MC.
    pub const MACHINE_CHECK: Self = Self::exception(MACHINE_CHECK, false);
    /// NMI.
    pub const NMI: Self = Self(VALID | 2 << 8 | NMI as u32);

    /// An external interrupt.
    pub const fn external(vector: u8) -> Self {
        Self(VALID | vector as u32)
    }

    /// An exception that the processor would have raised.
    pub const fn exception(vector: u8, with_error_code: bool) -> Self {
        Self(VALID | 3 << 8 | vector as u32 | if with_error_code { WITH_ERROR_CODE } else { 0 })
    }

    /// The event of a VMCS field: IDT-vectoring information, VM-exit or VM-entry interruption information. None if it says that
    /// there is none.
    pub const fn from_field(field: u64) -> Option<Self> {
        let field = field as u32;
        // Bits 30:12 mean something else in each, or nothing.
        if field & VALID != 0 {
            Some(Self(field & 0x8000_0fff))
        } else {
            None
        }
    }

    /// For the VM-entry interruption-information field.
    pub const fn to_field(self) -> u64 {
        self.0 as u64
    }

    /// Its vector.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// There is an error code.
    pub const fn has_error_code(self) -> bool {
        self.0 & WITH_ERROR_CODE != 0
    }

    /// What it is.
    pub const fn kind(self) -> Kind {
        match self.0 >> 8 & 7 {
            0 => Kind::External,
            2 => Kind::Nmi,
            3 => Kind::Exception,
            _ => Kind::Software,
        }
    }

    /// What becomes of it if #MC is delivered in its place.
    pub const fn fate(self) -> Fate {
        match self.kind() {
            Kind::External | Kind::Nmi => Fate::Waits,
            Kind::Exception if self.vector() == DEBUG => Fate::Lost,
            Kind::Exception | Kind::Software => Fate::ComesAgain,
        }
    }

    /// Whether a vCPU takes it now, by its RFLAGS and its interruptibility state.
    pub const fn is_let_in(self, flags: u64, interruptibility: u64) -> bool {
        let shadow = interruptibility & BLOCKED_BY_STI_OR_MOV_SS != 0;
        match self.kind() {
            Kind::External => flags & FLAGS_INTERRUPT != 0 && !shadow,
            Kind::Nmi => !shadow && interruptibility & BLOCKED_BY_NMI == 0,
            Kind::Exception | Kind::Software => true,
        }
    }
}

/// Interruptibility without the blocking by NMI that an NMI sets whose delivery was interrupted: it is delivered again
/// (SDM vol. 3, 28.2.3).
pub const fn without_nmi_blocking(interruptibility: u64) -> u64 {
    interruptibility & !BLOCKED_BY_NMI
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u64, vector: u64) -> Interruption {
        Interruption::from_field(u64::from(VALID) | kind << 8 | vector).unwrap()
    }

    #[test]
    fn fields_are_taken_and_given() {
        // Bit 12 is "NMI unblocking" in one field and undefined in another: not for VM entry.
        assert_eq!(
            Interruption::from_field(0x8000_1b0e).unwrap().to_field(),
            0x8000_0b0e
        );
        assert_eq!(Interruption::from_field(0x0000_0b0e), None);
        assert_eq!(Interruption::MACHINE_CHECK.to_field(), 0x8000_0312);
        assert_eq!(Interruption::NMI.to_field(), 0x8000_0202);
        assert_eq!(Interruption::external(0x30), event(0, 0x30));
        assert_eq!(Interruption::exception(13, true).to_field(), 0x8000_0b0d);
        assert_eq!(Interruption::exception(13, false).to_field(), 0x8000_030d);
        assert!(
            Interruption::from_field(0x8000_0b0e)
                .unwrap()
                .has_error_code()
        );
    }

    /// Every kind, by its number in the manual, and what a machine check in its place does to it.
    #[test]
    fn what_gives_way_is_not_lost_but_for_a_debug_trap() {
        assert_eq!(event(0, 0x30).fate(), Fate::Waits);
        assert_eq!(event(2, 2).fate(), Fate::Waits);
        assert_eq!(event(3, 1).fate(), Fate::Lost);
        for fault in [0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19] {
            assert_eq!(event(3, fault).fate(), Fate::ComesAgain);
        }
        // INT n, INT1, INT3: the same vectors mean nothing there.
        for kind in [4, 5, 6] {
            for vector in [1, 2, 3, 4, 0x80] {
                assert_eq!(event(kind, vector).fate(), Fate::ComesAgain);
            }
        }
    }

    #[test]
    fn who_is_let_in() {
        const IF: u64 = 1 << 9;
        let (external, nmi, fault) = (event(0, 0x30), Interruption::NMI, event(3, 13));
        for (flags, state, lets_in) in [
            (0, 0, [false, true, true]),
            (IF, 0, [true, true, true]),
            (IF, 1, [false, false, true]),
            (IF, 2, [false, false, true]),
            (IF, 8, [true, false, true]),
        ] {
            let found = [external, nmi, fault].map(|event| event.is_let_in(flags, state));
            assert_eq!(found, lets_in, "{flags:#x} {state:#x}");
        }
        assert_eq!(without_nmi_blocking(0b1011), 0b0011);
        let mc = Interruption::MACHINE_CHECK;
        assert!(
            (0..16).all(|state| mc.is_let_in(0, state)),
            "#MC is never held up"
        );
    }
}
