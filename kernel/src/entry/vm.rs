//! VM exit and entry in assembly.
//!
//! The exit saves the ten registers that Rust may change or that CPUID answers in, and calls the vCPU's `fast_exit`. That function and all
//! that it calls use no XMM register (checked in the image by `cargo boot`), so nothing more need be saved when it can answer. Else
//! the rest is saved, XMM included, and the image's `slow_exit` goes on. There is one path for every exit and no special case here.
//!
//! The pushes go straight into the vCPU's block: the VMCS's host RSP points above its RAX. Ordinary context then runs on the
//! processor's own stack, from its top: nothing on it survives an entry.

use core::arch::global_asm;
use core::mem::offset_of;

use kernel::units::{Hpa, Tsc};
use specs::{ForVersion, McState, McVersion};

use crate::exit::fast;
use crate::guests::vcpu::{FastExit, Own, Rest, Vcpu};
use crate::machine::processor::{MAX_PROCESSORS, Processor, STACK_TOP};
use crate::machine::slots::Slot;
use crate::machine::tsc;
use crate::vmx::controls::Controls;
use crate::vmx::current::Current;
use crate::vmx::instructions::Failed;
use crate::vmx::registers::Registers;
use crate::vmx::vmcs::Setup;
use crate::vmx::{operation, platform, vmcs};

unsafe extern "C" {
    fn vm_exit();
    fn enter_guest(own: *mut core::ffi::c_void) -> !;
}

/// Where host RSP stands relative to the vCPU's block.
const HOST_RSP: usize = offset_of!(Registers, rbp);

global_asm!(
    r#"
    .globl vm_exit
    .balign 64
vm_exit:
    push rax
    push rcx
    push rdx
    push rbx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rbx, rsp                            # the vCPU; kept by what is called
    mov rsp, gs:[{stack_top}]
    mov rdi, rbx
    call [rbx + {fast_exit}]
    test eax, eax
    jnz 2f
    mov rsp, rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbx
    pop rdx
    pop rcx
    pop rax
    vmresume
    jmp 4f
2:  mov [rbx + {rbp}], rbp
    mov [rbx + {r12}], r12
    mov [rbx + {r13}], r13
    mov [rbx + {r14}], r14
    mov [rbx + {r15}], r15
    fxsave64 [rbx + {fxsave}]
    ldmxcsr [rip + default_mxcsr]
    mov rdi, rbx
    mov esi, eax
    mov rsp, gs:[{stack_top}]
    call {slow_exit}
    ud2

    .globl enter_guest
enter_guest:
    fxrstor64 [rdi + {fxsave}]
    mov rbp, [rdi + {rbp}]
    mov r12, [rdi + {r12}]
    mov r13, [rdi + {r13}]
    mov r14, [rdi + {r14}]
    mov r15, [rdi + {r15}]
    mov rsp, rdi
    cmp qword ptr [rdi + {launched}], 0     # pops leave the flags alone
    mov qword ptr [rdi + {launched}], 1
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbx
    pop rdx
    pop rcx
    pop rax
    jne 3f
    vmlaunch
    jmp 4f
3:  vmresume
4:  mov rsp, gs:[{stack_top}]               # entry failed; no register of the host was loaded
    ldmxcsr [rip + default_mxcsr]
    call {entry_failed}
    ud2
    "#,
    stack_top = const STACK_TOP,
    fast_exit = const offset_of!(Own, fast_exit),
    slow_exit = sym crate::slow_exit,
    entry_failed = sym crate::entry_failed,
    rbp = const offset_of!(Registers, rbp),
    r12 = const offset_of!(Registers, r12),
    r13 = const offset_of!(Registers, r13),
    r14 = const offset_of!(Registers, r14),
    r15 = const offset_of!(Registers, r15),
    fxsave = const offset_of!(Own, fxsave),
    launched = const offset_of!(Own, launched),
);

/// The fast half of an exit, of a vCPU under the version `S`. Nothing that is reached from here may use XMM registers: the guest's are
/// still in them.
extern "C" fn fast_exit<S: McVersion>(own: *mut Own) -> Rest {
    // SAFETY: the exit code hands over the block of the vCPU that was running here, whose VMCS is current; ordinary context, nothing
    // else borrows it.
    let (own, vmcs) = unsafe { (&mut *own, Current::assume()) };
    // SAFETY: `fast_exit_of` chose this function by the version of this very state, and the version of a state never changes.
    fast::answer::<S>(own, vmcs, |state| unsafe {
        S::of(state).unwrap_unchecked()
    })
}

/// The fast half for the version under which a vCPU lives. There is one function for each version, chosen when the vCPU is made, so
/// that no access pays for the choice.
struct ByVersion;

impl ForVersion for ByVersion {
    type Made = FastExit;

    fn make<S: McVersion>() -> Self::Made {
        fast_exit::<S>
    }
}

/// The fast half of a vCPU whose machine-check registers these are to be.
pub fn fast_exit_of(machine_check: &McState) -> FastExit {
    machine_check.for_version::<ByVersion>()
}

/// Hands the vCPU that has just left its processor to `answer`, if there is something of its exit left to answer.
///
/// # Safety
/// Called once for each exit, first, with what the exit code handed over.
#[inline(always)]
pub unsafe fn after_exit(own: *mut Own, rest: Rest, answer: impl FnOnce(&mut Own, Current)) {
    if rest == Rest::Exit {
        // SAFETY: by the caller; as in `fast_exit`.
        let (own, vmcs) = unsafe { (&mut *own, Current::assume()) };
        answer(own, vmcs);
    }
}

