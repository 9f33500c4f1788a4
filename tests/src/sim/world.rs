//! The state of the simulated machine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use kernel::event::{Event, Stamped};
use kernel::mca::{Interrupted, Owner, Verdict};
use kernel::units::{Bank, Gpa, GuestId, Hpa, PAGE_SIZE, Pcpu, Tsc, VcpuId};

use super::call::{Call, Raise};
use super::vcpu::Guest;

/// What a bank holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regs {
    /// MCi_STATUS.
    pub status: u64,
    /// MCi_ADDR.
    pub addr: u64,
    /// MCi_MISC.
    pub misc: u64,
    /// MCi_CTL.
    pub ctl: u64,
}

/// Something that a processor did to the machine, in the order of all processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It read the STATUS of this physical bank.
    ReadStatus(usize),
    /// It wrote 0 to the STATUS of this physical bank.
    ClearStatus(usize),
    /// It wrote 0 to MCG_STATUS.
    ClearMcgStatus,
    /// It took a page out of use.
    Retire(Hpa),
    /// It put another page in the place of this one.
    Replace(Hpa),
    /// It flushed its translations.
    Flush,
    /// It kicked another processor.
    Kick(Pcpu),
    /// It has stopped: a reset is due.
    Stop,
    /// It reset the machine.
    Reset,
}

/// What a processor has done so far in machine checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Reads and writes of MSRs.
    pub msrs: u64,
    /// Every other call of the machine, but for pauses and looks at the clock.
    pub calls: u64,
    /// Pauses of a loop that waits for others.
    pub pauses: u64,
}

/// One processor.
pub struct Processor {
    pub(super) cap: u64,
    pub(super) mcg_status: Cell<u64>,
    pub(super) mcg_ext_ctl: Cell<u64>,
    pub(super) feature_control: u64,
    /// The physical bank behind each of its banks.
    pub(super) banks: Vec<usize>,
    pub(super) clock: Cell<u64>,
    pub(super) work: Cell<Work>,
    pub(super) nmi: Cell<bool>,
    pub(super) in_machine_check: Cell<bool>,
    /// It waits for the reset.
    pub(super) stopped: Cell<bool>,
    /// An #MC that comes after so many suspensions of its bring-up.
    pub(super) interrupts: Cell<Option<(u64, Call)>>,
    /// What came of that.
    pub(super) interrupted: Cell<Option<Verdict>>,
    /// Pages whose translation it may still have cached.
    pub(super) stale: RefCell<BTreeSet<Hpa>>,
}

/// So many reads, and what then happens.
type Awaited = (u32, Box<dyn FnOnce()>);

/// The machine.
pub struct World {
    pub(super) processors: Vec<Processor>,
    pub(super) banks: RefCell<Vec<Regs>>,
    /// Ranges of memory: start, bytes, and who has its first page.
    owners: Vec<(Hpa, u64, Owner)>,
    pub(super) retired: RefCell<BTreeSet<Hpa>>,
    pub(super) events: RefCell<Vec<Stamped>>,
    pub(super) steps: RefCell<Vec<(Pcpu, Step)>>,
    pub(super) spares: RefCell<Vec<Hpa>>,
    /// What happens after so many reads of a bank's STATUS.
    pub(super) after_status_reads: RefCell<Option<Awaited>>,
    /// What happens in the middle of the next flush of translations.
    pub(super) in_flush: RefCell<Option<Box<dyn FnOnce()>>>,
    /// What follows a fatal machine check is played, to the reset.
    pub(super) plays_end: Cell<bool>,
    pub(super) is_reset: Cell<bool>,
    /// How many processors have looked at what their banks hold from before the reset.
    pub(super) started: Cell<u16>,
    /// What happens when the next page has gone out of use.
    pub(super) in_retire: RefCell<Option<Box<dyn FnOnce()>>>,
    /// What hardware has written into banks as it raised #MCs: by which processor, into which of its banks.
    pub raised: RefCell<Vec<(Pcpu, Bank, Raise)>>,
    /// The guests.
    pub guests: Vec<Guest>,
}

