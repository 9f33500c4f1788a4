//! The specs are the only source of what a guest sees: no MSR's number, reset value or constant that they state is written in the
//! hypervisor's sources. (What the host does with its own MSRs, in `machine` and `mca`, is its own affair.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boot::workspace::Workspace;
use msr_dsl::model::{FieldType, Model};

/// Folders about the host's own registers, and about what comes from outside.
const HOSTS: &[&str] = &["machine", "mca", "faults", "handover"];
/// Files that name MSRs of the host: its way to long mode, what VMX can do, the host's part of a VMCS, its banks; and MCACODs.
const HOST_FILES: &[&str] = &[
    "entry/boot.rs",
    "vmx/capability.rs",
    "vmx/vmcs.rs",
    "mc/registers.rs",
    "mc/code.rs",
];
/// Smaller numbers are too common to mean an MSR.
const LEAST_MSR: u64 = 0x100;
/// Smaller numbers are too common to mean a value.
const LEAST_VALUE: u64 = 0x1_0000;
/// What every program may write; 512 is how many entries a page table has.
const COMMON: &[u64] = &[u64::MAX, u32::MAX as u64, 512];

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !HOSTS.contains(&name) {
            files(&path, out);
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}

/// The numbers that belong to the specs, and what they are there.
fn stated(root: &Path) -> BTreeMap<u64, String> {
    let mut stated = BTreeMap::new();
    for name in ["vmce", "vmce-amd", "kvm", "sdm", "platform"] {
        let text = std::fs::read_to_string(root.join(format!("specs/{name}.msr"))).unwrap();
        let model: Model = msr_dsl::source::compile_text(&text).model.unwrap();
        for register in model.views.iter().flat_map(|view| &view.registers) {
            let of = |what: &str| format!("{what} of {} in {name}.msr", register.name);
            for (msr, _) in register.addresses.iter().flat_map(|address| address.msrs()) {
                stated.insert(msr.into(), of("number"));
            }
            let mut constant = 0;
            for field in &register.fields {
                if let FieldType::Const(value) = field.ty {
                    constant |= value << field.lo;
                    stated.insert(value << field.lo, of("constant"));
                }
            }
            stated.insert(constant, of("constant"));
            stated.insert(register.reset, of("reset value"));
        }
    }
    stated.retain(|number, what| {
        let least = if what.starts_with("number") {
            LEAST_MSR
        } else {
            LEAST_VALUE
        };
        *number >= least && !COMMON.contains(number)
    });
    stated
}

/// The integers in a source file, without its comments, texts and tests.
fn integers(source: &str) -> Vec<u64> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or("");
    let mut numbers = Vec::new();
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or("");
        // What stands between quotes is text.
        let code: String = line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        numbers.extend(words.filter_map(integer));
    }
    numbers
}

fn integer(word: &str) -> Option<u64> {
    let digits = word.replace('_', "");
    let digits = ["u64", "u32", "u16", "usize"]
        .iter()
        .find_map(|end| digits.strip_suffix(end))
        .unwrap_or(&digits);
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// What a file says that is the specs' to say.
fn found(source: &str, stated: &BTreeMap<u64, String>) -> Vec<String> {
    let numbers = integers(source).into_iter();
    numbers
        .filter_map(|number| Some(format!("{number:#x}, the {}", stated.get(&number)?)))
        .collect()
}

#[test]
fn the_hypervisor_writes_no_number_of_a_spec() {
    let root = Workspace::find().unwrap().root;
    let stated = stated(&root);
    assert!(stated.len() > 200, "{}", stated.len());
    let mut all = Vec::new();
    files(&root.join("kernel/src"), &mut all);
    assert!(all.len() > 40, "{}", all.len());
    let mut wrong = Vec::new();
    for path in all {
        let source = std::fs::read_to_string(&path).unwrap();
        if HOST_FILES.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        // The crate's names for MSRs are their numbers.
        assert!(!source.contains("x86::msr"), "{}", path.display());
        let found = found(&source, &stated).into_iter();
        wrong.extend(found.map(|what| format!("{}: {what}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_number_of_a_spec_is_found() {
    let root = Workspace::find().unwrap().root;
    let stated = stated(&root);
    for source in [
        "const PAT: u64 = 0x0007_0406_0007_0406;",
        "match msr { 0x179 => 1, _ => 0 }",
        "let base = 0xfee0_0000 | 1;",
        "if msr == 377 {}",
        "write(0xc0000080u32)",
    ] {
        assert_eq!(found(source, &stated).len(), 1, "{source}");
    }
    for source in [
        "// 0x179 is MCG_CAP",
        "let text = \"0x179\";",
        "let x = 0x10; #[cfg(test)]\nmod tests { 0x179 }",
    ] {
        assert_eq!(found(source, &stated), Vec::<String>::new(), "{source}");
    }
}
