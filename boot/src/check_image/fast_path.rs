//! Walks everything that the fast exit path can reach and looks for vector, MMX and x87 instructions.
//!
//! The path runs before the guest's XMM registers are saved: one such instruction in it, perhaps a copy that the compiler
//! widened, would silently change a guest. So the build looks.

use std::collections::BTreeMap;
use std::ops::Range;

use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction,
    InstructionInfoFactory, Mnemonic, Register,
};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::jump_table;

/// A function: its name and its bytes.
struct Function<'f> {
    name: String,
    start: u64,
    code: &'f [u8],
}

/// Checks everything reachable from the function `root`, of which there may be one for each of several types.
///
/// # Errors
/// The chain of calls and the instruction.
pub fn check(file: &ElfFile64<'_>, root: &str) -> Result<(), String> {
    let functions = functions(file);
    let roots = functions
        .values()
        .filter(|function| is_called(&function.name, root));
    let mut todo: Vec<u64> = roots.map(|function| function.start).collect();
    if todo.is_empty() {
        return Err(format!("the image has no function `{root}` of known size"));
    }

    // Who called first, so that a mistake can be traced back.
    let mut caller: BTreeMap<u64, Option<u64>> = todo.iter().map(|root| (*root, None)).collect();
    while let Some(address) = todo.pop() {
        for target in targets(file, &functions[&address])
            .map_err(|why| blame(&functions, &caller, address, &why))?
        {
            let Some(function) = containing(&functions, target) else {
                let why = format!("a branch to {target:#x}, where no function is known");
                return Err(blame(&functions, &caller, address, &why));
            };
            caller.entry(function.start).or_insert_with(|| {
                todo.push(function.start);
                Some(address)
            });
        }
    }
    Ok(())
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

/// Where a function's calls and jumps go outside of it; the first instruction that must not be there, as an error.
///
/// The whole of its bytes is read from first to last: that covers every target of a jump table, too.
fn targets(file: &ElfFile64<'_>, function: &Function<'_>) -> Result<Vec<u64>, String> {
    let mut targets = Vec::new();
    let mut info = InstructionInfoFactory::new();
    let mut before = Vec::new();
    for instruction in Decoder::with_ip(64, function.code, function.start, DecoderOptions::NONE) {
        if instruction.is_invalid() {
            return Err(format!("no instruction at {:#x}", instruction.ip()));
        }
        let mut registers = info.info(&instruction).used_registers().iter();
        if registers.any(|used| is_vector(used.register())) || is_vector_feature(&instruction) {
            return Err(at(&instruction, "touches vector state"));
        }
        match instruction.flow_control() {
            FlowControl::IndirectCall => return Err(at(&instruction, "may call anything")),
            FlowControl::IndirectBranch
                if !jump_table::is_one(file, function.range(), &instruction, &before) =>
            {
                return Err(at(&instruction, "may jump anywhere"));
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
        before.push(instruction);
    }
    Ok(targets)
}

fn is_vector(register: Register) -> bool {
    register.is_vector_register() || register.is_mm() || register.is_st() || register.is_k()
}

/// Instructions that reach vector or x87 state without naming a register.
fn is_vector_feature(instruction: &Instruction) -> bool {
    const FEATURES: [CpuidFeature; 5] = [
        CpuidFeature::FPU,
        CpuidFeature::MMX,
        CpuidFeature::FXSR,
        CpuidFeature::XSAVE,
        CpuidFeature::SSE,
    ];
    let harmless = instruction.mnemonic() == Mnemonic::Sfence;
    let features = instruction.cpuid_features();
    features.iter().any(|feature| FEATURES.contains(feature)) && !harmless
}

fn at(instruction: &Instruction, what: &str) -> String {
    let mut text = String::new();
    GasFormatter::new().format(instruction, &mut text);
    format!("`{text}` at {:#x} {what}", instruction.ip())
}

/// Whether a symbol is that function's: its plain name, or a mangled one, in which a name stands behind its length.
fn is_called(symbol: &str, name: &str) -> bool {
    symbol == name || (symbol.starts_with('_') && symbol.contains(&format!("{}{name}", name.len())))
}

/// The chain of calls from the root to the mistake.
fn blame(
    functions: &BTreeMap<u64, Function<'_>>,
    caller: &BTreeMap<u64, Option<u64>>,
    address: u64,
    why: &str,
) -> String {
    let mut chain = vec![functions[&address].name.as_str()];
    let mut at = address;
    while let Some(Some(from)) = caller.get(&at) {
        chain.push(&functions[from].name);
        at = *from;
    }
    chain.reverse();
    format!(
        "the fast exit path runs while XMM holds the guest's values, and must not touch it: {why}\n  reached by {}",
        chain.join(" -> ")
    )
}