/// MCG_CAP: CTL_P, SER_P, LMCE_P.
pub const CAP: u64 = 1 << 8 | 1 << 24 | 1 << 27;

impl World {
    /// A machine with `processors` processors of `banks` banks each, all private. Nobody has any memory.
    pub fn new(processors: u16, banks: u8) -> Self {
        let make = |number: u16| Processor {
            cap: CAP | u64::from(banks),
            mcg_status: Cell::new(0),
            mcg_ext_ctl: Cell::new(0),
            feature_control: 1 | 1 << 20,
            banks: (0..usize::from(banks))
                .map(|bank| usize::from(number) * usize::from(banks) + bank)
                .collect(),
            clock: Cell::new(0),
            work: Cell::default(),
            nmi: Cell::new(false),
            in_machine_check: Cell::new(false),
            stopped: Cell::new(false),
            interrupts: Cell::new(None),
            interrupted: Cell::new(None),
            stale: RefCell::default(),
        };
        Self {
            processors: (0..processors).map(make).collect(),
            banks: RefCell::new(vec![
                Regs::default();
                usize::from(processors) * usize::from(banks)
            ]),
            owners: Vec::new(),
            retired: RefCell::default(),
            events: RefCell::default(),
            steps: RefCell::default(),
            spares: RefCell::default(),
            after_status_reads: RefCell::default(),
            in_flush: RefCell::default(),
            plays_end: Cell::new(false),
            is_reset: Cell::new(false),
            started: Cell::new(0),
            in_retire: RefCell::default(),
            raised: RefCell::default(),
            guests: Vec::new(),
        }
    }

    /// Has `bank` be one register set for all processors from `first` to `last`.
    pub fn share(mut self, bank: u8, first: u16, last: u16) -> Self {
        let shared = self.processors[usize::from(first)].banks[usize::from(bank)];
        for processor in &mut self.processors[usize::from(first)..=usize::from(last)] {
            processor.banks[usize::from(bank)] = shared;
        }
        self
    }

    /// Takes bits out of every processor's MCG_CAP.
    pub fn without_cap(mut self, bits: u64) -> Self {
        self.processors
            .iter_mut()
            .for_each(|processor| processor.cap &= !bits);
        self
    }

    /// Adds a guest of `vcpus` vCPUs, with `pages` pages of guest-physical memory from 0 on, at `hpa`. Its number is the next free one.
    pub fn guest(mut self, vcpus: u8, hpa: u64, pages: u64) -> Self {
        let guest = GuestId(self.guests.len() as u8);
        self.owners.push((
            Hpa(hpa),
            pages * PAGE_SIZE,
            Owner::Guest { guest, gpa: Gpa(0) },
        ));
        self.guests.push(Guest::new(vcpus));
        self
    }

    /// Gives pages to the hypervisor.
    pub fn hypervisor(mut self, hpa: u64, pages: u64) -> Self {
        self.owners
            .push((Hpa(hpa), pages * PAGE_SIZE, Owner::Hypervisor));
        self
    }

    /// Sets a page aside that may take another's place.
    pub fn spare(self, hpa: u64) -> Self {
        self.spares.borrow_mut().push(Hpa(hpa));
        self
    }

    pub(super) fn owner_of(&self, page: Hpa) -> Owner {
        let inside =
            |&&(start, bytes, _): &&(Hpa, u64, Owner)| (start.0..start.0 + bytes).contains(&page.0);
        match self.owners.iter().find(inside) {
            Some(&(start, _, Owner::Guest { guest, .. })) => Owner::Guest {
                guest,
                gpa: Gpa(page.0 - start.0),
            },
            Some(&(_, _, owner)) => owner,
            None => Owner::Free,
        }
    }

    /// What a processor has done so far.
    pub fn work(&self, processor: u16) -> Work {
        self.processors[usize::from(processor)].work.get()
    }

