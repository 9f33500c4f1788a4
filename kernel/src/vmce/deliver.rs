//! Delivery of a vCPU's mail, by its own processor in ordinary context.

use msr_runtime::{ErrorRecord, MachineCheck, MachineCheckEvent};

use crate::mc::event::Event;
use crate::mc::machine::Machine;
use crate::mc::mail::{ErrorIp, Mail};
use crate::mc::mailbox::Mailbox;
use crate::mc::registers::{McgStatus, Misc, Status};
use crate::mc::stop::StopReason;
use crate::units::VcpuId;

/// What is to be done with a vCPU before it may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing: it may run.
    Nothing,
    /// Its state shows the error: inject #MC by VM entry.
    Inject,
    /// CR4.MCE is clear: its guest shuts down, as hardware does.
    Shutdown,
    /// Its guest is stopped.
    Stop(StopReason),
}

/// Gives a vCPU the next machine check from its mailbox, if it is due. Called by the vCPU's processor, in ordinary context,
/// before VM entry, whenever [`Mailbox::is_pending`] says so. `mce_enabled` is the guest's own CR4.MCE.
pub fn deliver<S: MachineCheck, M: Machine>(
    machine: &M,
    vcpu: VcpuId,
    state: &mut S,
    mailbox: &Mailbox,
    mce_enabled: bool,
) -> Delivery {
    mailbox.lower();
    if let Some(reason) = mailbox.stop() {
        return Delivery::Stop(reason);
    }
    if state.in_progress() {
        let Some(mail) = mailbox.urgent() else {
            return Delivery::Nothing;
        };
        report_both(machine, vcpu, mailbox, &mail);
        return Delivery::Stop(StopReason::InProgress);
    }
    let Some(mail) = mailbox.next() else {
        return Delivery::Nothing;
    };
    if !mce_enabled {
        return Delivery::Shutdown;
    }
    let lost = mailbox.take_lost_context();
    let error_ip_valid = mail.about.error_ip_valid() || lost == Some(ErrorIp::Valid);
    let is_bystander = lost.is_none() && !error_ip_valid;
    let event = MachineCheckEvent {
        restart_ip_valid: lost.is_none(),
        error_ip_valid,
        local: mail.about.local(),
        record: mail
            .about
            .shown()
            .then(|| for_guest(mail.record, is_bystander)),
    };
    state.inject(&event);
    mailbox.told(&mail);
    report_injected(machine, vcpu, &event);
    Delivery::Inject
}

/// A record as a guest can use it.
#[inline(always)]
fn for_guest(mut record: ErrorRecord, is_bystander: bool) -> ErrorRecord {
    // A guest's pages are not contiguous: its record is good for one of them.
    let misc = Misc::from(record.misc);
    if misc.lsb() > Misc::PAGE_LSB {
        record.misc = misc.with_lsb(Misc::PAGE_LSB).into();
    }
    let status = Status::from(record.status);
    // What follows later, the vCPU has not met either.
    if is_bystander && status.ar() {
        record.status = status.without_consumer().into();
    }
    record
}

/// Keeps the mailbox in step with the vCPU's state. Called by the vCPU's processor after every write that the guest made to
/// its machine-check registers, and after a restore. Returns whether a handler has finished: MCIP that the guest has set itself, as it
/// may, makes none.
#[inline]
pub fn after_write<S: MachineCheck, M: Machine>(
    machine: &M,
    vcpu: VcpuId,
    state: &S,
    mailbox: &Mailbox,
) -> bool {
    let finished = mailbox.keep_up(state);
    if finished {
        machine.emit(Event::Handled {
            guest: vcpu.guest,
            vcpu: vcpu.index,
        });
    }
    finished
}

/// Lets the machine checks follow that were left over from an earlier one, once every vCPU of the guest has finished with that.
/// Called by housekeeping, one processor at a time per guest. Returns whether there is something to deliver: then every
/// processor that runs a vCPU of the guest has to leave it.
///
/// A handler clears MCIP while it still runs on the #MC stack, which the next #MC would overwrite. So a vCPU has finished when it has
/// cleared MCIP and has run for [`HANDLER_LEAVES`](crate::mc::mailbox::HANDLER_LEAVES) ticks since, or has halted.
pub fn follow_up(mailboxes: &[Mailbox]) -> bool {
    let waits = |mailbox: &&Mailbox| mailbox.has_mail();
    if mailboxes.iter().any(Mailbox::is_busy) {
        return false;
    }
    mailboxes.iter().filter(waits).for_each(Mailbox::raise);
    mailboxes.iter().any(|mailbox| waits(&mailbox))
}

const NO_RECORD: ErrorRecord = ErrorRecord {
    status: 0,
    address: 0,
    misc: 0,
};

fn report_both<M: Machine>(machine: &M, vcpu: VcpuId, mailbox: &Mailbox, mail: &Mail) {
    // The later one is always told: one without a record (a lost context) as the zeros that its banks hold.
    let later = mail.record().unwrap_or(NO_RECORD);
    for (which, record) in [(1, mailbox.last()), (2, Some(later))] {
        if let Some(record) = record {
            machine.emit(Event::StopRecord {
                guest: vcpu.guest,
                vcpu: vcpu.index,
                which,
                status: record.status,
                addr: record.address,
                misc: record.misc,
            });
        }
    }
}

fn report_injected<M: Machine>(machine: &M, vcpu: VcpuId, event: &MachineCheckEvent) {
    let mcg_status: u64 = McgStatus::new()
        .with_ripv(event.restart_ip_valid)
        .with_eipv(event.error_ip_valid)
        .with_mcip(true)
        .with_lmce_s(event.local)
        .into();
    let VcpuId { guest, index: vcpu } = vcpu;
    machine.emit(match event.record {
        Some(record) => Event::InjectedRecord {
            guest,
            vcpu,
            mcg_status,
            status: record.status,
            addr: record.address,
            misc: record.misc,
        },
        None => Event::InjectedClean {
            guest,
            vcpu,
            mcg_status,
        },
    });
}
