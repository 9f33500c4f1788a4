//! Random specs that the checker takes: every kind of rule, read, presence, set and migration, in any combination.

use msr_dsl::source::compile_text;
use std::fmt::Write;

/// A small generator of numbers (xorshift); the same seed gives the same specs.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const RULES: &[&str] = &[
    "store",
    "ignore",
    "fault_if_set",
    "fault_on_change",
    "one_clears",
    "one_sets",
    "zero_clears",
    "sticky",
];
const CONDITIONS: &[&str] = &[
    "CAP.A_P",
    "!CAP.B_P",
    "A",
    "CAP.A_P && B",
    "CAP.A_P || CAP.B_P",
    "CAP.COUNT > 2",
    "PLAIN != 0",
    "PLAIN.LOW == 3",
    "PLAIN.HIGH",
];

fn condition(random: &mut Random) -> String {
    let first = random.one(CONDITIONS);
    if random.chance(20) {
        format!("({first}) != ({})", random.one(CONDITIONS))
    } else {
        first.to_owned()
    }
}

/// `placed`: there is more than one bank, or MSR, so that `i` says something.
fn value(random: &mut Random, placed: bool) -> String {
    match random.below(8) {
        0 => "zero".to_owned(),
        1 => "all_ones".to_owned(),
        2 => format!("{:#x}", random.next()),
        3 => format!(
            "all_ones if {} else {:#x}",
            condition(random),
            random.below(256)
        ),
        4 => "PLAIN & 0xff | 1 << 9".to_owned(),
        5 => "state".to_owned(),
        6 if placed => "i | state << 3".to_owned(),
        _ => "PLAIN >> 2".to_owned(),
    }
}

/// Legal sets, and a value that is in one of them.
fn sets(random: &mut Random, most: u64) -> (String, u64) {
    match random.below(4) {
        0 => ("zero".to_owned(), 0),
        1 => {
            let (low, high) = (random.below(most.min(4) + 1), most.min(4) + random.below(3));
            (
                format!("{low}..={high}"),
                low + random.below(high - low + 1),
            )
        }
        2 => ("zero, all_ones".to_owned(), random.below(2).wrapping_neg()),
        _ => {
            let any = random.next();
            let legal = [1, any, u64::MAX, !0x401][random.below(4) as usize];
            (format!("0x1, 0x{any:x}, all_ones less [0] [10]"), legal)
        }
    }
}

/// The type of a field: its text, values that it can have (any if there are none), and what else may be said to be legal.
struct Kind {
    text: String,
    values: &'static [u64],
    legal: &'static str,
}

fn kind(random: &mut Random, width: u64) -> Kind {
    let (text, values, legal): (&str, &[u64], &str) = match random.below(6) {
        0 if width == 1 => ("bool", &[0, 1], "0, 1, 2..=5"),
        1 if width > 1 => ("enum { ZERO = 0, ONE = 1, THREE = 3 }", &[0, 1, 3], "0, 1"),
        2 if width > 1 => ("enum { ZERO = 0, TWO = 2, _ }", &[0, 1], "0, 1, 2..=5"),
        3 if width > 1 => ("enum { ONE = 1, THREE = 3 }", &[1, 3], "1, 3"),
        4 => {
            let text = format!("const {}", random.below(2));
            return Kind {
                text,
                values: &[],
                legal: "0, 1, 2..=5",
            };
        }
        _ => {
            let text = format!("u{width}");
            return Kind {
                text,
                values: &[0, 1],
                legal: "0, 1, 2..=5",
            };
        }
    };
    Kind {
        text: text.to_owned(),
        values,
        legal,
    }
}