    /// Puts an error into a bank of a processor.
    pub fn put(&self, processor: u16, bank: u8, status: u64, addr: u64, misc: u64) {
        let at = self
            .physical_bank(Pcpu(processor), Bank(bank))
            .expect("the bank exists");
        let mut banks = self.banks.borrow_mut();
        banks[at] = Regs {
            status,
            addr,
            misc,
            ..banks[at]
        };
    }

    /// What a bank of a processor holds.
    pub fn bank(&self, processor: u16, bank: u8) -> Regs {
        self.banks.borrow()[self
            .physical_bank(Pcpu(processor), Bank(bank))
            .expect("the bank exists")]
    }

    /// Every physical bank.
    pub fn banks(&self) -> Vec<Regs> {
        self.banks.borrow().clone()
    }

    pub(super) fn physical_bank(&self, processor: Pcpu, bank: Bank) -> Option<usize> {
        self.processors[usize::from(processor.0)]
            .banks
            .get(usize::from(bank.0))
            .copied()
    }

    /// The pages that are out of use.
    pub fn retired(&self) -> Vec<Hpa> {
        self.retired.borrow().iter().copied().collect()
    }

    /// Whether a processor may still use a translation to a page that is out of use.
    pub fn has_stale_translations(&self, processor: u16) -> bool {
        !self.processors[usize::from(processor)]
            .stale
            .borrow()
            .is_empty()
    }

    /// MCG_STATUS of a processor.
    pub fn mcg_status(&self, processor: u16) -> u64 {
        self.processors[usize::from(processor)].mcg_status.get()
    }

    /// Sets MCG_STATUS of a processor, as an #MC that is on its way does.
    pub fn signal(&self, processor: u16, mcg_status: u64) {
        self.processors[usize::from(processor)]
            .mcg_status
            .set(mcg_status);
    }

    /// Whether local machine checks are enabled on a processor.
    pub fn local_enabled(&self, processor: u16) -> bool {
        self.processors[usize::from(processor)].mcg_ext_ctl.get() & 1 != 0
    }

    /// All events so far, in the order in which they happened.
    pub fn events(&self) -> Vec<Stamped> {
        self.events.borrow().clone()
    }

    /// The events that `pick` picks.
    pub fn picked<T>(&self, pick: impl Fn(Pcpu, &Event) -> Option<T>) -> Vec<T> {
        self.events
            .borrow()
            .iter()
            .filter_map(|stamped| pick(stamped.on, &stamped.event))
            .collect()
    }

    /// Forgets events and steps.
    pub fn clear_log(&self) {
        self.events.borrow_mut().clear();
        self.steps.borrow_mut().clear();
    }

    /// What the processors did, in order.
    pub fn steps(&self) -> Vec<(Pcpu, Step)> {
        self.steps.borrow().clone()
    }

    pub(super) fn status_was_read(&self) {
        let due = self.after_status_reads.borrow_mut().take_if(|(left, _)| {
            *left -= 1;
            *left == 0
        });
        if let Some((_, happens)) = due {
            happens();
        }
    }

    /// Who has reset the machine.
    pub fn resets(&self) -> Vec<Pcpu> {
        let steps = self.steps.borrow();
        let resets = steps.iter().filter(|(_, step)| *step == Step::Reset);
        resets.map(|&(processor, _)| processor).collect()
    }

    pub(super) fn did(&self, processor: Pcpu, step: Step) {
        self.steps.borrow_mut().push((processor, step));
    }

    pub(super) fn emit(&self, on: Pcpu, event: Event) {
        let mut events = self.events.borrow_mut();
        let at = Tsc(events.len() as u64);
        events.push(Stamped { at, on, event });
    }
}

/// Shorthand: the context of a vCPU.
pub fn running(guest: u8, vcpu: u8) -> Interrupted {
    Interrupted::Guest(VcpuId {
        guest: GuestId(guest),
        index: vcpu,
    })
}
