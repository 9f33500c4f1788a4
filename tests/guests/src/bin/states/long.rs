//! Long mode: shadows, events that are being delivered, NMI, HLT.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame, MACHINE_CHECK};
use guests::line;
use guests::mca::{self, Register};
use guests::tables::{ExceptionStack, exception_stack_top};
use kernel::guest::hypercall::Hypercall;

use super::{
    CONSUMED, MISC, NO_ACTION, ON_THIS_PROCESSOR, PAGE_BYTES, SRAR, UNTOUCHED, VICTIMS,
    error_on_entry, error_on_touch, exit_on_touch,
};

const DEBUG: usize = 1;
const NMI: usize = 2;
const INVALID_OPCODE: usize = 6;
/// A vector without an exception; INT n alone leads there.
const SOFTWARE: usize = 31;

/// A page that is hidden and touched.
const TOUCHED: u64 = 7 << 20;

/// What a handler saw: vector, RIP, CS, RFLAGS, MCG_STATUS, and MCi_ADDR of bank 1.
type Seen = [AtomicU64; 6];
const MOST: usize = 4;
static SEEN: [Seen; MOST] = [const { [const { AtomicU64::new(0) }; 6] }; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// A page that the handler of NMI touches, or 0.
static NMI_TOUCHES: AtomicU64 = AtomicU64::new(0);

pub fn run() {
    exceptions::on_machine_check(machine_check);
    exceptions::on(DEBUG, debug);
    exceptions::on(NMI, nmi);
    exceptions::on(INVALID_OPCODE, invalid_opcode);
    exceptions::on(SOFTWARE, |frame| note(frame, 0, 0));
    let stack = |which| exception_stack_top(0, which) as u64 - 1;
    let (other, own) = (
        stack(ExceptionStack::Other),
        stack(ExceptionStack::MachineCheck),
    );

    // The instruction behind STI, and the one behind MOV SS.
    let shadows = [
        ("sti", state_sti as Code, &raw const state_sti_at),
        ("mov-ss", state_mov_ss, &raw const state_mov_ss_at),
    ];
    for (victim, (name, code, at)) in (0..).zip(shadows) {
        error_on_touch(TOUCHED, victim);
        code(TOUCHED);
        tell(name, &[(MACHINE_CHECK, at.addr())]);
    }

    // An exception, an INT n, a single step and an NMI whose stack is touched by their delivery.
    error_on_touch(other, 2);
    state_invalid(0);
    let at = (state_invalid as Code) as usize;
    tell("exception", &[(MACHINE_CHECK, at), (INVALID_OPCODE, at)]);

    error_on_touch(other, 3);
    state_software(0);
    let at = (state_software as Code) as usize;
    let end = (&raw const state_software_end).addr();
    tell("int-n", &[(MACHINE_CHECK, at), (SOFTWARE, end)]);

    error_on_touch(other, 4);
    state_step(0);
    let (first, second) = (&raw const state_step_first, &raw const state_step_second);
    tell(
        "single-step",
        &[(MACHINE_CHECK, first.addr()), (DEBUG, second.addr())],
    );

    let sent = (&raw const state_nmi_end).addr();
    error_on_touch(other, 5);
    state_nmi(0);
    let handler = exceptions::entry(MACHINE_CHECK);
    tell("nmi", &[(NMI, handler), (MACHINE_CHECK, sent)]);

    // While NMIs are blocked.
    NMI_TOUCHES.store(TOUCHED, Ordering::Release);
    error_on_touch(TOUCHED, 6);
    state_nmi(0);
    NMI_TOUCHES.store(0, Ordering::Release);
    let touch = (state_touch as Code) as usize;
    tell("nmi-blocked", &[(MACHINE_CHECK, touch), (NMI, sent)]);
    // They are not any more.
    state_nmi(0);
    tell("nmi-again", &[(NMI, sent)]);

    // A VM entry that is to deliver an NMI is cut short.
    error_on_entry(SRAR, CONSUMED, 9);
    state_nmi(0);
    tell("entry", &[(NMI, handler), (MACHINE_CHECK, sent)]);

    // One that is to deliver #MC, which has come in the middle of an exception's delivery. Nobody is told of the second error.
    error_on_entry(NO_ACTION, UNTOUCHED, 10);
    error_on_touch(other, 11);
    state_invalid(0);
    let at = (state_invalid as Code) as usize;
    tell(
        "entry-with-mc",
        &[(MACHINE_CHECK, at), (INVALID_OPCODE, at)],
    );

    // The delivery of #MC itself is interrupted.
    exit_on_touch(own);
    let raised = (&raw const state_raise_end).addr();
    let answer = state_raise(
        ON_THIS_PROCESSOR,
        SRAR,
        CONSUMED,
        VICTIMS + 7 * PAGE_BYTES,
        MISC,
    );
    assert!(answer == 0, "the fault was refused: {answer:#x}");
    tell("machine-check", &[(MACHINE_CHECK, raised)]);

    // The tool raises this one.
    line!("halts {:#x}", VICTIMS + 8 * PAGE_BYTES);
    state_halt(0);
    tell(
        "hlt",
        &[(MACHINE_CHECK, (&raw const state_halt_end).addr())],
    );
}

/// An error in the page that #MC would be pushed to.
pub fn lose_own_stack() {
    exceptions::on_machine_check(machine_check);
    let top = exception_stack_top(0, ExceptionStack::MachineCheck) as u64;
    let page = (top - 1) & !(PAGE_BYTES - 1);
    line!("loses {page:#x}");
    state_raise(ON_THIS_PROCESSOR, SRAR, CONSUMED, page, MISC);
}

/// Says what the handlers saw, by where it should have been.
fn tell(state: &str, expected: &[(usize, usize)]) {
    let name = |vector| match vector {
        DEBUG => "db",
        NMI => "nmi",
        INVALID_OPCODE => "ud",
        MACHINE_CHECK => "mc",
        _ => "int",
    };
    // What is late would be a mistake: it is seen as one event more, or less.
    let count = COUNT.swap(0, Ordering::AcqRel);
    line!("{state} events={count}");
    for (index, seen) in SEEN[..count.min(MOST)].iter().enumerate() {
        let [vector, rip, cs, flags, mcg_status, address] =
            seen.each_ref().map(|value| value.load(Ordering::Acquire));
        let wanted = expected.get(index).map_or(0, |&(_, rip)| rip as u64);
        line!(
            "{state} {} at={} cs={cs:#x} flags={flags:#x} mcg_status={mcg_status:#x} addr={address:#x}",
            name(vector as usize),
            rip.wrapping_sub(wanted) as i64
        );
    }
}

fn note(frame: &Frame, mcg_status: u64, address: u64) {
    /// TF, IF, DF.
    const FLAGS: u64 = 0x700;
    let index = COUNT.fetch_add(1, Ordering::AcqRel);
    if let Some(place) = SEEN.get(index) {
        let values = [
            frame.vector,
            frame.rip,
            frame.cs,
            frame.flags & FLAGS,
            mcg_status,
            address,
        ];
        for (place, value) in place.iter().zip(values) {
            place.store(value, Ordering::Release);
        }
    }
}

fn machine_check(frame: &mut Frame) {
    note(
        frame,
        mca::read(mca::MCG_STATUS),
        mca::read(mca::address(1, Register::Address)),
    );
    mca::clear(1);
    mca::write_zero(mca::MCG_STATUS);
}

fn debug(frame: &mut Frame) {
    const TRAP: u64 = 1 << 8;
    note(frame, 0, 0);
    frame.flags &= !TRAP;
}

fn invalid_opcode(frame: &mut Frame) {
    const UD2_BYTES: u64 = 2;
    note(frame, 0, 0);
    frame.rip += UD2_BYTES;
}

fn nmi(frame: &mut Frame) {
    let page = NMI_TOUCHES.load(Ordering::Acquire);
    if page != 0 {
        state_touch(page);
    }
    note(frame, 0, 0);
}

type Code = extern "C" fn(u64);

global_asm!(
    ".pushsection .text.states, \"ax\"",
    "state_sti:",
    "sti",
    "state_sti_at:",
    "mov [rdi], rdi",
    "cli",
    "ret",
    "state_mov_ss:",
    "mov eax, ss",
    "mov ss, eax",
    "state_mov_ss_at:",
    "mov [rdi], rdi",
    "ret",
    "state_invalid:",
    "ud2",
    "ret",
    "state_software:",
    "int 31",
    "state_software_end:",
    "ret",
    "state_step:",
    "pushfq",
    "or dword ptr [rsp], 0x100",
    "popfq",
    "nop",
    "state_step_first:",
    "nop",
    "state_step_second:",
    "ret",
    "state_nmi:", // to itself, by the x2APIC
    "mov ecx, 0x830",
    "mov eax, 0x4400",
    "xor edx, edx",
    "wrmsr",
    "state_nmi_end:",
    "ret",
    "state_touch:",
    "mov [rdi], rdi",
    "ret",
    "state_raise:", // the hypercall
    "mov r10, rcx",
    "mov eax, {fault}",
    "vmcall",
    "state_raise_end:",
    "ret",
    "state_halt:",
    "hlt",
    "state_halt_end:",
    "ret",
    ".popsection",
    fault = const Hypercall::Fault as u64,
);

unsafe extern "C" {
    safe fn state_sti(page: u64);
    safe fn state_mov_ss(page: u64);
    safe fn state_invalid(unused: u64);
    safe fn state_software(unused: u64);
    safe fn state_step(unused: u64);
    safe fn state_nmi(unused: u64);
    safe fn state_touch(page: u64);
    safe fn state_raise(what: u64, status: u64, mcg_status: u64, address: u64, misc: u64) -> u64;
    safe fn state_halt(unused: u64);
    static state_sti_at: u8;
    static state_mov_ss_at: u8;
    static state_software_end: u8;
    static state_step_first: u8;
    static state_step_second: u8;
    static state_nmi_end: u8;
    static state_raise_end: u8;
    static state_halt_end: u8;
}
