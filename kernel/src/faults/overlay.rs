//! Bank registers that a fault was put into. From there its processor moves it to the real ones, where they take it: then it
//! survives a reset, as hardware's errors do. Hardware's own banks refuse non-zero writes; there it stays here.

use super::Refused;
use super::command::Fault;
use crate::mc::event::Event;
use crate::mc::registers::{MAX_BANKS, MC0_CTL, MCG_STATUS};
use crate::mc::registers::{McgStatus, Status};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::units::{Bank, Pcpu};

/// Registers of all banks: CTL (which is always the hardware's), STATUS, ADDR and MISC of each.
const REGISTERS: usize = 4 * MAX_BANKS;

/// What a processor's machine-check registers seem to hold. Every access of the engine passes through it.
pub struct Overlay {
    /// A bit for each bank that holds a fault.
    banks: AtomicU32,
    /// 0: MCG_STATUS is the hardware's.
    mcg_status: AtomicU64,
    registers: [AtomicU64; REGISTERS],
}

/// Where a bank's MSR is among the registers, and its bank's bit. None for one that is no bank's.
#[inline(always)]
fn place(msr: u32) -> Option<(usize, u32)> {
    let place = msr.wrapping_sub(MC0_CTL) as usize;
    (place < REGISTERS).then(|| (place, 1 << (place / 4)))
}

impl Overlay {
    /// Nothing: every register is the hardware's.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            banks: AtomicU32::new(0),
            mcg_status: AtomicU64::new(0),
            registers: [const { AtomicU64::new(0) }; REGISTERS],
        }
    }

    /// Nothing: every register is the hardware's.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            banks: AtomicU32::new(0),
            mcg_status: AtomicU64::new(0),
            registers: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// RDMSR: the value, if the overlay has one.
    #[inline]
    pub fn read(&self, msr: u32) -> Option<u64> {
        if let Some(register) = self.register(msr) {
            return Some(register.load(Ordering::Acquire));
        }
        if msr != MCG_STATUS {
            return None;
        }
        Some(self.mcg_status.load(Ordering::Acquire)).filter(|&value| value != 0)
    }

    /// WRMSR: whether the overlay has taken the value. A bank whose STATUS is cleared is the hardware's again.
    pub fn write(&self, msr: u32, value: u64) -> bool {
        if msr == MCG_STATUS {
            return self.mcg_status.swap(0, Ordering::AcqRel) != 0 && value == 0;
        }
        let Some(register) = self.register(msr) else {
            return false;
        };
        register.store(value, Ordering::Release);
        if value == 0
            && let Some((place, bank)) = place(msr)
            && place % 4 == 1
        {
            self.banks.fetch_and(!bank, Ordering::AcqRel);
        }
        true
    }

    /// A register that holds something of a fault.
    #[inline(always)]
    fn register(&self, msr: u32) -> Option<&AtomicU64> {
        let (place, bank) = place(msr)?;
        if self.banks.load(Ordering::Acquire) & bank == 0 || place % 4 == 0 {
            return None;
        }
        self.registers.get(place)
    }

    /// Moves what there is to the processor's own registers, by its RDMSR and WRMSR. On that processor.
    pub fn settle(&self, read: impl Fn(u32) -> u64, write: impl Fn(u32, u64)) {
        // MCIP first: a poll that sees the bank leaves it to the #MC. Without it, the rest waits for the #MC.
        if McgStatus::from(self.mcg_status.load(Ordering::Relaxed)).mcip() {
            write(MCG_STATUS, self.mcg_status.swap(0, Ordering::AcqRel));
        }
        if self.banks.load(Ordering::Relaxed) == 0 {
            return;
        }
        let banks = self.banks.swap(0, Ordering::AcqRel);
        for bank in (0..MAX_BANKS as u8).filter(|bank| banks & 1 << bank != 0) {
            let first = 4 * usize::from(bank);
            let Some([_, status, addr, misc]) = self.registers.get(first..first + 4) else {
                return;
            };
            let bank = Bank(bank);
            let was_valid = Status::from(read(bank.status())).val();
            let new = Status::from(status.load(Ordering::Acquire));
            write(bank.addr(), addr.load(Ordering::Relaxed));
            write(bank.misc(), misc.load(Ordering::Relaxed));
            let over = new.over() || (was_valid && new.val());
            write(bank.status(), new.with_over(over).into());
        }
    }

    /// Puts an error into a bank, over one that may be there.
    fn put(&self, fault: &Fault) {
        let first = 4 * usize::from(fault.bank.0);
        let Some([_, status, addr, misc]) = self.registers.get(first..first + 4) else {
            return;
        };
        let was_valid = self.banks.load(Ordering::Acquire) & 1 << fault.bank.0 != 0;
        let new = Status::from(fault.status);
        let value = new.with_over(new.over() || (was_valid && new.val()));
        // MCIP first: a poll that sees the bank leaves it to the #MC.
        if fault.mcg_status != 0 {
            self.mcg_status.store(fault.mcg_status, Ordering::Release);
        }
        addr.store(fault.addr, Ordering::Relaxed);
        misc.store(fault.misc, Ordering::Relaxed);
        status.store(value.into(), Ordering::Relaxed);
        self.banks.fetch_or(1 << fault.bank.0, Ordering::AcqRel);
    }

    /// The processor gets the #MC of another one's error: its context is untouched, unless an error of its own that waits for
    /// this #MC says otherwise.
    fn join(&self) {
        let own = McgStatus::from(self.mcg_status.load(Ordering::Acquire));
        let status = if own == McgStatus::new() {
            own.with_ripv(true)
        } else {
            own
        };
        self.mcg_status
            .store(status.with_mcip(true).into(), Ordering::Release);
    }
}

