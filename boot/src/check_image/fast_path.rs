//! Looks for vector, MMX and x87 instructions, and for panics, in everything that the fast exit path can reach.
//!
//! The path runs before the guest's XMM registers are saved: one such instruction in it, perhaps a copy that the compiler
//! widened, would silently change a guest. So the build looks.

use iced_x86::{CpuidFeature, Instruction, InstructionInfoFactory, Mnemonic, Register};

use super::walk::Rule;

/// What the VM-exit assembly calls while XMM still holds the guest's values, a function for each version of an interface, touches none of it.
pub const RULE: Rule = Rule {
    roots: &["fast_exit"],
    ends: &[],
    // A guest's access must not be able to panic.
    never: &["core::panicking"],
    refuse: touches_vector_state,
    refuse_loop: |_| None,
    needs: None,
    says: "the fast exit path runs while XMM holds the guest's values, and must not touch it, nor panic",
};

fn touches_vector_state(instruction: &Instruction) -> Option<&'static str> {
    let mut info = InstructionInfoFactory::new();
    let mut registers = info.info(instruction).used_registers().iter();
    let touches =
        registers.any(|used| is_vector(used.register())) || is_vector_feature(instruction);
    touches.then_some("touches vector state")
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
