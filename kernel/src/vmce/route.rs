//! Who gets what: from the errors that hit guests to mail for their vCPUs.
//!
//! One machine check makes at most one #MC and one record for a vCPU. Consumers get their own records; other records go to free
//! vCPUs in order, one for each processor that found some; the rest follows when the guest has finished. Where the interface
//! broadcasts, every other vCPU of the guest gets an #MC with clean banks.

use arrayvec::ArrayVec;
use msr_runtime::ErrorRecord;

use crate::mc::event::Event;
use crate::mc::finding::{CAPACITY, Finding};
use crate::mc::grade::Class;
use crate::mc::machine::{Addressee, Machine};
use crate::mc::mail::{About, Consumed, Mail, Outcome};
use crate::mc::mailbox::Mailbox;
use crate::mc::registers::Status;
use crate::mc::stop::StopReason;
use crate::units::{GuestId, PAGE_SIZE, Pcpu, VcpuId};

/// An error that hits a guest, or a context of it that is lost.
#[derive(Clone, Copy)]
struct Hit<'a> {
    guest: GuestId,
    /// The guest's vCPUs.
    to: Addressee<'a>,
    /// There is a record; else only a context was lost.
    has_record: bool,
    /// The error at the guest's own address.
    record: ErrorRecord,
    /// Pages from there on.
    pages: u32,
    /// The processor that found it.
    processor: Pcpu,
    /// The vCPU that consumed it, or whose context is lost.
    vcpu: Option<u8>,
    /// The vCPU that alone gets it, as a local machine check.
    local: Option<u8>,
    /// Its first page went to a vCPU in this machine check.
    sent: bool,
    /// The earlier machine check whose #MC has the record, in a vCPU that it had still to come to.
    covered_by: Option<u32>,
}

/// The way from one machine check to the guests.
pub(crate) struct Routes<'a, M> {
    post: Post<'a, M>,
    /// The vCPU whose processor was told alone.
    local: Option<VcpuId>,
    hits: ArrayVec<Hit<'a>, CAPACITY>,
    /// A guest is to be stopped.
    stopped: bool,
}

const NO_RECORD: ErrorRecord = ErrorRecord {
    status: 0,
    address: 0,
    misc: 0,
};

impl<'a, M: Machine> Routes<'a, M> {
    /// Nobody is hit yet.
    pub fn new(post: Post<'a, M>, local: Option<VcpuId>) -> Self {
        Self {
            post,
            local,
            hits: ArrayVec::new_const(),
            stopped: false,
        }
    }

    /// The error of `finding` hits `pages` pages of `guest` from the record's (guest-physical) address on.
    pub fn hit(&mut self, finding: &Finding, guest: GuestId, record: ErrorRecord, pages: u32) {
        if let Some(hit) = self.post.hit(finding, guest, record, pages, self.local) {
            self.add(hit);
        }
    }

    fn add(&mut self, hit: Hit<'a>) {
        let guest = hit.guest;
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
        self.stopped = true;
        for (index, mailbox) in to.mailboxes.iter().enumerate() {
            if mailbox.has_ended() {
                self.post.report(guest, index, Outcome::Ended);
                continue;
            }
            mailbox.post_stop(reason);
            self.post.report(guest, index, Outcome::Stopped);
        }
    }

    /// Leaves mail for everybody who is hit, and for the vCPUs whose contexts are lost. Returns whether somebody has mail, or is to be
    /// stopped.
    pub fn send(&mut self, lost: impl Iterator<Item = VcpuId>) -> bool {
        let Self {
            post,
            hits,
            stopped,
            ..
        } = self;
        for at in 0..hits.len() {
            let is_only =
                |hit: &Hit<'_>| hits.iter().filter(|other| other.guest == hit.guest).count() == 1;
            let may_merge = hits.get(at).is_some_and(is_only);
            if let Some(hit) = hits.get_mut(at) {
                post.to_consumer(hit, may_merge);
            }
        }
        for at in 0..hits.len() {
            post.to_free(hits, at);
        }
        // The first page of every hit now; those of its processor's other hits wait for the guest, like further pages.
        for hit in hits.iter() {
            post.clean(hit);
        }
        let mut has_lost = false;
        for vcpu in lost {
            post.lose_context(vcpu);
            has_lost = true;
        }
        for hit in hits.iter().filter(|hit| hit.pages_left() != 0) {
            post.left_over(*hit);
        }
        *stopped || has_lost || !hits.is_empty()
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
        if let Some(local) = self.local {
            Some(usize::from(local))
        } else if self.to.broadcast {
            mailboxes.position(|mailbox| mailbox.is_started() && !mailbox.was_told(serial))
        } else {
            Some(mailboxes.position(Mailbox::is_started).unwrap_or(0))
        }
    }

