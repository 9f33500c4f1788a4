//! A vCPU is handed over while something is sent to it: the processor that has it then finds that, or is asked to look again.
#![cfg(loom)]

use std::sync::Arc;

use interleavings::explore;
use kernel::units::Pcpu;
use kernel::whose::Whose;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

struct Vcpu {
    whose: Whose,
    mail: AtomicBool,
    /// What each processor is asked to look for.
    asked: [AtomicBool; 2],
}

impl Vcpu {
    fn ask(&self, processor: Pcpu) {
        self.asked[usize::from(processor.0)].swap(true, Ordering::AcqRel);
    }
}

#[test]
fn nothing_is_sent_to_nobody() {
    explore(3, || {
        let vcpu = Arc::new(Vcpu {
            whose: Whose::new(Pcpu(0)),
            mail: AtomicBool::new(false),
            asked: [AtomicBool::new(false), AtomicBool::new(false)],
        });
        let sender = {
            let vcpu = vcpu.clone();
            thread::spawn(move || {
                vcpu.mail.store(true, Ordering::Relaxed);
                vcpu.ask(vcpu.whose.processor());
            })
        };
        let before = {
            let vcpu = vcpu.clone();
            thread::spawn(move || {
                vcpu.whose.hand_over(Pcpu(1));
                vcpu.ask(Pcpu(1));
            })
        };
        // Before it is asked it does not look, and will be asked.
        let looks = vcpu.asked[1].swap(false, Ordering::AcqRel);
        let seen = looks && vcpu.mail.load(Ordering::Relaxed);
        assert!(!looks || vcpu.whose.processor() == Pcpu(1));
        sender.join().unwrap();
        before.join().unwrap();
        assert!(seen || vcpu.asked[1].load(Ordering::Relaxed));
    });
}
