//! The tables of events and messages as defmt frames. The caller holds the log.

use kernel::event::{Event, Field, Stamped};
use kernel::units::Pcpu;

use super::log;
use super::processor::Processor;

/// The running processor; before the first one has its block, that one.
fn cpu() -> u16 {
    if Processor::count() == 0 {
        0
    } else {
        Processor::current().number.0
    }
}

macro_rules! write_event {
    ($($(#[$doc:meta])+ $level:ident $variant:ident $format:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        fn write_row(cpu: u16, event: Event) {
            match event {
                $(Event::$variant { $($field,)* } => defmt::$level!($format, cpu $(, $field.raw())*),)*
            }
        }
    };
}
kernel::for_each_event!(write_event);

/// Writes an event that some processor kept.
pub fn write(stamped: &Stamped) {
    log::at(stamped.at.0);
    write_row(stamped.on.0, stamped.event);
}

/// Writes how many events a processor could not keep.
pub fn write_lost(on: Pcpu, now: u64, count: u64) {
    log::at(now);
    write_row(on.0, Event::RecordsLost { count });
}

/// Says that nothing follows.
pub fn write_off() {
    write_row(cpu(), Event::MachineOff {});
}

macro_rules! write_message {
    ($($(#[$doc:meta])+ $level:ident $name:ident $format:literal ($($field:ident: $type:ty),* $(,)?))*) => {
        $($(#[$doc])+
        pub fn $name($($field: $type),*) {
            defmt::$level!($format, cpu() $(, $field)*);
        })*
    };
}
kernel::for_each_message!(write_message);
