//! What the hypervisor says outside a machine check: the lines that carry text or come up once. Log only, ordinary context only.
//!
//! One table, as for [`crate::event`]: the binary turns a row into a defmt frame, the documentation lists it.

use crate::mc::event::{Kind, Level};

/// Hands the table of messages to a macro, whose input is rows of `#[doc] LEVEL FUNCTION FORMAT (FIELD: TYPE, ...)`.
#[macro_export]
macro_rules! for_each_message {
    ($callback:ident) => {
        $callback! {
            /// The image has been loaded and begins. Memory in MiB, as far as the hypervisor can use it.
            info hypervisor_boot "hypervisor.boot cpu={=u16} version={=str} memory={=u64}" (version: &str, memory: u64)
            /// What puts events on a clock: this one's time stamp is that of the moment at which the real-time clock said `unix`, in seconds since 1970
            /// (of a clock that has UTC; 0: there is none, or it has stopped). The time stamp counter counts `tsc_khz` thousand a second (0: nobody knows), by
            /// CPUID leaf 0x15 or 0x16, or measured against the PC/AT's timer (`source` `cpuid`, `timer` or `none`).
            info hypervisor_clock "hypervisor.clock cpu={=u16} tsc_khz={=u64} source={=str} unix={=u64}" (tsc_khz: u64, source: &str, unix: u64)
            /// The hypervisor runs on every processor that came up. `interfaces` are those that guests can be given, `faults` says
            /// whether this image can inject errors.
            info hypervisor_up "hypervisor.up cpu={=u16} version={=str} processors={=u16} banks={=u8} interfaces={=str} faults={=str}"
                (version: &str, processors: u16, banks: u8, interfaces: &str, faults: &str)
            /// A processor runs. Its number here, its APIC's, its package's, CPUID leaf 1's EAX, MCG_CAP, the revision of its microcode
            /// and its PPIN; the last two are 0 where they cannot be had.
            info processor_up "processor.up cpu={=u16} processor={=u16} apic={=u32} package={=u32} signature={=u32:#x} mcg_cap={=u64:#x} microcode={=u32:#x} ppin={=u64:#x}"
                (processor: u16, apic: u32, package: u32, signature: u32, mcg_cap: u64, microcode: u32, ppin: u64)
            /// A processor that ACPI lists did not come up; the machine goes on without it.
            warn processor_missing "processor.missing cpu={=u16} apic={=u32}" (apic: u32)
            /// A guest has been made and is about to run. Memory in MiB.
            info guest_up "guest.up cpu={=u16} guest={=u8} name={=str} vcpus={=u8} memory={=u32} interface={=str}"
                (guest: u8, name: &str, vcpus: u8, memory: u32, interface: &str)
            /// That guest is the privileged one: it may read records of errors, and take pages and processors out of use.
            info guest_privileged "guest.privileged cpu={=u16} guest={=u8}" (guest: u8)
            /// A vCPU of a guest has been started (power-on of vCPU 0, SIPI for others).
            info vcpu_up "vcpu.up cpu={=u16} guest={=u8} vcpu={=u8}" (guest: u8, vcpu: u8)
            /// A line that a guest wrote to its console.
            info guest_console "guest.console cpu={=u16} guest={=u8} vcpu={=u8} text={=str}"
                (guest: u8, vcpu: u8, text: &str)
            /// A VM exit for which there is no answer; the guest is stopped. Numbers as the VMCS has them.
            error unknown_exit "guest.unknown-exit cpu={=u16} guest={=u8} vcpu={=u8} reason={=u32:#x} qualification={=u64:#x} rip={=u64:#x}"
                (guest: u8, vcpu: u8, reason: u32, qualification: u64, rip: u64)
            /// A guest touched memory that it does not have, or no longer has.
            error bad_access "guest.bad-access cpu={=u16} guest={=u8} vcpu={=u8} gpa={=u64:#x} rip={=u64:#x}"
                (guest: u8, vcpu: u8, gpa: u64, rip: u64)
            /// How many exits the vCPU that ended its guest made in all.
            info vcpu_exits "vcpu.exits cpu={=u16} guest={=u8} vcpu={=u8} exits={=u64}" (guest: u8, vcpu: u8, exits: u64)
            /// Pages of a guest that are out of use: `pages` from there on. An answer to `page list`.
            info page_listed "page.listed cpu={=u16} owner=guest guest={=u8} gpa={=u64:#x} pages={=u64}" (guest: u8, gpa: u64, pages: u64)
            /// Pages of no guest that are out of use.
            info free_page_listed "page.listed cpu={=u16} owner=free hpa={=u64:#x} pages={=u64}" (hpa: u64, pages: u64)
            /// The end of a list: how many pages are out of use in all; of `unlisted` more it is not kept which they are.
            info pages_listed "page.list cpu={=u16} pages={=u64} unlisted={=u64}" (pages: u64, unlisted: u64)
            /// A processor, `state` `in-use` or `out-of-use`, and how many vCPUs it is to run. An answer to `processor list`.
            info processor_listed "processor.listed cpu={=u16} processor={=u16} state={=str} vcpus={=u16}" (processor: u16, state: &str, vcpus: u16)
            /// This machine cannot run guests.
            error machine_unsupported "machine.unsupported cpu={=u16} reason={=str}" (reason: &str)
            /// The boot loader's input cannot be used; nothing runs.
            error boot_refused "boot.refused cpu={=u16} what={=str} text={=str}" (what: &str, text: &str)
            /// The hypervisor met an exception of its own: a fault in it. It stops.
            error exception "hypervisor.exception cpu={=u16} vector={=u32} rip={=u64:#x} address={=u64:#x}"
                (vector: u32, rip: u64, address: u64)
            /// The hypervisor found itself in a state that its author held impossible. It stops.
            error panicked "hypervisor.panic cpu={=u16} line={=u32} file={=str}" (line: u32, file: &str)
        }
    };
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $level:ident $name:ident $format:literal ($($field:ident: $type:ty),* $(,)?))*) => {
        /// Every message, in the order of the table.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: crate::mc::event::name_of($format),
            level: Level::$level,
            format: $format,
            fields: &[$(stringify!($field),)*],
            words: &[],
            doc: concat!($($doc, " ",)+).trim_ascii(),
        },)*];
    };
}

for_each_message!(kinds);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_names_the_fields_in_their_order() {
        for kind in KINDS {
            let keys: Vec<_> = kind
                .format
                .split(' ')
                .skip(1)
                .filter_map(|word| word.split_once("={="))
                .collect();
            let names: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
            assert_eq!(names.first(), Some(&"cpu"), "{}", kind.name);
            assert_eq!(&names[1..], kind.fields, "{}", kind.name);
            // A value that may hold blanks has to be the last.
            assert!(!names[..names.len() - 1].contains(&"text"), "{}", kind.name);
        }
    }
}