    /// The vCPU gets its #MC of this hit, or has got it, in the machine check that covers it.
    #[cold]
    fn covers(&self, mailbox: &Mailbox) -> bool {
        self.covered_by == Some(mailbox.last_told()) && !mailbox.has_lost_context()
    }

    fn mail(&self, about: About) -> Mail {
        Mail {
            about: about.with_has_record(self.has_record),
            record: self.record,
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

/// The vCPU to which a record goes has consumed the error.
#[derive(Clone, Copy)]
struct Consumer {
    /// Nothing else hits its guest in this machine check.
    may_merge: bool,
}

/// Who leaves the mail of one machine check.
pub(crate) struct Post<'a, M> {
    pub machine: &'a M,
    /// Number of the machine check.
    pub serial: u32,
}

impl<'a, M: Machine> Post<'a, M> {
    /// Leaves mail for everybody who is hit by the only error there is, which is about one page. Returns whether somebody has mail.
    #[inline(always)]
    pub fn send_one(
        &self,
        finding: &Finding,
        guest: GuestId,
        record: ErrorRecord,
        local: Option<VcpuId>,
    ) -> bool {
        let Some(mut hit) = self.hit(finding, guest, record, 1, local) else {
            return false;
        };
        match hit.vcpu {
            Some(_) => self.to_consumer(&mut hit, true),
            None => self.to_a_free_one(&mut hit),
        }
        self.clean(&hit);
        if hit.pages_left() != 0 {
            self.left_over(hit);
        }
        true
    }

    #[inline(always)]
    fn hit(
        &self,
        finding: &Finding,
        guest: GuestId,
        mut record: ErrorRecord,
        pages: u32,
        local: Option<VcpuId>,
    ) -> Option<Hit<'a>> {
        let to = self.machine.guest(guest)?;
        let ours = |vcpu: Option<VcpuId>| vcpu.filter(|vcpu| vcpu.guest == guest);
        let local = ours(local).filter(|vcpu| {
            let mailbox = to.mailboxes.get(usize::from(vcpu.index));
            mailbox.is_some_and(Mailbox::local_enabled)
        });
        let consumer = ours(finding.who.consumer());
        if finding.who.class() == Class::Srar && consumer.is_none() {
            record.status = Status::from(record.status).without_consumer().into();
        }
        Some(Hit {
            guest,
            to,
            has_record: true,
            record,
            pages,
            processor: finding.who.processor(),
            vcpu: consumer.map(|vcpu| vcpu.index),
            local: local.map(|vcpu| vcpu.index),
            sent: false,
            covered_by: None,
        })
    }

    /// A consumer gets its own record.
    #[inline(always)]
    fn to_consumer(&self, hit: &mut Hit<'_>, may_merge: bool) {
        if hit.has_record
            && let Some(vcpu) = hit.vcpu
        {
            self.record(hit, usize::from(vcpu), Some(Consumer { may_merge }));
        }
    }

    /// A record that nobody consumed goes to a free vCPU, unless another one of its processor has.
    fn to_free(&self, hits: &mut [Hit<'_>], at: usize) {
        let Some(hit) = hits.get(at) else { return };
        if !hit.has_record || hit.vcpu.is_some() {
            return;
        }
        let has_sent = |other: &Hit<'_>| {
            other.sent && other.guest == hit.guest && other.processor == hit.processor
        };
        if hits.iter().any(has_sent) {
            return;
        }
        if let Some(hit) = hits.get_mut(at) {
            self.to_a_free_one(hit);
        }
    }

    #[inline(always)]
    fn to_a_free_one(&self, hit: &mut Hit<'_>) {
        if let Some(vcpu) = hit.free_vcpu(self.serial) {
            self.record(hit, vcpu, None);
        }
    }

    /// Gives the first page of a hit to a vCPU that has not got any in this machine check.
    #[inline(always)]
    fn record(&self, hit: &mut Hit<'_>, index: usize, consumer: Option<Consumer>) {
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
        let mail = hit.mail(about);
        let outcome = match consumer {
            Some(consumer) => self.leave_consumed(hit, index, mailbox, mail, consumer),
            None => self.leave(hit.guest, index, mailbox, mail),
        };
        hit.sent = outcome != Outcome::NotStarted;
    }

    /// An #MC with clean banks for those vCPUs of a guest that is hit which have got none.
    #[inline(always)]
    fn clean(&self, hit: &Hit<'_>) {
        if hit.has_record && (!hit.to.broadcast || hit.local.is_some()) {
            return;
        }
        let mail = hit.mail(About::new().with_pages(1));
        for (index, mailbox) in hit.to.mailboxes.iter().enumerate() {
            let concerned = hit.to.broadcast || hit.vcpu.map(usize::from) == Some(index);
            if !concerned || mailbox.was_told(self.serial) {
                continue;
            }
            if hit.covered_by.is_some() && hit.covers(mailbox) {
                mailbox.tell(self.serial);
                self.report(hit.guest, index, Outcome::Merged);
            } else {
                self.leave(hit.guest, index, mailbox, mail);
            }
        }
    }

    /// A vCPU that cannot go on where it was gets an #MC, if it has got none.
    fn lose_context(&self, VcpuId { guest, index }: VcpuId) {
        let Some(to) = self.machine.guest(guest) else {
            return;
        };
        self.clean(&Hit {
            guest,
            to,
            has_record: false,
            record: NO_RECORD,
            pages: 0,
            processor: self.machine.processor(),
            vcpu: Some(index),
            local: None,
            sent: false,
            covered_by: None,
        });
    }

    /// What is left of a hit follows, for the vCPU that it belongs to, or the first that runs.
    #[cold]
    fn left_over(&self, hit: Hit<'_>) {
        if hit.to.mailboxes.iter().all(Mailbox::has_ended) {
            // That has been said.
            return;
        }
        let first = || hit.to.mailboxes.iter().position(Mailbox::is_started);
        let receiver = hit.local.or(hit.vcpu).map(usize::from);
        let receiver = receiver.or_else(first).unwrap_or(0);
        for (index, mailbox) in hit.to.mailboxes.iter().enumerate() {
            let shown = index == receiver;
            if shown || (hit.to.broadcast && hit.local.is_none()) {
                let about = About::new()
                    .with_shown(shown)
                    .with_local(hit.local.is_some())
                    .with_follows(true);
                self.leave(hit.guest, index, mailbox, hit.left_over(about));
            }
        }
    }

    #[inline(always)]
    fn leave(&self, guest: GuestId, index: usize, mailbox: &Mailbox, mail: Mail) -> Outcome {
        mailbox.tell(self.serial);
        let outcome = mailbox.post(mail);
        self.report(guest, index, outcome);
        outcome
    }

    /// Leaves what the vCPU itself has met.
    #[inline(always)]
    fn leave_consumed(
        &self,
        hit: &mut Hit<'_>,
        index: usize,
        mailbox: &Mailbox,
        mail: Mail,
        consumer: Consumer,
    ) -> Outcome {
        let before = mailbox.last_told();
        mailbox.tell(self.serial);
        let outcome = match mailbox.post_consumed(mail, consumer.may_merge) {
            Consumed::Posted(outcome) => outcome,
            Consumed::Merged => {
                hit.covered_by = Some(before);
                Outcome::Merged
            }
            Consumed::Overtook(first, second) => {
                self.report(hit.guest, index, first);
                second
            }
        };
        self.report(hit.guest, index, outcome);
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
