//! `[machine]`.

use super::fields::Fields;
use super::place::{Located, Problems};
use crate::emulator::Machine;

/// IA32_MCG_CAP where a scenario does not give it: CMCI_P (10), TES_P (11), SER_P (24).
const DEFAULT_CAPABILITIES: u64 = 0x100_0c00;

/// What Bochs 2.7 can emulate.
const MOST_PROCESSORS: u64 = 15;

/// Bits of IA32_MCG_CAP that hold the number of banks.
const COUNT: u64 = 0xff;

/// Bits that the SDM defines (vol. 3, figure of IA32_MCG_CAP): the count, CTL_P, EXT_P, CMCI_P, TES_P, EXT_CNT, SER_P, ELOG_P, LMCE_P.
const DEFINED: u64 = COUNT | 0xf << 8 | 0xff << 16 | 1 << 24 | 1 << 26 | 1 << 27;

fn check_bits(mcg_cap: &Located<u64>, problems: &mut Problems) {
    let without = |bits: u64| format!("without: mcg_cap = {:#x}", mcg_cap.value & !bits);
    let undefined = mcg_cap.value & !DEFINED;
    if undefined != 0 {
        let message =
            format!("`mcg_cap` has bits set that the SDM does not define: {undefined:#x}");
        problems.add_with_help(&mcg_cap.span, message, without(undefined));
    }
}

/// What `[machine]` says.
pub struct Said {
    /// The machine.
    pub machine: Machine,
    /// The image has no fault injector.
    pub production: bool,
}

/// Reads the table.
pub fn read(mut fields: Fields<'_, '_>) -> Option<Said> {
    let processors = fields.number("processors", 1..=MOST_PROCESSORS);
    let memory = fields.number("memory", 64..=2048);
    let banks = fields.number("banks", 1..=32);
    let mcg_cap = fields.number("mcg_cap", 0..=u64::MAX);
    let strict_banks = fields.flag("strict_banks");
    let production = fields.flag("production");

    let count = banks.as_ref().map_or(4, |banks| banks.value);
    let capabilities = mcg_cap
        .as_ref()
        .map_or(DEFAULT_CAPABILITIES | count, |mcg_cap| mcg_cap.value);
    if let Some(mcg_cap) = &mcg_cap {
        check_bits(mcg_cap, fields.problems);
    }
    if let Some(mcg_cap) = mcg_cap
        && capabilities & COUNT != count
    {
        fields.problems.add_with_help(
            &mcg_cap.span,
            format!(
                "`mcg_cap` says {} banks in its bits 7:0, `banks` says {count}",
                capabilities & COUNT
            ),
            format!(
                "with {count} banks: mcg_cap = {:#x}",
                capabilities & !COUNT | count
            ),
        );
    }
    let machine = Machine {
        processors: u32::try_from(processors?.value).ok()?,
        memory_mib: u32::try_from(memory.map_or(128, |memory| memory.value)).ok()?,
        banks: u8::try_from(count).ok()?,
        mcg_cap: capabilities,
        strict_banks,
    };
    Some(Said {
        machine,
        production,
    })
}
