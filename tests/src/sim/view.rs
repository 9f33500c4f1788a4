//! One processor's view of the simulated machine.

use std::rc::Rc;

use corosensei::Yielder;
use kernel::event::{Event, Stamped};
use kernel::mca::{
    Addressee, Kept, Machine, McgCap, Owner, Replaced, Shared, Verdict, await_reset, nmi,
    registers, still_ending, stop_others,
};
use kernel::units::{Bank, GuestId, Hpa, Pcpu, Tsc};

use super::run::PROCESSORS;
use super::world::{Processor, Step, Work, World};

/// A processor of the machine, as a `Machine`.
pub struct View<'a> {
    pub(super) world: &'a World,
    pub(super) shared: &'a Rc<Shared<PROCESSORS>>,
    pub(super) processor: Pcpu,
    /// How to let other processors go on; none in ordinary context.
    pub(super) yielder: Option<&'a Yielder<(), ()>>,
    /// Other processors may go on at every call, not only where this one waits.
    pub(super) preemptible: bool,
}

impl View<'_> {
    pub(super) fn state(&self) -> &Processor {
        &self.world.processors[usize::from(self.processor.0)]
    }

    /// Other processors go on; an NMI that came meanwhile is taken.
    fn suspend(&self) {
        let Some(yielder) = self.yielder else { return };
        yielder.suspend(());
        self.take_interrupt();
        if self.state().nmi.replace(false) {
            let view = View {
                yielder: None,
                ..*self
            };
            if nmi(self.shared, &view) && self.world.plays_end.get() {
                self.stop();
            }
        }
    }

    /// It waits for the reset, and sees to it if it takes too long. Does not come back.
    pub(super) fn stop(&self) {
        self.world.did(self.processor, Step::Stop);
        self.state().stopped.set(true);
        // It takes further NMIs, which change nothing.
        let view = View {
            preemptible: false,
            ..*self
        };
        await_reset(self.shared, &view);
        self.reset();
    }

    pub(super) fn reset(&self) {
        self.world.did(self.processor, Step::Reset);
        self.world.is_reset.set(true);
        while let Some(yielder) = self.yielder {
            yielder.suspend(());
        }
    }

    /// What it does after a fatal machine check.
    pub(super) fn end(&self, resets: bool) {
        if !resets {
            self.stop();
        }
        stop_others(self.shared, self);
        // Its last words.
        for _ in 0..100 {
            self.relax();
            still_ending(self.shared);
        }
        self.reset();
    }

    /// The #MC that comes in the middle of this processor's bring-up, should it be time.
    fn take_interrupt(&self) {
        // It comes everywhere at about the same time: here before the others are through with theirs.
        let have_met =
            |event: &Stamped| matches!(event.event, Event::Rendezvous { .. } | Event::Resumed {});
        let is_late = || self.world.events.borrow().iter().any(have_met);
        match self.state().interrupts.take() {
            Some((left, call)) if left == 0 || is_late() => {
                let verdict = call.take(self);
                self.state().interrupted.set(verdict);
                if let (Some(Verdict::Fatal { .. }), Some(yielder)) = (verdict, self.yielder) {
                    yielder.suspend(());
                }
            }
            Some((left, call)) => self.state().interrupts.set(Some((left - 1, call))),
            None => {}
        }
    }

    fn count(&self, add: impl Fn(&mut Work)) {
        let mut work = self.state().work.get();
        add(&mut work);
        self.state().work.set(work);
    }

    fn called(&self) {
        let clock = &self.state().clock;
        clock.set(clock.get() + 1);
        if self.preemptible {
            self.suspend();
        }
    }

    fn bank_register(&self, msr: u32) -> Option<(usize, u32)> {
        let offset = msr.checked_sub(registers::MC0_CTL)?;
        let bank = Bank(u8::try_from(offset / 4).ok()?);
        Some((self.world.physical_bank(self.processor, bank)?, offset % 4))
    }
}

