//! Error records in the layout of Linux's `struct mce` (its UAPI header asm/mce.h, 128 bytes), for tools that read it.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::clock::Clock;
use crate::log::Event;

/// Size of a record, in bytes.
pub const RECORD: usize = 128;

/// The kinds of events that are error records: each names a bank and what it held.
const KINDS: [&str; 4] = ["mc.bank", "mc.earlier", "mc.corrected", "mc.uncorrected"];

/// Makes records of a log, event by event.
#[derive(Debug, Default)]
pub struct Recorder {
    /// MCG_STATUS of the processors that are in an #MC, by boot and number.
    mcg_status: BTreeMap<(u32, u64), u64>,
    /// What each processor is, likewise: the event that says so.
    processors: BTreeMap<(u32, u64), Event>,
    clock: Clock,
}

impl Recorder {
    /// The record that an event is, if it is one. `now`, in seconds since 1970, is what it is stamped with if the log does not say when it was. What the
    /// log does not say stays zero: the instruction that was interrupted, and the time stamp of an error that was found at boot. A fatal one may be there
    /// twice, before the reset and after: the second has no time stamp.
    pub fn hear(&mut self, event: &Event, now: u64) -> Option<[u8; RECORD]> {
        self.clock.hear(event);
        let number = |field| event.number(field).unwrap_or(0);
        let place = (event.boot, number("cpu"));
        match event.kind.as_str() {
            "processor.up" => {
                let place = (event.boot, number("processor"));
                self.processors.insert(place, event.clone());
            }
            "mc.entered" => _ = self.mcg_status.insert(place, number("mcg_status")),
            // Polling and the next boot find banks without an #MC.
            "mc.resumed" => _ = self.mcg_status.remove(&place),
            kind if KINDS.contains(&kind) => {
                let mcg_status = match kind {
                    "mc.bank" => self.mcg_status.get(&place).copied().unwrap_or(0),
                    _ => 0,
                };
                let processor = self.processors.get(&place);
                let when = self.clock.when(event);
                let since = when.and_then(|when| when.duration_since(UNIX_EPOCH).ok());
                let time = since.map_or(now, |since| since.as_secs());
                return Some(record(event, processor, mcg_status, time));
            }
            _ => {}
        }
        None
    }
}

/// The records among `events`, one after the other, in their order, stamped with `now` where the log does not say when they were.
pub fn records(events: &[Event], now: u64) -> Vec<u8> {
    let mut recorder = Recorder::default();
    let records = events.iter().filter_map(|event| recorder.hear(event, now));
    records.flatten().collect()
}

