//! The physical machine, as one of its processors sees it.

use super::event::{Event, words};
use super::mailbox::Mailbox;
use super::registers::McgCap;
use crate::units::{Gpa, GuestId, Hpa, Pcpu, Tsc, VcpuId};

/// Whose a page of physical memory is. A page that is out of use still has its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's.
    Free,
    /// No RAM that the memory map leaves to the hypervisor: firmware's, a device's, or nothing at all.
    Firmware,
    /// The hypervisor's own.
    Hypervisor,
    /// A guest's, which has it at this guest-physical address.
    Guest {
        /// The guest.
        guest: GuestId,
        /// Start of the page, as the guest counts.
        gpa: Gpa,
    },
}

impl Owner {
    /// Whether it is this guest; `None` is nobody.
    pub fn is_guest(self, this: Option<GuestId>) -> bool {
        matches!(self, Self::Guest { guest, .. } if this == Some(guest))
    }
}

/// What was put in the place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// This page of a guest.
    By(Hpa),
    /// Nothing: nobody had it.
    Free,
}

words! {
    /// Why a page stays in use although it has had too many corrected errors.
    Kept {
        /// No spare page is left (`spare=`).
        NoSpare = "no-spare",
        /// The hypervisor cannot do without it.
        Hypervisor = "hypervisor",
        /// It is firmware's or a device's.
        Firmware = "firmware",
        /// A processor has not flushed its translations in time.
        Unflushed = "unflushed",
        /// The page could not be read to its end.
        Unreadable = "unreadable",
        /// It is out of use already.
        OutOfUse = "out-of-use",
        /// The errors are about more than one page.
        SeveralPages = "several-pages",
    }
}

/// What a processor was doing when its #MC came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// It ran this vCPU, was about to enter it (a VM entry that failed with "machine check during VM entry"), or slept for it in non-root mode.
    Guest(VcpuId),
    /// It was in root mode.
    Hypervisor {
        /// The interrupted instruction is a marked copy of guest memory, which can be made to fail.
        fix_up: bool,
    },
}

/// What the engine needs to know about a guest in #MC context, where its vCPUs' state must not be touched.
#[derive(Clone, Copy)]
pub struct Addressee<'a> {
    /// One per vCPU, in order.
    pub mailboxes: &'a [Mailbox],
    /// Every vCPU is told of an error (Intel), or only the one it is for (AMD): `MachineCheck::is_broadcast` of its interface.
    pub broadcast: bool,
}

/// The machine, through the eyes of the processor that calls. Everything is callable in #MC context: no locks that ordinary
/// code may hold, no log, no wait.
pub trait Machine {
    /// This processor.
    fn processor(&self) -> Pcpu;

    /// This processor's time stamp counter.
    fn now(&self) -> Tsc;

    /// A pause in a loop that waits for another processor.
    fn relax(&self);

    /// This processor's MCG_CAP, which never changes.
    fn capabilities(&self) -> McgCap;

    /// RDMSR of one of the machine-check MSRs of [`super::registers`]; 0 for one that does not exist.
    fn read_msr(&self, msr: u32) -> u64;

    /// WRMSR of one of the machine-check MSRs of [`super::registers`]; nothing for one that does not exist.
    fn write_msr(&self, msr: u32, value: u64);

    /// Keeps an event in this processor's own ring, never in a log.
    fn emit(&self, event: Event);

    /// The same of three events of one moment.
    fn emit_three(&self, events: [Event; 3]) {
        events.into_iter().for_each(|event| self.emit(event));
    }

    /// Whose the page at `page` (a multiple of 4 KiB) is: a guest's in constant time, any other in logarithmic time at most.
    fn owner_of(&self, page: Hpa) -> Owner;

    /// Takes a page out of use: unmaps it from its guest's EPT and never hands it out again. Returns whether that is new.
    /// Translations are flushed by the engine ([`Machine::flush_translations`]). One caller at a time. A touch of
    /// it by the guest afterwards stops the guest.
    fn retire(&self, page: Hpa, owner: Owner) -> bool;

    /// Gives a guest another page in the place of one that has had too many corrected errors, with the same content, and takes the
    /// old one out of use; or does so with a free one. In ordinary context. The page may still be read.
    fn replace(&self, page: Hpa, owner: Owner) -> Result<Replaced, Kept>;

    /// Forgets every translation of guest memory that this processor has cached (INVEPT, all contexts).
    fn flush_translations(&self);

    /// Makes another processor leave guest mode, if it is there, and call [`crate::mca::nmi`] soon, in any context (an NMI). Nothing if there is no
    /// such processor.
    fn kick(&self, processor: Pcpu);

    /// A guest's mailboxes; none if there is no such guest.
    fn guest(&self, guest: GuestId) -> Option<Addressee<'_>>;
}
