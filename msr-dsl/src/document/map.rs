//! A register drawn: four rows of sixteen bits, so that a phone shows them too.

use crate::model::{BitRule, Field, FieldType, Read, Register, Write};
use maud::{Markup, html};

/// Pixels of the drawing's own grid; the page scales it.
const CELL: u32 = 48;
const BOX: u32 = 30;
const ROW: u32 = 56;
const NUMBERS: u32 = 14;
const BITS: u32 = 16;

/// A letter of a field's name, in pixels.
const LETTER: u32 = 8;

/// What a guest can do with some bits: a class of the style sheet and a word of the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A write is stored, and a read gives it.
    State,
    /// A write can clear or set, but not store.
    Event,
    /// A read gives something, a write changes nothing.
    Fixed,
    /// Not a field.
    Reserved,
}

impl Kind {
    /// All, in the legend's order.
    pub const ALL: [Self; 4] = [Self::State, Self::Event, Self::Fixed, Self::Reserved];

    /// The class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Event => "event",
            Self::Fixed => "fixed",
            Self::Reserved => "reserved",
        }
    }

    /// In the legend.
    pub fn words(self) -> &'static str {
        match self {
            Self::State => "stored: a guest reads what it wrote",
            Self::Event => "a write clears or sets",
            Self::Fixed => "read only",
            Self::Reserved => "reserved",
        }
    }

    /// Of a field, in its register.
    pub fn of(register: &Register, field: &Field) -> Self {
        let writable = match register.write {
            Write::Bits(_) => field.write.changes(),
            Write::Hook(_) | Write::Pass => true,
            Write::Fault | Write::Unlisted => false,
        };
        let computed = field.read.is_some() || matches!(field.ty, FieldType::Const(_));
        match (&field.write, writable && !computed) {
            (_, false) => Self::Fixed,
            (BitRule::OneClears | BitRule::OneSets | BitRule::ZeroClears, true) => Self::Event,
            (BitRule::Sticky, true) => Self::Event,
            _ => Self::State,
        }
    }
}

/// Bits of one row that belong together.
struct Run<'r> {
    hi: u32,
    lo: u32,
    field: Option<&'r Field>,
}

/// Bits drawn beside each other: sixteen, or more rows of them that have no field, drawn as one.
struct Band<'r> {
    /// The highest bit.
    top: u32,
    runs: Vec<Run<'r>>,
}

/// The drawing. `anchor` is put before a field's name to link to its row of the table.
pub fn map(register: &Register, anchor: &str) -> Markup {
    let bands = bands(register);
    let (width, height) = (BITS * CELL + 2, bands.len() as u32 * ROW);
    html! {
        svg.map viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(format!("bits of {}", register.name)) {
            @for (row, band) in (0..).zip(&bands) {
                @for run in &band.runs { (draw(register, band, run, row, anchor)) }
            }
        }
    }
}

/// From the highest bit down.
fn bands(register: &Register) -> Vec<Band<'_>> {
    let mut bands: Vec<Band> = Vec::new();
    for top in (0..4).rev().map(|row| row * BITS + BITS - 1) {
        let runs = runs(register, top);
        let empty = |runs: &[Run]| matches!(runs, [run] if run.field.is_none());
        match bands.last_mut() {
            Some(above) if empty(&above.runs) && empty(&runs) => above.runs[0].lo = runs[0].lo,
            _ => bands.push(Band { top, runs }),
        }
    }
    bands
}

/// The runs of the row whose highest bit is `top`, highest first.
fn runs(register: &Register, top: u32) -> Vec<Run<'_>> {
    let mut runs: Vec<Run> = Vec::new();
    for bit in (top + 1 - BITS..=top).rev() {
        let field = register
            .fields
            .iter()
            .find(|field| (field.lo..=field.hi).contains(&bit));
        match runs.last_mut() {
            Some(run) if run.field.map(|f| f.lo) == field.map(|f| f.lo) => run.lo = bit,
            _ => runs.push(Run {
                hi: bit,
                lo: bit,
                field,
            }),
        }
    }
    runs
}

fn draw(register: &Register, band: &Band, run: &Run, row: u32, anchor: &str) -> Markup {
    let left = (band.top - run.hi) * CELL + 1;
    let width = (run.hi - run.lo + 1).min(BITS) * CELL;
    let top = row * ROW + NUMBERS;
    let kind = run
        .field
        .map_or(unnamed(register), |f| Kind::of(register, f));
    html! {
        rect class=(kind.class()) x=(left) y=(top) width=(width) height=(BOX) {}
        text.bit x=(left + CELL / 2) y=(top - 3) { (run.hi) }
        @if run.hi != run.lo {
            text.bit x=(left + width - CELL / 2) y=(top - 3) { (run.lo) }
        }
        @if let Some(field) = run.field {
            a href=(format!("#{anchor}.{}", field.name)) {
                title { (field.name) }
                text.name x=(left + width / 2) y=(top + BOX / 2 + 4) { (fitting(&field.name, width)) }
            }
        }
    }
}

/// What bits without a field are: reserved, unless a write changes them or they are the whole register.
fn unnamed(register: &Register) -> Kind {
    let readable = !matches!(register.read, Read::Fault | Read::Unlisted);
    match register.write {
        Write::Bits(_) if register.reserved.changes() && register.stored => Kind::State,
        _ if !register.fields.is_empty() => Kind::Reserved,
        Write::Hook(_) | Write::Pass => Kind::State,
        _ if readable => Kind::Fixed,
        _ => Kind::Reserved,
    }
}

/// As much of a name as a box holds.
fn fitting(name: &str, width: u32) -> String {
    let room = (width / LETTER) as usize;
    match name.chars().count() <= room {
        true => name.to_owned(),
        false => name
            .chars()
            .take(room.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}
