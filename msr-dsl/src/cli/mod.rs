//! The command line. Results on standard output, talk on standard error; exit status 0 fine, 1 the answer is no, 2 usage
//! or environment.

mod check;
mod diff;
mod doc;
mod expand;
mod explain;
mod file;
mod fmt;
mod injected;
mod lock;
mod new;
mod output;
mod pool;
mod record;
mod show;
mod sim;
mod vectors;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The MSR virtualization language: check, simulate and show specs.
#[derive(Parser)]
#[command(name = "msr", bin_name = "cargo msr", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find mistakes in spec files.
    Check {
        /// Spec files.
        #[arg(required_unless_present = "explain")]
        files: Vec<PathBuf>,
        /// One JSON object per finding.
        #[arg(long)]
        json: bool,
        /// Say what a code means.
        #[arg(long, value_name = "CODE")]
        explain: Option<String>,
    },
    /// Say what changed between two versions, and what it means for guests that run.
    #[command(after_help = diff::SIDES)]
    Diff(diff::Arguments),
    /// Write the reference page of an interface: one HTML file that needs no network.
    Doc {
        /// A spec file.
        file: String,
        /// Where to; `-` is standard output. Without it `NAME.html` in this folder.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the generated Rust.
    Expand {
        /// A spec file.
        file: String,
    },
    /// Lay spec files out; only spaces and line ends change.
    Fmt {
        /// Spec files; `-` is standard input, to standard output.
        #[arg(required = true)]
        files: Vec<String>,
        /// Write nothing: status 1, and the first line that differs, if a file is laid out in another way.
        #[arg(long)]
        check: bool,
    },
    /// Write a commented starting point, `NAME.msr`.
    New {
        /// The interface's name.
        name: String,
    },
    /// Find the greatest interface that every host of a pool can honour, and what each loses by it.
    #[command(after_help = pool::HOSTS)]
    Pool {
        /// Hosts.
        #[arg(required = true)]
        hosts: Vec<String>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look into saved records.
    Record {
        #[command(subcommand)]
        what: RecordCommand,
    },
    /// Show an interface as a table, or one register with its bits.
    Show {
        /// A spec file, with `@VERSION` for another than the newest.
        spec: String,
        /// A register.
        register: Option<String>,
    },
    /// Release versions: write what they do to `NAME.lock`; from then on a spec that would alter one is refused.
    Lock {
        /// A spec file, with `@VERSION` for that version alone.
        spec: String,
    },
    /// Answer accesses as a guest would see them, from lines on standard input.
    #[command(after_help = sim::LINES)]
    Sim(sim::Arguments),
    /// Print conformance vectors: lines for `sim`, each with its answer behind `#`.
    Vectors {
        /// A spec file, with `@VERSION` for another than the newest.
        spec: String,
        /// A feature that the guest is given.
        #[arg(long, value_name = "NAME")]
        feature: Vec<String>,
        /// The guest's capability word.
        #[arg(long, value_name = "VALUE", value_parser = sim::number)]
        cap: Option<u64>,
    },
}

#[derive(Subcommand)]
enum RecordCommand {
    /// Write a record of one version as another has it, or say why that cannot be.
    Convert {
        /// The spec of the guest's version; without @VERSION that which wrote the record.
        old: String,
        /// The record in hexadecimal, or @FILE.
        record: String,
        /// The spec of the version that it goes to.
        new: String,
        /// Also where the guest reads something else afterwards; what, goes to standard error.
        #[arg(long)]
        lossy: bool,
    },
    /// Print what a record holds.
    Dump {
        /// A spec file.
        file: String,
        /// The record in hexadecimal, or @FILE.
        record: String,
    },
    /// Say which versions accept a record, and why others do not.
    Check {
        /// A spec file, with `@VERSION` for the one that the exit status is about.
        spec: String,
        /// The record in hexadecimal, or @FILE.
        record: String,
    },
}

/// Stack of a command, in bytes. A comparison recurs as deep as the registers that hang together have bits, and 600 of them needed more
/// than a main thread has. What is not used takes no memory.
const STACK: usize = 1 << 30;

/// Runs one command.
pub fn run(arguments: Arguments) -> ExitCode {
    let thread = std::thread::Builder::new().stack_size(STACK);
    match thread.spawn(|| answer(arguments)) {
        // A panic has said why.
        Ok(answer) => answer.join().unwrap_or(ExitCode::from(USAGE)),
        Err(error) => {
            output::talk(format_args!("cannot start a thread: {error}"));
            ExitCode::from(USAGE)
        }
    }
}

fn answer(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Check {
            explain: Some(code),
            ..
        } => explain::explain(&code),
        Command::Check { files, json, .. } => check::check(&files, json),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Doc { file, output } => doc::doc(&file, output),
        Command::Expand { file } => expand::expand(&file),
        Command::Fmt { files, check } => fmt::fmt(&files, check),
        Command::New { name } => new::new(&name),
        Command::Pool { hosts, json } => pool::run(&hosts, json),
        Command::Record {
            what:
                RecordCommand::Convert {
                    old,
                    record,
                    new,
                    lossy,
                },
        } => record::convert(&old, &record, &new, lossy),
        Command::Record {
            what: RecordCommand::Dump { file, record },
        } => record::dump(&file, &record),
        Command::Record {
            what: RecordCommand::Check { spec, record },
        } => record::check(&spec, &record),
        Command::Show { spec, register } => show::show(&spec, register.as_deref()),
        Command::Lock { spec } => lock::lock(&spec),
        Command::Vectors { spec, feature, cap } => vectors::vectors(&spec, &feature, cap),
        Command::Sim(arguments) => sim::sim(&arguments),
    }
}

/// The answer is no.
const NO: u8 = 1;
/// Wrong use, or a file that cannot be read.
const USAGE: u8 = 2;
