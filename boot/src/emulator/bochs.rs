//! Bochs: the emulator that has VMX. The log comes through port 0xE9 on its standard output, commands go into COM1
//! through a socket.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Machine, Running, Way, bochs_bios, machine_check_msrs, program};
use crate::error::{self, Doing, Error, Result};
use crate::image::{self, Payload};

const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";

/// Where option ROMs may lie; the firmware looks from 0xc8000 on.
const OPTION_ROM: u32 = 0xd_0000;

/// With more, Bochs 2.7 runs out of timers.
const MOST_PROCESSORS: u32 = 15;
/// What Bochs 2.7 takes.
const MOST_MEMORY_MIB: u32 = 2048;

/// Bochs connects to COM1's socket before it runs the first instruction.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);

/// Boots a payload.
///
/// # Errors
/// As [`super::start`].
pub fn start(machine: &Machine, payload: &Payload, way: Way, work: &Path) -> Result<Running> {
    let bochs = program::need("bochs", "bochs")?;
    program::need(
        "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so",
        "bochs-term",
    )?;
    program::need(BIOS, "bochsbios")?;
    program::need(VGA_BIOS, "bochs")?;
    possible(machine)?;
    let medium = medium(machine, payload, way, work)?;
    let doing = || "listen for the emulator on the loopback interface".into();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(doing)?;
    let port = listener.local_addr().doing(doing)?.port();

    let bios = bochs_bios::for_resets(error::read(Path::new(BIOS))?);
    error::write(&work.join("bios"), bios)?;
    error::write(&work.join("msrs"), machine_check_msrs::declare(machine))?;
    error::write(&work.join("bochsrc"), configuration(machine, &medium, port))?;
    // Debian's build starts in its debugger: "c" lets the machine go.
    error::write(&work.join("debugger"), "c\n")?;
    let messages = work.join("messages");
    let mut child = program::bound_to_this_thread(&bochs)
        .args(["-q", "-unlock", "-f", "bochsrc", "-rc", "debugger"])
        .current_dir(work)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&messages).doing(|| format!("write {}", messages.display()))?)
        .spawn()
        .doing(|| "start bochs".into())?;
    let log = child.stdout.take().expect("standard output is a pipe");
    let mut running = Running::new(
        child,
        log,
        Box::new(std::io::sink()),
        vec![work.join("bochs.log"), messages],
    );
    match accept(&listener, &mut running.child).doing(|| "connect to the emulator's COM1".into())? {
        Some(stream) => running.commands = Box::new(stream),
        None => {
            return Err(Error::Failed {
                program: "bochs".into(),
                status: "it ended before the machine started".into(),
                said: running.wait()?,
            });
        }
    }
    Ok(running)
}

fn possible(machine: &Machine) -> Result<()> {
    let limit = |what: &str, is: u32, most: u32| match (1..=most).contains(&is) {
        true => Ok(()),
        false => Err(Error::Input(format!(
            "Bochs can have 1 to {most} {what}, not {is}"
        ))),
    };
    limit("processors", machine.processors, MOST_PROCESSORS)?;
    limit("MiB of memory", machine.memory_mib, MOST_MEMORY_MIB)
}

/// The configuration's lines about what is booted; files go to `work`.
fn medium(machine: &Machine, payload: &Payload, way: Way, work: &Path) -> Result<String> {
    match way {
        Way::Direct => {
            let direct = image::direct(payload, machine.memory_mib)?;
            error::write(&work.join("disk"), &direct.disk)?;
            error::write(&work.join("rom"), direct.rom)?;
            Ok(format!(
                "optromimage1: file=rom, address={OPTION_ROM:#x}\n\
                 ata0-master: type=disk, path=disk, mode=flat\n\
                 boot: disk\n"
            ))
        }
        Way::Iso => {
            image::write_iso(payload, &work.join("image.iso"))?;
            Ok("ata0-master: type=cdrom, path=image.iso, status=inserted\nboot: cdrom\n".into())
        }
        Way::IsoUefi => Err(Error::Impossible("Bochs has no UEFI firmware".into())),
    }
}

/// The configuration file's text.
fn configuration(machine: &Machine, medium: &str, port: u16) -> String {
    let Machine {
        processors,
        memory_mib,
        ..
    } = machine;
    format!(
        "megs: {memory_mib}\n\
         romimage: file=bios, options=fastboot\n\
         vgaromimage: file={VGA_BIOS}\n\
         {medium}\
         cpu: model=corei7_skylake_x, count={processors}, ips=100000000, reset_on_triple_fault=0, \
         ignore_bad_msrs=0, msrs=msrs\n\
         clock: sync=none, time0=utc\n\
         display_library: term\n\
         port_e9_hack: enabled=1\n\
         com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}\n\
         log: bochs.log\n\
         panic: action=fatal\n"
    )
}

/// Waits for the emulator to connect; `None` when it has ended instead.
fn accept(listener: &TcpListener, child: &mut Child) -> std::io::Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if child.try_wait()?.is_some() => return Ok(None),
            Err(_) if start.elapsed() > CONNECTS_WITHIN => return Err(ErrorKind::TimedOut.into()),
            Err(_) => sleep(Duration::from_millis(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Machine, Way};
    use super::{Payload, configuration, medium, possible};

    #[test]
    fn the_machine_is_in_the_configuration() {
        let machine = Machine {
            processors: 4,
            memory_mib: 128,
            banks: 4,
            mcg_cap: 0x100_0c04,
            strict_banks: false,
        };
        let text = configuration(&machine, "boot: cdrom\n", 4711);
        for line in ["megs: 128", "boot: cdrom", "panic: action=fatal"] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        assert!(
            text.contains("count=4,") && text.contains("dev=127.0.0.1:4711"),
            "{text}"
        );
    }

    #[test]
    fn an_impossible_machine_is_refused() {
        let machine = |processors, memory_mib| Machine {
            processors,
            memory_mib,
            banks: 4,
            mcg_cap: 0x100_0c04,
            strict_banks: false,
        };
        assert!(possible(&machine(15, 2048)).is_ok());
        assert!(possible(&machine(16, 64)).is_err());
        assert!(possible(&machine(0, 64)).is_err());
        assert!(possible(&machine(1, 2049)).is_err());
    }

    #[test]
    fn there_is_no_uefi() {
        let machine = Machine {
            processors: 1,
            memory_mib: 64,
            banks: 4,
            mcg_cap: 0x100_0c04,
            strict_banks: false,
        };
        let payload = Payload {
            kernel_elf: "kernel".into(),
            command_line: String::new(),
            modules: Vec::new(),
        };
        let refused = medium(&machine, &payload, Way::IsoUefi, Path::new("/nowhere"));
        assert!(refused.unwrap_err().to_string().contains("no UEFI"));
    }
}
