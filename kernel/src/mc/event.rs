//! Typed events: all that the engine says, in one table.
//!
//! A row of `for_each_event!` is the only place that knows a kind's level, name, fields and text. The enum, the words in
//! which a ring keeps an event, the reference (`docs/events.md`) and the kernel's log frames are all made from it. A format
//! names every field in its order; what it holds besides (`context=guest`) is fixed text.

use super::code::ErrorCode;
use super::fatal::FatalReason;
use super::grade::Class;
use super::machine::Kept;
use super::mail::Outcome;
use super::refused::Refused;
use super::stop::StopReason;
use crate::units::{Bank, Gpa, GuestId, Hpa, Pcpu, Tsc};

/// Something that happened, when and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// When.
    pub at: Tsc,
    /// On which processor.
    pub on: Pcpu,
    /// What.
    pub event: Event,
}

/// How much an event matters to an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum Level {
    /// Only of interest when something is being searched.
    debug,
    /// Part of the ordinary story.
    info,
    /// Something broke and was dealt with.
    warn,
    /// Something broke and somebody pays for it.
    error,
}

/// A kind of event, for the reference and for readers of the log.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Dotted word at the start of the text.
    pub name: &'static str,
    /// Level of the frame.
    pub level: Level,
    /// The frame's format string.
    pub format: &'static str,
    /// The fields, in order (`cpu` comes before them).
    pub fields: &'static [&'static str],
    /// For each field the words that it can be; empty where they are not few.
    pub words: &'static [&'static [&'static str]],
    /// What it means.
    pub doc: &'static str,
}

/// How many words the fields of an event take at most.
pub const FIELDS: usize = 6;

/// A value of an event: as a word in a ring, and as what the log prints.
pub trait Field: Copy {
    /// What the log's format takes.
    type Raw;
    /// The words that it can be, where they are few.
    const WORDS: &'static [&'static str] = &[];
    /// The value for the log.
    fn raw(self) -> Self::Raw;
    /// The value as a word.
    fn to_word(self) -> u64;
    /// The value that [`Field::to_word`] turned into `word`.
    fn from_word(word: u64) -> Self;
}

macro_rules! number_field {
    ($($type:ty: $raw:ty = $make:expr, $get:expr;)*) => {$(
        impl Field for $type {
            type Raw = $raw;
            fn raw(self) -> $raw {
                let get: fn($type) -> $raw = $get;
                get(self)
            }
            fn to_word(self) -> u64 {
                u64::from(self.raw())
            }
            fn from_word(word: u64) -> Self {
                let make: fn($raw) -> $type = $make;
                make(word as $raw)
            }
        }
    )*};
}

number_field! {
    u8: u8 = |n| n, |n| n;
    u16: u16 = |n| n, |n| n;
    u32: u32 = |n| n, |n| n;
    u64: u64 = |n| n, |n| n;
    Bank: u8 = Bank, |bank| bank.0;
    Pcpu: u16 = Pcpu, |processor| processor.0;
    GuestId: u8 = GuestId, |guest| guest.0;
    Gpa: u64 = Gpa, |address| address.0;
    Hpa: u64 = Hpa, |address| address.0;
}

macro_rules! word_field {
    ($($type:ty: $to:expr, $from:expr;)*) => {$(
        impl Field for $type {
            type Raw = &'static str;
            const WORDS: &'static [&'static str] = <$type>::WORDS;
            fn raw(self) -> &'static str {
                self.word()
            }
            fn to_word(self) -> u64 {
                let to: fn($type) -> u64 = $to;
                to(self)
            }
            fn from_word(word: u64) -> Self {
                let from: fn(u64) -> $type = $from;
                from(word)
            }
        }
    )*};
}

word_field! {
    Class: |class| u64::from(class.rank()), |word| Class::from_rank(word as u8);
    ErrorCode: |code| u64::from(code.0), |word| ErrorCode(word as u16);
    FatalReason: |reason| reason as u64, FatalReason::from_number;
    Kept: |reason| reason as u64, Kept::from_number;
    Outcome: |outcome| outcome as u64, Outcome::from_number;
    Refused: |reason| reason as u64, Refused::from_number;
    StopReason: |reason| reason as u64, StopReason::from_number;
}

/// Defines an enum of words for events: `Name { Variant = "word", }`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for each, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word for it in events.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value with that number (`as u64`); the first one for a number that none has.
            pub fn from_number(number: u64) -> Self {
                usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().unwrap_or(Self::ALL[0])
            }
        }
    };
}
pub(crate) use words;

