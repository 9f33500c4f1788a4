//! `[machine]`.

use super::fields::Fields;
use crate::emulator::Machine;

/// IA32_MCG_CAP where a scenario does not give it: CMCI_P (10), TES_P (11), SER_P (24).
const DEFAULT_CAPABILITIES: u64 = 0x100_0c00;

/// What Bochs 2.7 can emulate.
const MOST_PROCESSORS: u64 = 15;

/// Bits of IA32_MCG_CAP that hold the number of banks.
const COUNT: u64 = 0xff;

/// Reads the table.
pub fn read(mut fields: Fields<'_, '_>) -> Option<Machine> {
    let processors = fields.number("processors", 1..=MOST_PROCESSORS);
    let memory = fields.number("memory", 64..=2048);
    let banks = fields.number("banks", 1..=32);
    let mcg_cap = fields.number("mcg_cap", 0..=u64::MAX);

    let count = banks.as_ref().map_or(4, |banks| banks.value);
    let capabilities = mcg_cap
        .as_ref()
        .map_or(DEFAULT_CAPABILITIES | count, |mcg_cap| mcg_cap.value);
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
    Some(Machine {
        processors: u32::try_from(processors?.value).ok()?,
        memory_mib: u32::try_from(memory.map_or(128, |memory| memory.value)).ok()?,
        banks: u8::try_from(count).ok()?,
        mcg_cap: capabilities,
    })
}
