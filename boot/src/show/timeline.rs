//! The timeline: a line per event, coloured (the stream that it is written to takes the colours away where they do not belong).

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::clock::moment;
use super::words::{Look, Part, of, parts};
use crate::log::{Event, Level, Value};

/// Draws events.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Names of the guests by number; a guest without one is called by its number.
    guests: Vec<String>,
}

const DIM: Style = Style::new().dimmed();

impl Timeline {
    /// A timeline in which guests are called so.
    pub fn new(guests: impl IntoIterator<Item = String>) -> Self {
        Self {
            guests: guests.into_iter().collect(),
        }
    }

    /// A line for the event: when (instructions since boot), which processor, what.
    pub fn line(&self, event: &Event) -> String {
        let time = event.t.map_or_else(String::new, grouped);
        let cpu = match event.get("cpu") {
            Some(cpu) => format!("cpu{cpu}"),
            None => String::new(),
        };
        let (look, sentence, rest) = match self.sentence(event) {
            Some((look, sentence, rest)) => (Some(look), sentence, rest),
            None => (None, self.plain(event), String::new()),
        };
        let style = style(look, event.level);
        let mut line = format!("{DIM}{time:>14}  {cpu:<5}{DIM:#} {style}{sentence}{style:#}");
        if !rest.is_empty() {
            let _ = write!(line, " {DIM}{rest}{DIM:#}");
        }
        line
    }

    /// The kind's own sentence, and the fields it leaves over. `None` where no sentence has its fields.
    fn sentence(&self, event: &Event) -> Option<(Look, String, String)> {
        of(&event.kind).find_map(|(look, sentence)| {
            let (sentence, rest) = self.fill(&parts(sentence), event)?;
            Some((look, sentence, rest))
        })
    }

    fn fill(&self, parts: &[Part], event: &Event) -> Option<(String, String)> {
        let mut used = vec!["cpu"];
        let mut sentence = String::new();
        for part in parts {
            match *part {
                Part::Words(words) => sentence.push_str(words),
                Part::Field(name) => {
                    sentence.push_str(&self.value(name, event.get(name)?));
                    used.push(name);
                }
                Part::Count(name, noun) => {
                    let count = event.get(name)?;
                    let plural = if count.number() == Some(1) { "" } else { "s" };
                    let _ = write!(sentence, "{} {noun}{plural}", visible(count));
                    used.push(name);
                }
                Part::Silent(name) => used.push(name),
                Part::Is(name, word) => {
                    if event.get(name)?.to_string() != word {
                        return None;
                    }
                    used.push(name);
                }
            }
        }
        let rest: Vec<_> = event
            .fields
            .iter()
            .filter(|(name, _)| !used.contains(&name.as_str()))
            .map(|(name, value)| visible(&Value::Text(format!("{name}={value}"))))
            .collect();
        Some((sentence, rest.join(" ")))
    }

    /// As the log has it, but for the processor, which has its own column.
    fn plain(&self, event: &Event) -> String {
        let mut event = event.clone();
        event.fields.retain(|(name, _)| name != "cpu");
        if event.kind == Event::LOOSE {
            return event.get("text").map(visible).unwrap_or_default();
        }
        visible(&Value::Text(event.to_string()))
    }

    fn value(&self, field: &str, value: &Value) -> String {
        match (field, value.number()) {
            ("guest", Some(number)) => usize::try_from(number)
                .ok()
                .and_then(|number| self.guests.get(number).cloned())
                .unwrap_or_else(|| format!("guest {number}")),
            ("mcg_status", Some(number)) => mcg_status(number),
            ("unix", Some(number @ 1..)) => match moment(Duration::from_secs(number)) {
                Some(when) => humantime::format_rfc3339_seconds(when).to_string(),
                None => visible(value),
            },
            ("unix", Some(0)) => "unknown".to_owned(),
            _ => visible(value),
        }
    }
}

/// MCG_STATUS in words (SDM vol. 3, IA32_MCG_STATUS).
fn mcg_status(number: u64) -> String {
    const FLAGS: [&str; 4] = ["RIPV", "EIPV", "MCIP", "LMCE_S"];
    let mut words: Vec<_> = (0..FLAGS.len())
        .filter(|bit| number & (1 << bit) != 0)
        .map(|bit| FLAGS[bit].to_owned())
        .collect();
    let rest = number >> FLAGS.len() << FLAGS.len();
    if rest != 0 || words.is_empty() {
        words.push(format!("{rest:#x}"));
    }
    words.join("|")
}

