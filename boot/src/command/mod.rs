//! The commands of `cargo boot`.

mod bench;
pub mod bench_machines;
mod cli;
mod fuzz;
mod image;
mod linux_table;
mod list;
mod mca_table;
mod mce;
mod run;
mod test;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, Result};
use crate::interrupt;
use cli::{Cli, Command, RunArguments};

/// The answer of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Fine: exit status 0.
    Yes,
    /// An expectation was not met, a test failed: exit status 1.
    No,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let answer = match interrupt::watch() {
        Ok(()) => dispatch(Cli::parse()),
        Err(source) => Err(Error::Io {
            doing: "watch for Ctrl-C".into(),
            source,
        }),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // As a shell says of a program that Ctrl-C has ended. The terminal signals what it runs too, and whatever fails of that is no mistake.
        Err(error) if matches!(error, Error::Interrupted) || interrupt::interrupted() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            // An error of the user's input starts with its own place.
            anstream::eprintln!("{ERROR}error:{ERROR:#} {}", error.to_string().trim_end());
            ExitCode::from(2)
        }
    }
}

const ERROR: anstyle::Style = anstyle::Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)));

fn dispatch(cli: Cli) -> Result<Answer> {
    match cli.command {
        None => run::run(&RunArguments::default_scenario(cli.options)),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::List { json }) => list::list(json),
        Some(Command::Test { arguments }) => test::test(&arguments),
        Some(Command::Bench { machines, options }) => match machines {
            Some(machines) => bench_machines::bench(&machines, &options),
            None => bench::bench(&options),
        },
        Some(Command::Fuzz { target, time }) => fuzz::fuzz(target, time),
        Some(Command::Mce(arguments)) => mce::mce(&arguments),
        Some(Command::McaTable(arguments)) => mca_table::mca_table(&arguments),
        Some(Command::LinuxTable(arguments)) => linux_table::linux_table(&arguments),
        Some(Command::Image {
            output,
            production,
            scenario,
        }) => image::image(&output, scenario.as_deref(), production),
        Some(Command::Watch(arguments)) => watch::watch(&arguments),
        Some(Command::Setup) => {
            crate::setup::ensure(&crate::setup::Purpose::ALL).map(|()| Answer::Yes)
        }
    }
}
