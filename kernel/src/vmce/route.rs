//! Who gets what: from the errors that hit guests to mail for their vCPUs.
//!
//! One machine check makes at most one #MC and one record for a vCPU. Consumers get their own records; other records go to free
//! vCPUs in order, one for each processor that found some; the rest follows when the guest has finished. Where the interface
//! broadcasts, every other vCPU of the guest gets an #MC with clean banks.

use arrayvec::ArrayVec;
use msr_runtime::ErrorRecord;

use super::deliver::StopReason;
use super::mailbox::{About, Mail, Mailbox, Outcome};
use crate::event::Event;
use crate::mca::{Addressee, CAPACITY, Effect, Finding, Machine};
use crate::units::{GuestId, PAGE_SIZE, Pcpu, VcpuId};

/// An error that hits a guest, or a context of it that is lost.
struct Hit<'a> {
    guest: GuestId,
    /// The guest's vCPUs.
    to: Addressee<'a>,
    /// The error at the guest's own address; none if only a context was lost.
    record: Option<ErrorRecord>,
    /// Pages from there on.
    pages: u32,
    /// The processor that found it.
    processor: Pcpu,
    /// The vCPU that consumed it or lost its context.
    vcpu: Option<usize>,
    /// The vCPU that alone gets it, as a local machine check.
    local: Option<usize>,
    /// Its first page went to a vCPU in this machine check.
    sent: bool,
}

/// The way from one machine check to the guests.
pub(crate) struct Routes<'a, M> {
    post: Post<'a, M>,
    /// The vCPU whose processor was told alone.
    local: Option<VcpuId>,
    hits: ArrayVec<Hit<'a>, CAPACITY>,
    /// A vCPU has mail, or is to be stopped.
    posted: bool,
}

impl<'a, M: Machine> Routes<'a, M> {
    /// Nobody is hit yet. Made where it stays: it is too large to be moved about.
    #[inline(always)]
    pub fn new(machine: &'a M, serial: u32, local: Option<VcpuId>) -> Self {
        Self {
            post: Post { machine, serial },
            local,
            hits: ArrayVec::new_const(),
            posted: false,
        }
    }

    /// The error of `finding` hits `pages` pages of `guest` from the record's (guest-physical) address on.
    pub fn hit(&mut self, finding: &Finding, guest: GuestId, record: ErrorRecord, pages: u32) {
        let vcpu = match finding.effect {
            Effect::Consumed(vcpu) if vcpu.guest == guest => Some(vcpu.index),
            _ => None,
        };
        self.add(finding.processor, guest, vcpu, Some(record), pages);
    }

    /// A vCPU cannot go on where it was.
    pub fn lose_context(&mut self, finding: &Finding, vcpu: VcpuId) {
        self.add(finding.processor, vcpu.guest, Some(vcpu.index), None, 0);
    }

    #[inline(always)]
    fn add(
        &mut self,
        processor: Pcpu,
        guest: GuestId,
        vcpu: Option<u8>,
        record: Option<ErrorRecord>,
        pages: u32,
    ) {
        let Some(to) = self.post.machine.guest(guest) else {
            return;
        };
        self.posted = true;
        let local = self
            .local
            .filter(|vcpu| vcpu.guest == guest)
            .map(|vcpu| usize::from(vcpu.index))
            .filter(|&vcpu| to.mailboxes.get(vcpu).is_some_and(Mailbox::local_enabled));
        let hit = Hit {
            guest,
            to,
            record,
            pages,
            processor,
            vcpu: vcpu.map(usize::from),
            local,
            sent: false,
        };
        if self.hits.try_push(hit).is_err() {
            self.stop(guest, StopReason::TooManyErrors);
        }
    }

    /// Has every vCPU of a guest stop before it runs again.
    #[cold]
    pub fn stop(&mut self, guest: GuestId, reason: StopReason) {
        let Some(to) = self.post.machine.guest(guest) else {
            return;
        };
        self.posted = true;
        for (index, mailbox) in to.mailboxes.iter().enumerate() {
            mailbox.post_stop(reason);
            self.post.report(guest, index, Outcome::Stopped);
        }
    }

    /// Leaves mail for everybody who is hit. Returns whether somebody has mail, or is to be stopped.
    #[inline(always)]
    pub fn send(&mut self) -> bool {
        let Self { post, hits, .. } = self;
        for hit in hits.iter_mut() {
            post.to_consumer(hit);
        }
        for at in 0..hits.len() {
            post.to_free(hits, at);
        }
        // The first page of every hit now; those of its processor's other hits wait for the guest, like further pages.
        for hit in hits.iter() {
            post.clean(hit);
        }
        for hit in hits.iter().filter(|hit| hit.pages_left() != 0) {
            post.left_over(hit);
        }
        self.posted
    }
}

