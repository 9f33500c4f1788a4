//! The loops of a function, as its instructions stand.

use iced_x86::{FlowControl, Instruction};

/// The innermost loops: from where a branch goes back to, to that branch, with no such branch in between.
pub fn innermost(code: &[Instruction]) -> impl Iterator<Item = &[Instruction]> {
    let mut last = None;
    code.iter().enumerate().filter_map(move |(end, branch)| {
        let start = back_to(code, branch)?;
        // What begins before the branch that went back last has that one's loop in it.
        let is_innermost = last.is_none_or(|last| start > last);
        last = Some(end);
        is_innermost.then(|| &code[start..=end])
    })
}

/// The place of the instruction to which `branch` goes back.
fn back_to(code: &[Instruction], branch: &Instruction) -> Option<usize> {
    let branches = matches!(
        branch.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    let target = branch.near_branch_target();
    let goes_back = branches && target <= branch.ip();
    let place = || code.binary_search_by_key(&target, Instruction::ip).ok();
    goes_back.then(place)?
}
