//! Tells a jump through a `match`'s table, which stays in its function, from a tail call through a pointer, which may go anywhere.

use std::ops::Range;

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// Whether an indirect jump in `function` goes through a table of places in that function. `before` are the function's
/// instructions up to the jump.
pub fn is_one(
    file: &ElfFile64<'_>,
    function: Range<u64>,
    jump: &Instruction,
    before: &[Instruction],
) -> bool {
    match jump.op0_kind() {
        // jmp *table(,%rax,8)
        OpKind::Memory => first_entry(file, jump).is_some_and(|target| function.contains(&target)),
        OpKind::Register => match last_writer(jump.op0_register(), before) {
            // movslq (%rcx,%rax,4),%rax; add %rcx,%rax; jmp *%rax: relative to the table, as only `match` does it.
            Some(writer) if writer.mnemonic() == Mnemonic::Add => {
                writer.op1_kind() == OpKind::Register
            }
            Some(writer)
                if writer.mnemonic() == Mnemonic::Mov && writer.op1_kind() == OpKind::Memory =>
            {
                first_entry(file, writer).is_some_and(|target| function.contains(&target))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The first entry of the table of absolute addresses that an operand reads by an index. `None` for any other operand.
fn first_entry(file: &ElfFile64<'_>, instruction: &Instruction) -> Option<u64> {
    let by_index = instruction.memory_base() == Register::None
        && instruction.memory_index() != Register::None
        && instruction.memory_index_scale() == 8;
    if !by_index {
        return None;
    }
    let table = instruction.memory_displacement64();
    let bytes = file
        .sections()
        .find_map(|section| section.data_range(table, 8).ok().flatten())?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn last_writer(register: Register, before: &[Instruction]) -> Option<&Instruction> {
    let mut info = InstructionInfoFactory::new();
    before.iter().rev().find(|instruction| {
        let mut used = info.info(instruction).used_registers().iter();
        used.any(|used| {
            use iced_x86::OpAccess::{ReadWrite, Write};
            used.register().full_register() == register.full_register()
                && matches!(used.access(), Write | ReadWrite)
        })
    })
}
