//! Boots any multiboot2 ELF64 and copies what it writes to its log port to standard output, undecoded. For bringing up
//! the hypervisor's first instructions, when there is no log to decode yet.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use boot::emulator::{self, Kind, Machine, Way};
use boot::error::{Doing, Error, Result};
use boot::image::{Module, Payload};
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// The ELF
    kernel: PathBuf,
    /// What boots it
    #[arg(long, value_enum, default_value_t = Kind::Bochs)]
    on: Kind,
    /// Through firmware and GRUB
    #[arg(long)]
    iso: bool,
    /// Through UEFI and GRUB
    #[arg(long, conflicts_with = "iso")]
    uefi: bool,
    /// Processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 64)]
    memory: u32,
    /// Machine-check banks
    #[arg(long, default_value_t = 4)]
    banks: u8,
    /// Command line
    #[arg(long, default_value = "")]
    cmdline: String,
    /// A module: its file and its string
    #[arg(long, num_args = 2, value_names = ["FILE", "STRING"])]
    module: Vec<String>,
    /// Text for COM1
    #[arg(long)]
    send: Option<String>,
    /// Seconds after which the machine is ended
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

fn main() {
    if let Err(error) = run(&Arguments::parse()) {
        eprintln!("{error}");
        std::process::exit(2);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let modules = arguments.module.chunks_exact(2).map(|pair| {
        let bytes = boot::error::read(pair[0].as_ref())?;
        Ok(Module {
            string: pair[1].clone(),
            bytes,
        })
    });
    let payload = Payload {
        kernel_elf: arguments.kernel.clone(),
        command_line: arguments.cmdline.clone(),
        modules: modules.collect::<Result<_>>()?,
    };
    let machine = Machine {
        processors: arguments.cpus,
        memory_mib: arguments.memory,
        banks: arguments.banks,
        mcg_cap: 0x100_0c00 | u64::from(arguments.banks),
        strict_banks: false,
    };
    let way = match (arguments.iso, arguments.uefi) {
        (true, _) => Way::Iso,
        (_, true) => Way::IsoUefi,
        _ => Way::Direct,
    };
    let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
    let mut running = emulator::start(arguments.on, &machine, &payload, way, work.path())?;
    if let Some(text) = &arguments.send {
        let sent = running.commands.write_all(text.as_bytes());
        sent.doing(|| "send to COM1".into())?;
    }
    let (ended, end) = mpsc::channel::<()>();
    let mut log = std::mem::replace(&mut running.log, Box::new(io::empty()));
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = log.read(&mut bytes) {
            let _ = io::stdout()
                .write_all(&bytes[..count])
                .and_then(|()| io::stdout().flush());
        }
        drop(ended);
    });
    if end.recv_timeout(Duration::from_secs(arguments.timeout))
        == Err(mpsc::RecvTimeoutError::Timeout)
    {
        running.kill();
        return Err(Error::Impossible("time is up".into()));
    }
    eprint!("{}", running.wait()?);
    Ok(())
}