/// `processor` is the event that says what the processor is.
fn record(event: &Event, processor: Option<&Event>, mcg_status: u64, time: u64) -> [u8; RECORD] {
    let number = |field| event.number(field).unwrap_or(0);
    let is = |field| {
        processor
            .and_then(|processor| processor.number(field))
            .unwrap_or(0)
    };
    let cpu = number("cpu");
    let mut bytes = [0; RECORD];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &number("status").to_le_bytes());
    put(8, &number("misc").to_le_bytes());
    put(16, &number("addr").to_le_bytes());
    put(24, &mcg_status.to_le_bytes());
    // When one that is found at boot came nobody knows.
    let came = event.t.filter(|_| event.kind != "mc.earlier");
    put(40, &came.unwrap_or(0).to_le_bytes());
    put(48, &time.to_le_bytes());
    put(60, &(is("signature") as u32).to_le_bytes());
    put(65, &[number("bank") as u8, cpu as u8, 1]); // bank, the old number of the processor, finished
    put(68, &(cpu as u32).to_le_bytes());
    put(72, &(is("package") as u32).to_le_bytes());
    put(76, &(is("apic") as u32).to_le_bytes());
    put(80, &is("mcg_cap").to_le_bytes());
    put(104, &is("ppin").to_le_bytes());
    put(112, &(is("microcode") as u32).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    /// The structure as the header has it, laid out by the compiler: nothing here is shared with the writer.
    #[repr(C)]
    #[derive(Clone, Copy, Debug)]
    struct Mce {
        status: u64,
        misc: u64,
        addr: u64,
        mcgstatus: u64,
        ip: u64,
        tsc: u64,
        time: u64,
        cpuvendor: u8,
        inject_flags: u8,
        severity: u8,
        pad: u8,
        cpuid: u32,
        cs: u8,
        bank: u8,
        cpu: u8,
        finished: u8,
        extcpu: u32,
        socketid: u32,
        apicid: u32,
        mcgcap: u64,
        synd: u64,
        ipid: u64,
        ppin: u64,
        microcode: u32,
        kflags: u64,
    }

    /// Each field where the compiler puts it.
    fn read(bytes: &[u8]) -> Mce {
        use std::mem::offset_of;
        let at = |offset: usize, size: usize| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(&bytes[offset..offset + size]);
            u64::from_le_bytes(word)
        };
        macro_rules! fields {
            ($($field:ident: $type:ty),*) => {
                Mce { $($field: at(offset_of!(Mce, $field), size_of::<$type>()) as $type),* }
            };
        }
        fields! {
            status: u64, misc: u64, addr: u64, mcgstatus: u64, ip: u64, tsc: u64, time: u64, cpuvendor: u8, inject_flags: u8,
            severity: u8, pad: u8, cpuid: u32, cs: u8, bank: u8, cpu: u8, finished: u8, extcpu: u32, socketid: u32, apicid: u32,
            mcgcap: u64, synd: u64, ipid: u64, ppin: u64, microcode: u32, kflags: u64
        }
    }

    #[test]
    fn records_have_linuxs_layout() {
        assert_eq!(size_of::<Mce>(), RECORD);
        let events: Vec<_> = [
            "processor.up cpu=0 processor=1 apic=6 package=3 signature=0x50654 mcg_cap=0x1000c04 microcode=0x2006e05 ppin=0x1122334455667788",
            "mc.entered cpu=1 context=hypervisor mcg_status=0x5",
            "mc.bank cpu=1 bank=2 class=srao code=memory-scrub status=0xbd000000000000cf addr=0x12345000 misc=0x8c",
            "mc.resumed cpu=1",
            "guest.console cpu=0 guest=0 vcpu=0 text=mc.bank",
            "mc.corrected cpu=300 bank=0 code=unknown status=0x9c00004000000090 addr=0x1000 misc=0x86 count=1",
        ]
        .into_iter()
        .zip(6..)
        .map(|(text, t)| Event::parse(text, Some(t), Level::Warn))
        .collect();
        let bytes = records(&events, 1_700_000_000);
        let [first, second] = bytes.chunks(RECORD).map(read).collect::<Vec<_>>()[..] else {
            panic!("two records, not {} bytes", bytes.len());
        };
        assert_eq!(
            (first.status, first.misc, first.addr),
            (0xbd00_0000_0000_00cf, 0x8c, 0x1234_5000)
        );
        assert_eq!(
            (first.mcgstatus, first.tsc, first.time),
            (5, 8, 1_700_000_000)
        );
        assert_eq!((first.bank, first.cpu, first.extcpu), (2, 1, 1));
        assert_eq!(
            (first.finished, first.mcgcap, first.kflags),
            (1, 0x100_0c04, 0)
        );
        assert_eq!(
            (first.cpuid, first.apicid, first.socketid),
            (0x5_0654, 6, 3)
        );
        assert_eq!(
            (first.microcode, first.ppin),
            (0x200_6e05, 0x1122_3344_5566_7788)
        );
        assert_eq!(
            (second.cpuid, second.apicid, second.microcode, second.ppin),
            (0, 0, 0, 0),
            "nothing is known of processor 300"
        );
        assert_eq!((second.mcgstatus, second.bank, second.tsc), (0, 0, 11));
        assert_eq!((second.cpu, second.extcpu), (300u32 as u8, 300));
        assert_eq!((second.cpuvendor, second.cs, second.ip), (0, 0, 0));
    }

    #[test]
    fn a_record_has_the_time_of_its_error_and_one_that_is_found_at_boot_no_time_stamp() {
        let event = |t, boot, text| Event {
            boot,
            ..Event::parse(text, Some(t), Level::Warn)
        };
        let clock = "hypervisor.clock cpu=0 tsc_khz=1000 source=cpuid unix=1700000000";
        let bank = "bank=1 code=bus-interconnect status=0xb200000000000e0f addr=0x0 misc=0x0";
        let events = [
            event(1_000_000, 1, clock),
            event(61_000_000, 1, &format!("mc.bank cpu=0 class=fatal {bank}")),
            event(70_000_000, 2, &format!("mc.earlier cpu=0 {bank}")),
        ];
        let bytes = records(&events, 1_800_000_000);
        let of = |record: &[u8]| {
            let Mce {
                status, tsc, time, ..
            } = read(record);
            (status, tsc, time)
        };
        let read: Vec<_> = bytes.chunks(RECORD).map(of).collect();
        const STATUS: u64 = 0xb200_0000_0000_0e0f;
        assert_eq!(
            read,
            [
                (STATUS, 61_000_000, 1_700_000_060),
                (STATUS, 0, 1_800_000_000)
            ]
        );
    }
}