impl Hit<'_> {
    fn pages_left(&self) -> u32 {
        self.pages.saturating_sub(u32::from(self.sent))
    }

    /// The free vCPU that gets a record which no vCPU consumed; `serial` is the machine check's number.
    #[inline(always)]
    fn free_vcpu(&self, serial: u32) -> Option<usize> {
        let mut mailboxes = self.to.mailboxes.iter();
        if self.local.is_some() {
            self.local
        } else if self.to.broadcast {
            mailboxes.position(|mailbox| mailbox.is_started() && !mailbox.was_told(serial))
        } else {
            Some(mailboxes.position(Mailbox::is_started).unwrap_or(0))
        }
    }

    fn mail(&self, about: About) -> Mail {
        const NONE: ErrorRecord = ErrorRecord {
            status: 0,
            address: 0,
            misc: 0,
        };
        Mail {
            about: about.with_has_record(self.record.is_some()),
            record: self.record.unwrap_or(NONE),
        }
    }

    /// The pages that have still to be sent.
    fn left_over(&self, about: About) -> Mail {
        let mut mail = self.mail(about.with_pages(self.pages_left()));
        if self.sent {
            let address = &mut mail.record.address;
            *address = (*address & !(PAGE_SIZE - 1)).wrapping_add(PAGE_SIZE);
        }
        mail
    }
}

/// Who leaves the mail of one machine check.
struct Post<'a, M> {
    machine: &'a M,
    /// Number of the machine check.
    serial: u32,
}

impl<M: Machine> Post<'_, M> {
    /// A consumer gets its own record.
    fn to_consumer(&self, hit: &mut Hit<'_>) {
        if let (Some(_), Some(vcpu)) = (hit.record, hit.vcpu) {
            self.record(hit, vcpu);
        }
    }

    /// A record that nobody consumed goes to a free vCPU, unless another one of its processor has.
    #[inline(always)]
    fn to_free(&self, hits: &mut [Hit<'_>], at: usize) {
        let Some(hit) = hits.get(at) else { return };
        if hit.record.is_none() || hit.vcpu.is_some() {
            return;
        }
        let has_sent = |other: &Hit<'_>| {
            other.sent && other.guest == hit.guest && other.processor == hit.processor
        };
        if hits.iter().any(has_sent) {
            return;
        }
        let free = hit.free_vcpu(self.serial);
        if let (Some(vcpu), Some(hit)) = (free, hits.get_mut(at)) {
            self.record(hit, vcpu);
        }
    }

    /// Gives the first page of a hit to a vCPU that has not got any in this machine check.
    #[inline(always)]
    fn record(&self, hit: &mut Hit<'_>, index: usize) {
        let Some(mailbox) = hit.to.mailboxes.get(index) else {
            return;
        };
        if mailbox.was_told(self.serial) {
            return;
        }
        let about = About::new()
            .with_shown(true)
            .with_error_ip_valid(mailbox.error_ip_valid(self.serial))
            .with_local(hit.local.is_some())
            .with_pages(1);
        let outcome = self.leave(hit.guest, index, mailbox, &hit.mail(about));
        hit.sent = outcome != Outcome::NotStarted;
    }

    /// An #MC with clean banks for those vCPUs of a guest that is hit which have got none.
    #[inline(always)]
    fn clean(&self, hit: &Hit<'_>) {
        if hit.record.is_some() && (!hit.to.broadcast || hit.local.is_some()) {
            return;
        }
        let mail = hit.mail(About::new().with_pages(1));
        for (index, mailbox) in hit.to.mailboxes.iter().enumerate() {
            let concerned = hit.to.broadcast || hit.vcpu == Some(index);
            if concerned && !mailbox.was_told(self.serial) {
                self.leave(hit.guest, index, mailbox, &mail);
            }
        }
    }

    /// What is left of a hit follows, for the vCPU that it belongs to, or the first that runs.
    #[cold]
    fn left_over(&self, hit: &Hit<'_>) {
        let first = || hit.to.mailboxes.iter().position(Mailbox::is_started);
        let receiver = hit.local.or(hit.vcpu).or_else(first).unwrap_or(0);
        for (index, mailbox) in hit.to.mailboxes.iter().enumerate() {
            let shown = index == receiver;
            if shown || (hit.to.broadcast && hit.local.is_none()) {
                let about = About::new()
                    .with_shown(shown)
                    .with_local(hit.local.is_some())
                    .with_follows(true);
                self.leave(hit.guest, index, mailbox, &hit.left_over(about));
            }
        }
    }

    #[inline(always)]
    fn leave(&self, guest: GuestId, index: usize, mailbox: &Mailbox, mail: &Mail) -> Outcome {
        mailbox.tell(self.serial);
        let outcome = mailbox.post(mail);
        self.report(guest, index, outcome);
        outcome
    }

    fn report(&self, guest: GuestId, index: usize, outcome: Outcome) {
        self.machine.emit(Event::Posted {
            guest,
            vcpu: index as u8,
            outcome,
        });
    }
}
