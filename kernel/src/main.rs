//! The hypervisor image: from the boot loader to running guests.
#![no_std]
#![no_main]
#![deny(missing_docs)]

mod entry;
mod exit;
mod guests;
mod machine;
mod run;
mod vmx;

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayString;
use kernel::handover::acpi;
use kernel::handover::arena::Arena;
use kernel::handover::command_line::Options;
use kernel::handover::layout::Layout;
use kernel::handover::module::{self, Kind};
use kernel::handover::multiboot::{BOOT_MAGIC, Information, Ram};
use kernel::units::{Hpa, PAGE_SIZE};
use specs::McState;

use guests::vcpu::{Own, Rest};
use machine::identity::Identity;
use machine::processor::Processor;
use machine::traps::{Exception, Handlers};
use machine::{clock, log, memory, messages, power, smp, traps};
use vmx::controls::Controls;

/// Why nothing can go on.
pub enum Failure {
    /// An exception in root mode.
    Exception(Exception),
    /// A processor could not enter VMX operation although the first could.
    Vmx,
}

/// Processor 0 has made everything that the others need.
static READY: AtomicBool = AtomicBool::new(false);
static CONTROLS: memory::Once<Controls> = memory::Once::new();

/// Processor 0, from the entry code: EAX and EBX as the boot loader left them.
extern "C" fn start(magic: u32, information: u32) -> ! {
    log::init();
    traps::init(Handlers {
        nmi: run::nmi_in_root_mode,
        machine_check: run::machine_check_in_root_mode,
        exception: |exception| fail(Failure::Exception(exception)),
    });
    // SAFETY: the loader says that this is the structure, and it is below 4 GiB; the length is its own first word.
    let information = unsafe {
        let address = Hpa(information.into());
        let length = if magic == BOOT_MAGIC {
            (address.0 as *const u32).read()
        } else {
            0
        };
        Information::new(memory::bytes(address, length as usize))
    };
    if let Err(refusal) = boot(magic, &information) {
        log::now();
        refusal.write();
        messages::write_off();
        power::off();
    }
    READY.store(true, Ordering::Release);
    for other in Processor::all().skip(1) {
        other.request(0);
    }
    run::begin(CONTROLS.get())
}

/// Why the machine cannot be run, for the user.
enum Refusal<'a> {
    /// The processor lacks something.
    Unsupported(&'static str),
    /// The loader's input is wrong.
    Boot(&'static str, &'a str),
}

impl Refusal<'_> {
    fn write(&self) {
        match self {
            Self::Unsupported(reason) => messages::machine_unsupported(reason),
            Self::Boot(what, text) => messages::boot_refused(what, text),
        }
    }
}

fn boot<'a>(magic: u32, information: &Information<'a>) -> Result<(), Refusal<'a>> {
    let no_memory = |_| Refusal::Boot("not enough memory", "");
    let mut layout = Layout::new(information.ram(), in_use(information));
    let start_up = layout.start_up_page();
    if let Some(page) = start_up {
        // Its own for ever: a processor may yet come up that was given up.
        layout.occupy(Ram {
            start: page,
            end: page.plus(PAGE_SIZE),
        });
    }
    let arena = Arena::new(information.ram(), in_use(information), memory::MAPPED);
    memory::init(arena, layout);
    let processor = Processor::create().map_err(no_memory)?;
    // SAFETY: this is the processor that it was made for.
    unsafe { processor.adopt() };
    log::now();
    let (bottom, top) = memory::free_range();
    messages::hypervisor_boot(env!("CARGO_PKG_VERSION"), (top.0 - bottom.0) >> 20);
    if magic != BOOT_MAGIC {
        return Err(Refusal::Boot("not booted by multiboot2", ""));
    }
    let options = Options::parse(information.command_line())
        .map_err(|word| Refusal::Boot("command line", word))?;
    run::configure(&options);
    if !options.mca_only {
        let controls = vmx::capability::enable().and_then(|()| Controls::find());
        CONTROLS.set(controls.map_err(|missing| Refusal::Unsupported(missing.reason()))?);
    }
    let (rate, now) = (clock::rate(), clock::now());
    log::at(now.tsc);
    messages::hypervisor_clock(rate.khz, rate.source.word(), now.unix);
    start_processors(information, start_up);
    for processor in Processor::all() {
        log::now();
        let Identity {
            signature,
            microcode,
            ppin,
        } = processor.identity;
        messages::processor_up(
            processor.number.0,
            processor.apic_id,
            processor.package,
            signature,
            processor.machine_check.into(),
            microcode,
            ppin,
        );
    }
    log::now();
    messages::hypervisor_up(
        env!("CARGO_PKG_VERSION"),
        Processor::count(),
        Processor::current().machine_check.banks(),
        &interfaces(),
        if cfg!(feature = "faults") {
            "yes"
        } else {
            "no"
        },
    );
    guests::spare::set_aside(options.spare_pages).map_err(no_memory)?;
    for module in information.modules() {
        take_module(&module).map_err(|what| Refusal::Boot(what, module.string))?;
    }
    Ok(())
}

