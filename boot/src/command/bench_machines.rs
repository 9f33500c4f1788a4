//! `cargo boot bench --processors 1,2 --banks 2,4 ...`: what a machine check costs on machines of many kinds, in instructions.

use std::fmt::Write;
use std::path::Path;

use super::Answer;
use super::cli::{Machines, RunOptions};
use super::run::{close, execute, put};
use crate::error::Result;
use crate::log::Event;
use crate::scenario::{Known, Scenario};
use crate::workspace::Workspace;

/// A machine that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors; guest 0 has a vCPU on each.
    pub processors: u8,
    /// Banks of each processor.
    pub banks: u8,
    /// Guests.
    pub guests: u8,
    /// Memory of guest 0 in MiB, a multiple of 2.
    pub memory: u16,
    /// Those behind the first compute; else they are halted.
    pub busy: bool,
    /// Each error is the first in its 2 MiB.
    pub split: bool,
}

/// From the vector to the first instruction of the handler on every vCPU of guest 0, in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The first error of all: the first in its 2 MiB page.
    pub first: u64,
    /// The middle of 100.
    pub median: u64,
    /// The worst of 100.
    pub worst: u64,
}

/// Memory of guest 0, at least, if each of 100 errors is to have 2 MiB of its own.
const SPLIT_MIB: u16 = 224;
/// Memory of any other guest, and what the hypervisor needs besides, in MiB.
const IDLE_MIB: u16 = 8;
const HYPERVISOR_MIB: u16 = 24;

impl Machines {
    /// Every machine that was asked for.
    pub fn each(&self) -> Vec<Machine> {
        let mut machines = Vec::new();
        for &processors in &self.processors {
            for &banks in &self.banks {
                for &guests in &self.guests {
                    machines.extend(self.memory.iter().map(|&memory| Machine {
                        processors,
                        banks,
                        guests,
                        memory: if self.split {
                            memory.max(SPLIT_MIB)
                        } else {
                            memory
                        },
                        busy: self.busy,
                        split: self.split,
                    }));
                }
            }
        }
        machines
    }
}

impl Machine {
    /// The scenario that measures it.
    ///
    /// # Errors
    /// There is no such machine.
    pub fn scenario(&self, known: &Known) -> Result<Scenario> {
        let Self {
            processors,
            banks,
            guests,
            memory,
            busy,
            split,
        } = self;
        let (busy, split) = (u8::from(*busy), u8::from(*split));
        let others = guests.saturating_sub(1);
        let all = HYPERVISOR_MIB + memory + IDLE_MIB * u16::from(others);
        let mut text = format!(
            "title = 'bench'\ncommand_line = 'slice=100000'\n[machine]\nprocessors = {processors}\nbanks = {banks}\nmemory = {}\n\
             [[guest]]\nname = 'g0'\nimage = 'bench'\nvcpus = {processors}\nmemory = {memory}\n\
             args = 'errors=100 brief=1 others={others} split={split}'\n",
            all.max(64)
        );
        for guest in 1..=others {
            let one = format!("name = 'g{guest}'\nimage = 'bench'\nmemory = {IDLE_MIB}");
            write!(text, "[[guest]]\n{one}\nargs = 'other=1 busy={busy}'\n")
                .expect("a string takes any text");
        }
        text.push_str("[[expect]]\nevent = 'machine.off'\n[exit]\n");
        for guest in 0..=others {
            writeln!(text, "g{guest} = 0").expect("a string takes any text");
        }
        Scenario::parse(Path::new("bench"), &text, known)
    }
}

/// Finds the cost in what the guest has printed.
pub fn cost(events: &[Event]) -> Option<Cost> {
    let row = |wanted: &str| {
        let texts = events.iter().filter(|event| event.kind == "guest.console");
        texts
            .filter_map(|event| event.get("text"))
            .find_map(|text| {
                let text = text.to_string();
                let words: Vec<_> = text.split_whitespace().collect();
                match words[..] {
                    ["bench", name, _, median, worst] if name == wanted => {
                        Some((median.parse().ok()?, worst.parse().ok()?))
                    }
                    _ => None,
                }
            })
    };
    let (first, _) = row("machine-check-first")?;
    let (median, worst) = row("machine-check-last-vcpu").or_else(|| row("machine-check"))?;
    Some(Cost {
        first,
        median,
        worst,
    })
}

/// Measures them and shows a row for each.
///
/// # Errors
/// What keeps them from being measured.
pub fn bench(machines: &Machines, options: &RunOptions) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let known = Known::of(&workspace.root);
    if !options.json {
        put("processors  banks  guests  MiB    first   median    worst");
    }
    let mut answer = Answer::Yes;
    for machine in machines.each() {
        let scenario = machine.scenario(&known)?;
        let (verdict, followed) = execute(&workspace, &scenario, options, |_| None)?;
        match cost(&followed.events) {
            Some(cost) => put(&row(&machine, &cost, options.json)),
            None => answer = Answer::No,
        }
        if verdict != crate::run::Verdict::Met {
            answer = close(&scenario, &verdict, &followed)?;
        }
    }
    Ok(answer)
}

fn row(machine: &Machine, cost: &Cost, json: bool) -> String {
    let Machine {
        processors,
        banks,
        guests,
        memory,
        busy,
        split,
    } = machine;
    let Cost {
        first,
        median,
        worst,
    } = cost;
    if json {
        return serde_json::json!({"name": "machine-check", "processors": processors, "banks": banks, "guests": guests,
            "memory": memory, "busy": busy, "split": split, "first": first, "median": median, "worst": worst})
        .to_string();
    }
    format!("{processors:>10}{banks:>7}{guests:>8}{memory:>5}{first:>9}{median:>9}{worst:>9}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn the_last_vcpu_counts() {
        let console = |text: &str| {
            let text = format!("guest.console cpu=0 guest=0 text=bench {text}");
            Event::parse(&text, None, Level::Info)
        };
        let one = [
            console("machine-check-first 7 7 7"),
            console("machine-check 1 2 3"),
        ];
        let cost_of = |events: &[Event]| cost(events).map(|c| (c.first, c.median, c.worst));
        assert_eq!(cost_of(&one), Some((7, 2, 3)));
        let last = console("machine-check-last-vcpu 4 5 6");
        let [first, all] = one;
        assert_eq!(cost_of(&[first, all, last]), Some((7, 5, 6)));
        assert_eq!(cost_of(&[console("machine-check 1 2 3")]), None);
    }

    #[test]
    fn every_machine_that_was_asked_for() {
        let machines = Machines {
            processors: vec![1, 2],
            banks: vec![2],
            guests: vec![1, 16],
            memory: vec![16],
            busy: true,
            split: false,
        };
        let each: Vec<_> = machines
            .each()
            .iter()
            .map(|machine| (machine.processors, machine.guests))
            .collect();
        assert_eq!(each, [(1, 1), (1, 16), (2, 1), (2, 16)]);
        let is_so = |machine: &Machine| machine.busy && machine.memory == 16;
        assert!(machines.each().iter().all(is_so));
        let split = Machines {
            memory: vec![16, 256],
            split: true,
            ..machines
        };
        let memory = |machine: &Machine| machine.memory;
        assert_eq!(split.each().iter().map(memory).max(), Some(256));
        assert_eq!(split.each().iter().map(memory).min(), Some(SPLIT_MIB));
    }
}
