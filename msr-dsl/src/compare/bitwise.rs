//! Registers whose bits have nothing to do with each other, of which guests that move meet nothing that guests from power-on
//! do not. Large specs have many of them.

use super::accesses::Setting;
use super::alike::Alike;
use super::groups::Group;
use crate::model::{BitRule, Expr, Field, Read, Register, RegisterId, Write};

/// One register that both sides show as it is, and of which they differ at most in what a write does to each bit by itself, or to
/// those that another register locks. What comes along with a move is asked elsewhere.
///
/// What a write does to a bit of a guest that moved, it does to that bit of one from power-on, or to one of the other value where
/// the rules make no difference between the two; and the locks can be what they are in any record.
pub(super) fn shows_from_power_on(setting: &Setting, alike: &Alike, group: &Group) -> bool {
    let mut asked = group.asked.iter();
    let (Some(msr), None) = (asked.next(), asked.next()) else {
        return false;
    };
    let at = |side: usize, msr: u32| {
        let (id, _) = *setting.places[side].get(&msr)?;
        let register = setting.views[side].register(id);
        let capability = setting.views[side].capability == Some(id);
        (!capability && !register.banked).then_some((id, register))
    };
    let locks = group.msrs.iter().filter(|other| *other != msr);
    let locks_are_free = locks.copied().all(|other| {
        let lock = at(0, other);
        alike.same_at(other)
            && lock.is_some_and(|(id, register)| plain(id, register) && free(register))
    });
    let (Some(old), Some(new)) = (at(0, *msr), at(1, *msr)) else {
        return false;
    };
    let same = |one: &Register| (one.reset, one.init, one.scope);
    locks_are_free
        && [old, new].iter().all(|(id, register)| plain(*id, register))
        && same(old.1) == same(new.1)
        && (0..64).all(|bit| shows(old.1, new.1, bit))
}

/// Read as it is, and written bit by bit: no bit asks for what another one of the register is.
fn plain(id: RegisterId, register: &Register) -> bool {
    let own = |field: &Field| {
        field.present.is_none()
            && field.read.is_none()
            && field.rules.is_empty()
            && by_itself(id, &field.write)
    };
    matches!(register.read, Read::Value(Expr::State))
        && matches!(register.write, Write::Bits(None))
        && register.rules.is_empty()
        && register.present.is_none()
        && !register.held
        && register.fields.iter().all(own)
        && by_itself(id, &register.reserved)
}

/// What becomes of the bit, and whether the write faults, depends on no other bit of the register.
fn by_itself(id: RegisterId, rule: &BitRule) -> bool {
    match rule {
        BitRule::FaultOnChange => false,
        BitRule::Locked(by) => {
            let mut others = true;
            by.walk(&mut |part| {
                others &= match part {
                    Expr::State | Expr::Value | Expr::Index => false,
                    Expr::Register(other) | Expr::Cell(other, _) => *other != id,
                    _ => true,
                }
            });
            others
        }
        _ => true,
    }
}

fn rule(register: &Register, bit: u32) -> &BitRule {
    let mut fields = register.fields.iter();
    let own = fields.find(|field| field.mask() >> bit & 1 == 1);
    own.map_or(&register.reserved, |field| &field.write)
}

/// A guest can bring the bit to both values, always.
fn reaches_both(register: &Register, bit: u32) -> bool {
    let set = register.reset >> bit & 1 == 1;
    match rule(register, bit) {
        BitRule::Store => true,
        BitRule::Sticky | BitRule::OneSets => !set,
        BitRule::OneClears | BitRule::ZeroClears => set,
        BitRule::Ignore | BitRule::FaultIfSet | BitRule::FaultOnChange | BitRule::Locked(_) => {
            false
        }
    }
}

/// A guest can bring it to every value that a record can.
fn free(register: &Register) -> bool {
    let clear = |bit: u32| (register.reset | register.accepts) >> bit & 1 == 0;
    (0..64).all(|bit| clear(bit) || reaches_both(register, bit))
}

/// What the sides make of a bit is the same for both of its values, or a guest of the old side comes to both.
fn shows(old: &Register, new: &Register, bit: u32) -> bool {
    let either = |register: &Register| {
        let rule = rule(register, bit);
        matches!(
            rule,
            BitRule::Store | BitRule::Ignore | BitRule::FaultIfSet | BitRule::Locked(_)
        )
    };
    either(old) && either(new) || reaches_both(old, bit)
}
