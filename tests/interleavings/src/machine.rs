//! A machine with a few processors and one guest. Its registers are not loom's atomics: what is explored is the engine, not the
//! hardware, and threads are switched at each atomic access of the engine.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::event::Event;
use kernel::mca::{self, Addressee, Kept, McgCap, Owner, Replaced, registers};
use kernel::units::{Gpa, GuestId, Hpa, Pcpu, Tsc, VcpuId};
use kernel::vmce::{HANDLER_LEAVES, Mailbox, after_write};
use msr_runtime::{MachineCheck, MachineCheckEvent};

/// The machine.
pub struct Machine {
    msrs: Mutex<HashMap<(u16, u32), u64>>,
    /// Bank 0 is one for all processors.
    shared_bank: bool,
    /// Waiting takes time, so that bounded waits end.
    time_passes: bool,
    clock: AtomicU64,
    /// The guest's mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// All events.
    pub events: Mutex<Vec<(u16, Event)>>,
    retired: Mutex<Vec<Hpa>>,
    /// Flushes of translations, by processor.
    pub flushed: Mutex<Vec<u16>>,
}

/// One of its processors.
pub struct Processor<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its number.
    pub number: u16,
}

/// MCG_CAP: one bank, SER_P.
const CAP: u64 = 1 | 1 << 24;

impl Machine {
    /// A machine whose guest has `vcpus` vCPUs, all of them started.
    pub fn new(vcpus: usize, shared_bank: bool, time_passes: bool) -> Self {
        let started = || {
            let mailbox = Mailbox::new();
            mailbox.start();
            mailbox
        };
        Self {
            msrs: Mutex::default(),
            shared_bank,
            time_passes,
            clock: AtomicU64::new(0),
            mailboxes: (0..vcpus).map(|_| started()).collect(),
            events: Mutex::default(),
            retired: Mutex::default(),
            flushed: Mutex::default(),
        }
    }

    /// Puts an error for the first page of the guest into bank 0 of a processor.
    pub fn put(&self, processor: u16, status: u64) {
        for (register, value) in [(1, status), (2, 0x1000), (3, 0x8c)] {
            self.write(processor, registers::MC0_CTL + register, value);
        }
    }

    fn key(&self, processor: u16, msr: u32) -> (u16, u32) {
        (
            if self.shared_bank && msr >= registers::MC0_CTL {
                0
            } else {
                processor
            },
            msr,
        )
    }

    /// Sets an MSR.
    pub fn write(&self, processor: u16, msr: u32, value: u64) {
        self.msrs
            .lock()
            .unwrap()
            .insert(self.key(processor, msr), value);
    }

    /// The value of an MSR.
    pub fn read(&self, processor: u16, msr: u32) -> u64 {
        self.msrs
            .lock()
            .unwrap()
            .get(&self.key(processor, msr))
            .copied()
            .unwrap_or(0)
    }

    /// How many events `pick` picks.
    pub fn count(&self, pick: impl Fn(&Event) -> bool) -> usize {
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, event)| pick(event))
            .count()
    }
}

impl mca::Machine for Processor<'_> {
    fn processor(&self) -> Pcpu {
        Pcpu(self.number)
    }

    fn now(&self) -> Tsc {
        Tsc(self.machine.clock.load(Ordering::SeqCst))
    }

    fn relax(&self) {
        if self.machine.time_passes {
            self.machine.clock.fetch_add(1, Ordering::SeqCst);
        }
        loom::thread::yield_now();
    }

    fn capabilities(&self) -> McgCap {
        CAP.into()
    }

    fn read_msr(&self, msr: u32) -> u64 {
        self.machine.read(self.number, msr)
    }

    fn write_msr(&self, msr: u32, value: u64) {
        self.machine.write(self.number, msr, value);
    }

    fn emit(&self, event: Event) {
        self.machine
            .events
            .lock()
            .unwrap()
            .push((self.number, event));
    }

    fn owner_of(&self, page: Hpa) -> Owner {
        Owner::Guest {
            guest: GuestId(0),
            gpa: Gpa(page.0),
        }
    }

    fn retire(&self, page: Hpa, _: Owner) -> bool {
        let mut retired = self.machine.retired.lock().unwrap();
        let is_new = !retired.contains(&page);
        if is_new {
            retired.push(page);
        }
        is_new
    }

    fn replace(&self, _: Hpa, _: Owner) -> Result<Replaced, Kept> {
        Err(Kept::NoSpare)
    }

    fn flush_translations(&self) {
        self.machine.flushed.lock().unwrap().push(self.number);
    }

    fn kick(&self, _: Pcpu) {}

    fn guest(&self, _: GuestId) -> Option<Addressee<'_>> {
        Some(Addressee {
            mailboxes: &self.machine.mailboxes,
            broadcast: true,
        })
    }
}

/// The machine-check state of a vCPU.
#[derive(Default)]
pub struct Vcpu {
    in_progress: bool,
    /// What it got.
    pub seen: Vec<MachineCheckEvent>,
}

impl Vcpu {
    /// Its handler comes to its end, and leaves its stack.
    pub fn finish(&mut self, processor: &Processor<'_>, vcpu: VcpuId, mailbox: &Mailbox) {
        self.in_progress = false;
        after_write(processor, vcpu, self, mailbox);
        mailbox.ran(HANDLER_LEAVES);
    }
}

impl MachineCheck for Vcpu {
    fn is_broadcast(&self) -> bool {
        true
    }

    fn in_progress(&self) -> bool {
        self.in_progress
    }

    fn local_enabled(&self) -> bool {
        false
    }

    fn inject(&mut self, event: &MachineCheckEvent) {
        assert!(!self.in_progress);
        self.in_progress = true;
        self.seen.push(*event);
    }
}
