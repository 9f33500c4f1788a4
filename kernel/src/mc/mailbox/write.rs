//! The writer's side: #MC context.

use super::{CLEAR, DELIVERING, EMPTY, FULL, Mailbox, WRITING};
use crate::mc::mail::{Consumed, DEPTH, ErrorIp, Mail, Outcome};
use crate::mc::stop::StopReason;
use crate::sync::Ordering;

impl Mailbox {
    /// Leaves mail. `about.follows` says that it belongs behind other mail of the same machine check.
    #[inline(always)]
    pub(crate) fn post(&self, mail: Mail) -> Outcome {
        let Mail { about, ref record } = mail;
        if !self.started.load(Ordering::Acquire) {
            return self.without_vcpu();
        }
        if about.follows() {
            return self.post_behind(mail, false);
        }
        let place = &self.is_due;
        if let Err(holds) =
            place.compare_exchange(EMPTY, WRITING, Ordering::Acquire, Ordering::Acquire)
        {
            return self.post_behind(mail, holds == DELIVERING);
        }
        // Before all that waits: the vCPU must not run until it has had this one.
        self.due.store(about.with_due(true), record);
        self.is_due.store(FULL, Ordering::Release);
        self.raise();
        about.outcome()
    }

    /// There is nobody to tell.
    #[cold]
    fn without_vcpu(&self) -> Outcome {
        if self.has_ended() {
            Outcome::Ended
        } else {
            Outcome::NotStarted
        }
    }

    /// Leaves mail about what the vCPU itself has met, by a processor that was in the vCPU's context: the vCPU would meet it again before
    /// any #MC that follows, so it goes before what the vCPU has not been told of yet. `may_merge`: nothing else of this machine check
    /// concerns the guest.
    #[inline(always)]
    pub(crate) fn post_consumed(&self, mail: Mail, may_merge: bool) -> Consumed {
        if self.is_due.load(Ordering::Acquire) == FULL && self.is_started() {
            self.overtake(mail, may_merge)
        } else {
            Consumed::Posted(self.post(mail))
        }
    }

    /// Takes the place of the mail that is due. The vCPU's processor, which alone takes mail out, is in this machine check.
    #[cold]
    fn overtake(&self, mut mail: Mail, may_merge: bool) -> Consumed {
        let before = self.due.load();
        if before.about.error_ip_valid() {
            // It has met that one, and has not run since.
            return Consumed::Posted(self.post_behind(mail, false));
        }
        let merges = may_merge && !before.about.shown();
        if merges {
            // One #MC says both: the one in which the others of the guest wait for this vCPU.
            mail.about.set_local(false);
        }
        self.due.store(mail.about.with_due(true), &mail.record);
        self.raise();
        if merges {
            return Consumed::Merged;
        }
        let about = before.about.with_due(false).with_follows(true);
        let about = about.with_error_ip_valid(false);
        let waits = self.post_behind(Mail { about, ..before }, false);
        Consumed::Overtook(mail.about.outcome(), waits)
    }

    /// Leaves mail that is not the next. `is_delivering`: the vCPU is being told of what is, and has not run since.
    #[cold]
    fn post_behind(&self, mail: Mail, is_delivering: bool) -> Outcome {
        let mut about = mail.about;
        // With MCIP set nothing of a later machine check can wait, whatever waits already.
        let can_wait = is_delivering || self.in_progress.load(Ordering::Acquire) == CLEAR;
        if can_wait && !about.follows() {
            // Where there is a record, all vCPUs get as many #MCs, for the guest's handlers wait for each other.
            if !about.has_record() {
                return Outcome::Merged;
            }
            // By then the vCPU is not where it met the error.
            about.set_follows(true);
            about.set_error_ip_valid(false);
        }
        let tail = self.tail.load(Ordering::Relaxed);
        let waiting = tail.wrapping_sub(self.head.load(Ordering::Acquire)) as usize;
        match self.slots.0.get(tail as usize % DEPTH) {
            Some(slot) if waiting < DEPTH => {
                slot.store(about, &mail.record);
                self.tail.store(tail.wrapping_add(1), Ordering::Release);
                self.raise();
                about.outcome()
            }
            _ => {
                self.post_stop(StopReason::TooManyErrors);
                Outcome::Stopped
            }
        }
    }

    /// Whether it runs code of its guest.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// The last machine check that told it something.
    pub(crate) fn last_told(&self) -> u32 {
        self.told.load(Ordering::Relaxed)
    }

    /// Machine check number `serial` tells it something.
    pub(crate) fn tell(&self, serial: u32) {
        self.told.store(serial, Ordering::Relaxed);
    }

    /// Whether machine check number `serial` has told it something.
    pub(crate) fn was_told(&self, serial: u32) -> bool {
        self.told.load(Ordering::Relaxed) == serial
    }

    /// The vCPU's guest is to be stopped before the vCPU runs again.
    pub(crate) fn post_stop(&self, reason: StopReason) {
        self.stop.store(reason as u32 + 1, Ordering::Release);
        self.raise();
    }

    /// This vCPU's processor takes part in machine check number `episode`, in the vCPU's context.
    pub(crate) fn see(&self, episode: u32, error_ip_valid: bool, restart_ip_valid: bool) {
        if !restart_ip_valid {
            let error_ip = if error_ip_valid {
                ErrorIp::Valid
            } else {
                ErrorIp::Unknown
            };
            self.context_lost
                .store(error_ip as u32 + 1, Ordering::Release);
        }
        self.seen.store(
            u64::from(episode) << 1 | u64::from(error_ip_valid),
            Ordering::Release,
        );
    }

    /// Its interrupted context cannot go on, which it has not been told yet.
    pub(crate) fn has_lost_context(&self) -> bool {
        self.context_lost.load(Ordering::Acquire) != 0
    }

    /// EIPV of the vCPU's own processor in machine check number `episode`; false if it did not run the vCPU.
    pub(crate) fn error_ip_valid(&self, episode: u32) -> bool {
        self.seen.load(Ordering::Acquire) == u64::from(episode) << 1 | 1
    }

    /// The guest was promised local machine checks and this vCPU has enabled them.
    pub(crate) fn local_enabled(&self) -> bool {
        self.local_enabled.load(Ordering::Acquire)
    }
}
