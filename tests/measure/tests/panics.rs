//! Generated code has no panic path: nothing that its reads, writes, saves and restores can reach in the optimized program is a panic.

use iced_x86::{Decoder, DecoderOptions, FlowControl, OpKind};
use object::read::elf::ElfFile64;
use object::{
    Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget, SymbolKind,
};
use std::collections::{BTreeMap, BTreeSet};

const SUBJECT: &str = env!("CARGO_BIN_EXE_subject");

/// A program: its functions, and what its linker leaves to be filled in.
struct Program<'f> {
    /// By address.
    functions: BTreeMap<u64, (&'f str, &'f [u8])>,
    /// Places that hold the address of a function: one of another library, by its name, or an own one.
    places: BTreeMap<u64, Callee>,
    /// Pieces of code that jump to what such a place holds.
    stubs: BTreeMap<u64, Callee>,
}

#[derive(Clone)]
enum Callee {
    Own(u64),
    Library(String),
}

impl<'f> Program<'f> {
    fn of(bytes: &'f [u8]) -> Self {
        let file: ElfFile64<'f> = ElfFile64::parse(bytes).expect("a program");
        let functions = file.symbols().filter_map(|symbol| {
            let is_function = symbol.kind() == SymbolKind::Text && symbol.size() > 0;
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            let code = section
                .data_range(symbol.address(), symbol.size())
                .ok()
                .flatten();
            let (name, code) = (symbol.name().ok()?, code?);
            is_function.then_some((symbol.address(), (name, code)))
        });
        let functions = functions.collect();
        let symbols = file.dynamic_symbol_table().expect("its libraries");
        let places = file.dynamic_relocations().into_iter().flatten();
        let places = places.filter_map(|(place, relocation)| {
            let callee = match relocation.target() {
                RelocationTarget::Symbol(index) => {
                    let symbol = symbols.symbol_by_index(index);
                    Callee::Library(symbol.ok()?.name().ok()?.to_owned())
                }
                _ => Callee::Own(u64::try_from(relocation.addend()).ok()?),
            };
            Some((place, callee))
        });
        let places: BTreeMap<u64, Callee> = places.collect();
        // A library's function is called by a jump through its place.
        let stubs = file.section_by_name(".plt");
        let stubs = stubs.map(|section| (section.address(), section.data().unwrap_or_default()));
        let stubs = stubs.into_iter().flat_map(|(start, code)| {
            Decoder::with_ip(64, code, start, DecoderOptions::NONE)
                .into_iter()
                .filter(|one| one.is_ip_rel_memory_operand())
                .map(|one| (one.ip(), one.ip_rel_memory_address()))
                .collect::<Vec<_>>()
        });
        let stubs = stubs.filter_map(|(stub, place)| Some((stub, places.get(&place)?.clone())));
        let stubs = stubs.collect();
        Self {
            functions,
            places,
            stubs,
        }
    }

    /// Functions of a path, as `measured::read`: in a mangled name each word stands behind its length.
    fn named(&self, path: &str) -> Vec<u64> {
        let mangled: String = path
            .split("::")
            .map(|word| format!("{}{word}", word.len()))
            .collect();
        let all = self.functions.iter();
        let of_it = all.filter(|(_, (name, _))| name.contains(&mangled));
        of_it.map(|(address, _)| *address).collect()
    }

    /// What a function calls, or jumps to outside of itself, and every function whose address it takes: such a one is called through a
    /// register, here or where it is handed to.
    fn callees(&self, address: u64) -> Vec<Callee> {
        let (name, code) = self.functions[&address];
        let within = address..address + code.len() as u64;
        let mut callees = Vec::new();
        for one in &mut Decoder::with_ip(64, code, address, DecoderOptions::NONE) {
            let place = one.is_ip_rel_memory_operand();
            let place = place.then(|| one.ip_rel_memory_address());
            let filled = place.and_then(|place| self.places.get(&place)).cloned();
            // Others are addresses of data.
            let filled = filled.filter(|callee| match callee {
                Callee::Own(address) => self.functions.contains_key(address),
                Callee::Library(_) => true,
            });
            let taken = place.filter(|place| self.functions.contains_key(place));
            callees.extend(taken.map(Callee::Own));
            callees.extend(filled.clone());
            match one.flow_control() {
                FlowControl::IndirectCall if one.op0_kind() == OpKind::Register => {}
                FlowControl::IndirectCall => {
                    assert!(filled.is_some(), "{name} may call anything");
                }
                // By a register: a jump inside of the function, by a table. All of the function is looked at anyway.
                FlowControl::IndirectBranch if one.op0_kind() == OpKind::Register => {}
                FlowControl::IndirectBranch => {
                    assert!(filled.is_some(), "{name} may jump anywhere");
                }
                FlowControl::Call
                | FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch
                    if !within.contains(&one.near_branch_target()) =>
                {
                    callees.push(Callee::Own(one.near_branch_target()));
                }
                _ => {}
            }
        }
        callees
    }

    /// Everything that these reach: own functions, and those of libraries by name.
    fn reached(&self, from: &[u64]) -> (BTreeSet<&'f str>, BTreeSet<String>) {
        let (mut own, mut library) = (BTreeSet::new(), BTreeSet::new());
        let (mut todo, mut seen) = (from.to_vec(), BTreeSet::new());
        while let Some(address) = todo.pop() {
            if !seen.insert(address) {
                continue;
            }
            let Some((name, _)) = self.functions.get(&address) else {
                panic!("{address:#x} is no function of known size");
            };
            own.insert(*name);
            if is_panic(name) {
                continue;
            }
            for callee in self.callees(address) {
                let stub = match &callee {
                    Callee::Own(address) => self.stubs.get(address).cloned(),
                    Callee::Library(_) => None,
                };
                match stub.unwrap_or(callee) {
                    Callee::Own(address) => todo.push(address),
                    Callee::Library(name) => {
                        library.insert(name);
                    }
                }
            }
        }
        (own, library)
    }
}

/// Names of functions, mangled or a library's.
fn is_panic(name: &str) -> bool {
    const WORDS: [&str; 5] = [
        "9panicking",
        "panic_",
        "abort",
        "13expect_failed",
        "13unwrap_failed",
    ];
    WORDS.iter().any(|word| name.contains(word))
}

#[test]
fn generated_code_reaches_no_panic() {
    let bytes = std::fs::read(SUBJECT).expect("the program");
    let program = Program::of(&bytes);
    let panics = |(own, library): &(BTreeSet<&str>, BTreeSet<String>)| {
        let own = own.iter().map(|name| (*name).to_owned());
        let all: Vec<String> = own.chain(library.iter().cloned()).collect();
        all.into_iter()
            .filter(|name| is_panic(name))
            .collect::<Vec<_>>()
    };
    let mut looked_at = 0;
    for what in ["read", "write", "save", "restore"] {
        let roots = program.named(&format!("measured::{what}"));
        assert!(roots.len() >= 7, "{} functions {what}", roots.len());
        let reached = program.reached(&roots);
        let found = panics(&reached);
        assert!(found.is_empty(), "{what} reaches {found:?}");
        looked_at += reached.0.len();
        for name in &reached.1 {
            let copies = ["memcpy", "memset", "memmove", "memcmp", "bcmp"];
            assert!(copies.contains(&name.as_str()), "{what} calls {name}");
        }
    }
    assert!(looked_at > 60, "{looked_at} functions");
    // The same walk finds one where there is one.
    let [may_panic] = program.named("subject::may_panic")[..] else {
        panic!("the program has no function that may panic");
    };
    assert!(!panics(&program.reached(&[may_panic])).is_empty());
}
