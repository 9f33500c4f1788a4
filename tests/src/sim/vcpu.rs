//! The simulated guests: what their vCPUs were shown.

use std::cell::{Cell, RefCell};

use kernel::mca::Machine;
use kernel::units::{GuestId, VcpuId};
use kernel::vmce::{
    Delivery, HANDLER_LEAVES, Mailbox, StopReason, after_write, deliver, follow_up,
};
use msr_runtime::{ErrorRecord, MachineCheck, MachineCheckEvent};

/// A guest.
pub struct Guest {
    /// One per vCPU.
    pub mailboxes: Vec<Mailbox>,
    /// Every vCPU is told of an error.
    pub broadcast: bool,
    /// The vCPUs.
    pub vcpus: Vec<RefCell<Vcpu>>,
    /// It was stopped: none of its vCPUs runs any more.
    pub stopped: Cell<Option<StopReason>>,
}

/// One #MC that a vCPU got: MCG_STATUS and its error bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// MCG_STATUS.
    pub mcg_status: u64,
    /// The bank, if it is valid.
    pub record: Option<ErrorRecord>,
}

/// The machine-check state of a vCPU, in the way of the interface.
#[derive(Default)]
pub struct Vcpu {
    mcg_status: u64,
    record: Option<ErrorRecord>,
    /// Its LMCE_EN.
    pub local_enabled: bool,
    /// Its CR4.MCE is clear.
    pub mce_disabled: bool,
    /// What it has got so far.
    pub seen: Vec<Seen>,
}

impl MachineCheck for Vcpu {
    fn is_broadcast(&self) -> bool {
        true
    }

    fn in_progress(&self) -> bool {
        self.mcg_status & 4 != 0
    }

    fn local_enabled(&self) -> bool {
        self.local_enabled
    }

    fn inject(&mut self, event: &MachineCheckEvent) {
        assert!(!self.in_progress(), "hardware would shut down");
        let bit = |on: bool, bit: u64| if on { bit } else { 0 };
        self.mcg_status =
            bit(event.restart_ip_valid, 1) | bit(event.error_ip_valid, 2) | 4 | bit(event.local, 8);
        self.record = event.record;
        self.seen.push(Seen {
            mcg_status: self.mcg_status,
            record: event.record,
        });
    }
}

impl Guest {
    pub(super) fn new(vcpus: u8) -> Self {
        let started = || {
            let mailbox = Mailbox::new();
            mailbox.start();
            mailbox
        };
        Self {
            mailboxes: (0..vcpus).map(|_| started()).collect(),
            broadcast: true,
            vcpus: (0..vcpus).map(|_| RefCell::default()).collect(),
            stopped: Cell::new(None),
        }
    }

    /// What the hypervisor does before a VM entry of vCPU `index`.
    pub fn before_entry(&self, machine: &impl Machine, guest: u8, index: u8) -> Delivery {
        let mailbox = &self.mailboxes[usize::from(index)];
        if !mailbox.is_pending() {
            return Delivery::Nothing;
        }
        let mut vcpu = self.vcpus[usize::from(index)].borrow_mut();
        let mce_enabled = !vcpu.mce_disabled;
        let delivery = deliver(
            machine,
            VcpuId {
                guest: GuestId(guest),
                index,
            },
            &mut *vcpu,
            mailbox,
            mce_enabled,
        );
        if let Delivery::Stop(reason) = delivery {
            self.stopped.set(Some(reason));
        }
        delivery
    }

    /// The guest's handler on vCPU `index` clears its bank and MCIP.
    pub fn finish(&self, machine: &impl Machine, guest: u8, index: u8) {
        let mut vcpu = self.vcpus[usize::from(index)].borrow_mut();
        vcpu.mcg_status = 0;
        vcpu.record = None;
        after_write(
            machine,
            VcpuId {
                guest: GuestId(guest),
                index,
            },
            &*vcpu,
            &self.mailboxes[usize::from(index)],
        );
    }

    /// The guest sets MCIP of vCPU `index` itself.
    pub fn set_in_progress(&self, index: u8) {
        let mut vcpu = self.vcpus[usize::from(index)].borrow_mut();
        vcpu.mcg_status = 4;
        self.mailboxes[usize::from(index)].mirror(&*vcpu);
    }

    /// The guest's handler on vCPU `index` does its work and leaves, and housekeeping looks whether something follows.
    pub fn handle(&self, machine: &impl Machine, guest: u8, index: u8) {
        self.finish(machine, guest, index);
        self.mailboxes[usize::from(index)].ran(HANDLER_LEAVES);
        follow_up(&self.mailboxes);
    }

    /// The guest enables local machine checks on vCPU `index`.
    pub fn enable_local(&self, machine: &impl Machine, guest: u8, index: u8) {
        let mut vcpu = self.vcpus[usize::from(index)].borrow_mut();
        vcpu.local_enabled = true;
        after_write(
            machine,
            VcpuId {
                guest: GuestId(guest),
                index,
            },
            &*vcpu,
            &self.mailboxes[usize::from(index)],
        );
    }

    /// What vCPU `index` has got so far.
    pub fn seen(&self, index: u8) -> Vec<Seen> {
        self.vcpus[usize::from(index)].borrow().seen.clone()
    }
}
