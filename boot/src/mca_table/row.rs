//! The table's file: what is raised, and what must come of it.

use std::path::Path;

use serde::Deserialize;

use crate::error::Result;
use crate::rows;
use crate::scenario::{Known, Problems, suggestion};

/// Banks of a processor in QEMU.
const BANKS: u8 = 10;
/// What a row may ask for; with more, runs take long.
const MOST_PROCESSORS: u16 = 8;

const VAL: u64 = 1 << 63;
const UC: u64 = 1 << 61;

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What it shows.
    pub title: String,
    /// How many processors the machine has.
    pub processors: u16,
    /// What is raised, all between the same two instructions.
    pub raise: Vec<Raise>,
    /// What is done about it.
    pub action: Action,
    /// With [`Action::Reset`]: why.
    pub reason: Option<String>,
    /// With [`Action::Page`] or [`Action::HostPage`]: which, as host-physical addresses.
    #[serde(default)]
    pub pages: Vec<u64>,
    /// The records that the administrator gets, in any order. Those of the bystanders of a broadcast go without saying.
    pub records: Vec<Record>,
    /// The processors that are missed.
    #[serde(default)]
    pub missing: Vec<u16>,
    /// The processors that come late: a rendezvous before has missed them.
    #[serde(default)]
    pub late: Vec<u16>,
    /// No rendezvous: each processor that is told is told alone.
    #[serde(default)]
    pub local: bool,
    /// The line of the file.
    #[serde(skip)]
    pub line: usize,
}

/// An error that is raised, as QEMU's monitor command `mce` has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The processor.
    #[serde(default)]
    pub cpu: u16,
    /// The bank.
    #[serde(default = "usual_bank")]
    pub bank: u8,
    /// MCi_STATUS.
    pub status: u64,
    /// MCG_STATUS. Nothing with a corrected error, which raises no #MC.
    #[serde(default)]
    pub mcg_status: u64,
    /// MCi_ADDR.
    #[serde(default)]
    pub addr: u64,
    /// MCi_MISC.
    #[serde(default)]
    pub misc: u64,
    /// Every processor gets the #MC.
    #[serde(default)]
    pub broadcast: bool,
}

/// What is done about the worst of the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A poll finds it: counted and logged.
    Count,
    /// A poll finds it: logged.
    Found,
    /// Logged and cleared.
    Log,
    /// Pages go out of use.
    Page,
    /// The hypervisor's own page is hit, and it goes on.
    HostPage,
    /// The machine is reset with the banks intact; the next boot logs and clears them.
    Reset,
}

/// A record that must come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The processor.
    #[serde(default)]
    pub cpu: u16,
    /// The bank.
    #[serde(default = "usual_bank")]
    pub bank: u8,
    /// Its class, as the engine calls it.
    pub class: String,
    /// MCACOD in words.
    pub code: String,
    /// MCi_STATUS; if missing, as it was raised there.
    pub status: Option<u64>,
    /// MCi_ADDR as it counts.
    #[serde(default)]
    pub addr: u64,
    /// MCi_MISC as it counts.
    #[serde(default)]
    pub misc: u64,
    /// With [`Action::Count`]: how many errors the page has had. If missing, it does not matter.
    pub count: Option<u64>,
}

fn usual_bank() -> u8 {
    4
}

impl Action {
    /// The word for it in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Found => "found",
            Self::Log => "log",
            Self::Page => "page",
            Self::HostPage => "host-page",
            Self::Reset => "reset",
        }
    }
}

impl Raise {
    /// Whether it raises an #MC (QEMU does so for uncorrected ones).
    pub const fn signals(&self) -> bool {
        self.status & UC != 0
    }

    /// The monitor's command.
    pub fn command(&self) -> String {
        let Self {
            cpu,
            bank,
            status,
            mcg_status,
            addr,
            misc,
            broadcast,
        } = self;
        let flag = if *broadcast { "-b " } else { "" };
        format!("mce {flag}{cpu} {bank} {status:#x} {mcg_status:#x} {addr:#x} {misc:#x}")
    }
}

impl Row {
    /// The processors that get an #MC.
    pub fn told(&self) -> Vec<u16> {
        (0..self.processors)
            .filter(|cpu| {
                self.raise
                    .iter()
                    .any(|raise| raise.signals() && (raise.broadcast || raise.cpu == *cpu))
            })
            .collect()
    }

