//! Delivery of a vCPU's mail, by its own processor in ordinary context.

use msr_runtime::{ErrorRecord, MachineCheck, MachineCheckEvent};

use crate::mc::event::Event;
use crate::mc::machine::Machine;
use crate::mc::mailbox::{ErrorIp, Mail, Mailbox};
use crate::mc::registers::{McgStatus, Misc, Status};
use crate::mc::stop::StopReason;
use crate::sync::Ordering;
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
    let Some(mail) = mailbox.first() else {
        return Delivery::Nothing;
    };
    if !mce_enabled {
        return Delivery::Shutdown;
    }
    mailbox.told(&mail);
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
    mailbox.in_progress.store(true, Ordering::Release);
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
/// its machine-check registers, and after a restore.
#[inline]
pub fn after_write<S: MachineCheck, M: Machine>(
    machine: &M,
    vcpu: VcpuId,
    state: &S,
    mailbox: &Mailbox,
) {
    mailbox
        .local_enabled
        .store(state.local_enabled(), Ordering::Relaxed);
    let in_progress = state.in_progress();
    if mailbox.in_progress.load(Ordering::Relaxed) != in_progress {
        mailbox.in_progress.store(in_progress, Ordering::Release);
        if !in_progress {
            mailbox.finished.fetch_add(1, Ordering::Release);
            machine.emit(Event::Handled {
                guest: vcpu.guest,
                vcpu: vcpu.index,
            });
        }
    }
}

/// Lets the machine checks follow that were left over from an earlier one, once every vCPU of the guest has cleared MCIP.
/// Called by housekeeping, one processor at a time per guest. Returns whether there is something to deliver: then every
/// processor that runs a vCPU of the guest has to leave it.
///
/// A handler clears MCIP while it still runs on the #MC stack, which the next #MC would overwrite. So what follows, follows
/// when the guest was found quiet in two looks in a row, with no handler in between. Between two looks every vCPU has had time to run.
pub fn follow_up(mailboxes: &[Mailbox]) -> bool {
    let Some(first) = mailboxes.first() else {
        return false;
    };
    let waiting = mailboxes.iter().any(Mailbox::has_mail);
    let busy = mailboxes
        .iter()
        .any(|mailbox| mailbox.in_progress.load(Ordering::Acquire));
    if !waiting || busy {
        first.quiet.store(0, Ordering::Relaxed);
        return false;
    }
    let finished = mailboxes.iter().fold(0, |sum: u32, mailbox| {
        sum.wrapping_add(mailbox.finished.load(Ordering::Acquire))
    });
    let look = 1 << 32 | u64::from(finished);
    if first.quiet.swap(look, Ordering::Relaxed) != look {
        return false;
    }
    first.quiet.store(0, Ordering::Relaxed);
    for mailbox in mailboxes.iter().filter(|mailbox| mailbox.has_mail()) {
        mailbox.raise();
    }
    true
}

fn report_both<M: Machine>(machine: &M, vcpu: VcpuId, mailbox: &Mailbox, mail: &Mail) {
    for (which, record) in [(1, mailbox.last()), (2, mail.record())] {
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
