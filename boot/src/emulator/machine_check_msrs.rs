//! The host's machine-check MSRs in Bochs, which has none of its own: a file that declares them as plain registers.
//!
//! A line is an address, a type (0) and three values of 64 bits, each as its high and low 32 bits: the value at reset, the bits that
//! fault when a write sets them, the bits that a write does not change. All hexadecimal without `0x`, which is misread.

use std::fmt::Write;

use super::Machine;

const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
const MCG_CTL: u32 = 0x17b;
const MC0_CTL2: u32 = 0x280;
const MC0_CTL: u32 = 0x400;
const MCG_EXT_CTL: u32 = 0x4d0;

/// Who a processor is: IA32_BIOS_SIGN_ID, MSR_PLATFORM_INFO, MSR_PPIN_CTL, MSR_PPIN. What they hold is made up.
const IDENTITY: [(u32, u64); 4] = [
    (0x8b, 0x0200_6e05_0000_0000),
    (0xce, 1 << 23),
    (0x4e, 1 << 1),
    (0x4f, 0x1234_5678_9abc_def0),
];

const MCG_CTL_P: u64 = 1 << 8;
const MCG_CMCI_P: u64 = 1 << 10;
const MCG_LMCE_P: u64 = 1 << 27;

/// The file's text.
///
/// STATUS, ADDR and MISC take any value, so that an error can be left in a bank across a reset; or, as hardware's, zero alone.
pub fn declare(machine: &Machine) -> String {
    let mut text = String::new();
    let mut declare = |address: u32, reset: u64, faulting: u64, ignored: u64| {
        let [reset, faulting, ignored] = [reset, faulting, ignored]
            .map(|value| format!("{:08x} {:08x}", value >> 32, value & 0xffff_ffff));
        writeln!(text, "0x{address:x} 0 {reset} {faulting} {ignored}")
            .expect("a string takes any text");
    };
    for (address, value) in IDENTITY {
        declare(address, value, 0, u64::MAX);
    }
    let mut register = |address, reset, faulting| declare(address, reset, faulting, 0);
    register(MCG_CAP, machine.mcg_cap, u64::MAX);
    register(MCG_STATUS, 0, 0);
    if machine.mcg_cap & MCG_CTL_P != 0 {
        register(MCG_CTL, 0, 0);
    }
    if machine.mcg_cap & MCG_LMCE_P != 0 {
        register(MCG_EXT_CTL, 0, !1);
    }
    for bank in 0..u32::from(machine.banks) {
        let faulting = if machine.strict_banks { u64::MAX } else { 0 };
        register(MC0_CTL + 4 * bank, 0, 0);
        for part in 1..4 {
            register(MC0_CTL + 4 * bank + part, 0, faulting);
        }
        if machine.mcg_cap & MCG_CMCI_P != 0 {
            register(MC0_CTL2 + bank, 0, 0);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::declare;

    fn machine(banks: u8, mcg_cap: u64) -> Machine {
        Machine {
            processors: 1,
            memory_mib: 64,
            banks,
            mcg_cap,
            strict_banks: false,
        }
    }

    #[test]
    fn registers_exist_exactly_with_their_capability() {
        let addresses = |machine: &Machine| -> Vec<String> {
            declare(machine)
                .lines()
                .map(|line| line.split(' ').next().unwrap().into())
                .collect()
        };
        let plain = [
            "0x8b", "0xce", "0x4e", "0x4f", "0x179", "0x17a", "0x400", "0x401", "0x402", "0x403",
        ];
        assert_eq!(addresses(&machine(1, 0x100_0001)), plain);
        let all = addresses(&machine(1, 0x900_0501));
        for added in ["0x17b", "0x4d0", "0x280"] {
            assert!(
                all.iter().any(|address| address == added),
                "{added} is missing in {all:?}"
            );
        }
        assert_eq!(addresses(&machine(32, 0x100_0020)).last().unwrap(), "0x47f");
    }

    #[test]
    fn values_are_eight_digits_without_a_prefix() {
        let text = declare(&machine(0, 0x1_0900_0c00));
        let line = "0x179 0 00000001 09000c00 ffffffff ffffffff 00000000 00000000";
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