    /// No rendezvous: each processor that is told handles its banks alone.
    pub fn is_alone(&self) -> bool {
        self.local || !self.late.is_empty()
    }

    /// The records that must come, those of bystanders included.
    pub fn wanted(&self) -> Vec<Record> {
        let mut wanted = self.records.clone();
        for record in &mut wanted {
            let raised = |raise: &&Raise| raise.cpu == record.cpu && raise.bank == record.bank;
            record.status = record
                .status
                .or_else(|| self.raise.iter().rfind(raised).map(|raise| raise.status));
        }
        for source in self.raise.iter().filter(|raise| raise.broadcast) {
            let others = (0..self.processors).filter(|cpu| *cpu != source.cpu);
            wanted.extend(others.map(Record::of_bystander));
        }
        wanted
    }

    fn check(&self, span: &std::ops::Range<usize>, problems: &mut Problems) {
        let mut wrong = |message: String| problems.add(span, message);
        if !(1..=MOST_PROCESSORS).contains(&self.processors) {
            wrong(format!("`processors` must be 1 to {MOST_PROCESSORS}"));
        }
        if self.raise.is_empty() {
            wrong("nothing is raised".into());
        }
        for (index, raise) in self.raise.iter().enumerate() {
            if raise.cpu >= self.processors {
                wrong(format!("there is no processor {}", raise.cpu));
            }
            if raise.bank >= BANKS {
                wrong(format!(
                    "QEMU has banks 0 to {}, not {}",
                    BANKS - 1,
                    raise.bank
                ));
            }
            if raise.status & VAL == 0 {
                wrong("QEMU raises no error whose status has VAL (bit 63) clear".into());
            }
            let told = |earlier: &Raise| {
                earlier.signals()
                    && (earlier.broadcast || raise.broadcast || earlier.cpu == raise.cpu)
            };
            if raise.signals() && self.raise[..index].iter().any(told) {
                wrong("a second #MC for a processor that is in one shuts it down".into());
            }
        }
        for record in &self.records {
            let place = (record.cpu, record.bank);
            let raised = |raise: &Raise| (raise.cpu, raise.bank) == place;
            if record.status.is_none() && !self.raise.iter().any(raised) {
                let (cpu, bank) = place;
                wrong(format!(
                    "the record of bank {bank} of processor {cpu} has no `status`, and nothing is raised there"
                ));
            }
        }
        if (self.action == Action::Reset) != self.reason.is_some() {
            wrong("`reason` goes with `action = \"reset\"`".into());
        }
        let has_pages = matches!(self.action, Action::Page | Action::HostPage);
        if has_pages == self.pages.is_empty() {
            wrong("`pages` goes with `action = \"page\"` and `\"host-page\"`".into());
        }
    }

    fn check_words(&self, span: &std::ops::Range<usize>, known: &Known, problems: &mut Problems) {
        let mut check = |kind: &str, key: &str, word: &str| {
            if let Some(words) = known.words_of(kind, key)
                && !words.iter().any(|known| known == word)
            {
                let message = format!("no {key} is called `{word}`");
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                problems.add_with_help(span, message, suggestion(word, &words));
            }
        };
        for record in &self.records {
            check("mc.bank", "class", &record.class);
            check("mc.bank", "code", &record.code);
        }
        if let Some(reason) = &self.reason {
            check("mc.fatal", "reason", reason);
        }
    }
}

impl Record {
    /// What QEMU's broadcast puts into the other processors' banks: VAL and UC, EN clear.
    fn of_bystander(cpu: u16) -> Self {
        Self {
            cpu,
            bank: 1,
            class: "spurious".into(),
            code: "none".into(),
            status: Some(VAL | UC),
            addr: 0,
            misc: 0,
            count: None,
        }
    }
}

/// Reads a table.
///
/// # Errors
/// [`crate::error::Error::Input`] with every mistake and its place.
pub fn load(path: &Path, known: &Known) -> Result<Vec<Row>> {
    parse(path, &rows::text(path)?, known)
}

pub(super) fn parse(path: &Path, text: &str, known: &Known) -> Result<Vec<Row>> {
    rows::parse(path, text, |row: &Row, span, problems| {
        row.check(span, problems);
        row.check_words(span, known, problems);
    })
}