fn style(look: Option<Look>, level: Level) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match (level, look) {
        (Level::Error, _) => colour(AnsiColor::Red).bold(),
        (Level::Warn, _) => colour(AnsiColor::Yellow),
        (_, Some(Look::Life)) => Style::new().bold(),
        (_, Some(Look::Guest)) => colour(AnsiColor::Cyan),
        (_, Some(Look::MachineCheck)) => colour(AnsiColor::Yellow),
        (_, Some(Look::Virtual)) => colour(AnsiColor::Magenta),
        (_, None) => Style::new(),
    }
}

/// A text with its control characters made visible: a guest's console must not drive the user's terminal.
fn visible(value: &Value) -> String {
    let text = value.to_string();
    text.chars()
        .flat_map(|c| -> Box<dyn Iterator<Item = char>> {
            if c.is_control() {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            }
        })
        .collect()
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let timeline = Timeline::new(["web".to_owned()]);
        let line = timeline.line(&Event::parse(text, Some(1_234_567), Level::Info));
        anstream::adapter::strip_str(&line).to_string()
    }

    #[test]
    fn a_known_kind_is_a_sentence_and_what_is_left_over_follows() {
        assert_eq!(
            line("vmce.injected cpu=1 guest=0 vcpu=1 mcg_status=0x5 record=no new=1"),
            "     1 234 567  cpu1  vMCE to web vCPU 1, RIPV|MCIP: clean bank new=1"
        );
        assert_eq!(
            line("guest.shutdown cpu=0 guest=3 code=1").trim(),
            "1 234 567  cpu0  guest 3 shuts down with exit code 1"
        );
    }

    #[test]
    fn of_several_sentences_the_one_that_fits() {
        let free = line("page.retired cpu=0 hpa=0x1000 owner=free");
        assert!(free.ends_with("  free page 0x1000 is out of use"), "{free}");
        let guest = line("page.retired cpu=0 hpa=0x1000 owner=guest guest=0 gpa=0x2000 pages=1");
        assert!(
            guest.ends_with("  page 0x2000 of web (host 0x1000) is out of use"),
            "{guest}"
        );
    }

    #[test]
    fn one_is_one_and_a_word_chooses_its_sentence() {
        let up = |processors, faults| {
            line(&format!(
                "hypervisor.up cpu=0 version=1 processors={processors} banks=4 interfaces=a@1 faults={faults}"
            ))
        };
        assert!(up(1, "yes").ends_with("1 processor, 4 banks each, a@1, fault injection on"));
        assert!(up(2, "no").ends_with("2 processors, 4 banks each, a@1, fault injection off"));
        let hit = |owner| line(&format!("mc.hit cpu=0 owner={owner} hpa=0x1000"));
        assert!(hit("hypervisor").ends_with("the hypervisor's memory is hit: 0x1000"));
        assert!(hit("free").ends_with("memory that is nobody's is hit: 0x1000"));
    }

    #[test]
    fn a_time_of_day_is_said_as_people_write_it() {
        let clock = |unix: u64| {
            line(&format!(
                "hypervisor.clock cpu=0 tsc_khz=100003 source=timer unix={unix}"
            ))
        };
        assert!(
            clock(1_795_391_998)
                .ends_with("clock: 2026-11-22T23:59:58Z; 100003 thousand ticks a second, by timer")
        );
        assert!(clock(0).contains("clock: unknown;"));
        assert!(clock(u64::MAX).contains("clock: 18446744073709551615;"));
    }

    #[test]
    fn mcg_status_is_said_in_words() {
        assert_eq!(
            [0, 1, 7, 0xd, 0x15].map(mcg_status),
            [
                "0x0",
                "RIPV",
                "RIPV|EIPV|MCIP",
                "RIPV|MCIP|LMCE_S",
                "RIPV|MCIP|0x10"
            ]
        );
    }

    #[test]
    fn an_unknown_kind_and_one_without_its_fields_are_shown_as_they_are() {
        assert_eq!(
            line("new.kind cpu=0 a=1"),
            "     1 234 567  cpu0  new.kind a=1"
        );
        assert_eq!(
            line("guest.up cpu=0 guest=0"),
            "     1 234 567  cpu0  guest.up guest=0"
        );
        assert_eq!(line("Hello, a=1"), "     1 234 567        Hello, a=1");
    }

    #[test]
    fn a_guest_cannot_drive_the_terminal() {
        let shown = line("guest.console cpu=0 guest=0 vcpu=1 text=\u{1b}[2Jhi\u{9b}");
        assert!(shown.ends_with("web/1: \\u{1b}[2Jhi\\u{9b}"), "{shown:?}");
        assert!(!line("\u{1b}[2J").contains('\u{1b}'));
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_000_000].map(grouped),
            ["0", "999", "1 000", "1 000 000"]
        );
    }
}
