//! Bits of a state that nothing changes. They are no part of a question, which is the smaller by them: of a register with a
//! lock bit, for one, that bit alone.

use crate::compare::symbols::Cell;
use crate::model::{BitRule, Migrate, View, Write};

/// The bits of a state that are clear after power-on and stay so, whatever a guest does, the hypervisor puts there, or a record
/// says that is taken.
pub(super) fn still(view: &View, cell: Cell) -> u64 {
    let register = view.register(cell.register);
    let mut may_be_set = register.reset | register.accepts | register.init.unwrap_or(0);
    if let Migrate::Saved { default, .. } = register.migrate {
        may_be_set |= default;
    }
    if let Some(injection) = &view.injection {
        let (global, set) = injection.global;
        let roles = [injection.status, injection.address, injection.misc];
        let all = roles.into_iter().chain([(global, set)]);
        let own = all.filter(|(register, _)| *register == cell.register);
        may_be_set |= own.fold(0, |mask, (_, set)| mask | set);
    }
    if matches!(register.write, Write::Bits(_)) {
        let sets = |rule: &BitRule| match rule {
            BitRule::Ignore | BitRule::FaultIfSet | BitRule::FaultOnChange => false,
            // What is clear is not set by these.
            BitRule::OneClears | BitRule::ZeroClears => false,
            BitRule::Store | BitRule::OneSets | BitRule::Sticky | BitRule::Locked(_) => true,
        };
        // A field that a guest lacks leaves its bits to the reserved ones' rule.
        let sure = register
            .fields
            .iter()
            .filter(|field| field.present.is_none());
        let reserved = !sure.fold(0, |mask, field| mask | field.mask());
        may_be_set |= if sets(&register.reserved) {
            reserved
        } else {
            0
        };
        let fields = register.fields.iter().filter(|field| sets(&field.write));
        may_be_set |= fields.fold(0, |mask, field| mask | field.mask());
    }
    !may_be_set
}