impl rows::Row for Row {
    fn set_line(&mut self, line: usize) {
        self.line = line;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const GOOD: &str = "[[row]]\ntitle = 't'\nprocessors = 2\naction = 'log'\n\
        raise = [{ cpu = 1, status = 0xa000000000000000, mcg_status = 5 }]\n\
        records = [{ cpu = 1, class = 'spurious', code = 'none' }]\n";

    #[test]
    fn mistakes_have_their_place() {
        let known = known();
        let rows = parse(Path::new("t.toml"), GOOD, &known).unwrap();
        assert_eq!(
            rows[0].raise[0].command(),
            "mce 1 4 0xa000000000000000 0x5 0x0 0x0"
        );
        assert_eq!(rows[0].told(), [1]);
        assert_eq!(rows[0].wanted()[0].status, Some(0xa000_0000_0000_0000));
        for (from, to, place, message) in [
            ("title = 't'\n", "", "t.toml:1:1", "missing field `title`"),
            (
                "cpu = 1, status",
                "cpu = 2, status",
                "t.toml:1:1",
                "there is no processor 2",
            ),
            (
                "cpu = 1, status",
                "cpu = 1, bank = 10, status",
                "t.toml:1:1",
                "QEMU has banks 0 to 9, not 10",
            ),
            ("0xa0000", "0x20000", "t.toml:1:1", "VAL (bit 63) clear"),
            ("'log'", "'logg'", "t.toml:4:10", "unknown variant `logg`"),
            ("'log'", "'page'", "t.toml:1:1", "`pages` goes with"),
            ("'log'", "'reset'", "t.toml:1:1", "`reason` goes with"),
            (
                "mcg_status",
                "mcgstatus",
                "t.toml:5:",
                "unknown field `mcgstatus`",
            ),
            (
                "processors = 2",
                "processors = 0",
                "t.toml:1:1",
                "`processors` must be 1 to 8",
            ),
            (
                "records = [{ cpu = 1",
                "records = [{ cpu = 0",
                "t.toml:1:1",
                "nothing is raised there",
            ),
            (
                "'spurious'",
                "'spurius'",
                "t.toml:1:1",
                "no class is called `spurius`",
            ),
            ("'none'", "'tlbs'", "t.toml:1:1", "did you mean `tlb`?"),
            (
                "raise = [{",
                "raise = [{ cpu = 1, status = 0xa000000000000000 }, {",
                "t.toml:1:1",
                "shuts it down",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let said = parse(Path::new("t.toml"), &GOOD.replacen(from, to, 1), &known)
                .unwrap_err()
                .to_string();
            assert!(
                said.starts_with(place) && said.contains(message),
                "{from} -> {to}: {said}"
            );
        }
    }

    /// The table of the workspace has every class, every way out, every reason that this machine can have.
    #[test]
    fn the_table_covers_what_it_is_for() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mca-table.toml");
        let rows = load(&path, &known()).unwrap_or_else(|error| panic!("{error}"));
        assert!(rows.len() >= 40, "{}", rows.len());
        let set = |words: Vec<&str>| {
            words
                .into_iter()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        };
        let classes = rows
            .iter()
            .flat_map(|row| &row.records)
            .map(|record| record.class.as_str());
        let classes = set(classes.collect());
        let all = words("mc.bank", "class", &["none"]);
        assert_eq!(classes, all);
        let reasons = set(rows
            .iter()
            .filter_map(|row| row.reason.as_deref())
            .collect());
        // No bank without VAL can be raised; too many errors and a stuck processor need more than this machine has.
        let all = words("mc.fatal", "reason", &["no-bank", "processor-stuck"]);
        assert_eq!(reasons, all);
        for action in ["count", "log", "page", "host-page", "reset"] {
            assert!(
                rows.iter().any(|row| row.action.word() == action),
                "{action}"
            );
        }
        for processors in [1, 2, 4] {
            assert!(
                rows.iter().any(|row| row.processors == processors),
                "{processors}"
            );
        }
    }

    fn known() -> Known {
        Known::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
    }

    /// The words that the engine has, but for some.
    fn words(kind: &str, key: &str, without: &[&str]) -> BTreeSet<String> {
        let known = known();
        let words = known.words_of(kind, key).unwrap().iter();
        words
            .filter(|word| !without.contains(&word.as_str()))
            .cloned()
            .collect()
    }
}
