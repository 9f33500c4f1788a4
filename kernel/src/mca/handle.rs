//! What a processor does in an #MC.

use super::claim::{claim, claim_left, report};
use super::emptied;
use super::flush::{await_flush, catch_up};
use super::mutant::{self, Mutant};
use super::recover::{Recovered, Recovery};
use super::rendezvous::{Barrier, Entry, Member, Rendezvous, absent, missing};
use super::scan::{Here, Scan, Severity};
use super::shared::{Quiet, Shared};
use super::wait::{Stuck, wait_until};
use crate::mc::event::Event;
use crate::mc::fatal::FatalReason;
use crate::mc::grade::Class;
use crate::mc::machine::{Interrupted, Machine};
use crate::mc::registers::{MCG_STATUS, McgStatus};
use crate::sync::Ordering;

/// What the processor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on: in the hypervisor, where it was; with a vCPU, as before every VM entry.
    Resume,
    /// Go on at the fix-up of the marked copy that was interrupted.
    FixUp,
    /// The machine cannot go on. The banks are intact.
    Fatal {
        /// Why.
        reason: FatalReason,
        /// This processor resets the machine; the others stop.
        resets: bool,
    },
}

/// With whom a processor decides whether the machine has to be reset.
#[derive(Clone, Copy)]
enum Company {
    /// All processors.
    All,
    /// Those that came.
    SomeMissing,
    /// Nobody.
    Nobody(Alone),
}

/// Why a processor handles a machine check by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// It is local.
    Local,
    /// It comes after rendezvous `missed`.
    Late { missed: u32 },
    /// It is still being brought up, and nobody waits for it.
    Apart,
}

/// Why a processor does not come back from a machine check.
struct Fatality {
    reason: FatalReason,
    resets: bool,
}

/// Handles an #MC of this processor. Called once on each processor that gets one.
pub fn handle<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    interrupted: Interrupted,
) -> Verdict {
    let here = Here {
        interrupted,
        mcg_status: McgStatus::from(machine.read_msr(MCG_STATUS)),
    };
    match take_part(shared, machine, &here) {
        Ok(verdict) => {
            machine.emit(Event::Resumed {});
            // The last step: from here on another #MC may come.
            machine.write_msr(MCG_STATUS, 0);
            verdict
        }
        Err(Fatality { reason, resets }) => {
            if resets {
                machine.emit(Event::Fatal { reason });
            }
            Verdict::Fatal { reason, resets }
        }
    }
}

fn take_part<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
) -> Result<Verdict, Fatality> {
    let part = Part {
        shared,
        machine,
        here,
    };
    if here.mcg_status.lmce_s() {
        here.tell(machine);
        return part.alone(Alone::Local);
    }
    // On the way to the gate: others may be on theirs, and whoever comes last is waited for.
    let quiet = Quiet::now(shared);
    let mut scan = Scan::new(here);
    scan.read(machine, here);
    match Rendezvous::enter(shared, machine, here) {
        Ok(Entry::Member(member)) => {
            if !quiet.until_here(shared) {
                // Somebody else has recovered in between, and may have cleared what was seen.
                scan = Scan::new(here);
                scan.read(machine, here);
            }
            part.together(member, &scan)
        }
        Ok(Entry::Late { missed }) => {
            here.tell(machine);
            machine.emit(Event::Late {});
            part.alone(Alone::Late { missed })
        }
        Ok(Entry::Apart) => {
            here.tell(machine);
            part.alone(Alone::Apart)
        }
        Err(Stuck) => Err(part.stuck()),
    }
}

/// One processor's part in a machine check.
struct Part<'a, M, const P: usize> {
    shared: &'a Shared<P>,
    machine: &'a M,
    here: &'a Here,
}