/// Hands the table of events to a macro, whose input is then rows of
/// `#[doc] LEVEL VARIANT FORMAT { FIELD: TYPE, ... }`.
#[macro_export]
macro_rules! for_each_event {
    ($callback:ident) => {
        $callback! {
            /// A fault has been put into a processor's banks; its #MC follows. `target` is that processor.
            info FaultRaised "fault.raised cpu={=u16} target={=u16} bank={=u8} status={=u64:#x} mcg_status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { target: Pcpu, bank: Bank, status: u64, mcg_status: u64, addr: u64, misc: u64 }
            /// A fault command was refused.
            warn FaultRefused "fault.refused cpu={=u16} reason={=str}"
                { reason: Refused }
            /// An #MC came while a guest ran on this processor.
            info EnteredGuest "mc.entered cpu={=u16} context=guest guest={=u8} vcpu={=u8} mcg_status={=u64:#x}"
                { guest: GuestId, vcpu: u8, mcg_status: u64 }
            /// An #MC came while the hypervisor ran on this processor.
            info EnteredHypervisor "mc.entered cpu={=u16} context=hypervisor mcg_status={=u64:#x}"
                { mcg_status: u64 }
            /// The processors have met: how many were expected, how many came, ticks from the first one's entry.
            info Rendezvous "mc.rendezvous cpu={=u16} expected={=u16} arrived={=u16} ticks={=u64}"
                { expected: u16, arrived: u16, ticks: u64 }
            /// A processor did not come to the rendezvous in time.
            error Missing "mc.missing cpu={=u16} processor={=u16}"
                { processor: Pcpu }
            /// This processor came after its rendezvous had closed, and looks at its banks alone.
            warn Late "mc.late cpu={=u16}" {}
            /// An error in a bank that this processor owns (it is the first to read and clear it), or, before a reset, sees.
            warn BankError "mc.bank cpu={=u16} bank={=u8} class={=str} code={=str} status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { bank: Bank, class: Class, code: ErrorCode, status: u64, addr: u64, misc: u64 }
            /// An error found at boot: from before the reset, or from before this hypervisor.
            warn EarlierError "mc.earlier cpu={=u16} bank={=u8} code={=str} status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { bank: Bank, code: ErrorCode, status: u64, addr: u64, misc: u64 }
            /// Corrected errors, found by polling; `count` is how many this page has had (page 0: errors without an address), those of `mc.bank`
            /// with the class `corrected` included.
            warn CorrectedError "mc.corrected cpu={=u16} bank={=u8} code={=str} status={=u64:#x} addr={=u64:#x} misc={=u64:#x} count={=u32}"
                { bank: Bank, code: ErrorCode, status: u64, addr: u64, misc: u64, count: u32 }
            /// An uncorrected error that needs no action, found by polling.
            warn UncorrectedError "mc.uncorrected cpu={=u16} bank={=u8} code={=str} status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { bank: Bank, code: ErrorCode, status: u64, addr: u64, misc: u64 }
            /// The worst of all errors, and the processor that owns it and recovers alone.
            warn Worst "mc.worst cpu={=u16} class={=str} owner={=u16}"
                { class: Class, owner: Pcpu }
            /// An error hits a guest, at its own guest-physical address; `pages` of 4 KiB from there on.
            warn GuestHit "mc.hit cpu={=u16} owner=guest guest={=u8} gpa={=u64:#x} hpa={=u64:#x} pages={=u32}"
                { guest: GuestId, gpa: Gpa, hpa: Hpa, pages: u32 }
            /// An error hits memory of the hypervisor, which goes on as long as it need not use it; `pages` from there on.
            error HypervisorHit "mc.hit cpu={=u16} owner=hypervisor hpa={=u64:#x} pages={=u32}"
                { hpa: Hpa, pages: u32 }
            /// An error hits memory that nobody has.
            warn FreeHit "mc.hit cpu={=u16} owner=free hpa={=u64:#x} pages={=u32}"
                { hpa: Hpa, pages: u32 }
            /// An error hits an address that the memory map does not leave to the hypervisor.
            warn FirmwareHit "mc.hit cpu={=u16} owner=firmware hpa={=u64:#x} pages={=u32}"
                { hpa: Hpa, pages: u32 }
            /// Pages of a guest, `pages` from there on, are out of use: unmapped, never handed out again.
            warn PageRetired "page.retired cpu={=u16} hpa={=u64:#x} owner=guest guest={=u8} gpa={=u64:#x} pages={=u32}"
                { hpa: Hpa, guest: GuestId, gpa: Gpa, pages: u32 }
            /// Free pages are out of use: never handed out.
            warn FreePageRetired "page.retired cpu={=u16} hpa={=u64:#x} owner=free pages={=u32}"
                { hpa: Hpa, pages: u32 }
            /// A page of a guest had `count` corrected errors and is out of use; the guest has its content at the same address, in the
            /// page `by`.
            warn PageReplaced "page.replaced cpu={=u16} hpa={=u64:#x} guest={=u8} gpa={=u64:#x} by={=u64:#x} count={=u32}"
                { hpa: Hpa, guest: GuestId, gpa: Gpa, by: Hpa, count: u32 }
            /// A page had `count` corrected errors and stays in use all the same.
            error PageKept "page.kept cpu={=u16} hpa={=u64:#x} reason={=str} count={=u32}"
                { hpa: Hpa, reason: Kept, count: u32 }
            /// A page of a guest was put back into use by the administrator.
            warn PageReturned "page.returned cpu={=u16} hpa={=u64:#x} owner=guest guest={=u8} gpa={=u64:#x}"
                { hpa: Hpa, guest: GuestId, gpa: Gpa }
            /// A free page was put back into use by the administrator.
            warn FreePageReturned "page.returned cpu={=u16} hpa={=u64:#x} owner=free"
                { hpa: Hpa }
            /// The administrator's command about a page was refused.
            warn PageRefused "page.refused cpu={=u16} reason={=str}"
                { reason: Refused }
            /// A processor is out of use by the administrator's word: `vcpus` vCPUs go on elsewhere.
            warn ProcessorOut "processor.out cpu={=u16} processor={=u16} vcpus={=u16}"
                { processor: Pcpu, vcpus: u16 }
            /// A processor is back in use by the administrator's word: `vcpus` vCPUs come back to it.
            warn ProcessorBack "processor.back cpu={=u16} processor={=u16} vcpus={=u16}"
                { processor: Pcpu, vcpus: u16 }
            /// The administrator's command about a processor was refused.
            warn ProcessorRefused "processor.refused cpu={=u16} reason={=str}"
                { reason: Refused }
            /// A vCPU goes on on this processor; it comes from the processor `from`.
            info VcpuMoved "vcpu.moved cpu={=u16} guest={=u8} vcpu={=u8} from={=u16}"
                { guest: GuestId, vcpu: u8, from: Pcpu }
            /// A processor has not flushed its translations in time; no vCPU runs there before it has.
            error Unflushed "page.unflushed cpu={=u16} processor={=u16}"
                { processor: Pcpu }
            /// The machine cannot go on and is reset, the banks intact.
            error Fatal "mc.fatal cpu={=u16} reason={=str}"
                { reason: FatalReason }
            /// This processor leaves the machine check.
            info Resumed "mc.resumed cpu={=u16}" {}
            /// What a machine check became for a vCPU, decided when it was handled.
            info Posted "vmce.posted cpu={=u16} guest={=u8} vcpu={=u8} outcome={=str}"
                { guest: GuestId, vcpu: u8, outcome: Outcome }
            /// An #MC with a record was injected into a vCPU. Its bank shows what its interface lets through.
            warn InjectedRecord "vmce.injected cpu={=u16} guest={=u8} vcpu={=u8} mcg_status={=u64:#x} record=yes status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { guest: GuestId, vcpu: u8, mcg_status: u64, status: u64, addr: u64, misc: u64 }
            /// An #MC without a record was injected into a vCPU: its banks are clean.
            warn InjectedClean "vmce.injected cpu={=u16} guest={=u8} vcpu={=u8} mcg_status={=u64:#x} record=no"
                { guest: GuestId, vcpu: u8, mcg_status: u64 }
            /// The vCPU's handler has cleared MCIP, which an #MC that was injected had set.
            info Handled "vmce.handled cpu={=u16} guest={=u8} vcpu={=u8}"
                { guest: GuestId, vcpu: u8 }
            /// A record of the reason for which a guest is being stopped: the earlier one (`which` 1), the later one (2; all
            /// zero if that #MC has none, for a context is lost).
            error StopRecord "vmce.stop-record cpu={=u16} guest={=u8} vcpu={=u8} which={=u8} status={=u64:#x} addr={=u64:#x} misc={=u64:#x}"
                { guest: GuestId, vcpu: u8, which: u8, status: u64, addr: u64, misc: u64 }
            /// A guest has been stopped.
            error GuestStopped "guest.stopped cpu={=u16} guest={=u8} vcpu={=u8} reason={=str}"
                { guest: GuestId, vcpu: u8, reason: StopReason }
            /// A register of a vCPU has a value that the spec excludes; the vCPU goes on with the one before. The processor faults on
            /// such values, so no guest gets there.
            error ValueExcluded "vcpu.value-excluded cpu={=u16} guest={=u8} vcpu={=u8} msr={=u32:#x} value={=u64:#x}"
                { guest: GuestId, vcpu: u8, msr: u32, value: u64 }
            /// A guest has ended by itself.
            info GuestShutdown "guest.shutdown cpu={=u16} guest={=u8} code={=u64}"
                { guest: GuestId, code: u64 }
            /// Events of this processor that could not be kept since the last such event.
            error RecordsLost "records.lost cpu={=u16} count={=u64}"
                { count: u64 }
            /// The privileged guest has asked for an interrupt with that vector for each record of an error (0: for none), on that vCPU; `waiting` records are
            /// there to be read.
            info RecordsRegistered "records.registered cpu={=u16} guest={=u8} vcpu={=u8} vector={=u8} waiting={=u32}"
                { guest: GuestId, vcpu: u8, vector: u8, waiting: u32 }
            /// Nothing follows.
            info MachineOff "machine.off cpu={=u16}" {}
        }
    };
}

