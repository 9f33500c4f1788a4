//! How an interprocessor interrupt is sent by an xAPIC, whose command takes two writes (SDM vol. 3, "Interrupt Command Register").

/// ICR, low half: writing it sends.
pub const ICR_LOW: u64 = 0x300;
/// ICR, high half: to whom.
pub const ICR_HIGH: u64 = 0x310;
const DELIVERY_PENDING: u32 = 1 << 12;

/// An xAPIC's registers, by their offsets.
pub trait Registers {
    /// What a register holds.
    fn read(&mut self, register: u64) -> u32;
    /// Writes a register.
    fn write(&mut self, register: u64, value: u32);
}

/// Sends `command`, the low half of the ICR, to the APIC with identifier `target`. In any context: one that comes in the middle of another, as an
/// #MC's do, leaves that one its target, and does not take its command from it.
pub fn send(registers: &mut impl Registers, target: u32, command: u32) {
    wait(registers);
    let interrupted = registers.read(ICR_HIGH);
    registers.write(ICR_HIGH, target << 24);
    registers.write(ICR_LOW, command);
    wait(registers);
    registers.write(ICR_HIGH, interrupted);
}

/// Waits until what was sent has gone; not without end.
fn wait(registers: &mut impl Registers) {
    const POLLS: u32 = 1_000_000;
    let mut polls = 0;
    while registers.read(ICR_LOW) & DELIVERY_PENDING != 0 && polls < POLLS {
        polls += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NMI: u32 = 0x4400;

    /// An APIC that takes a while to send, and is interrupted by somebody who sends too.
    #[derive(Default)]
    struct Apic {
        high: u32,
        /// What is on its way: to whom, what, and how many looks it takes.
        sending: Option<(u32, u32, u32)>,
        sent: Vec<(u32, u32)>,
        accesses: u32,
        interrupted_at: u32,
    }

    impl Apic {
        fn access(&mut self) {
            self.accesses += 1;
            if self.accesses == self.interrupted_at {
                send(self, 7, NMI);
            }
        }
    }

    impl Registers for Apic {
        fn read(&mut self, register: u64) -> u32 {
            self.access();
            if register == ICR_HIGH {
                return self.high;
            }
            match self.sending.take() {
                None => 0,
                Some((target, command, 0)) => {
                    self.sent.push((target, command));
                    command
                }
                Some((target, command, looks)) => {
                    self.sending = Some((target, command, looks - 1));
                    command | DELIVERY_PENDING
                }
            }
        }

        fn write(&mut self, register: u64, value: u32) {
            self.access();
            if register == ICR_HIGH {
                self.high = value;
            } else {
                assert_eq!(self.sending, None, "one at a time");
                self.sending = Some((self.high >> 24, value, 3));
            }
        }
    }

    #[test]
    fn one_in_the_middle_of_another_leaves_it_its_target() {
        let mut at = 0;
        loop {
            at += 1;
            let mut apic = Apic {
                interrupted_at: at,
                ..Apic::default()
            };
            send(&mut apic, 3, NMI);
            if apic.accesses < at {
                assert!(at > 8, "it was interrupted everywhere");
                break;
            }
            apic.sent.sort_unstable();
            assert_eq!(
                apic.sent,
                [(3, NMI), (7, NMI)],
                "interrupted at access {at}"
            );
        }
    }
}
