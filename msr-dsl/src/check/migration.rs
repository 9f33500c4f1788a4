//! What a saved record holds.

use super::expression::constant;
use super::register::{the, writable};
use super::select::lives;
use super::{Context, accepts, field};
use crate::ast::{self, RemovedThing, Spec, Statement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{
    BitRule, Field, Legal, Migrate, Register, RegisterId, Rule, Scope, View, Write,
};
use crate::words::suggest;
use std::collections::HashMap;

/// A record says its length in two bytes.
pub fn length(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for scope in [Scope::Vcpu, Scope::Guest] {
        let saved = view.saved_of(scope);
        let item = |id: &RegisterId| view.item_length(*id);
        let length = view.record_length(scope);
        let longest = saved.iter().map(|(id, ..)| *id).max_by_key(item);
        if let (Some(id), true) = (longest, length > usize::from(u16::MAX)) {
            diagnostics.add(
                &codes::OUT_OF_RANGE,
                cx.registers[id.0].name.span,
                format!(
                    "the record of {} of version {} has {length} bytes; its longest item is that of `{}`",
                    whose(scope),
                    cx.version,
                    view.register(id).name
                ),
                "a record has at most 65535: save fewer registers, or let fewer banks have state (`stored`)",
            );
        }
    }
}

/// Resolves what migration does with every register, and the tags of this version.
pub fn tags(cx: &Context, view: &mut View, diagnostics: &mut Diagnostics) {
    let mut used: HashMap<u64, RegisterId> = HashMap::new();
    for i in 0..view.registers.len() {
        let id = RegisterId(i);
        let said = the(cx, id, "migrate", diagnostics, |s| {
            if let Statement::Migrate(m) = s {
                Some(m)
            } else {
                None
            }
        });
        let register = &view.registers[i];
        let name = cx.registers[i].name.span;
        let given = register.reset | register.init.unwrap_or(0) | injected(view, id);
        let own = given | writable(register) | holdable(register);
        let default_accepts = own | accepts::bits(view, id);
        let migrate = match said {
            // A constant: a later pass says so.
            None | Some((ast::Migrate::Derived, _))
                if register.stored
                    && writable(register) == 0
                    && own == register.reset
                    && !register.held
                    && view.capability != Some(id) =>
            {
                continue;
            }
            None if register.stored => {
                diagnostics.add(
                    &codes::MIGRATE_UNSAID,
                    name,
                    format!(
                        "`{}` has state, and version {} does not say whether it migrates",
                        register.name, cx.version
                    ),
                    "add `migrate saved TAG;`, or `migrate transient \"why\";`",
                );
                continue;
            }
            None | Some((ast::Migrate::Derived, _)) if in_hardware_alone(register) => {
                diagnostics.add(
                    &codes::MIGRATE_UNSAID,
                    said.map_or(name, |(_, span)| span),
                    format!(
                        "what a guest writes to `{}` is in the processor alone: it is lost when the guest moves, and the next vCPU finds it",
                        register.name
                    ),
                    "add `held;` and `migrate saved TAG;`, or say why that does not matter: `migrate transient \"why\";`",
                );
                continue;
            }
            None => Migrate::Derived,
            Some((ast::Migrate::Derived, span)) if register.stored => {
                diagnostics.add(
                    &codes::MIGRATE_DERIVED,
                    span,
                    format!(
                        "`{}` has state of its own: it follows from nothing else",
                        register.name
                    ),
                    "write `migrate saved TAG;`, or `migrate transient \"why\";`",
                );
                continue;
            }
            Some((ast::Migrate::Derived, _)) => Migrate::Derived,
            Some((ast::Migrate::Transient(_), span))
                if !register.stored && !in_hardware_alone(register) =>
            {
                diagnostics.add(
                    &codes::MIGRATE_NOTHING,
                    span,
                    format!("`{}` has no state that could be lost", register.name),
                    "write `migrate derived;`, or leave the line out",
                );
                continue;
            }
            Some((ast::Migrate::Transient(why), span)) => {
                if why.trim().is_empty() {
                    diagnostics.add(
                        &codes::MIGRATE_REASON,
                        span,
                        "no reason why it is not saved",
                        "say what makes it safe to lose",
                    );
                }
                Migrate::Transient(why.clone())
            }
            Some((ast::Migrate::Saved { tag, default }, _)) => {
                if let Some(other) = used.insert(tag.value, id) {
                    diagnostics.add(
                        &codes::TAG_TWICE,
                        tag.span,
                        format!(
                            "tag {} is that of `{}`",
                            tag.value,
                            view.register(other).name
                        ),
                        "give each item of the record its own tag",
                    );
                }
                if !(1..=0xffff).contains(&tag.value) {
                    diagnostics.add(
                        &codes::OUT_OF_RANGE,
                        tag.span,
                        format!("tag {}", tag.value),
                        "tags go from 1 to 65535",
                    );
                }
                let default = default
                    .as_ref()
                    .map_or(Some(register.reset), |expr| constant(cx, expr, diagnostics));
                Migrate::Saved {
                    tag: tag.value as u16,
                    default: default.unwrap_or(0),
                }
            }
        };
        let accepts = the(cx, id, "restore accepts", diagnostics, |s| {
            if let Statement::Accepts(bits) = s {
                Some(bits)
            } else {
                None
            }
        });
        let mut mask = default_accepts;
        if let Some((bits, span)) = accepts {
            mask = field::bits(cx, id, bits, diagnostics).unwrap_or(default_accepts);
            if !matches!(migrate, Migrate::Saved { .. }) {
                accepts::without_save(&register.name, span, diagnostics);
            } else if (given | settable(register)) & !mask != 0 {
                diagnostics.add(
                    &codes::RESTORE_RESET,
                    span,
                    format!(
                        "a guest of version {} can have bits {} of `{}`, and its record is then refused",
                        cx.version,
                        named_bits(register, (given | settable(register)) & !mask),
                        register.name
                    ),
                    "add them to `restore accepts`",
                );
            }
        }
        if let (
            Migrate::Saved { default, .. },
            Some((
                ast::Migrate::Saved {
                    default: Some(said),
                    ..
                },
                _,
            )),
        ) = (&migrate, said)
            && default & !mask != 0
        {
            diagnostics.add(
                &codes::RESTORE_DEFAULT,
                said.span,
                format!(
                    "a restore refuses bits {} of the default",
                    super::register::ranges(default & !mask)
                ),
                "add them to `restore accepts`, or choose another default",
            );
        }
        let after = the(cx, id, "restore after", diagnostics, |s| {
            if let Statement::After(names) = s {
                Some(names)
            } else {
                None
            }
        });
        let after = after.map(|(names, _)| {
            names
                .iter()
                .filter_map(|name| after_id(cx, view, id, name, diagnostics))
                .collect()
        });
        let unlisted = accepts::never(view, id);
        let register = &mut view.registers[i];
        register.migrate = migrate;
        register.accepts = mask & !unlisted;
        register.after = after.unwrap_or_default();
        accepts::consistent(cx, view, id, diagnostics);
    }
    tombstones(cx, view, &used, diagnostics);
    after_cycles(cx, view, diagnostics);
}

/// Writes pass to the processor, and the hypervisor neither takes nor sets the value: it is state, and no record has it.
fn in_hardware_alone(register: &Register) -> bool {
    matches!(register.write, Write::Pass) && !register.stored
}

/// Bits that a machine check can set.
pub fn injected(view: &View, id: RegisterId) -> u64 {
    let roles = view
        .injection
        .iter()
        .flat_map(|i| [i.global, i.status, i.address, i.misc]);
    roles
        .filter(|(role, _)| *role == id)
        .fold(0, |all, (_, mask)| all | mask)
}

/// Bits that a guest can certainly set by a write. What a `require` leaves of them is not looked into.
pub fn settable(register: &Register) -> u64 {
    let sets = |rule: &BitRule| {
        matches!(
            rule,
            BitRule::Store | BitRule::OneSets | BitRule::Sticky | BitRule::Locked(_)
        )
    };
    let allowed = |rules: &[Rule]| {
        rules.iter().fold(u64::MAX, |all, rule| match &rule.legal {
            Legal::Sets(sets) => all & sets.iter().fold(0, |bits, set| bits | set.bits()),
            Legal::Holds(_) => 0,
        })
    };
    if !matches!(register.write, Write::Bits(_)) {
        return 0;
    }
    let reserved = match sets(&register.reserved) {
        true => register.reserved_mask,
        false => 0,
    };
    let fields = register.fields.iter().filter(|field| sets(&field.write));
    let fields = fields.fold(0, |bits, field| {
        bits | allowed(&field.rules) << field.lo & field.mask()
    });
    (reserved | fields) & allowed(&register.rules)
}

/// Bits for a reader: `CTL_P (8), 31:16`.
pub fn named_bits(register: &Register, bits: u64) -> String {
    let fields = register.fields.iter();
    let whole: Vec<&Field> = fields
        .filter(|field| bits & field.mask() == field.mask())
        .collect();
    let rest = whole.iter().fold(bits, |rest, field| rest & !field.mask());
    let named = whole.iter().map(|field| {
        let bits = super::register::ranges(field.mask());
        format!("{} ({bits})", field.name)
    });
    let rest = (rest != 0).then(|| super::register::ranges(rest));
    named.chain(rest).collect::<Vec<_>>().join(", ")
}

/// Bits that the hypervisor may put into a held register: all but those that fault in a write.
pub fn holdable(register: &Register) -> u64 {
    if !register.held {
        return 0;
    }
    let of = |rule: &BitRule, mask: u64| match rule {
        BitRule::FaultIfSet => 0,
        _ => mask,
    };
    let fields = register.fields.iter();
    fields.fold(
        of(&register.reserved, register.reserved_mask),
        |all, field| all | of(&field.write, field.mask()),
    )
}

fn after_id(
    cx: &Context,
    view: &View,
    own: RegisterId,
    name: &ast::Name,
    diagnostics: &mut Diagnostics,
) -> Option<RegisterId> {
    let known: Vec<&str> = view
        .registers
        .iter()
        .map(|register| register.name.as_str())
        .collect();
    match view.find(&name.text) {
        Some(id) if view.register(id).scope != view.register(own).scope => {
            diagnostics.add(
                &codes::RESTORE_CYCLE,
                name.span,
                format!(
                    "`{}` and `{}` are not in one record: one is the guest's, the other the vCPU's",
                    cx.registers[own.0].name.text, name.text
                ),
                "leave it out: the hypervisor restores the guest's record before those of its vCPUs",
            );
            None
        }
        Some(id) if id != own => Some(id),
        Some(_) => {
            diagnostics.add(
                &codes::RESTORE_CYCLE,
                name.span,
                "restored after itself",
                "name another register",
            );
            None
        }
        None => {
            diagnostics.add(
                &codes::UNKNOWN_NAME,
                name.span,
                format!("unknown register `{}`", name.text),
                suggest(&name.text, &known),
            );
            None
        }
    }
}

fn after_cycles(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    fn reaches(view: &View, from: RegisterId, to: RegisterId, seen: &mut Vec<RegisterId>) -> bool {
        if seen.contains(&from) {
            return false;
        }
        seen.push(from);
        view.register(from)
            .after
            .iter()
            .any(|next| *next == to || reaches(view, *next, to, seen))
    }
    for (id, register) in view.ids() {
        if reaches(view, id, id, &mut Vec::new()) {
            diagnostics.add(
                &codes::RESTORE_CYCLE,
                cx.registers[id.0].name.span,
                format!("`{}` is restored after itself in the end", register.name),
                "take one `restore after` out of the circle",
            );
            return;
        }
    }
}

/// What is gone stays gone: its tag or bit is not used again.
fn tombstones(
    cx: &Context,
    view: &mut View,
    used: &HashMap<u64, RegisterId>,
    diagnostics: &mut Diagnostics,
) {
    for removed in &cx.spec.removed {
        match &removed.what {
            RemovedThing::Tag {
                tag,
                accepted,
                versions,
            } => {
                let is_used = used.get(&tag.value);
                if let Some(id) = is_used
                    && newest(cx)
                {
                    let place = start(removed.span);
                    diagnostics.add(
                        &codes::TOMBSTONE,
                        cx.registers[id.0].name.span,
                        format!(
                            "tag {} was removed (at {}:{}) and is used by `{}`",
                            tag.value,
                            place.line,
                            place.column,
                            view.register(*id).name
                        ),
                        "take a tag that was never used",
                    );
                }
                let accepted = *accepted && lives(*versions, cx.version);
                if accepted && is_used.is_none() {
                    view.dropped_tags.push(tag.value as u16);
                }
            }
            RemovedThing::Bit(name, bit) => {
                let Some(id) = view.find(&name.text) else {
                    continue;
                };
                if view.capability != Some(id) {
                    if newest(cx) {
                        diagnostics.add(
                            &codes::TOMBSTONE,
                            name.span,
                            format!("`{}` is not the capability register", name.text),
                            "a removed bit is one by which a guest learned of a feature: leave the line out",
                        );
                    }
                    continue;
                }
                if let Some(field) = view
                    .register(id)
                    .fields
                    .iter()
                    .find(|field| field.mask() >> bit.value & 1 == 1)
                    && newest(cx)
                {
                    let place = start(removed.span);
                    let said = cx.fields(id).find(|said| said.name.text == field.name);
                    let register = cx.registers[id.0].name.span;
                    diagnostics.add(
                        &codes::TOMBSTONE,
                        said.map_or(register, |said| said.name.span),
                        format!(
                            "bit {} of `{}` was removed (at {}:{}) and is used by `{}`",
                            bit.value, name.text, place.line, place.column, field.name
                        ),
                        "take a bit that was never used",
                    );
                }
            }
        }
    }
}

fn newest(cx: &Context) -> bool {
    cx.spec.interfaces[0]
        .versions
        .last()
        .is_some_and(|line| line.number.value == u64::from(cx.version))
}

fn whose(scope: Scope) -> &'static str {
    match scope {
        Scope::Vcpu => "a vCPU",
        Scope::Guest => "a guest",
    }
}