macro_rules! define {
    ($($(#[doc = $doc:literal])+ $level:ident $variant:ident $format:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $doc])+ $variant { $(#[allow(missing_docs)] $field: $type,)* },)*
        }

        /// The rows of the table, without their fields; numbers them for the rings.
        #[repr(u8)]
        enum Row { $($variant,)* }

        impl Event {
            /// Every kind, in the order of the table. A name may stand in several rows, with different fields.
            pub const KINDS: &'static [Kind] = &[$(Kind {
                name: name_of($format),
                level: Level::$level,
                format: $format,
                fields: &[$(stringify!($field),)*],
                words: &[$(<$type as Field>::WORDS,)*],
                doc: concat!($($doc, " ",)+).trim_ascii(),
            },)*];

            /// Its row in [`Event::KINDS`].
            #[inline(always)]
            pub const fn row(&self) -> u8 {
                match self { $(Self::$variant { .. } => Row::$variant as u8,)* }
            }

            /// Gives each field as a word to `put`, with its place.
            #[inline(always)]
            pub fn each_word(&self, mut put: impl FnMut(usize, u64)) {
                let mut places = 0..FIELDS;
                match *self { $(Self::$variant { $($field,)* } => {
                    $(if let Some(place) = places.next() { put(place, $field.to_word()); })*
                })* }
            }

            /// The event of that row with those fields.
            pub fn from_words(row: u8, words: [u64; FIELDS]) -> Option<Self> {
                let mut words = words.into_iter();
                match row {
                    $(row if row == Row::$variant as u8 => Some(Self::$variant {
                        $($field: Field::from_word(words.next()?),)*
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

for_each_event!(define);

impl Event {
    /// Its kind.
    pub fn kind(&self) -> &'static Kind {
        &Self::KINDS[usize::from(self.row())]
    }
}

/// The first word of a format.
pub(crate) const fn name_of(format: &'static str) -> &'static str {
    let bytes = format.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b' ' {
        end += 1;
    }
    format.split_at(end).0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a format that take a value, with the type that defmt is told.
    fn keys(format: &str) -> Vec<(&str, &str)> {
        format
            .split(' ')
            .skip(1)
            .filter_map(|word| word.split_once("={="))
            .collect()
    }

    #[test]
    fn a_format_names_the_fields_in_their_order() {
        for kind in Event::KINDS {
            let keys = keys(kind.format);
            let names: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
            assert_eq!(names.first(), Some(&"cpu"), "{}", kind.name);
            assert_eq!(&names[1..], kind.fields, "{}", kind.name);
            assert!(kind.fields.len() <= FIELDS, "{}", kind.name);
            for word in kind.format.split(' ').skip(1) {
                let (key, value) = word.split_once('=').expect("key=value");
                assert!(
                    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                    "{word}"
                );
                assert!(!value.is_empty(), "{word}");
            }
            assert!(
                kind.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-'),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn words_and_back() {
        for row in 0..Event::KINDS.len() as u8 {
            let event = Event::from_words(row, [1, 2, 3, 4, 5, 6]).expect("a row");
            assert_eq!(event.row(), row);
            let mut words = [0; FIELDS];
            event.each_word(|place, word| words[place] = word);
            let fields = event.kind().fields.len();
            assert_eq!(words[..fields], [1, 2, 3, 4, 5, 6][..fields], "{event:?}");
            assert_eq!(Event::from_words(row, words), Some(event));
        }
        assert_eq!(
            Event::from_words(Event::KINDS.len() as u8, [0; FIELDS]),
            None
        );
    }
}