/// Hands the vCPU that could not be entered to `answer`.
///
/// # Safety
/// Called first when the processor has refused VMLAUNCH or VMRESUME, with the vCPU that was to be entered.
pub unsafe fn after_failed_entry(vcpu: &'static Vcpu, answer: impl FnOnce(&mut Own, Current)) {
    // SAFETY: by the caller its VMCS is current; ordinary context, nothing else borrows it.
    let (own, vmcs) = unsafe { (vcpu.own.borrow(), Current::assume()) };
    answer(own, vmcs);
}

/// Fills in the VMCS of a vCPU that runs on this processor, and lets `start` make its first state. Once for each vCPU.
pub fn prepare(
    processor: &Processor,
    vcpu: &'static Vcpu,
    controls: &Controls,
    timer: u64,
    start: impl FnOnce(&mut Own, &mut Current),
) -> Result<(), Failed> {
    let guest = vcpu.shared.guest;
    let setup = Setup {
        msr_bitmap: guest.msr_bitmap,
        eptp: guest.memory.eptp(),
        vpid: guest.vpid(vcpu.shared.id.index),
        // The exit pushes straight into the vCPU's block.
        host_rsp: (&raw const vcpu.own) as u64 + HOST_RSP as u64,
        host_rip: vm_exit as *const () as u64,
        timer,
    };
    // SAFETY: the vCPU's VMCS is its own and used on its processor alone, which is this one; the exit code is what `setup` says.
    unsafe {
        let mut current = vmcs::prepare(processor, vmcs_of(vcpu), controls, &setup)?;
        start(vcpu.own.borrow(), &mut current);
    }
    Ok(())
}

/// Gives a vCPU the processor: its VMCS becomes current, its unswitched state is put in place. Then asks `ready` whether it may run now, and enters it. Returns if it may not.
pub fn enter(
    processor: &Processor,
    vcpu: &'static Vcpu,
    ready: impl FnOnce(&mut Own, &mut Current) -> bool,
) {
    // SAFETY: `prepare` has filled the VMCS in on this processor. Ordinary context: nothing else borrows the block.
    unsafe {
        if change_hands(processor, vcpu).is_err() {
            return;
        }
        let own = vcpu.own.borrow();
        if ready(own, &mut Current::assume()) {
            enter_guest((&raw mut *own).cast());
        }
    }
}

/// Goes on as if the processor had failed to enter the vCPU for that exit reason. Ordinary context, when it has failed for another one; the
/// processor lets exit information be written.
#[cfg(feature = "faults")]
pub fn fail_entry(own: &mut Own, vmcs: &mut Current, exit_reason: u32) -> ! {
    vmcs.set_exit_reason(exit_reason);
    crate::slow_exit(own, Rest::Exit)
}

/// The vCPU whose VMCS is current on each processor, and whose unswitched state it holds.
static HELD: [Slot<Vcpu>; MAX_PROCESSORS] = [const { Slot::new() }; MAX_PROCESSORS];

/// Makes a vCPU's VMCS current and puts its unswitched state into the processor, if they are not there, and keeps that of the one
/// before.
///
/// # Safety
/// Ordinary context on the vCPU's processor, no borrow of any of its vCPUs in use; its VMCS is active on no other processor.
unsafe fn change_hands(processor: &Processor, vcpu: &'static Vcpu) -> Result<(), Failed> {
    let held = &HELD[usize::from(processor.number.0) % MAX_PROCESSORS];
    let previous = held.get();
    if previous.is_some_and(|previous| core::ptr::eq(previous, vcpu)) {
        return Ok(());
    }
    // SAFETY: by the caller; the two are not the same, and one that has left this processor is not held here any more.
    unsafe {
        operation::load(processor, vmcs_of(vcpu))?;
        held.replace(Some(vcpu));
        if let Some(previous) = previous {
            keep(processor, previous.own.borrow());
        }
        let own = vcpu.own.borrow();
        own.unswitched.load();
        platform::load_processor(&own.platform);
    }
    Ok(())
}

/// Keeps what of a vCPU's state is in the processor.
fn keep(processor: &Processor, own: &mut Own) {
    own.unswitched.save();
    if let Err(excluded) = platform::take_processor(&mut own.platform) {
        let event = excluded.event(own.shared.id);
        processor.ring.emit(Tsc(tsc()), event);
    }
}

/// Lets a vCPU of this processor go: nothing of it is left here, and what the processor holds of its VMCS is written back. Ordinary context, between a VM
/// exit and the next entry; this processor touches nothing of it from here on.
pub fn let_go(processor: &Processor, vcpu: &'static Vcpu) -> Result<(), Failed> {
    let held = &HELD[usize::from(processor.number.0) % MAX_PROCESSORS];
    // SAFETY: ordinary context on its processor, no borrow of the block in use; it is not entered before `take_in` has been called for it.
    unsafe {
        let own = vcpu.own.borrow();
        if held.get().is_some_and(|held| core::ptr::eq(held, vcpu)) {
            held.replace(None);
            keep(processor, own);
        }
        // The next entry is the first since VMCLEAR.
        own.launched = 0;
        operation::clear(processor, vmcs_of(vcpu))
    }
}

/// Takes in a vCPU that another processor has let go. Ordinary context, between a VM exit and the next entry.
///
/// The preemption timer is set before each entry. Its time stamp counter is this processor's and the offset in its VMCS, as before: counters of processors agree.
pub fn take_in(processor: &Processor, vcpu: &'static Vcpu) -> Result<(), Failed> {
    // SAFETY: ordinary context; the processor that had it has handed it over, which this one has seen, and touches nothing of it any more. So its
    // VMCS is clear, and nothing borrows its block.
    unsafe {
        change_hands(processor, vcpu)?;
        vmcs::move_in(processor, &mut Current::assume());
    }
    Ok(())
}

fn vmcs_of(vcpu: &Vcpu) -> Hpa {
    vcpu.shared.vmcs
}
