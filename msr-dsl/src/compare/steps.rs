//! What happens to a vCPU, as `msr sim` takes it: the lines of a witness.

use super::convert::convert_what_can_be;
use crate::interpret::{Answer, Machine};
use crate::model::View;
use msr_runtime::record::{Record, crc32c, name};
use msr_runtime::{ErrorRecord, MachineCheckEvent, Reset};
use std::fmt;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// RDMSR.
    Read(u32),
    /// WRMSR.
    Write {
        /// Where.
        msr: u32,
        /// What.
        value: u64,
    },
    /// A machine check.
    Inject(Injected),
    /// INIT.
    Init,
    /// What follows is done by another vCPU.
    Vcpu(u32),
    /// INIT of another vCPU: three lines.
    InitElsewhere,
    /// Who is told of an error that hits this vCPU now.
    Deliver,
    /// The record of this vCPU.
    Save,
    /// The record of what the guest's vCPUs share.
    SaveGuest,
    /// Becomes the vCPU of a record, or shares what a guest's record has.
    Restore(Vec<u8>),
    /// The hypervisor sets the state of a held register.
    Hold {
        /// Where a guest would reach it.
        msr: u32,
        /// To what.
        value: u64,
    },
    /// The hypervisor takes the state of a held register.
    Held(u32),
}

/// A machine check as the engine injects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Injected {
    /// Bit 0: with a record; 1: RIPV; 2: EIPV; 3: local.
    pub flags: u64,
    /// MCi_STATUS, MCi_ADDR, MCi_MISC.
    pub error: [u64; 3],
}

impl Injected {
    /// As the engine gives it.
    pub fn event(&self) -> MachineCheckEvent {
        let [status, address, misc] = self.error;
        MachineCheckEvent {
            restart_ip_valid: self.flags & 2 != 0,
            error_ip_valid: self.flags & 4 != 0,
            local: self.flags & 8 != 0,
            record: (self.flags & 1 != 0).then_some(ErrorRecord {
                status,
                address,
                misc,
            }),
        }
    }
}

impl Step {
    /// The lines that `msr sim` takes, each a step.
    pub fn lines(&self) -> Vec<Self> {
        match self {
            Self::InitElsewhere => vec![Self::Vcpu(1), Self::Init, Self::Vcpu(0)],
            other => vec![other.clone()],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(msr) => write!(f, "rdmsr {msr:#x}"),
            Self::Write { msr, value } => write!(f, "wrmsr {msr:#x} {value:#x}"),
            Self::Init => f.write_str("init"),
            Self::Vcpu(vcpu) => write!(f, "vcpu {vcpu:x}"),
            Self::InitElsewhere => f.write_str("init of another vCPU"),
            Self::SaveGuest => f.write_str("save guest"),
            Self::Deliver => f.write_str("deliver"),
            Self::Hold { msr, value } => write!(f, "hold {msr:#x} {value:#x}"),
            Self::Held(msr) => write!(f, "held {msr:#x}"),
            Self::Save => f.write_str("save"),
            Self::Restore(record) => {
                f.write_str("restore ")?;
                record.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Inject(what) => {
                f.write_str("inject")?;
                for (bit, name) in [(2, "RIPV"), (4, "EIPV"), (8, "LMCE_S")] {
                    if what.flags & bit != 0 {
                        write!(f, " {name}=1")?;
                    }
                }
                if what.flags & 1 != 0 {
                    let [status, address, misc] = what.error;
                    write!(f, " STATUS={status:#x}")?;
                    for (name, value) in [("ADDR", address), ("MISC", misc)] {
                        if value != 0 {
                            write!(f, " {name}={value:#x}")?;
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// A guest to start from: as `msr sim` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `--feature`.
    pub features: Vec<String>,
    /// `--cap`.
    pub capability: Option<u64>,
    /// `--from`: another interface, whose records are converted where they are restored.
    pub from: Option<String>,
}

impl Start {
    /// A guest with a capability word; said only if it is not that of every new guest.
    pub fn with(view: &View, word: u64) -> Self {
        let own = view.capability.map(|id| view.register(id).reset);
        Self {
            features: Vec::new(),
            capability: own.filter(|own| *own != word).map(|_| word),
            from: None,
        }
    }

    /// The options of `msr sim`.
    pub fn options(&self) -> Vec<String> {
        let features = self
            .features
            .iter()
            .flat_map(|name| ["--feature".to_owned(), name.clone()]);
        let word = self.capability.map(|word| format!("{word:#x}"));
        let word = word.into_iter().flat_map(|word| ["--cap".to_owned(), word]);
        let from = self.from.clone().into_iter();
        let from = from.flat_map(|from| ["--from".to_owned(), from]);
        features.chain(word).chain(from).collect()
    }

    /// The guest on a side, or why there is none.
    ///
    /// # Errors
    /// A feature or a capability word that the side does not know.
    pub fn guest_of<'v>(&self, views: [&'v View; 2], side: usize) -> Result<Guest<'v>, String> {
        let from = self.from.is_some().then_some(views[1 - side]);
        let machine = self.machine(views[side])?;
        Ok(Guest { machine, from })
    }

    fn machine<'v>(&self, view: &'v View) -> Result<Machine<'v>, String> {
        let mut machine = Machine::new(view);
        for name in &self.features {
            machine
                .add_feature(name)
                .map_err(|_| format!("no feature `{name}`"))?;
        }
        if let Some((feature, one_of)) = machine.unmet_requirement() {
            return Err(format!(
                "feature `{feature}` requires {}",
                one_of.join(" or ")
            ));
        }
        if let Some(word) = self.capability {
            machine.promise(word)?;
        }
        Ok(machine)
    }
}

/// A guest in `msr sim`.
#[derive(Clone, Debug)]
pub struct Guest<'v> {
    /// What accesses do.
    pub machine: Machine<'v>,
    /// The other interface whose records are converted where they are restored.
    pub from: Option<&'v View>,
}

impl Guest<'_> {
    /// What a line answers, in the words of `msr sim`; none for lines that answer nothing.
    pub fn execute(&mut self, step: &Step) -> Option<String> {
        match step {
            Step::Restore(record) => Some(match self.restore(record) {
                Ok(()) => "ok".to_owned(),
                Err(reasons) => format!("refused: {}", reasons.join("; ")),
            }),
            other => execute(&mut self.machine, other),
        }
    }

