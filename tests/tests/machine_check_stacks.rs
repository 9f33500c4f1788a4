//! The entry of #MC as it is in the image, entered on the host the way a processor does: an #MC comes while another is about to return, and one while an
//! NMI is handled that has interrupted such a one. No emulator raises an #MC at a chosen instruction.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[path = "../../kernel/src/machine/traps/entry.rs"]
mod entry;

use std::arch::{asm, global_asm};
use std::cell::{Cell, RefCell};
use std::mem::offset_of;

/// A processor's block, as far as the entry knows it.
#[repr(C)]
#[derive(Default)]
struct Block {
    nmi_bottom: u64,
    nmi_top: u64,
    bottom: u64,
    top: u64,
}

const NMI_STACK_BOTTOM: usize = offset_of!(Block, nmi_bottom);
const NMI_STACK_TOP: usize = offset_of!(Block, nmi_top);
const MACHINE_CHECK_STACK_BOTTOM: usize = offset_of!(Block, bottom);
const MACHINE_CHECK_STACK_TOP: usize = offset_of!(Block, top);

unsafe extern "C" {
    /// Raises a vector on this interrupt stack. Returns whether the handler came back without IRET: by a return address that it put
    /// past the red zone.
    fn raise(entry: unsafe extern "C" fn(), stack: u64) -> bool;
}

global_asm!(
    r#"
    .globl raise
raise:
    mov r8, rsp
    mov rsp, rsi
    mov ecx, ss
    push rcx
    push r8
    pushfq
    mov ecx, cs
    push rcx
    lea rcx, [rip + 1f]
    push rcx
    mov qword ptr [r8 - 136], 0
    jmp rdi
1:  lea rcx, [rip + 1b]
    cmp rcx, [rsp - 136]
    sete al
    movzx eax, al
    ret
    "#
);

/// What happens in the middle of a handler, from the outermost on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vector {
    MachineCheck,
    Nmi,
}

/// Stacks of the processor, and what happens on them.
struct Stage {
    landing: u64,
    nmi: u64,
    /// What is still to come; each handler raises the next one.
    left: RefCell<Vec<Vector>>,
    /// Which handlers have come back without IRET, the innermost first.
    returns: RefCell<Vec<(Vector, bool)>>,
    handled: Cell<u32>,
}

thread_local! {
    static STAGE: RefCell<Option<&'static Stage>> = const { RefCell::new(None) };
}

extern "C" fn machine_check(_: *mut u64) {
    handle();
}

extern "C" fn nmi(_: *mut u64) {
    handle();
}

/// A handler at the point where MCIP is clear: the next vector comes. What it has on its stack must outlive that.
fn handle() {
    let stage = STAGE.with_borrow(|stage| *stage).expect("there is a stage");
    let own = std::hint::black_box([stage.handled.get(); 256]);
    stage.handled.set(stage.handled.get() + 1);
    take_next(stage);
    let own = std::hint::black_box(own);
    assert!(own.iter().all(|&word| word == own[0]), "overwritten");
}

fn take_next(stage: &Stage) {
    let Some(vector) = stage.left.borrow_mut().pop() else {
        return;
    };
    // SAFETY: the entries return with everything restored; GS is set up, and the stacks live as long as the stage.
    let without_iret = unsafe {
        match vector {
            Vector::MachineCheck => raise(entry::machine_check_entry, stage.landing),
            Vector::Nmi => raise(entry::nmi_entry, stage.nmi),
        }
    };
    stage.returns.borrow_mut().push((vector, without_iret));
}

/// Raises these vectors, each in the handler of the one before. Returns which came back without IRET, in the same order.
fn nested(vectors: &[Vector]) -> Vec<(Vector, bool)> {
    let stack = |pages: u64| -> (u64, u64) {
        let memory = vec![0_u128; pages as usize * 256].leak();
        let bottom = memory.as_ptr() as u64;
        (bottom, bottom + pages * 4096)
    };
    let ((bottom, top), (nmi_bottom, nmi_top)) = (stack(16), stack(8));
    let block: &'static Block = Box::leak(Box::new(Block {
        nmi_bottom,
        nmi_top,
        bottom,
        top,
    }));
    set_gs(block);
    let stage: &'static Stage = Box::leak(Box::new(Stage {
        landing: stack(1).1,
        nmi: nmi_top,
        left: RefCell::new(vectors.iter().rev().copied().collect()),
        returns: RefCell::default(),
        handled: Cell::new(0),
    }));
    STAGE.set(Some(stage));
    take_next(stage);
    assert_eq!(stage.handled.get() as usize, vectors.len());
    stage.returns.borrow().iter().rev().copied().collect()
}

fn set_gs(block: &'static Block) {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_SET_GS: u64 = 0x1001;
    let result: i64;
    // SAFETY: nothing on x86-64 Linux uses GS in a program.
    unsafe {
        asm!(
            "syscall",
            inout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_SET_GS,
            in("rsi") block,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    assert_eq!(result, 0);
}

use Vector::{MachineCheck, Nmi};

#[test]
fn a_machine_check_alone_returns_by_iret() {
    assert_eq!(nested(&[MachineCheck]), [(MachineCheck, false)]);
}

#[test]
fn machine_checks_that_come_before_the_one_before_has_left_its_stack_overwrite_nothing() {
    assert_eq!(
        nested(&[MachineCheck; 4]),
        [
            (MachineCheck, false),
            (MachineCheck, true),
            (MachineCheck, true),
            (MachineCheck, true)
        ]
    );
}

#[test]
fn one_in_an_nmi_handler_leaves_nmis_blocked() {
    assert_eq!(
        nested(&[Nmi, MachineCheck, MachineCheck]),
        [(Nmi, false), (MachineCheck, true), (MachineCheck, true)]
    );
}

/// The NMI's frame says that a handler's stack is in use below it.
#[test]
fn one_in_an_nmi_handler_that_has_interrupted_another_overwrites_nothing() {
    assert_eq!(
        nested(&[MachineCheck, Nmi, MachineCheck, MachineCheck]),
        [
            (MachineCheck, false),
            (Nmi, false),
            (MachineCheck, true),
            (MachineCheck, true)
        ]
    );
}