impl<M: Machine, const P: usize> Part<'_, M, P> {
    /// The broadcast case.
    #[inline(always)]
    fn together(&self, member: Member, scan: &Scan) -> Result<Verdict, Fatality> {
        let Self {
            shared, machine, ..
        } = *self;
        let meeting = &shared.rendezvous;
        if scan.severity != Severity::NONE {
            meeting
                .worst
                .fetch_max(scan.severity.to_word(), Ordering::AcqRel);
        }
        meeting.graded.arrive();
        // Before the recovery looks at it, and after all that others wait for.
        self.show_context();
        member.tell(shared, machine, self.here);
        self.wait(&meeting.graded, member)?;
        let worst = Severity::from_word(meeting.worst.load(Ordering::Acquire));
        let company = if member.some_are_missing() {
            Company::SomeMissing
        } else {
            Company::All
        };
        self.check_fatal(worst, scan.severity, company, scan)?;

        let owned = self.claim(scan)?;
        let mut recovers = owned == worst && (self.is_first() || mutant::is(Mutant::RecoversTwice));
        meeting.claimed.arrive();
        self.wait(&meeting.claimed, member)?;

        // The worst error may be nobody's, if its bank changed in between: somebody has to do what is left to do.
        recovers |= meeting.recoverer.load(Ordering::Acquire) == 0 && self.is_first();
        if recovers {
            self.recover(worst.class(), false);
            if member.some_are_missing() {
                if worst != Severity::NONE {
                    shared.emptied.add();
                }
                self.kick_absent();
            }
            meeting.recovered.store(1, Ordering::Release);
        } else {
            self.await_recovery()?;
        }
        if scan.left.get() != 0 {
            self.recover_the_rest(scan)?;
        }
        catch_up(shared, machine);
        meeting.leaving.arrive();
        self.wait(&meeting.leaving, member)?;
        Rendezvous::leave(shared, member);
        Ok(self.verdict(scan))
    }

    /// A local #MC, or one for which the others do not wait.
    #[cold]
    #[inline(never)]
    fn alone(&self, why: Alone) -> Result<Verdict, Fatality> {
        let Self {
            shared, machine, ..
        } = *self;
        shared
            .recovery
            .take(shared, machine)
            .map_err(|Stuck| self.stuck())?;
        match why {
            Alone::Local => {}
            Alone::Late { missed } => Rendezvous::make_good(shared, machine.processor(), missed),
            Alone::Apart => Rendezvous::stay_apart(shared, machine),
        }
        shared.serial.fetch_add(1, Ordering::Relaxed);
        self.show_context();
        let mut scan = Scan::new(self.here);
        scan.read(machine, self.here);
        self.check_fatal(scan.severity, scan.severity, Company::Nobody(why), &scan)?;
        match why {
            Alone::Local => scan.leave_what_others_consumed(machine, self.here),
            Alone::Late { .. } => {}
            Alone::Apart => scan.leave_what_was_consumed(),
        }
        let owned = self.claim(&scan)?;
        if !scan.found.is_empty() {
            shared.emptied.add();
        }
        let recovered = self.recover(owned.class(), why == Alone::Local);
        shared.pool.clear();
        if recovered.others_concerned() {
            self.kick_others();
        }
        // Pages may have gone out of use while this processor was missing.
        catch_up(shared, machine);
        if recovered.retired {
            await_flush(shared, machine);
        }
        if scan.left.get() != 0 {
            self.recover_the_rest(&scan)?;
        }
        emptied::settle(shared, machine.processor());
        // Others may wait for the turn behind several such as this.
        shared.progress.fetch_add(1, Ordering::Relaxed);
        shared.recovery.give();
        Ok(self.verdict(&scan))
    }

    /// Tells the mailbox of the vCPU that was interrupted, for it to get its own processor's RIPV and EIPV.
    fn show_context(&self) {
        if let Interrupted::Guest(vcpu) = self.here.interrupted
            && let Some(guest) = self.machine.guest(vcpu.guest)
            && let Some(mailbox) = guest.mailboxes.get(usize::from(vcpu.index))
        {
            let status = self.here.mcg_status;
            mailbox.see(
                self.shared.serial.load(Ordering::Relaxed),
                status.eipv(),
                status.ripv(),
            );
        }
    }

    /// Whether the machine has to be reset: for the worst that anybody found; `own` is the worst of this processor.
    #[inline(always)]
    fn check_fatal(
        &self,
        worst: Severity,
        own: Severity,
        company: Company,
        scan: &Scan,
    ) -> Result<(), Fatality> {
        let reason = match worst.class() {
            Class::Fatal => worst.fatal_reason(),
            Class::Srar if matches!(company, Company::SomeMissing) => {
                Some(FatalReason::ConsumerMissing)
            }
            Class::None if self.is_unexplained(company) => Some(FatalReason::NoBank),
            _ => None,
        };
        match reason {
            None => Ok(()),
            Some(reason) => Err(self.fatal(reason, own == worst, scan)),
        }
    }

    /// Says what this processor's banks hold, which stay as they are.
    #[cold]
    #[inline(never)]
    fn fatal(&self, reason: FatalReason, owns_the_worst: bool, scan: &Scan) -> Fatality {
        scan.found
            .iter()
            .for_each(|found| report(self.machine, found));
        Fatality {
            reason,
            resets: owns_the_worst && self.resets(),
        }
    }

    /// Nobody found anything: whether that is fatal. While one is missing nobody knows; the last one to come decides.
    #[cold]
    #[inline(never)]
    fn is_unexplained(&self, company: Company) -> bool {
        let shared = self.shared;
        let this = self.machine.processor();
        let is_known = match company {
            Company::All => return self.resets_if_empty() && !emptied::may_explain_any(shared),
            Company::SomeMissing => {
                shared.rendezvous.found_nothing();
                false
            }
            Company::Nobody(Alone::Local) => true,
            Company::Nobody(Alone::Late { missed }) => {
                shared.rendezvous.has_found_nothing(missed) && missing(shared).next().is_none()
            }
            // The others may have the error, or have handled it.
            Company::Nobody(Alone::Apart) => false,
        };
        is_known && self.resets_if_empty() && !emptied::may_explain(shared, this)
    }

    fn resets_if_empty(&self) -> bool {
        self.shared.config().empty_is_fatal
    }

    #[inline(always)]
    fn claim(&self, scan: &Scan) -> Result<Severity, Fatality> {
        claim(self.shared, self.machine, self.here, scan).map_err(|Stuck| self.stuck())
    }

    /// The first of those who own the worst error recovers.
    fn is_first(&self) -> bool {
        let me = u32::from(self.machine.processor().0) + 1;
        let recoverer = &self.shared.rendezvous.recoverer;
        recoverer
            .compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn recover(&self, worst: Class, is_local: bool) -> Recovered {
        let local = match self.here.interrupted {
            Interrupted::Guest(vcpu) if is_local => Some(vcpu),
            _ => None,
        };
        Recovery {
            shared: self.shared,
            machine: self.machine,
            worst,
            local,
        }
        .run()
    }

    /// Recovers those of this processor's errors that found no room in the pool, by itself. Nobody leaves meanwhile: all wait for each
    /// other once more, or for the turn to recover, and flush when they are asked to.
    #[cold]
    #[inline(never)]
    fn recover_the_rest(&self, scan: &Scan) -> Result<(), Fatality> {
        let Self {
            shared,
            machine,
            here,
        } = *self;
        while scan.left.get() != 0 {
            shared
                .claim
                .take(shared, machine)
                .map_err(|Stuck| self.stuck())?;
            shared.pool.clear();
            let owned = claim_left(shared, machine, here, scan);
            let recovered = self.recover(owned.class(), here.mcg_status.lmce_s());
            shared.pool.clear();
            if recovered.others_concerned() {
                self.kick_others();
            }
            if recovered.retired {
                catch_up(shared, machine);
                await_flush(shared, machine);
            }
            shared.progress.fetch_add(1, Ordering::Relaxed);
            shared.claim.give();
        }
        Ok(())
    }

    fn kick_others(&self) {
        let this = self.machine.processor();
        self.shared
            .online()
            .filter(|&(processor, _)| processor != this)
            .for_each(|(processor, _)| self.machine.kick(processor));
    }

    fn kick_absent(&self) {
        absent(self.shared).for_each(|processor| self.machine.kick(processor));
    }

    fn await_recovery(&self) -> Result<(), Fatality> {
        let recovered = &self.shared.rendezvous.recovered;
        wait_until(self.shared, self.machine, || {
            recovered.load(Ordering::Acquire) != 0
        })
        .map_err(|Stuck| self.stuck())
    }

    #[inline(always)]
    fn wait(&self, barrier: &Barrier, member: Member) -> Result<(), Fatality> {
        barrier
            .wait(self.shared, self.machine, member)
            .map_err(|Stuck| self.stuck())
    }

    fn verdict(&self, scan: &Scan) -> Verdict {
        if scan.copy_failed {
            Verdict::FixUp
        } else {
            Verdict::Resume
        }
    }

    fn stuck(&self) -> Fatality {
        Fatality {
            reason: FatalReason::Stuck,
            resets: self.resets(),
        }
    }

    /// One processor resets the machine.
    fn resets(&self) -> bool {
        let me = u32::from(self.machine.processor().0) + 1;
        self.shared
            .resetter
            .compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}
