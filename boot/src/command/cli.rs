//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::emulator::{Kind, Way};
use crate::fuzz::Target;
use crate::run::Options;

/// The scenario of a plain `cargo boot`.
const DEFAULT: &str = "broadcast-srao";

/// Builds the hypervisor, boots it in an emulator, injects errors and shows what happened.
///
/// Without a command it runs the scenario `broadcast-srao`. Exit status: 0 every expectation was met, 1 one was not,
/// 2 usage or environment.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo boot",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run the default scenario.
    #[command(flatten)]
    pub options: RunOptions,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario
    Run(RunArguments),
    /// Name the scenarios
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Run every test, the end-to-end ones included
    Test {
        /// Handed to the test harness, such as a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Count the instructions of the guest's common accesses; with a machine, those of a machine check on it
    Bench {
        /// Which machines
        #[command(flatten)]
        machines: Option<Machines>,
        /// How to run it
        #[command(flatten)]
        options: RunOptions,
    },
    /// Try the readers of saved records and of specs with bytes that reach ever more of their code
    Fuzz {
        /// Which; without it, one after the other
        target: Option<Target>,
        /// For how long each, in seconds
        #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
        time: Duration,
    },
    /// Send an error to a machine that `cargo boot run` keeps up in another terminal
    #[command(
        override_usage = "cargo boot mce [OPTIONS] CPU BANK STATUS MCG_STATUS ADDR MISC\n       \
                          cargo boot mce [OPTIONS] --srao|--srar|--ce|--fatal [--at-guest GUEST:GPA]"
    )]
    Mce(MceArguments),
    /// Raise real machine checks in QEMU, and compare what the host side makes of each with a table
    McaTable(TableArguments),
    /// Raise in stock Linux what guests get, and what they do not, and compare what it makes of each with a table
    LinuxTable(TableArguments),
    /// Write a hybrid ISO for a USB stick or a CD, BIOS and UEFI
    Image {
        /// Where to
        #[arg(short, long, default_value = "bankshot.iso")]
        output: PathBuf,
        /// Leave the fault injector out: no guest and no command can raise errors
        #[arg(long)]
        production: bool,
        /// The scenario whose guests it holds; without one it is that of a plain `cargo boot`
        scenario: Option<String>,
    },
    /// Decode the log of a machine that something else runs
    Watch(WatchArguments),
    /// Install the Debian packages that all commands together need
    Setup,
}

/// The machines of `bench`: every combination.
#[derive(Clone, Debug, Args)]
pub struct Machines {
    /// Processors; the guest that is hit has a vCPU on each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "2", value_parser = clap::value_parser!(u8).range(1..=15))]
    pub processors: Vec<u8>,
    /// Banks of each processor
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "2", value_parser = clap::value_parser!(u8).range(2..=32))]
    pub banks: Vec<u8>,
    /// Guests: the one that is hit, and others, halted or busy
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub guests: Vec<u8>,
    /// Memory of the guest that is hit, in MiB
    #[arg(long, value_name = "MIB,...", value_delimiter = ',', default_value = "16", value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub memory: Vec<u16>,
    /// The other guests compute instead of being halted
    #[arg(long)]
    pub busy: bool,
    /// Each error is the first in its 2 MiB of memory, whose EPT entry it splits: the guest has 224 MiB at least
    #[arg(long)]
    pub split: bool,
}

/// `run NAME|FILE`
#[derive(Debug, Args)]
pub struct RunArguments {
    /// A scenario's name, or a file
    #[arg(value_name = "NAME|FILE")]
    pub scenario: String,
    /// Keep the machine up until Ctrl-C: nothing is raised but what `cargo boot mce` sends, and nothing is expected
    #[arg(long, conflicts_with_all = ["timeout"])]
    pub hold: bool,
    /// Write a trace for Perfetto (ui.perfetto.dev) or Chrome: a row for each processor, guest and vCPU
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the machine checks as a picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the error records as Linux's `struct mce`, one after the other
    #[arg(long, value_name = "FILE")]
    pub mcelog: Option<PathBuf>,
    /// How.
    #[command(flatten)]
    pub options: RunOptions,
}

/// How to run a scenario.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// One JSON object per line: an event, or for `bench` a measurement
    #[arg(long)]
    pub json: bool,
    /// End a boot that hangs after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
    /// Boot an ISO through firmware and GRUB instead of straight from memory
    #[arg(long)]
    pub iso: bool,
    /// Boot the ISO through UEFI (QEMU only)
    #[arg(long, conflicts_with = "iso")]
    pub uefi: bool,
    /// What to boot in
    #[arg(long, value_name = "MACHINE", default_value = "bochs")]
    pub on: Kind,
}

