//! The reader's side: the vCPU's processor, ordinary context.

use msr_runtime::ErrorRecord;

use super::{DELIVERING, EMPTY, FULL, HANDLING, Mailbox};
use crate::mc::mail::{About, DEPTH, ErrorIp, Mail, Slot};
use crate::mc::stop::StopReason;
use crate::sync::Ordering;

impl Mailbox {
    /// Has [`Mailbox::is_pending`] say yes. Not a plain store: two may do this at once, and [`Mailbox::lower`] must see what both did before.
    pub(crate) fn raise(&self) {
        self.attention.swap(1, Ordering::AcqRel);
    }

    /// Mail that comes after this raises attention again.
    pub(crate) fn lower(&self) {
        self.attention.swap(0, Ordering::AcqRel);
    }

    /// The reason to stop the guest, if there is one.
    pub(crate) fn stop(&self) -> Option<StopReason> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            reason => Some(StopReason::from_number(u64::from(reason - 1))),
        }
    }

    /// Whether there is any mail.
    pub(crate) fn has_mail(&self) -> bool {
        self.is_due.load(Ordering::Acquire) != EMPTY
            || self.head.load(Ordering::Relaxed) != self.tail.load(Ordering::Acquire)
    }

    /// The next #MC for this vCPU, if it may come now. Until [`Mailbox::told`] has been called for it, others come behind it.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<Mail> {
        let mail = self.due().or_else(|| self.first_waiting())?;
        if mail.about.due() {
            self.is_due.store(DELIVERING, Ordering::Relaxed);
            return Some(mail);
        }
        let place = &self.is_due;
        match place.compare_exchange(EMPTY, DELIVERING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(mail),
            // The next machine check is on its way: it goes first, and raises attention.
            Err(_) => None,
        }
    }

    #[inline(always)]
    fn due(&self) -> Option<Mail> {
        (self.is_due.load(Ordering::Acquire) == FULL).then(|| self.due.load())
    }

    #[cold]
    fn first_waiting(&self) -> Option<Mail> {
        let mail = self.waiting().next()?;
        if mail.about.follows() && self.is_leaving() {
            return None;
        }
        Some(match self.pages_told.load(Ordering::Relaxed) {
            0 => mail,
            told => mail.without_pages(told),
        })
    }

    /// Mail that cannot wait until the guest has finished with what came before.
    pub(crate) fn urgent(&self) -> Option<Mail> {
        let cannot_wait = |mail: &Mail| !mail.about.follows();
        self.due().or_else(|| self.waiting().find(cannot_wait))
    }

    /// All that waits.
    fn waiting(&self) -> impl Iterator<Item = Mail> {
        let head = self.head.load(Ordering::Relaxed);
        let waiting = self.tail.load(Ordering::Acquire).wrapping_sub(head);
        (0..waiting)
            .filter_map(move |n| self.slots.0.get(head.wrapping_add(n) as usize % DEPTH))
            .map(Slot::load)
    }

    /// The vCPU has been told of the first page of [`Mailbox::next`]: MCIP is set.
    #[inline(always)]
    pub(crate) fn told(&self, mail: &Mail) {
        let Mail { about, ref record } = *mail;
        if about.shown() {
            self.last.store(about, record);
        }
        if !about.due() {
            self.told_waiting(about);
        }
        self.in_progress.store(HANDLING, Ordering::Release);
        self.is_due.store(EMPTY, Ordering::Release);
    }

    #[cold]
    fn told_waiting(&self, about: About) {
        if about.pages() > 1 {
            self.pages_told.fetch_add(1, Ordering::Relaxed);
        } else {
            self.pages_told.store(0, Ordering::Relaxed);
            self.head.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether an interrupted context was lost, and what was known of it; the vCPU is being told now.
    #[inline(always)]
    pub(crate) fn take_lost_context(&self) -> Option<ErrorIp> {
        match self.context_lost.swap(0, Ordering::AcqRel) {
            0 => None,
            1 => Some(ErrorIp::Unknown),
            _ => Some(ErrorIp::Valid),
        }
    }

    /// The last record that the vCPU got.
    pub(crate) fn last(&self) -> Option<ErrorRecord> {
        self.last.load().record()
    }
}