fn register(random: &mut Random, number: u64, tag: &mut u64, has: Has) -> String {
    let banked = random.chance(35);
    // As close as eight banks three apart allow: the table of MSRs is most of what the compiler has to read.
    let base = 0x40 + 0x18 * number;
    let mut out = String::from("    /// Random.\n    ");
    let address = match (banked, random.below(4)) {
        (true, 0) => format!("{base:#x} + i"),
        (true, _) => format!("{base:#x} + 3 * i"),
        (false, 0) => format!("{base:#x}..={:#x}", base + 3),
        (false, 1) => format!("{base:#x}, {:#x}", 0xc000_0000u64 + base),
        (false, _) => format!("{base:#x}"),
    };
    let _ = writeln!(
        out,
        "{}register R{number} @ {address}{} {{\n        cite \"x\";",
        if banked { "bank " } else { "" },
        if has.versions && random.chance(15) {
            " in 2.."
        } else {
            ""
        }
    );
    if random.chance(30) {
        let _ = writeln!(
            out,
            "        when {} else {};",
            condition(random),
            random.one(&["fault", "zero", "unlisted"])
        );
    }
    let read = match random.below(6) {
        0 => value(random, banked || address.contains("..=")),
        1 => random
            .one(&["fault", "unlisted", "pass", "hook Look"])
            .to_owned(),
        _ => "state".to_owned(),
    };
    let _ = writeln!(out, "        read {read};");
    // What a write only clears, something has to set.
    let clears = |rule: &str| rule.contains("clears");
    let write = match random.below(8) {
        0 => random
            .one(&["fault", "unlisted", "pass", "hook Poke"])
            .to_owned(),
        1 => format!("{} then hook Poke", random.one(RULES)),
        2 => format!("locked {}", condition(random)),
        _ => random.one(RULES).to_owned(),
    };
    let _ = match has.versions && random.chance(20) {
        true => writeln!(
            out,
            "        in 1 {{ write {}; }}\n        in 2.. {{ write {write}; }}",
            random.one(RULES)
        ),
        false => writeln!(out, "        write {write};"),
    };
    if has.shared && random.chance(50) {
        out += "        scope guest;\n";
    }
    let mut whole = None;
    if random.chance(30) {
        let (legal, value) = sets(random, u64::MAX);
        let _ = writeln!(
            out,
            "        legal {legal} else {};",
            random.one(&["fault", "ignore"])
        );
        whole = Some(value);
    }
    if random.chance(20) {
        let _ = writeln!(
            out,
            "        require {} || value & 0x10 == 0 else {};",
            condition(random),
            random.one(&["fault", "ignore"])
        );
    }
    if random.chance(25) {
        let _ = writeln!(
            out,
            "        init {};",
            random.one(&["reset", "keep", "0x5"])
        );
    }
    let _ = match random.below(3) {
        0 => writeln!(out, "        migrate transient \"random\";"),
        _ => {
            *tag += 1;
            let default = match random.chance(15) {
                true => format!(" default {:#x}", random.below(8)),
                false => String::new(),
            };
            let accepts = random.one(&["", "", "", "", "", "", "restore accepts all; "]);
            let after = random.one(&["", "", "", "", "", "restore after PLAIN;"]);
            writeln!(
                out,
                "        migrate saved {tag}{default}; {accepts}{after}"
            )
        }
    };
    let mut bit = random.below(4);
    let (mut fields, mut reset) = (0, 0);
    while bit < 64 && random.chance(75) {
        let hi = (bit + random.below(7)).min(63);
        let width = hi - bit + 1;
        let kind = kind(random, width);
        let _ = write!(out, "        [{hi}:{bit}] F{fields}: {}", kind.text);
        let mut lines = String::new();
        if random.chance(20) {
            let _ = write!(lines, " when {};", condition(random));
        }
        if random.chance(15) && !kind.text.starts_with("const") {
            let _ = write!(
                lines,
                " read {};",
                match width {
                    1 => random.one(&["CAP.A_P", "PLAIN.HIGH", "0x1", "PLAIN & 1"]),
                    _ => random.one(&["CAP.A_P", "PLAIN & 3", "0x1", "CAP.COUNT & 3"]),
                }
            );
        } else if let Some(value) = kind
            .values
            .get(random.below(4) as usize % kind.values.len().max(1))
        {
            reset |= value << bit;
        }
        let own = match random.chance(40) {
            true => Some(random.one(RULES)),
            false => None,
        };
        if let Some(rule) = own {
            let _ = write!(lines, " write {rule};");
        }
        if clears(own.unwrap_or(&write)) && kind.values.contains(&1) && !lines.contains("read") {
            reset = reset & !(u64::MAX >> (63 - (hi - bit)) << bit) | 1 << bit;
        }
        if random.chance(25) {
            let how = random.one(&["fault", "ignore", "keep"]);
            let _ = write!(lines, " legal {} else {how};", kind.legal);
        }
        out += &if lines.is_empty() {
            ";\n".to_owned()
        } else {
            format!(" {{{lines} }}\n")
        };
        fields += 1;
        bit = hi + 1 + random.below(4);
    }
    if fields > 0 && bit < 64 {
        let _ = writeln!(
            out,
            "        reserved {};",
            random.one(&["store", "ignore", "fault_if_set", "fault_on_change"])
        );
    }
    let reset = match whole {
        Some(value) => value,
        None if fields == 0 && (random.chance(30) || clears(&write)) => random.next(),
        None => reset,
    };
    if reset != 0 {
        let _ = writeln!(out, "        reset {reset:#x};");
    }
    out + "    }\n\n"
}

