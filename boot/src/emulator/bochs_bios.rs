//! Bochs' firmware, made fit for a second boot.
//!
//! After a reset the processors keep IA32_FEATURE_CONTROL locked, as hardware does. Bochs' own firmware writes it all the same, on
//! each kind of processor, takes the fault and dies. Without those two writes the register comes up unlocked, and the
//! hypervisor sets it.

/// Offsets of the two WRMSR instructions in the firmware of Bochs 2.7.
const WRITES: [usize; 2] = [0x68, 0x1b1b];
const WRMSR: [u8; 2] = [0x0f, 0x30];
const NOPS: [u8; 2] = [0x90, 0x90];
/// The RDMSR that comes before each: `rdmsr; or eax, 5`, by the operand size of the code.
const BEFORE: [&[u8]; 2] = [
    &[0x0f, 0x32, 0x66, 0x83, 0xc8, 0x05],
    &[0x0f, 0x32, 0x83, 0xc8, 0x05],
];

/// The firmware without the writes; unchanged where it is another one.
pub fn for_resets(mut firmware: Vec<u8>) -> Vec<u8> {
    let known = WRITES.iter().zip(BEFORE).all(|(&at, before)| {
        firmware.get(at - before.len()..at) == Some(before)
            && firmware.get(at..at + WRMSR.len()) == Some(&WRMSR)
    });
    if known {
        for at in WRITES {
            firmware[at..at + NOPS.len()].copy_from_slice(&NOPS);
        }
    }
    firmware
}

#[cfg(test)]
mod tests {
    use super::{BEFORE, WRITES, for_resets};

    #[test]
    fn only_the_known_writes_go() {
        let mut firmware = vec![0; 0x2000];
        for (at, before) in WRITES.into_iter().zip(BEFORE) {
            firmware[at - before.len()..at].copy_from_slice(before);
            firmware[at..at + 2].copy_from_slice(&[0x0f, 0x30]);
        }
        let changed = for_resets(firmware.clone());
        let differing = (0..firmware.len()).filter(|&at| firmware[at] != changed[at]);
        assert_eq!(differing.collect::<Vec<_>>(), [0x68, 0x69, 0x1b1b, 0x1b1c]);

        let mut other = firmware;
        other[0x1b16] = 0;
        assert_eq!(for_resets(other.clone()), other);
        assert_eq!(for_resets(vec![1; 16]), vec![1; 16]);
    }
}
