//! QEMU: with TCG, which has no VMX but real machine-check banks, or with KVM, which has what the processor has.
//! Log and commands go through COM1 on its standard output and input.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use super::{Kind, Machine, Monitor, Running, Way, kvm, program};
use crate::error::{self, Doing, Error, Result};
use crate::image::{self, Payload};

const QEMU: &str = "qemu-system-x86_64";
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Boots a payload. The machine's banks and MCG_CAP are QEMU's own: 10 banks, whatever [`Machine`] says.
///
/// # Errors
/// As [`super::start`].
pub fn start(
    kind: Kind,
    machine: &Machine,
    payload: &Payload,
    way: Way,
    work: &Path,
) -> Result<Running> {
    let qemu = program::need(QEMU, "qemu-system-x86")?;
    if kind == Kind::Kvm {
        kvm::offers_vmx()?;
    }
    let mut arguments = arguments(kind, machine);
    // A machine that resets itself has nothing more to say in a run that is judged by its end.
    arguments.push("-no-reboot".into());
    arguments.extend(medium(machine, payload, way, work)?);
    spawn(&qemu, &arguments, work)
}

/// Boots a payload under TCG, with the monitor at hand: for real #MC exceptions. A reset boots again, banks intact.
///
/// # Errors
/// As [`super::start`].
pub fn start_with_monitor(
    machine: &Machine,
    payload: &Payload,
    work: &Path,
) -> Result<(Running, Monitor)> {
    let mut arguments = arguments(Kind::Qemu, machine);
    // One thread for all processors: on a busy host none is left behind by the others' clocks.
    arguments.extend(["-accel", "tcg,thread=single"].map(String::from));
    arguments.extend(medium(machine, payload, Way::Direct, work)?);
    with_monitor(arguments, work)
}

/// The file in a machine's folder that Linux's own log goes to.
pub const KERNEL_LOG: &str = "kernel.log";

/// Starts Linux under TCG, natively, with the monitor at hand; from `state`, if there is one, stopped. [`Running::log`] is what its programs
/// write to the first serial port. After a panic QEMU ends.
///
/// # Errors
/// As [`super::start`].
pub fn start_linux(
    kernel: &Path,
    initramfs: &Path,
    processors: usize,
    state: Option<&Path>,
    work: &Path,
) -> Result<(Running, Monitor)> {
    let machine = Machine {
        processors: processors as u32,
        memory_mib: 256,
        // QEMU has its own.
        banks: 10,
        mcg_cap: 0x100_010a,
        strict_banks: false,
    };
    let mut arguments = arguments(Kind::Qemu, &machine);
    let path = |path: &Path| path.display().to_string();
    arguments.extend(["-serial".into(), format!("file:{KERNEL_LOG}")]);
    arguments.extend([
        "-kernel".into(),
        path(kernel),
        "-initrd".into(),
        path(initramfs),
    ]);
    // TCG's clocks stop and go with the host's.
    let words = "console=ttyS1 panic=-1 tsc=reliable";
    arguments.extend(["-append", words, "-no-reboot"].map(String::from));
    if let Some(state) = state {
        arguments.extend(["-incoming".into(), format!("exec:cat {}", path(state))]);
    }
    with_monitor(arguments, work)
}

fn with_monitor(mut arguments: Vec<String>, work: &Path) -> Result<(Running, Monitor)> {
    const SOCKET: &str = "monitor";
    let qemu = program::need(QEMU, "qemu-system-x86")?;
    arguments.extend(["-qmp".into(), format!("unix:{SOCKET},server=on,wait=off")]);
    let mut running = spawn(&qemu, &arguments, work)?;
    let alive = || matches!(running.child.try_wait(), Ok(None));
    match Monitor::connect(&work.join(SOCKET), alive) {
        Ok(monitor) => Ok((running, monitor)),
        Err(error) => {
            running.kill();
            Err(Error::Failed {
                program: QEMU.into(),
                status: error.to_string(),
                said: running.wait()?,
            })
        }
    }
}

fn spawn(qemu: &Path, arguments: &[String], work: &Path) -> Result<Running> {
    let messages = work.join("messages");
    let mut child = program::bound_to_this_thread(qemu)
        .args(arguments)
        .current_dir(work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&messages).doing(|| format!("write {}", messages.display()))?)
        .spawn()
        .doing(|| format!("start {QEMU}"))?;
    let log = child.stdout.take().expect("standard output is a pipe");
    let commands = child.stdin.take().expect("standard input is a pipe");
    Ok(Running::new(child, log, Box::new(commands), vec![messages]))
}

/// The arguments that describe the machine.
fn arguments(kind: Kind, machine: &Machine) -> Vec<String> {
    // An Intel model: TCG's own "max" says AMD.
    let (accelerator, processor) = match kind {
        Kind::Kvm => ("kvm", "host,+vmx"),
        Kind::Bochs | Kind::Qemu => ("tcg", "Haswell-noTSX,+vme"),
    };
    let processors = machine.processors.to_string();
    let memory = format!("{}M", machine.memory_mib);
    [
        "-accel",
        accelerator,
        "-cpu",
        processor,
        "-smp",
        &processors,
        "-m",
        &memory,
        "-nodefaults",
        "-vga",
        "std",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]
    .map(String::from)
    .to_vec()
}

/// The arguments about what is booted; files go to `work`.
fn medium(machine: &Machine, payload: &Payload, way: Way, work: &Path) -> Result<Vec<String>> {
    const ISO: &str = "image.iso";
    let text = match way {
        Way::Direct => {
            let direct = image::direct(payload, machine.memory_mib)?;
            error::write(&work.join("disk"), &direct.disk)?;
            error::write(&work.join("rom"), direct.rom)?;
            return Ok([
                "-option-rom",
                "rom",
                "-drive",
                "file=disk,format=raw,if=ide",
            ]
            .map(String::from)
            .to_vec());
        }
        Way::Iso => format!("-cdrom {ISO}"),
        Way::IsoUefi => {
            program::need(OVMF_CODE, "ovmf")?;
            // The firmware writes its variables.
            let variables = work.join("variables.fd");
            fs::copy(OVMF_VARIABLES, &variables)
                .doing(|| format!("write {}", variables.display()))?;
            format!(
                "-drive if=pflash,format=raw,readonly=on,file={OVMF_CODE} \
                 -drive if=pflash,format=raw,file=variables.fd -cdrom {ISO}"
            )
        }
    };
    image::write_iso(payload, &work.join(ISO))?;
    Ok(text.split(' ').map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Machine};
    use super::arguments;

    #[test]
    fn the_machine_is_in_the_arguments() {
        let machine = Machine {
            processors: 4,
            memory_mib: 128,
            banks: 10,
            mcg_cap: 0x100_010a,
            strict_banks: false,
        };
        let text = arguments(Kind::Qemu, &machine).join(" ");
        assert!(
            text.contains("-accel tcg") && text.contains("-smp 4 -m 128M"),
            "{text}"
        );
        assert!(
            arguments(Kind::Kvm, &machine)
                .join(" ")
                .contains("-accel kvm -cpu host,+vmx")
        );
    }
}
