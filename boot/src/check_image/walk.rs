//! Walks everything that functions of the image can reach, and asks of each instruction whether it may be there.
//!
//! What is called through a pointer cannot be followed: such a call is refused, so that nothing is reached unseen.

use std::collections::BTreeMap;
use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, Mnemonic,
};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::{jump_table, loops};

/// What must be true of a path. Functions are given by the last names of their paths, as `lock::take`.
pub struct Rule {
    /// Where it begins: every function of these names.
    pub roots: &'static [&'static str],
    /// Where it ends: what these reach is of no concern.
    pub ends: &'static [&'static str],
    /// What it must not reach. The image has to have them, or nothing would be looked for.
    pub never: &'static [&'static str],
    /// What is wrong with an instruction, if it must not be there.
    pub refuse: fn(&Instruction) -> Option<&'static str>,
    /// What is wrong with an innermost loop, if it must not be there.
    pub refuse_loop: fn(&[Instruction]) -> Option<&'static str>,
    /// An instruction that somebody on the path must have, and what for. Nothing need be there if there is none.
    pub needs: Option<(Mnemonic, &'static str)>,
    /// The rule, for who has broken it.
    pub says: &'static str,
}

/// A function: its name and its bytes.
struct Function<'f> {
    name: String,
    start: u64,
    code: &'f [u8],
}

/// Checks everything that the rule is about.
///
/// # Errors
/// The chain of calls and the instruction or the function; or a function of the rule is not there.
pub fn walk(file: &ElfFile64<'_>, rule: &Rule) -> Result<(), String> {
    let functions = functions(file);
    let named = |names: &[&str]| -> Result<Vec<u64>, String> {
        let mut found = Vec::new();
        for name in names {
            let before = found.len();
            let of_it = functions
                .values()
                .filter(|function| is_called(&function.name, name));
            found.extend(of_it.map(|function| function.start));
            if found.len() == before {
                return Err(format!("the image has no function `{name}` of known size"));
            }
        }
        Ok(found)
    };
    let (mut todo, ends, never) = (named(rule.roots)?, named(rule.ends)?, named(rule.never)?);

    // Who called first, so that a mistake can be traced back.
    let mut caller: BTreeMap<u64, Option<u64>> = todo.iter().map(|root| (*root, None)).collect();
    let blame = |caller: &BTreeMap<u64, Option<u64>>, address: u64, why: &str| {
        let says = rule.says;
        format!(
            "{says}: {why}\n  reached by {}",
            chain(&functions, caller, address)
        )
    };
    let mut lacks = rule.needs;
    while let Some(address) = todo.pop() {
        let function = &functions[&address];
        let code = decode(function).map_err(|why| blame(&caller, address, &why))?;
        lacks = lacks.filter(|(needed, _)| code.iter().all(|one| one.mnemonic() != *needed));
        for target in
            targets(file, function, &code, rule).map_err(|why| blame(&caller, address, &why))?
        {
            let Some(function) = containing(&functions, target) else {
                let why = format!("a branch to {target:#x}, where no function is known");
                return Err(blame(&caller, address, &why));
            };
            if never.contains(&function.start) {
                let why = format!("it calls {}", function.name);
                return Err(blame(&caller, address, &why));
            }
            if ends.contains(&function.start) {
                continue;
            }
            caller.entry(function.start).or_insert_with(|| {
                todo.push(function.start);
                Some(address)
            });
        }
    }
    match lacks {
        Some((_, what)) => Err(format!(
            "{}: nothing that {} reaches {what}",
            rule.says,
            rule.roots.join(" or ")
        )),
        None => Ok(()),
    }
}

impl Function<'_> {
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.code.len() as u64
    }
}

/// Functions with a size, by address. Of aliases any one.
fn functions<'f>(file: &ElfFile64<'f>) -> BTreeMap<u64, Function<'f>> {
    let mut functions = BTreeMap::new();
    for symbol in file.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let section = symbol
            .section_index()
            .and_then(|index| file.section_by_index(index).ok());
        let code =
            section.and_then(|section| section.data_range(symbol.address(), symbol.size()).ok()?);
        if let (Some(code), Ok(name)) = (code, symbol.name()) {
            let start = symbol.address();
            let name = name.to_owned();
            functions.insert(start, Function { name, start, code });
        }
    }
    functions
}

fn containing<'m, 'f>(
    functions: &'m BTreeMap<u64, Function<'f>>,
    address: u64,
) -> Option<&'m Function<'f>> {
    let (_, function) = functions.range(..=address).next_back()?;
    function.range().contains(&address).then_some(function)
}

/// A function's instructions. The whole of its bytes is read from first to last: that covers every target of a jump table, too.
fn decode(function: &Function<'_>) -> Result<Vec<Instruction>, String> {
    let decoder = Decoder::with_ip(64, function.code, function.start, DecoderOptions::NONE);
    let valid = |instruction: Instruction| match instruction.is_invalid() {
        true => Err(format!("no instruction at {:#x}", instruction.ip())),
        false => Ok(instruction),
    };
    decoder.into_iter().map(valid).collect()
}

/// Where a function's calls and jumps go outside of it; the first instruction or loop that must not be there, as an error.
fn targets(
    file: &ElfFile64<'_>,
    function: &Function<'_>,
    code: &[Instruction],
    rule: &Rule,
) -> Result<Vec<u64>, String> {
    let mut targets = Vec::new();
    for (place, instruction) in code.iter().enumerate() {
        if let Some(why) = (rule.refuse)(instruction) {
            return Err(at(instruction, why));
        }
        match instruction.flow_control() {
            FlowControl::IndirectCall => return Err(at(instruction, "may call anything")),
            FlowControl::IndirectBranch
                if !jump_table::is_one(file, function.range(), instruction, &code[..place]) =>
            {
                return Err(at(instruction, "may jump anywhere"));
            }
            FlowControl::Call
            | FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch => {
                let target = instruction.near_branch_target();
                if !function.range().contains(&target) {
                    targets.push(target);
                }
            }
            _ => {}
        }
    }
    for body in loops::innermost(code) {
        if let (Some(why), [first, ..]) = ((rule.refuse_loop)(body), body) {
            return Err(format!("the loop that begins with {}", at(first, why)));
        }
    }
    Ok(targets)
}

fn at(instruction: &Instruction, what: &str) -> String {
    let mut text = String::new();
    GasFormatter::new().format(instruction, &mut text);
    format!("`{text}` at {:#x} {what}", instruction.ip())
}

/// Whether a symbol is that function's: its plain name, or a mangled one, in which each name of the path stands behind its length.
fn is_called(symbol: &str, path: &str) -> bool {
    let mangled = || -> String {
        path.split("::")
            .map(|name| format!("{}{name}", name.len()))
            .collect()
    };
    symbol == path || (symbol.starts_with('_') && symbol.contains(&mangled()))
}

/// The chain of calls from the root to the mistake.
fn chain(
    functions: &BTreeMap<u64, Function<'_>>,
    caller: &BTreeMap<u64, Option<u64>>,
    address: u64,
) -> String {
    let mut chain = vec![functions[&address].name.as_str()];
    let mut at = address;
    while let Some(Some(from)) = caller.get(&at) {
        chain.push(&functions[from].name);
        at = *from;
    }
    chain.reverse();
    chain.join(" -> ")
}