/// What a guest can be given, as `NAME@VERSION,NAME@VERSION`.
fn interfaces() -> ArrayString<256> {
    let mut text = ArrayString::new();
    for (name, version) in McState::CREATABLE {
        let comma = if text.is_empty() { "" } else { "," };
        // A list too long for the log ends early.
        _ = write!(text, "{comma}{name}@{version}");
    }
    text
}

/// What the image and the loader's input occupy.
fn in_use(information: &Information<'_>) -> impl Iterator<Item = Ram> {
    unsafe extern "C" {
        static image_start: u8;
        static image_end: u8;
    }
    let image = Ram {
        start: Hpa(&raw const image_start as u64),
        end: Hpa(&raw const image_end as u64),
    };
    let modules = information.modules().map(|module| Ram {
        start: module.start,
        end: module.end,
    });
    let own = information.range().map(|(start, end)| Ram { start, end });
    modules.chain([image]).chain(own)
}

fn start_processors(information: &Information<'_>, page: Option<Hpa>) {
    // SAFETY: firmware memory that nobody writes any more.
    let bios_area = unsafe { memory::bytes(Hpa(0xe_0000), 0x2_0000) };
    let rsdp = information.rsdp().or_else(|| acpi::find_rsdp(bios_area));
    let madt = rsdp.and_then(|rsdp| acpi::find_madt(rsdp, memory::acpi_table));
    let ids = acpi::processors(madt.unwrap_or(&[]));
    let missing = |id| {
        log::now();
        messages::processor_missing(id);
    };
    match page {
        Some(page) => smp::start_others(page, entry::boot::trampoline(), ids, missing),
        None => {
            let this = Processor::current().apic_id;
            ids.filter(|&id| id != this).for_each(missing);
        }
    }
}

fn take_module(module: &kernel::handover::multiboot::Module<'_>) -> Result<(), &'static str> {
    // SAFETY: the loader put the module there, and the arena leaves it alone.
    let bytes = unsafe { memory::bytes(module.start, (module.end.0 - module.start.0) as usize) };
    match Kind::parse(module.string).map_err(|error| match error {
        module::Error::Kind(_) => "module: neither guest nor faults",
        module::Error::Word(_) => "module: a word that is not understood",
        module::Error::Missing(key) => key,
    })? {
        Kind::Guest(config) => {
            let guest = guests::create(&config, bytes, run::extra(), entry::vm::fast_exit_of)
                .map_err(guests::Error::text)?;
            log::now();
            messages::guest_up(
                guest.id.0,
                config.name,
                config.vcpus,
                config.memory_mib,
                config.interface,
            );
            if guest.is_privileged {
                messages::guest_privileged(guest.id.0);
            }
            Ok(())
        }
        #[cfg(feature = "faults")]
        Kind::Faults => run::faults::schedule(bytes),
        #[cfg(not(feature = "faults"))]
        Kind::Faults => Err("module: this image has no fault injector"),
    }
}

/// Any other processor, from the entry code, on the stack that was made for it.
extern "C" fn start_processor() -> ! {
    let Some(processor) = smp::claim() else {
        machine::halt()
    };
    // SAFETY: `claim` gives each block to one processor.
    let processor = unsafe { processor.adopt() };
    while !READY.load(Ordering::Acquire) {
        processor.requests.store(0, Ordering::Release);
        if !READY.load(Ordering::Acquire) {
            traps::sleep(&processor.requests);
        }
    }
    run::begin(CONTROLS.get())
}

/// The slow half of a VM exit, from the exit code: what is left of it, and then whatever this processor has to do.
extern "C" fn slow_exit(own: *mut Own, rest: Rest) -> ! {
    // SAFETY: the exit code calls this once for each exit that its fast half leaves, with that vCPU's block.
    unsafe { entry::vm::after_exit(own, rest, run::exit::slow::handle) };
    run::next()
}

/// The processor has refused VMLAUNCH or VMRESUME, says the entry code.
extern "C" fn entry_failed() -> ! {
    if let Some(vcpu) = run::current_vcpu() {
        // SAFETY: it is the vCPU that was about to be entered.
        unsafe { entry::vm::after_failed_entry(vcpu, run::exit::slow::entry_failed) };
    }
    run::next()
}

/// Says what happened and stops the machine.
pub fn fail(failure: Failure) -> ! {
    log::break_open();
    log::now();
    match failure {
        Failure::Exception(Exception {
            vector,
            rip,
            address,
        }) => messages::exception(vector, rip, address),
        Failure::Vmx => messages::machine_unsupported("vmx-operation-refused"),
    }
    messages::write_off();
    power::off()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log::break_open();
    log::now();
    let (line, file) = info
        .location()
        .map_or((0, ""), |location| (location.line(), location.file()));
    messages::panicked(line, file);
    messages::write_off();
    power::off()
}
