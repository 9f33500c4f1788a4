//! Who gets what: from the errors that hit guests to mail for their vCPUs.
//!
//! One machine check makes at most one #MC and one record for a vCPU. Consumers get their own records; other records go to free
//! vCPUs in order, one for each processor that found some; the rest follows when the guest has finished. Where the interface
//! broadcasts, every other vCPU of the guest gets an #MC with clean banks.

use msr_runtime::ErrorRecord;

use super::deliver::StopReason;
use super::mailbox::{Mail, Mailbox, Outcome};
use crate::event::Event;
use crate::mca::{Addressee, Effect, Finding, Machine};
use crate::units::{GuestId, PAGE_SIZE, Pcpu, VcpuId};

/// An error that hits a guest.
pub struct Hit {
    /// The guest.
    pub(crate) guest: GuestId,
    /// The error at the guest's own address; none if only a context was lost.
    record: Option<ErrorRecord>,
    /// Pages from there on that have not been given to a vCPU.
    pages: u32,
    /// The processor that found it.
    processor: Pcpu,
    /// The vCPU of this guest that consumed it or lost its context.
    vcpu: Option<VcpuId>,
    /// Its first page went to a vCPU in this machine check.
    sent: bool,
}

impl Hit {
    /// The error of `finding`, which hits `pages` pages of `guest` from the record's (guest-physical) address on.
    pub(crate) fn new(finding: &Finding, guest: GuestId, record: ErrorRecord, pages: u32) -> Self {
        let vcpu = match finding.effect {
            Effect::Consumed(vcpu) if vcpu.guest == guest => Some(vcpu),
            _ => None,
        };
        Self {
            guest,
            record: Some(record),
            pages,
            processor: finding.processor,
            vcpu,
            sent: false,
        }
    }

    /// A vCPU cannot go on where it was.
    pub(crate) fn without_record(finding: &Finding, vcpu: VcpuId) -> Self {
        Self {
            guest: vcpu.guest,
            record: None,
            pages: 0,
            processor: finding.processor,
            vcpu: Some(vcpu),
            sent: false,
        }
    }

    fn is_consumed(&self) -> bool {
        self.record.is_some() && self.vcpu.is_some()
    }

    /// The first page is given away.
    fn send_first_page(&mut self) {
        self.sent = true;
        self.pages = self.pages.saturating_sub(1);
        if let Some(record) = &mut self.record {
            record.address = (record.address & !(PAGE_SIZE - 1)).wrapping_add(PAGE_SIZE);
        }
    }
}

/// The way from one machine check to the guests.
pub(crate) struct Routes<'a, M> {
    machine: &'a M,
    /// Number of the machine check.
    serial: u32,
    /// The vCPU whose processor was told alone.
    local: Option<VcpuId>,
}

impl<'a, M: Machine> Routes<'a, M> {
    pub fn new(machine: &'a M, serial: u32, local: Option<VcpuId>) -> Self {
        Self {
            machine,
            serial,
            local,
        }
    }

    /// Leaves mail for everybody whom the errors hit. Returns whether there was any.
    pub fn send(&self, hits: &mut [Hit]) -> bool {
        self.each(hits, Hit::is_consumed, |hits, at, to| {
            self.send_to_consumer(hits, at, to)
        });
        self.each(
            hits,
            |hit| hit.record.is_some() && !hit.is_consumed(),
            |hits, at, to| self.send_to_free(hits, at, to),
        );
        // The first page of every hit now; those of its processor's other hits wait for the guest, like further pages.
        self.each(hits, |_| true, |hits, at, to| self.send_clean(hits, at, to));
        self.each(
            hits,
            |hit| hit.pages != 0,
            |hits, at, to| self.send_left_over(hits, at, to),
        );
        !hits.is_empty()
    }