/// What every spec has, with parts at random: a capability word, features, hooks, state of each kind, and an injection.
fn head(random: &mut Random, has: Has) -> String {
    let shared = has.shared;
    let beyond = random.one(&["fault", "zero", "unlisted"]);
    let stored = 1 + random.below(8);
    let bank = random.below(stored);
    let deliver = random.one(&["broadcast", "one"]);
    let local = match random.chance(50) {
        // Whether local machine checks are on is a vCPU's own affair.
        true if shared => format!("local {};", random.one(&CONDITIONS[..6])),
        true => format!("local {};", condition(random)),
        false => String::new(),
    };
    let (pending, hidden) = match random.chance(50) {
        true => (
            "pending PENDING;",
            "/// Pending.\n    hidden register PENDING { migrate saved 8; }",
        ),
        false => ("", ""),
    };
    let mask = |random: &mut Random| match random.below(3) {
        0 => "all".to_owned(),
        1 => "all less LOW".to_owned(),
        _ => "LOW | TOP".to_owned(),
    };
    let (status, address, misc) = (mask(random), mask(random), mask(random));
    let global = random.one(&["RIPV | EIPV | MCIP", "RIPV | EIPV | MCIP | LMCE_S"]);
    let (legal, kept) = sets(random, u64::MAX);
    let (ours, scope) = match shared {
        false => ("", ""),
        true => (
            "/// The hypervisor's, for all vCPUs.\n    register OURS @ 0x16 { cite \"x\"; scope guest; read hook Look; write hook Poke; held; migrate saved 10; }",
            random.one(&["", "scope guest;"]),
        ),
    };
    let fields = "[20:5] LOW: u16; [63] TOP: bool; reserved store;";
    let Second {
        version,
        only,
        bit,
        known,
        items,
    } = match has.versions {
        true => second(random),
        false => Second::default(),
    };
    format!(
        "interface! {{
    /// Random.
    interface random {{
        vendor any;
        version 1 {only} \"random\";
        {version}
        capability CAP;
        banks {{ count CAP.COUNT; limit 8; stored {stored}; beyond {beyond}; }}
        extra {{ most 8; msr 0x0..=0x1fff; capability all less COUNT; }}
    }}

    /// A.
    feature A {{ bit CAP.A_P; default; }}
    /// B.
    feature B {{ bit CAP.B_P; offered; }}
    /// Look.
    hook Look(msr: u32, index: u32);
    /// Poke.
    hook Poke(value: u64, msr: u32);

    /// What the guest has.
    register CAP @ 0x10 {{
        cite \"x\"; reset 0x104; write ignore; migrate saved 1;
        restore accepts COUNT | A_P | B_P{known};
        [7:0] COUNT: u8; [8] A_P: bool; [9] B_P: bool; {bit}
    }}

    /// Plain state.
    register PLAIN @ 0x11 {{
        cite \"x\"; {scope} write store; migrate saved 2;
        [2:0] LOW: u3; [3] HIGH: bool; reserved store;
    }}

    /// A register of each bank.
    bank register EACH @ 0x20 + i {{ cite \"x\"; write store; migrate saved 3; }}

    /// What a machine check says.
    register GLOBAL @ 0x14 {{
        cite \"x\"; write store; migrate saved 4;
        [0] RIPV: bool; [1] EIPV: bool; [2] MCIP: bool; [3] LMCE_S: bool; reserved fault_if_set;
    }}
    /// Errors.
    bank register STATUS @ 0x28 + i {{ cite \"x\"; write store; legal zero else fault; migrate saved 5; {fields} }}
    /// Where.
    bank register ADDR @ 0x30 + i {{ cite \"x\"; write store; migrate saved 6; {fields} }}
    /// How.
    bank register MISC @ 0x38 + i {{ cite \"x\"; write store; migrate saved 7; {fields} }}
    {hidden}

    /// The hypervisor's.
    register KEPT @ 0x15 {{ cite \"x\"; read pass; write pass; held; legal {legal} else fault; reset {kept:#x}; migrate saved 9; }}
    {ours}
{items}
    injection {{
        deliver {deliver}; bank {bank};
        global GLOBAL sets {global};
        status STATUS sets {status};
        address ADDR sets {address};
        misc MISC sets {misc};
        {local} {pending}
    }}

"
    )
}

/// What a spec has besides what all have.
#[derive(Clone, Copy)]
struct Has {
    /// vCPUs share state.
    shared: bool,
    /// There is a version 2.
    versions: bool,
}

/// What makes a version 2.
#[derive(Default)]
struct Second {
    version: &'static str,
    /// Of version 1.
    only: &'static str,
    /// The capability bit.
    bit: &'static str,
    /// That a restore takes.
    known: &'static str,
    /// A register that goes, one that comes, one that changes, and a feature.
    items: String,
}

fn second(random: &mut Random) -> Second {
    let only = random.one(&["", "", "restore_only"]);
    let gone = match only {
        // A guest that can only be restored is not refused for what it had.
        "restore_only" => "accepted",
        _ => random.one(&["accepted", ""]),
    };
    let (old, new) = (random.one(RULES), random.one(RULES));
    let (default, reset) = (random.below(8), random.below(8));
    let present = random.one(&["", "when C else fault;", "when !A else zero;"]);
    let kind = random.one(&["u4", "enum { ZERO = 0, ONE = 1, NINE = 9 }"]);
    let accepts = random.one(&["", "restore accepts 0..=2, 9;"]);
    Second {
        version: "version 2 \"another\";",
        only,
        bit: "[10] C_P: bool in 2..;",
        known: " | C_P",
        items: format!(
            "    /// C.
    feature C in 2.. {{ bit CAP.C_P; offered; requires A; }}
    /// Goes.
    register GONE @ 0x17 in 1 {{ cite \"x\"; write store; migrate saved 4001; }}
    removed tag 4001 {gone} \"nobody needs it\";
    /// Comes.
    register COMES @ 0x18 in 2.. {{ cite \"x\"; {present} reset {reset}; write store; migrate saved 4002 default {default}; }}
    /// Has other rules, and a name for what were plain bits.
    register CHANGES @ 0x19 {{
        cite \"x\"; in 1 {{ write {old}; }} in 2.. {{ write {new}; reserved ignore; }} migrate saved 4003;
        restore accepts all; restore after PLAIN;
        [3:0] KIND: {kind} in 2..;
        [7:4] FEW: u4 in 2.. {{ write ignore; {accepts} }}
    }}
"
        ),
    }
}

/// A spec whose registers the checker takes: those that it refuses are left out. Most are small, which is where rules meet; some large.
/// In some, vCPUs share state; some have two versions.
pub fn spec(random: &mut Random) -> String {
    let has = Has {
        shared: random.chance(30),
        versions: random.chance(40),
    };
    let head = loop {
        // The rules of a version 2 may leave nothing that is new.
        let head = head(random, has);
        if compile_text(&format!("{head}}}\n")).model.is_some() {
            break head;
        }
    };
    let (mut body, mut tag) = (String::new(), 11);
    let count = match random.chance(2) {
        true => 20 + random.below(20),
        false => 1 + random.below(7),
    };
    for number in 0..count {
        for _ in 0..20 {
            let one = register(random, number, &mut tag, has);
            if compile_text(&format!("{head}{one}}}\n")).model.is_some() {
                body += &one;
                break;
            }
        }
    }
    format!("{head}{body}}}\n")
}
