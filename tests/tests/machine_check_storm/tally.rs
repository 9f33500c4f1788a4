//! What came of storms, in numbers: that a test meets what it is for.

use std::collections::BTreeMap;

use kernel::event::Event;

use crate::storm::Storm;

/// What came of a storm.
#[derive(Default)]
pub struct Tally {
    pub storms: u32,
    pub records: u32,
    pub local: u32,
    pub late: u32,
    pub missing: u32,
    pub stopped: BTreeMap<&'static str, u32>,
}

impl Tally {
    pub fn add(&mut self, storm: &Storm) {
        self.storms += 1;
        let world = storm.world();
        for state in &world.guests {
            if let Some(reason) = state.stopped.get() {
                *self.stopped.entry(reason.word()).or_default() += 1;
            }
            for vcpu in 0..state.vcpus.len() as u8 {
                for seen in state.seen(vcpu) {
                    self.records += u32::from(seen.record.is_some());
                    self.local += u32::from(seen.mcg_status & 8 != 0);
                }
            }
        }
        let count = |wanted: &dyn Fn(&Event) -> bool| {
            world.picked(|_, event| wanted(event).then_some(())).len() as u32
        };
        self.late += count(&|event| matches!(event, Event::Late {}));
        self.missing += count(&|event| matches!(event, Event::Missing { .. }));
    }
}
