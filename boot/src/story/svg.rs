//! A run's machine checks as a picture.
//!
//! What takes a few instructions stands beside what takes thousands: between two neighbouring moments the axis grows with the
//! logarithm of the time between them. The numbers below it are true.

use std::fmt::Write as _;

use super::{Doing, Mark, Row, Span, Story};

const LEFT: f64 = 104.0;
const WIDTH: f64 = 1000.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const LANE: f64 = 34.0;
const BAR: f64 = 24.0;

/// Moments that are nearer than this have one number, in pixels.
const NUMBER: f64 = 46.0;

/// What the picture shows: all but what lasts as long as the run.
const SHOWN: [Doing; 9] = [
    Doing::Gate,
    Doing::Rounds,
    Doing::Recovery,
    Doing::Wait,
    Doing::Leave,
    Doing::Fatal,
    Doing::Injection,
    Doing::Held,
    Doing::Handler,
];

/// The picture's text. `title` stands above it.
pub fn svg(story: &Story, title: &str) -> String {
    let spans: Vec<_> = story
        .spans
        .iter()
        .filter(|span| SHOWN.contains(&span.doing))
        .collect();
    let pages = story.marks.iter();
    let pages: Vec<_> = pages
        .filter(|mark| mark.event.kind == "page.retired")
        .collect();
    let rows: Vec<_> = story
        .rows
        .iter()
        .filter(|row| {
            spans.iter().any(|span| span.row == **row) || pages.iter().any(|page| page.row == **row)
        })
        .collect();
    let start = first_moment(story, &spans);
    let ends = spans.iter().flat_map(|span| [span.start, span.end]);
    let axis = Axis::new(ends.chain([start]).chain(pages.iter().map(|page| page.at)));
    let bottom = TOP + LANE * rows.len() as f64;
    let height = bottom + 44.0 + 18.0 * SHOWN.len().div_ceil(2) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"15\" font-weight=\"bold\" fill=\"#1b1f24\">{}</text>\n\
         <text x=\"16\" y=\"45\" fill=\"#57606a\">Time in instructions since the error; between two moments the axis is logarithmic.</text>\n",
        escaped(title)
    );
    for (at, x) in axis.numbered() {
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#d8dee4\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#57606a\">{}</text>",
            bottom + 16.0,
            at - start
        );
    }
    for (lane, row) in rows.iter().enumerate() {
        let y = TOP + LANE * lane as f64;
        let name = escaped(&story.name(**row));
        let weight = if matches!(row, Row::Processor(_)) {
            "normal"
        } else {
            "bold"
        };
        let _ = writeln!(
            out,
            "<g data-row=\"{name}\"><text x=\"16\" y=\"{:.1}\" font-weight=\"{weight}\" fill=\"#1b1f24\">{name}</text>",
            y + 21.0
        );
        for span in spans.iter().filter(|span| span.row == **row) {
            bar(&mut out, &axis, span, y + (LANE - BAR) / 2.0);
        }
        for page in pages.iter().filter(|page| page.row == **row) {
            gone(&mut out, &axis, page, y + LANE / 2.0);
        }
        out.push_str("</g>\n");
    }
    legend(&mut out, bottom + 40.0);
    out.push_str("</svg>\n");
    out
}

/// The first error of the run, or where the first span begins.
fn first_moment(story: &Story, spans: &[&Span]) -> u64 {
    let raised = story
        .marks
        .iter()
        .find(|mark| mark.event.kind == "fault.raised");
    let begun = spans.iter().map(|span| span.start).min().unwrap_or(0);
    raised.map_or(begun, |mark| mark.at.min(begun))
}

fn bar(out: &mut String, axis: &Axis, span: &Span, y: f64) {
    let (from, to) = (axis.x(span.start), axis.x(span.end));
    let width = to - from;
    let word = span.doing.word();
    let _ = write!(
        out,
        "<g data-span=\"{word}\"><title>{}: {} instructions</title>\
         <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\" fill=\"{}\" stroke=\"#ffffff\"/>",
        span.doing.words(),
        span.end - span.start,
        colour(span.doing)
    );
    // A letter is some 7 pixels wide.
    if width > 7.0 * word.len() as f64 + 4.0 {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#1b1f24\">{word}</text>",
            from + width / 2.0,
            y + 16.0
        );
    }
    out.push_str("</g>");
}