/// `mce`: the words of QEMU's monitor command, or a shortcut
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["words", "srao", "srar", "ce", "fatal"]))]
pub struct MceArguments {
    /// As QEMU's monitor has it: processor, bank, MCi_STATUS, MCG_STATUS, host-physical MCi_ADDR, MCi_MISC
    #[arg(value_names = ["CPU", "BANK", "STATUS", "MCG_STATUS", "ADDR", "MISC"], num_args = 6, value_parser = number)]
    pub words: Vec<u64>,
    /// A memory scrub found the error (action optional); on every processor
    #[arg(long)]
    pub srao: bool,
    /// A data load met the error (action required); on every processor. With --at-guest it waits until a vCPU of that guest
    /// runs on the processor, and is refused (no-consumer) if none does
    #[arg(long)]
    pub srar: bool,
    /// A corrected error, for the next poll
    #[arg(long)]
    pub ce: bool,
    /// Context corrupt: the machine is reset; on every processor
    #[arg(long)]
    pub fatal: bool,
    /// With a shortcut: the page, as the guest counts
    #[arg(long, value_name = "GUEST:GPA", conflicts_with_all = ["words", "at"], value_parser = guest_address)]
    pub at_guest: Option<(String, u64)>,
    /// With a shortcut: the page, as the host counts
    #[arg(long, value_name = "ADDR", conflicts_with = "words", value_parser = number)]
    pub at: Option<u64>,
    /// With a shortcut: the processor that meets it. Where guests take turns on it, --srar --at-guest waits for the one that is named
    #[arg(long, value_name = "CPU", conflicts_with = "words", value_parser = number, default_value = "0")]
    pub cpu: u64,
    /// With a shortcut: the bank
    #[arg(long, value_name = "BANK", conflicts_with = "words", value_parser = number, default_value = "1")]
    pub bank: u64,
    /// Every processor gets the #MC
    #[arg(short, long)]
    pub broadcast: bool,
    /// Which machine, by its scenario, where several run
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// What the engine does, one JSON object per event
    #[arg(long)]
    pub json: bool,
}

/// A number: decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x");
    let number = match digits {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a number of 64 bits, decimal or hexadecimal after 0x".to_owned())
}

fn guest_address(text: &str) -> Result<(String, u64), String> {
    let (guest, address) = text
        .split_once(':')
        .ok_or("write it as GUEST:GPA, such as g0:0x10f000")?;
    Ok((guest.to_owned(), number(address)?))
}

/// `mca-table`, `linux-table`
#[derive(Debug, Args)]
pub struct TableArguments {
    /// The table; without it, the workspace's own under tests/
    pub file: Option<PathBuf>,
    /// One JSON object per row
    #[arg(long)]
    pub json: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// A serial device, a Unix socket, a file, or - for standard input
    #[arg(value_name = "DEVICE|SOCKET|-")]
    pub source: String,
    /// One event per line, as JSON
    #[arg(long)]
    pub json: bool,
    /// Add the error records to a file, as Linux's `struct mce`, each as it comes
    #[arg(long, value_name = "FILE")]
    pub mcelog: Option<PathBuf>,
    /// The ELF of the hypervisor that runs there; without it, the workspace's own
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
}

impl RunArguments {
    /// What a plain `cargo boot` runs.
    pub fn default_scenario(options: RunOptions) -> Self {
        Self {
            scenario: DEFAULT.into(),
            hold: false,
            trace: None,
            svg: None,
            mcelog: None,
            options,
        }
    }
}

/// The scenario of a plain `cargo boot`.
pub fn default_scenario() -> &'static str {
    DEFAULT
}

impl From<&RunOptions> for Options {
    fn from(options: &RunOptions) -> Self {
        Self {
            on: options.on,
            way: match (options.iso, options.uefi) {
                (_, true) => Way::IsoUefi,
                (true, false) => Way::Iso,
                (false, false) => Way::Direct,
            },
            timeout: options.timeout,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of seconds above 0, up to 86400".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(seconds > 0.0 && seconds <= 86_400.0) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plain_call_runs_the_default_scenario_and_takes_its_options() {
        let cli = Cli::try_parse_from(["boot", "--json", "--timeout", "2.5"]).unwrap();
        assert!(cli.command.is_none() && cli.options.json);
        assert_eq!(cli.options.timeout, Duration::from_millis(2500));
        for wrong in ["0", "-1", "x", "NaN", "inf", "1e9"] {
            assert!(
                Cli::try_parse_from(["boot", "--timeout", wrong]).is_err(),
                "{wrong}"
            );
        }
    }
}