    fn each(
        &self,
        hits: &mut [Hit],
        which: impl Fn(&Hit) -> bool,
        mut send: impl FnMut(&mut [Hit], usize, Addressee<'_>),
    ) {
        for at in 0..hits.len() {
            if let Some(hit) = hits.get(at)
                && which(hit)
                && let Some(to) = self.machine.guest(hit.guest)
            {
                send(hits, at, to);
            }
        }
    }

    fn send_to_consumer(&self, hits: &mut [Hit], at: usize, to: Addressee<'_>) {
        let Some(hit) = hits.get_mut(at) else { return };
        let Some(vcpu) = hit.vcpu else { return };
        self.send_record(hit, to, usize::from(vcpu.index));
    }

    fn send_to_free(&self, hits: &mut [Hit], at: usize, to: Addressee<'_>) {
        let Some((guest, processor)) = hits.get(at).map(|hit| (hit.guest, hit.processor)) else {
            return;
        };
        let has_sent = |hit: &Hit| hit.sent && hit.guest == guest && hit.processor == processor;
        if hits.iter().any(has_sent) {
            return;
        }
        let vcpu = match self.local_vcpu(guest, to) {
            Some(vcpu) => usize::from(vcpu.index),
            None if !to.broadcast => to
                .mailboxes
                .iter()
                .position(Mailbox::is_started)
                .unwrap_or(0),
            None => {
                let is_free =
                    |mailbox: &Mailbox| mailbox.is_started() && !mailbox.was_told(self.serial);
                let Some(free) = to.mailboxes.iter().position(is_free) else {
                    return;
                };
                free
            }
        };
        if let Some(hit) = hits.get_mut(at) {
            self.send_record(hit, to, vcpu);
        }
    }

    /// Gives the first page of a hit to a vCPU that has not got any in this machine check.
    fn send_record(&self, hit: &mut Hit, to: Addressee<'_>, index: usize) {
        let Some(mailbox) = to.mailboxes.get(index) else {
            return;
        };
        if mailbox.was_told(self.serial) {
            return;
        }
        let mail = Mail {
            record: hit.record,
            shown: true,
            error_ip_valid: mailbox.error_ip_valid(self.serial),
            local: self.local_vcpu(hit.guest, to).is_some(),
            pages: 1,
        };
        if self.post(hit.guest, index, mailbox, &mail, false) != Outcome::NotStarted {
            hit.send_first_page();
        }
    }

    /// An #MC with clean banks for those vCPUs of a guest that is hit which have got none.
    fn send_clean(&self, hits: &mut [Hit], at: usize, to: Addressee<'_>) {
        let Some(hit) = hits.get(at) else { return };
        if hit.record.is_some() && (!to.broadcast || self.local_vcpu(hit.guest, to).is_some()) {
            return;
        }
        let mail = Mail {
            record: hit.record,
            shown: false,
            error_ip_valid: false,
            local: false,
            pages: 1,
        };
        for (index, mailbox) in to.mailboxes.iter().enumerate() {
            let concerned = to.broadcast
                || hit
                    .vcpu
                    .is_some_and(|vcpu| usize::from(vcpu.index) == index);
            if concerned && !mailbox.was_told(self.serial) {
                self.post(hit.guest, index, mailbox, &mail, false);
            }
        }
    }

    /// What is left of a hit follows, for the vCPU that it belongs to, or the first that runs.
    fn send_left_over(&self, hits: &mut [Hit], at: usize, to: Addressee<'_>) {
        let Some(hit) = hits.get(at) else { return };
        let local = self.local_vcpu(hit.guest, to);
        let first = || to.mailboxes.iter().position(Mailbox::is_started);
        let owner = local.or(hit.vcpu).map(|vcpu| usize::from(vcpu.index));
        let receiver = owner.or_else(first).unwrap_or(0);
        for (index, mailbox) in to.mailboxes.iter().enumerate() {
            let shown = index == receiver;
            if shown || (to.broadcast && local.is_none()) {
                let mail = Mail {
                    record: hit.record,
                    shown,
                    error_ip_valid: false,
                    local: local.is_some(),
                    pages: hit.pages,
                };
                self.post(hit.guest, index, mailbox, &mail, true);
            }
        }
    }

    fn post(
        &self,
        guest: GuestId,
        index: usize,
        mailbox: &Mailbox,
        mail: &Mail,
        follows: bool,
    ) -> Outcome {
        mailbox.tell(self.serial);
        let outcome = mailbox.post(mail, follows);
        let vcpu = index as u8;
        self.machine.emit(Event::Posted {
            guest,
            vcpu,
            outcome,
        });
        outcome
    }

    /// The vCPU that alone gets an error of this guest, as a local machine check.
    fn local_vcpu(&self, guest: GuestId, to: Addressee<'_>) -> Option<VcpuId> {
        let vcpu = self.local.filter(|vcpu| vcpu.guest == guest)?;
        to.mailboxes
            .get(usize::from(vcpu.index))?
            .local_enabled()
            .then_some(vcpu)
    }

    /// Has every vCPU of a guest stop before it runs again.
    pub fn stop(&self, guest: GuestId, reason: StopReason) {
        let Some(to) = self.machine.guest(guest) else {
            return;
        };
        for (index, mailbox) in to.mailboxes.iter().enumerate() {
            mailbox.post_stop(reason);
            self.machine.emit(Event::Posted {
                guest,
                vcpu: index as u8,
                outcome: Outcome::Stopped,
            });
        }
    }
}