/// A page that goes out of use.
fn gone(out: &mut String, axis: &Axis, page: &Mark, y: f64) {
    let x = axis.x(page.at);
    let address = page.event.get("gpa").or_else(|| page.event.get("hpa"));
    let address = address.map_or_else(String::new, |address| escaped(&address.to_string()));
    let _ = write!(
        out,
        "<g data-mark=\"page\"><title>page {address} out of use</title>\
         <path d=\"M{x:.1} {:.1} l6 6 l-6 6 l-6 -6 z\" fill=\"#e03131\"/>",
        y - 6.0,
    );
    // On a processor's row it would stand on the bars.
    if !matches!(page.row, Row::Processor(_)) {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#1b1f24\">page {address} out of use</text>",
            x + 10.0,
            y + 4.0,
        );
    }
    out.push_str("</g>");
}

fn legend(out: &mut String, y: f64) {
    for (index, doing) in SHOWN.iter().enumerate() {
        let x = 16.0 + (index % 2) as f64 * 480.0;
        let y = y + 18.0 * (index / 2) as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{:.1}\" font-size=\"11\" fill=\"#1b1f24\">{}: {}</text>",
            colour(*doing),
            x + 18.0,
            y + 10.0,
            doing.word(),
            doing.words()
        );
    }
}

const fn colour(doing: Doing) -> &'static str {
    match doing {
        Doing::Guest | Doing::MachineCheck => "#eaeef2",
        Doing::Gate => "#ffd8a8",
        Doing::Rounds => "#ffec99",
        Doing::Recovery => "#ffa8a8",
        Doing::Wait => "#dee2e6",
        Doing::Leave => "#b2f2bb",
        Doing::Fatal => "#ff8787",
        Doing::Injection => "#96f2d7",
        Doing::Held => "#d0bfff",
        Doing::Handler => "#a5d8ff",
    }
}

/// Where moments stand.
struct Axis {
    /// Each moment and its place, in order.
    moments: Vec<(u64, f64)>,
}

impl Axis {
    fn new(moments: impl Iterator<Item = u64>) -> Self {
        let mut moments: Vec<_> = moments.collect();
        moments.sort_unstable();
        moments.dedup();
        let steps: Vec<_> = moments
            .windows(2)
            .map(|pair| step(pair[1] - pair[0]))
            .collect();
        let scale = (WIDTH - LEFT - RIGHT) / steps.iter().sum::<f64>().max(1e-9);
        let mut x = LEFT;
        let mut placed = Vec::new();
        for (index, moment) in moments.iter().enumerate() {
            placed.push((*moment, x));
            x += steps.get(index).map_or(0.0, |step| step * scale);
        }
        Self { moments: placed }
    }

    /// The place of one of the moments.
    fn x(&self, moment: u64) -> f64 {
        let place = self.moments.binary_search_by_key(&moment, |(at, _)| *at);
        place.map_or(LEFT, |place| self.moments[place].1)
    }

    /// The moments whose numbers have room.
    fn numbered(&self) -> Vec<(u64, f64)> {
        let mut shown: Vec<(u64, f64)> = Vec::new();
        for (at, x) in &self.moments {
            if shown.last().is_none_or(|(_, last)| x - last >= NUMBER) {
                shown.push((*at, *x));
            }
        }
        shown
    }
}

/// How far apart two moments stand.
fn step(ticks: u64) -> f64 {
    (1.0 + ticks as f64 / 40.0).log2()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// The rows of a picture and what is in each, without the times: what stays the same when an instruction is saved.
pub fn shape(svg: &str) -> Vec<String> {
    let parts = svg.split("data-").skip(1);
    parts
        .filter_map(|part| {
            part.split_once("=\"")?
                .1
                .split_once('"')
                .map(|(name, _)| (part, name))
        })
        .map(|(part, name)| format!("{} {name}", part.split('=').next().unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RUN, story};
    use super::*;

    #[test]
    fn every_row_has_its_bars_and_the_numbers_are_true() {
        let text = svg(&story(RUN), "a < b");
        assert_eq!(
            shape(&text),
            [
                "row cpu0",
                "span gate",
                "span rounds",
                "span wait",
                "span leave",
                "span inject",
                "row cpu1",
                "span gate",
                "span rounds",
                "span recovery",
                "span leave",
                "row g0",
                "mark page",
                "row g0 vCPU 0",
                "span held",
                "span handler"
            ]
        );
        assert!(
            text.contains("a &lt; b")
                && text.contains("handler, until it clears MCIP: 60 instructions")
        );
        // The end of the handler, 150 after the error, stands at the right edge.
        assert!(
            text.contains("<text x=\"980.0\"") && text.contains(">150</text>"),
            "{text}"
        );
    }

    #[test]
    fn a_run_without_machine_checks_is_an_empty_picture() {
        assert!(svg(&story("1 guest.up cpu=0 guest=0"), "t").ends_with("</svg>\n"));
    }
}
