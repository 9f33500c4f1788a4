//! What Linux did: by the programs' lines, and by its own log.

use std::fmt;

use serde::Deserialize;

use super::row::Row;

/// Why a program got SIGBUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// BUS_MCEERR_AO: action optional.
    Optional,
    /// BUS_MCEERR_AR: action required.
    Required,
    /// The kernel's own, without an address: who has no handler for it is killed.
    Killed,
}

/// A signal that a program got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The processor that the program is bound to.
    pub cpu: usize,
    /// Why.
    pub why: Why,
    /// Which of its pages.
    pub page: Option<usize>,
}

/// What Linux did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What programs were told.
    pub told: Vec<Signal>,
    /// Pages that programs no longer have: processor and page.
    pub gone: Vec<(usize, usize)>,
    /// Pages that Linux says it took out of use.
    pub recovered: usize,
    /// What it said when it panicked, from the reason on.
    pub panic: Option<String>,
    /// What no row expects.
    pub strange: Vec<String>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Optional => "SIGBUS, action optional",
            Self::Required => "SIGBUS, action required",
            Self::Killed => "SIGBUS, no address",
        })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program {}: {}", self.cpu, self.why)?;
        match self.page {
            Some(page) => write!(f, ", its page {page}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(panic) = &self.panic {
            return write!(f, "panic: {panic}");
        }
        let mut words = gist(&self.told);
        if words.is_empty() {
            words.push("nobody is told".into());
        }
        match self.recovered {
            0 => {}
            1 => words.push("1 page recovered".into()),
            pages => words.push(format!("{pages} pages recovered")),
        }
        f.write_str(&words.join("; "))
    }
}

/// Signals of one kind together.
fn gist(signals: &[Signal]) -> Vec<String> {
    let mut signals = signals.to_vec();
    signals.sort();
    let alike = signals.chunk_by(|a, b| (a.cpu, a.why) == (b.cpu, b.why));
    alike
        .map(|alike| {
            let first = alike[0].to_string();
            let rest = alike[1..].iter().filter_map(|signal| signal.page);
            rest.fold(first, |words, page| format!("{words}, {page}"))
        })
        .collect()
}

impl Answer {
    /// Takes a line of a program. True if it says that its program runs.
    pub fn take(&mut self, line: &str) -> Option<usize> {
        let field = |name: &str| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name| field(name)?.parse::<usize>().ok();
        let cpu = number("cpu")?;
        match line.split_whitespace().nth(1) {
            Some("runs") => return Some(cpu),
            Some("gone") => self.gone.extend(number("page").map(|page| (cpu, page))),
            Some("signal") => match (number("code"), number("page"), number("lsb")) {
                (Some(5), Some(page), Some(12)) => self.tell(cpu, Why::Optional, Some(page)),
                (Some(4), Some(page), Some(12)) => self.tell(cpu, Why::Required, Some(page)),
                (Some(4), None, _) => self.tell(cpu, Why::Required, None),
                (Some(128), None, _) => self.tell(cpu, Why::Killed, None),
                _ => self.strange.push(line.to_owned()),
            },
            Some("ended") => self.strange.push(line.to_owned()),
            _ => {}
        }
        None
    }

    fn tell(&mut self, cpu: usize, why: Why, page: Option<usize>) {
        self.told.push(Signal { cpu, why, page });
    }

    /// Takes Linux's own log.
    pub fn take_log(&mut self, log: &str) {
        let after = |words: &str| {
            let mut found = log.lines().filter_map(|line| line.split_once(words));
            found.next_back().map(|(_, after)| after.trim().to_owned())
        };
        self.recovered = log.matches("page: Recovered").count();
        if let Some(end) = after("Kernel panic - not syncing: ") {
            // What was wrong with a bank stands in a line before.
            let reason = after("mce: [Hardware Error]: Machine check: ");
            self.panic = Some(reason.unwrap_or(end));
        }
    }
}

/// Each difference, as `expected ..., got ...`; none where the row holds.
pub fn judge(row: &Row, answer: &Answer) -> Vec<String> {
    let mut said = Vec::new();
    let mut same = |what: &str, expected: String, got: String| {
        if expected != got {
            said.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    let panic = |panic: &Option<String>| panic.clone().unwrap_or_else(|| "none".into());
    same("panic", panic(&row.panic), panic(&answer.panic));
    let list = |signals: &[Signal]| {
        let mut signals = signals.to_vec();
        signals.sort();
        let words: Vec<_> = signals.iter().map(ToString::to_string).collect();
        format!("[{}]", words.join("; "))
    };
    same("told", list(&row.told), list(&answer.told));
    let mut lost: Vec<_> = row
        .told
        .iter()
        .filter_map(|signal| Some((signal.cpu, signal.page?)))
        .collect();
    lost.sort_unstable();
    lost.dedup();
    let mut gone = answer.gone.clone();
    gone.sort_unstable();
    same("pages lost", format!("{lost:?}"), format!("{gone:?}"));
    if answer.panic.is_none() {
        let recovered = lost.len() + row.strangers;
        same(
            "pages recovered",
            recovered.to_string(),
            answer.recovered.to_string(),
        );
    }
    same(
        "strange lines",
        "[]".into(),
        format!("{:?}", answer.strange),
    );
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_an_answer_and_differences_are_named() {
        let mut answer = Answer::default();
        assert_eq!(answer.take("cpu=1 runs"), Some(1));
        for line in [
            "cpu=1 signal code=4 page=0 lsb=12",
            "cpu=1 gone page=0",
            "cpu=0 page=1 at=0x1000",
        ] {
            assert_eq!(answer.take(line), None);
        }
        answer.take_log(
            "[ 1.0] Memory failure: 0xd1a9: recovery action for dirty LRU page: Recovered\n",
        );
        assert_eq!(
            answer.to_string(),
            "program 1: SIGBUS, action required, its page 0; 1 page recovered"
        );
        let row: Row = toml::from_str(
            "title = 't'\nscenario = 's'\ntold = [{ cpu = 1, why = 'required', page = 0 }]",
        )
        .unwrap();
        assert_eq!(judge(&row, &answer), [""; 0]);
        let mut other = answer.clone();
        other.take("cpu=0 signal code=5 page=3 lsb=14");
        assert_eq!(
            judge(&row, &other),
            ["strange lines: expected [], got [\"cpu=0 signal code=5 page=3 lsb=14\"]"]
        );
        let mut more = answer.clone();
        for line in [
            "cpu=1 signal code=5 page=2 lsb=12",
            "cpu=1 signal code=5 page=1 lsb=12",
            "cpu=0 signal code=128 page=none lsb=0",
        ] {
            more.take(line);
        }
        assert_eq!(
            more.to_string(),
            "program 0: SIGBUS, no address; program 1: SIGBUS, action optional, its page 1, 2; \
             program 1: SIGBUS, action required, its page 0; 1 page recovered"
        );
        let mut other = answer.clone();
        other.recovered = 0;
        assert_eq!(judge(&row, &other), ["pages recovered: expected 1, got 0"]);

        let mut answer = Answer::default();
        answer.take_log(
            "mce: [Hardware Error]: Machine check: Why\nKernel panic - not syncing: Fatal\n",
        );
        assert_eq!(answer.panic.as_deref(), Some("Why"));
        assert_eq!(judge(&row, &answer)[0], "panic: expected none, got Why");
    }
}