    /// Becomes the vCPU of a record, or shares what a guest's record has; one of the other interface is converted first, by what
    /// the guest loses if need be.
    ///
    /// # Errors
    /// Every reason why it is refused, each a sentence.
    pub fn restore(&mut self, record: &[u8]) -> Result<(), Vec<String>> {
        let written = |from: &&View| Record::open(record, name(&from.name), crc32c).is_ok();
        let converted = match self.from.filter(written) {
            Some(from) => convert_what_can_be(from, self.machine.view(), record)?.record,
            None => record.to_vec(),
        };
        let taken = self.machine.restore_either(&converted);
        taken.map_err(|_| self.machine.refusals(&converted))
    }
}

/// What a line answers, in the words of `msr sim`; none for lines that answer nothing.
pub fn execute(machine: &mut Machine, step: &Step) -> Option<String> {
    Some(match step {
        Step::Read(msr) => answer(machine.read(*msr)),
        Step::Write { msr, value } => answer(machine.write(*msr, *value)),
        Step::Inject(what) => match machine.inject(&what.event()) {
            true => "ok".to_owned(),
            false => "no injection".to_owned(),
        },
        Step::Init => {
            machine.reset(Reset::Init);
            return None;
        }
        Step::Vcpu(vcpu) => {
            machine.switch_to(*vcpu);
            return None;
        }
        Step::InitElsewhere => {
            for step in step.lines() {
                execute(machine, &step);
            }
            return None;
        }
        Step::Deliver => deliver(machine).to_owned(),
        Step::Hold { msr, value } => {
            machine.hold_at(*msr, *value);
            return None;
        }
        Step::Held(msr) => held(machine, *msr),
        Step::Save => hex(&machine.save()),
        Step::SaveGuest => hex(&machine.save_guest()),
        Step::Restore(record) => match machine.restore_either(record) {
            Ok(()) => "ok".to_owned(),
            Err(_) => format!("refused: {}", machine.refusals(record).join("; ")),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state of a held register.
pub fn held(machine: &Machine, msr: u32) -> String {
    let state = machine.held_at(msr);
    state.map_or("not held".to_owned(), |state| format!("{state:#018x}"))
}

/// Who is told of an error that hits this vCPU now.
pub fn deliver(machine: &Machine) -> &'static str {
    match &machine.view().injection {
        None => "nobody",
        Some(_) if machine.local_enabled() => "local",
        Some(injection) if injection.broadcast => "broadcast",
        Some(_) => "one",
    }
}

/// An answer as `msr sim` prints it.
pub fn answer(answer: Answer) -> String {
    match answer {
        Answer::Value(value) => format!("{value:#018x}"),
        Answer::Ok => "ok".to_owned(),
        Answer::Fault => "#GP".to_owned(),
        Answer::Unlisted => "unhandled".to_owned(),
        Answer::Hook(name) => format!("hook {name}"),
        Answer::Pass => "pass".to_owned(),
    }
}
