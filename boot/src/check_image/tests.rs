//! Hand-made images, good and bad.

use object::write::{Object as Image, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use super::*;

const RET: &[u8] = &[0xc3];
const MOV: &[u8] = &[0x48, 0x89, 0xf8]; // mov %rdi,%rax
const MOVAPS: &[u8] = &[0x0f, 0x28, 0xc8]; // movaps %xmm0,%xmm1
const JMP_RAX: &[u8] = &[0xff, 0xe0];

/// Functions one behind the other, 16 bytes each, from address 0 on.
fn image(functions: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let mut image = Image::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = image.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
    for (name, code) in functions {
        let code = code.concat();
        let value = image.append_section_data(section, &code, 16);
        image.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    image.write().unwrap()
}

/// `call` from the start of function `from` to that of function `to`.
fn call(from: i32, to: i32) -> Vec<u8> {
    branch(0xe8, from, to)
}

fn branch(opcode: u8, from: i32, to: i32) -> Vec<u8> {
    let distance = (to - from) * 16 - 5;
    [&[opcode][..], &distance.to_le_bytes()].concat()
}

/// With a function behind the others that panics.
fn fast_path(functions: &[(&str, &[&[u8]])]) -> Result<(), String> {
    let bytes = image(&[functions, &[("core::panicking", &[RET])]].concat());
    walk::walk(&ElfFile64::parse(&*bytes).unwrap(), &fast_path::RULE)
}

#[test]
fn a_path_of_general_registers_is_fine() {
    let to_leaf = call(0, 1);
    let back = branch(0xe9, 1, 0);
    let sfence = [0x0f, 0xae, 0xf8];
    let fine = fast_path(&[
        ("fast_exit", &[&to_leaf, MOV, RET]),
        ("leaf", &[&back, &sfence, RET]),
        ("elsewhere", &[MOVAPS, RET]),
    ]);
    assert_eq!(fine, Ok(()));
}

#[test]
fn a_panic_is_found() {
    let said = fast_path(&[("fast_exit", &[&call(0, 1), RET])]).unwrap_err();
    assert!(said.contains("it calls core::panicking"), "{said}");
}

#[test]
fn vector_state_is_found_wherever_the_path_goes() {
    let (first, second) = (call(0, 1), branch(0xe9, 1, 2));
    let said = fast_path(&[
        ("fast_exit", &[&first, RET]),
        ("middle", &[&second]),
        ("copy", &[MOV, MOVAPS, RET]),
    ])
    .unwrap_err();
    assert!(said.contains("movaps") && said.contains("0x23"), "{said}");
    assert!(said.contains("fast_exit -> middle -> copy"), "{said}");
}

#[test]
fn every_function_of_the_name_is_a_root() {
    let of = |version: &str| format!("_ZN6kernel9fast_exit17h{version}E");
    let (two, three) = (of("0000000000000002"), of("0000000000000003"));
    let said = fast_path(&[(&two, &[MOV, RET]), (&three, &[MOVAPS, RET])]).unwrap_err();
    assert!(said.contains(&three), "{said}");
}

#[test]
fn every_kind_of_vector_state_counts() {
    for code in [
        &[0xd9, 0xe8][..],         // fld1
        &[0x0f, 0xae, 0x07],       // fxsave (%rdi)
        &[0x0f, 0xef, 0xc0],       // pxor %mm0,%mm0
        &[0x0f, 0xae, 0x17],       // ldmxcsr (%rdi)
        &[0xc5, 0xfd, 0xef, 0xc0], // vpxor %ymm0,%ymm0,%ymm0
        &[0x0f, 0xae, 0x2f],       // xrstor (%rdi)
        &[0x0f, 0x77],             // emms
    ] {
        let said = fast_path(&[("fast_exit", &[code, RET])]).expect_err(&format!("{code:x?}"));
        assert!(said.contains("touches vector state"), "{said}");
    }
}

#[test]
fn calls_and_jumps_that_may_go_anywhere_are_refused() {
    let load = [0x48, 0x8b, 0x47, 0x08]; // mov 8(%rdi),%rax
    let through_memory = [0xff, 0x67, 0x08]; // jmp *8(%rdi)
    for code in [
        &[0xff, 0xd0][..],
        &[&load[..], JMP_RAX].concat(),
        &through_memory,
        JMP_RAX,
    ] {
        let said = fast_path(&[("fast_exit", &[code, RET])]).expect_err(&format!("{code:x?}"));
        assert!(
            said.contains("may call anything") || said.contains("may jump anywhere"),
            "{said}"
        );
    }
    let out = call(0, 5);
    let said = fast_path(&[("fast_exit", &[&out, RET])]).unwrap_err();
    assert!(said.contains("0x50, where no function is known"), "{said}");
    assert!(
        fast_path(&[("other", &[RET])])
            .unwrap_err()
            .contains("no function `fast_exit`")
    );
}

#[test]
fn a_table_of_a_match_is_followed_and_one_of_functions_is_not() {
    // movslq (%rcx,%rax,4),%rax; add %rcx,%rax; jmp *%rax
    let relative = [&[0x48, 0x63, 0x04, 0x81, 0x48, 0x01, 0xc8][..], JMP_RAX].concat();
    assert_eq!(fast_path(&[("fast_exit", &[&relative, RET])]), Ok(()));
    // jmp *0x10(,%rax,8), where the table at 0x10 holds a place.
    let absolute = [0xff, 0x24, 0xc5, 0x10, 0, 0, 0];
    let with = |place: u64| {
        fast_path(&[
            ("fast_exit", &[&absolute, RET]),
            ("table", &[&place.to_le_bytes()]),
            ("f", &[RET]),
        ])
    };
    assert_eq!(with(7), Ok(()));
    assert!(with(0x20).unwrap_err().contains("may jump anywhere"));
}

/// The image's own names for what interrupts, for its end and for what takes a lock.
const INTERRUPTS: [&str; 4] = [
    "_ZN8bankshot7machine5traps13machine_check17h0E",
    "_ZN8bankshot7machine5traps3nmi17h0E",
    "_ZN8bankshot3run13machine_check3end17h0E",
    "_ZN8bankshot7machine4lock4take17h0E",
];

/// What interrupts, with these bodies; its end takes a lock. Behind it a function that is in the way of the first.
fn interrupting(machine_check: &[u8], nmi: &[u8], between: &[u8]) -> Result<(), String> {
    let [first, second, end, take] = INTERRUPTS;
    let bytes = image(&[
        (first, &[machine_check, RET]),
        (second, &[nmi, RET]),
        (end, &[&call(2, 3), RET]),
        (take, &[MOV, RET]),
        ("between", &[between, RET]),
    ]);
    walk::walk(&ElfFile64::parse(&*bytes).unwrap(), &machine_check::RULE)
}

#[test]
fn what_interrupts_takes_no_lock_but_at_its_end() {
    assert_eq!(interrupting(&call(0, 2), &call(1, 2), RET), Ok(()));
    assert_eq!(interrupting(&call(0, 4), &call(1, 4), MOVAPS), Ok(()));
    for said in [
        interrupting(&call(0, 3), MOV, RET),
        interrupting(MOV, &branch(0xe9, 1, 3), RET),
    ] {
        let said = said.unwrap_err();
        assert!(said.contains("4lock4take"), "{said}");
    }
    let said = interrupting(&call(0, 4), MOV, &call(4, 3)).unwrap_err();
    assert!(
        said.contains("traps13machine_check17h0E -> between"),
        "{said}"
    );
    let said = interrupting(MOV, &[0xff, 0xd0], RET).unwrap_err();
    assert!(said.contains("may call anything"), "{said}");
}

/// A loop around this, back to its start.
fn around(body: &[&[u8]], opcode: u8) -> Vec<u8> {
    let body = body.concat();
    let back = -(body.len() as i8) - 2;
    [&body[..], &[opcode, back as u8]].concat()
}

#[test]
fn what_interrupts_waits_for_nobody_without_an_end() {
    const JMP: u8 = 0xeb;
    const JNE: u8 = 0x75;
    const PAUSE: &[u8] = &[0xf3, 0x90];
    const RDTSC: &[u8] = &[0x0f, 0x31];
    const XCHG: &[u8] = &[0x86, 0x07]; // xchg %al,(%rdi)
    const TEST: &[u8] = &[0x84, 0xc0]; // test %al,%al
    const DEC: &[u8] = &[0xff, 0xc8]; // dec %eax
    const CMPXCHG: &[u8] = &[0xf0, 0x0f, 0xb1, 0x0f]; // lock cmpxchg %ecx,(%rdi)
    const LOAD: &[u8] = &[0x8b, 0x07]; // mov (%rdi),%eax
    for (body, opcode) in [
        (&[PAUSE, RDTSC][..], JMP),
        (&[LOAD, PAUSE, DEC], JNE),
        // A change that gives way to others, and one of each of several.
        (&[CMPXCHG], JNE),
        (&[XCHG, LOAD, DEC], JNE),
    ] {
        let code = around(body, opcode);
        assert_eq!(interrupting(&code, MOV, RET), Ok(()), "{body:x?}");
    }
    // Twice round a wait: the inner one ends, and is what is looked at.
    let inner = around(&[PAUSE, DEC], JNE);
    assert_eq!(interrupting(&around(&[&inner], JMP), MOV, RET), Ok(()));
    for (body, opcode, why) in [
        (&[LOAD, PAUSE][..], JMP, "without a look at the clock"),
        (&[CMPXCHG, PAUSE, TEST], JNE, "without a look at the clock"),
        (&[XCHG, TEST], JNE, "waits for what it exchanges"),
    ] {
        let code = around(body, opcode);
        let said = interrupting(MOV, &code, RET).unwrap_err();
        assert!(said.contains(why), "{said}");
        assert!(said.contains("the loop that begins with `"), "{said}");
    }
}

/// What handles a machine check, in root mode or not.
const HANDLES: &str = "_ZN8bankshot3run13machine_check13machine_check17h0E";
const VMWRITE: &[u8] = &[0x0f, 0x79, 0xc8];

#[test]
fn a_guest_is_left_soon_after_a_machine_check_in_root_mode() {
    let root_mode = |after: &[u8], handles: &[u8]| {
        let bytes = image(&[
            (INTERRUPTS[0], &[&call(0, 1), after, RET]),
            (HANDLES, &[handles, RET]),
        ]);
        let file = ElfFile64::parse(&*bytes).unwrap();
        walk::walk(&file, &machine_check::LEAVES_GUEST)
    };
    assert_eq!(root_mode(VMWRITE, MOV), Ok(()));
    // What handles it in any mode does not do it.
    let said = root_mode(MOV, VMWRITE).unwrap_err();
    assert!(said.contains("sets the preemption timer"), "{said}");
}

#[test]
fn what_a_rule_looks_for_has_to_be_there() {
    for missing in 0..INTERRUPTS.len() {
        let names = INTERRUPTS.iter().enumerate();
        let left = names.filter(|(index, _)| *index != missing);
        let functions: Vec<(&str, &[&[u8]])> =
            left.map(|(_, name)| (*name, &[RET] as &[&[u8]])).collect();
        let bytes = image(&functions);
        let said = walk::walk(&ElfFile64::parse(&*bytes).unwrap(), &machine_check::RULE);
        assert!(said.unwrap_err().contains("the image has no function `"));
    }
}

#[test]
fn an_image_that_is_none_is_said_to_be_none() {
    assert!(
        check(b"not an ELF")
            .unwrap_err()
            .to_string()
            .contains("no ELF64")
    );
    let none = check(&image(&[("main", &[RET])])).unwrap_err().to_string();
    assert!(none.contains("no function `fast_exit`"), "{none}");
    for name in [
        "fast_exit",
        "_ZN6kernel3vmx4fast9fast_exit17h0123456789abcdefE",
    ] {
        let with = |fast: &'static [u8], nmi: Vec<u8>| {
            let [first, second, end, take] = INTERRUPTS;
            check(&image(&[
                (name, &[fast, RET]),
                (first, &[VMWRITE, RET]),
                (second, &[&nmi, RET]),
                (end, &[RET]),
                (take, &[RET]),
                (HANDLES, &[RET]),
                ("core::panicking", &[RET]),
            ]))
        };
        assert!(with(MOV, MOV.to_vec()).is_ok());
        assert!(with(MOVAPS, MOV.to_vec()).is_err());
        assert!(with(MOV, call(2, 4)).is_err());
    }
}