impl Default for Overlay {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts a fault into the registers of the processors that get its #MC; `fault.addr` is host-physical by now. The vector is the
/// caller's to raise: on `fault.processor`, and with `broadcast` on every other. `overlays` has one for each
/// processor that is online. Returns the event to emit.
pub fn raise(fault: &Fault, overlays: &[Overlay]) -> Result<Event, Refused> {
    let target = overlays
        .get(usize::from(fault.processor.0))
        .ok_or(Refused::NoProcessor)?;
    target.put(fault);
    if fault.broadcast {
        for (number, overlay) in overlays.iter().enumerate() {
            if number != usize::from(fault.processor.0) {
                overlay.join();
            }
        }
    }
    Ok(Event::FaultRaised {
        target: Pcpu(fault.processor.0),
        bank: fault.bank,
        status: fault.status,
        mcg_status: fault.mcg_status,
        addr: fault.addr,
        misc: fault.misc,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::RefCell;

    use super::super::command::When;

    use super::*;

    fn fault(processor: u16, broadcast: bool) -> Fault {
        Fault {
            when: When::Now,
            processor: Pcpu(processor),
            bank: Bank(1),
            status: 0xbd00_0000_0000_00cf,
            mcg_status: 7,
            addr: 0x1000,
            misc: 0x8c,
            guest: None,
            broadcast,
        }
    }

    #[test]
    fn a_fault_is_seen_until_it_is_cleared() {
        let overlays = [const { Overlay::new() }; 2];
        raise(&fault(1, true), &overlays).expect("processor 1 exists");
        let [other, this] = &overlays;
        assert_eq!(
            [0x17a, 0x404, 0x405, 0x406, 0x407, 0x408, 0x179].map(|msr| this.read(msr)),
            [
                Some(7),
                None,
                Some(0xbd00_0000_0000_00cf),
                Some(0x1000),
                Some(0x8c),
                None,
                None
            ]
        );
        assert_eq!([0x17a, 0x405].map(|msr| other.read(msr)), [Some(5), None]);
        assert!(!this.write(0x404, u64::MAX));
        assert!(this.write(0x405, 0));
        assert!(this.write(0x17a, 0));
        assert!(!this.write(0x17a, 0), "it is the hardware's again");
        assert_eq!([0x17a, 0x405, 0x406].map(|msr| this.read(msr)), [None; 3]);
    }

    #[test]
    fn an_error_that_waits_for_the_others_machine_check_keeps_its_mcg_status() {
        let overlays = [const { Overlay::new() }; 2];
        let waits = |mcg_status, bank| Fault {
            mcg_status,
            bank: Bank(bank),
            ..fault(1, false)
        };
        let settled = || {
            let written = RefCell::new(Vec::new());
            overlays[1].settle(|_| 0, |msr, value| written.borrow_mut().push((msr, value)));
            written.into_inner()
        };
        raise(&waits(3, 1), &overlays).expect("processor 1 exists");
        raise(&waits(0, 2), &overlays).expect("processor 1 exists");
        // A poll comes first: the banks are the machine's, MCG_STATUS not yet.
        assert!(settled().iter().all(|(msr, _)| *msr != 0x17a));
        raise(&fault(0, true), &overlays).expect("processor 0 exists");
        assert_eq!(settled(), [(0x17a, 7)]);
        raise(&fault(0, true), &overlays).expect("processor 0 exists");
        assert_eq!(settled(), [(0x17a, 5)], "once");
    }

    #[test]
    fn an_error_over_an_error_sets_over() {
        let overlays = [const { Overlay::new() }; 1];
        for over in [0, 1 << 62] {
            raise(&fault(0, false), &overlays).expect("processor 0 exists");
            assert_eq!(overlays[0].read(0x405), Some(0xbd00_0000_0000_00cf | over));
        }
        overlays[0].write(0x405, 0);
        raise(&fault(0, false), &overlays).expect("processor 0 exists");
        assert_eq!(overlays[0].read(0x405), Some(0xbd00_0000_0000_00cf));
    }

    #[test]
    fn what_settles_is_the_machines() {
        let overlays = [const { Overlay::new() }; 2];
        let written = RefCell::new(Vec::new());
        let settle = |overlay: &Overlay| {
            let read = |msr| if msr == 0x409 { 1 << 63 } else { 0 };
            overlay.settle(read, |msr, value| written.borrow_mut().push((msr, value)));
            written.take()
        };
        raise(&fault(1, true), &overlays).expect("processor 1 exists");
        assert_eq!(settle(&overlays[0]), [(0x17a, 5)]);
        let status = 0xbd00_0000_0000_00cf;
        assert_eq!(
            settle(&overlays[1]),
            [(0x17a, 7), (0x406, 0x1000), (0x407, 0x8c), (0x405, status)]
        );
        assert_eq!([0x17a, 0x405].map(|msr| overlays[1].read(msr)), [None; 2]);
        assert_eq!(settle(&overlays[1]), []);

        let over = Fault {
            bank: Bank(2),
            ..fault(1, false)
        };
        raise(&over, &overlays).expect("processor 1 exists");
        let last = settle(&overlays[1]).pop();
        assert_eq!(last, Some((0x409, status | 1 << 62)), "the bank was valid");
    }

    #[test]
    fn a_processor_that_is_not_there_is_refused() {
        assert_eq!(
            raise(&fault(1, false), &[const { Overlay::new() }; 1]),
            Err(Refused::NoProcessor)
        );
    }
}