/// A tombstone drops an item from the versions on that came after its tag: an older one never knew it, and refuses it as it always did.
pub fn dropped(views: &mut [View]) {
    let saves = |view: &View, tag: u16| {
        let own =
            |one: &Register| matches!(one.migrate, Migrate::Saved { tag: own, .. } if own == tag);
        view.registers.iter().any(own)
    };
    for at in 0..views.len() {
        let (older, newer) = views.split_at(at);
        let kept = newer[0].dropped_tags.iter().copied().filter(|tag| {
            let before = older.iter().any(|view| saves(view, *tag));
            before || !newer.iter().any(|view| saves(view, *tag))
        });
        views[at].dropped_tags = kept.collect();
    }
}

/// A tag means the same register in every version.
pub fn across(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    let mut owners: HashMap<u16, (&Register, u16)> = HashMap::new();
    for view in views {
        for register in &view.registers {
            let Migrate::Saved { tag, .. } = register.migrate else {
                continue;
            };
            let (owner, first) = *owners.entry(tag).or_insert((register, view.version));
            let ast = spec
                .registers
                .iter()
                .rfind(|ast| ast.name.text == register.name);
            let Some(ast) = ast else {
                continue;
            };
            if owner.name != register.name {
                diagnostics.add(
                    &codes::TAG_REUSED,
                    ast.name.span,
                    format!(
                        "tag {tag} is `{}` in version {} and `{}` in version {first}",
                        register.name, view.version, owner.name
                    ),
                    "a tag keeps its meaning for ever: take a new one",
                );
            } else if owner.scope != register.scope {
                diagnostics.add(
                    &codes::TAG_REUSED,
                    ast.name.span,
                    format!(
                        "tag {tag} is in the record of {} in version {} and of {} in version {first}",
                        whose(register.scope), view.version, whose(owner.scope)
                    ),
                    "take a new one with the new scope; `removed tag ... accepted` lets old records restore without it",
                );
            }
        }
    }
}