impl Machine for View<'_> {
    fn processor(&self) -> Pcpu {
        self.processor
    }

    fn now(&self) -> Tsc {
        Tsc(self.state().clock.get())
    }

    fn relax(&self) {
        self.count(|work| work.pauses += 1);
        let clock = &self.state().clock;
        clock.set(clock.get() + 1);
        self.suspend();
    }

    fn capabilities(&self) -> McgCap {
        self.state().cap.into()
    }

    fn read_msr(&self, msr: u32) -> u64 {
        self.count(|work| work.msrs += 1);
        self.called();
        match msr {
            registers::MCG_STATUS => self.state().mcg_status.get(),
            registers::MCG_EXT_CTL => self.state().mcg_ext_ctl.get(),
            registers::FEATURE_CONTROL => self.state().feature_control,
            _ => {
                let Some((bank, which)) = self.bank_register(msr) else {
                    panic!("read of MSR {msr:#x}")
                };
                let regs = self.world.banks.borrow()[bank];
                if which == 1 {
                    self.world.did(self.processor, Step::ReadStatus(bank));
                    self.world.status_was_read();
                }
                [regs.ctl, regs.status, regs.addr, regs.misc][which as usize]
            }
        }
    }

    fn write_msr(&self, msr: u32, value: u64) {
        self.count(|work| work.msrs += 1);
        self.called();
        match msr {
            registers::MCG_CTL => {}
            registers::MCG_EXT_CTL => self.state().mcg_ext_ctl.set(value),
            registers::MCG_STATUS => {
                assert_eq!(value, 0);
                self.state().mcg_status.set(0);
                self.world.did(self.processor, Step::ClearMcgStatus);
            }
            _ => {
                let Some((bank, which)) = self.bank_register(msr) else {
                    panic!("write of MSR {msr:#x}")
                };
                let regs = &mut self.world.banks.borrow_mut()[bank];
                match which {
                    0 => regs.ctl = value,
                    1 => {
                        assert_eq!(value, 0, "hardware faults on anything else");
                        regs.status = 0;
                        self.world.did(self.processor, Step::ClearStatus(bank));
                    }
                    _ => panic!("nobody needs to write ADDR or MISC"),
                }
            }
        }
    }

    fn emit(&self, event: Event) {
        self.count(|work| work.calls += 1);
        self.world.emit(self.processor, event);
        self.called();
    }

    fn owner_of(&self, page: Hpa) -> Owner {
        assert_eq!(page, page.page());
        self.count(|work| work.calls += 1);
        self.world.owner_of(page)
    }

    fn retire(&self, page: Hpa, owner: Owner) -> bool {
        assert_eq!(owner, self.owner_of(page));
        self.called();
        let is_new = self.world.retired.borrow_mut().insert(page);
        if is_new {
            self.world.did(self.processor, Step::Retire(page));
            for processor in &self.world.processors {
                processor.stale.borrow_mut().insert(page);
            }
            let happens = self.world.in_retire.borrow_mut().take();
            if let Some(happens) = happens {
                happens();
            }
        }
        is_new
    }

    fn replace(&self, page: Hpa, owner: Owner) -> Result<Replaced, Kept> {
        let Owner::Guest { .. } = owner else {
            return if self.retire(page, owner) {
                Ok(Replaced::Free)
            } else {
                Err(Kept::OutOfUse)
            };
        };
        let by = self.world.spares.borrow_mut().pop().ok_or(Kept::NoSpare)?;
        self.world.did(self.processor, Step::Replace(page));
        Ok(Replaced::By(by))
    }

    fn flush_translations(&self) {
        self.count(|work| work.calls += 1);
        self.world.did(self.processor, Step::Flush);
        self.state().stale.borrow_mut().clear();
        let happens = self.world.in_flush.borrow_mut().take();
        if let Some(happens) = happens {
            happens();
        }
    }

    fn kick(&self, processor: Pcpu) {
        assert_ne!(processor, self.processor, "no processor kicks itself");
        let Some(other) = self.world.processors.get(usize::from(processor.0)) else {
            return;
        };
        self.world.did(self.processor, Step::Kick(processor));
        other.nmi.set(true);
    }

    fn guest(&self, guest: GuestId) -> Option<Addressee<'_>> {
        self.count(|work| work.calls += 1);
        let guest = self.world.guests.get(usize::from(guest.0))?;
        Some(Addressee {
            mailboxes: &guest.mailboxes,
            broadcast: guest.broadcast,
        })
    }
}
