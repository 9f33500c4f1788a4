//! Names in expressions, their types, and cycles among registers that read each other.

use super::Context;
use crate::ast::{self, ExprKind, Op};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{BitRule, Expr, Legal, Read, Register, RegisterId, Type, View};
use crate::words::{closest, suggest};

/// What an expression may speak of.
#[derive(Clone, Copy)]
pub struct Scope {
    /// The register it belongs to.
    pub own: Option<RegisterId>,
    /// `value`: it is about a write.
    pub value: bool,
    /// Constants alone.
    pub constant: bool,
    /// It says what is locked.
    pub lock: bool,
}

impl Scope {
    /// Numbers and operators.
    pub const CONSTANT: Self = Self {
        own: None,
        value: false,
        constant: true,
        lock: false,
    };
    /// Other registers, no own one.
    pub const OUTSIDE: Self = Self {
        own: None,
        value: false,
        constant: false,
        lock: false,
    };
    /// A register's reads and conditions.
    pub const fn of(own: RegisterId) -> Self {
        Self {
            own: Some(own),
            value: false,
            constant: false,
            lock: false,
        }
    }
    /// What is locked in a register.
    pub const fn lock(own: RegisterId) -> Self {
        Self {
            lock: true,
            ..Self::of(own)
        }
    }
    /// A register's writes.
    pub const fn write(own: RegisterId) -> Self {
        Self {
            own: Some(own),
            value: true,
            constant: false,
            lock: false,
        }
    }
}

/// Resolves an expression of any type.
pub fn resolve(
    cx: &Context,
    expr: &ast::Expr,
    scope: Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    Some(match &expr.kind {
        ExprKind::Number(number) => Expr::Number(*number),
        ExprKind::Bool(value) => Expr::Bool(*value),
        ExprKind::Path { base, index, field } => {
            return path(
                cx,
                expr,
                base,
                index.as_ref(),
                field.as_ref(),
                scope,
                diagnostics,
            );
        }
        ExprKind::Not(inner) => Expr::Not(Box::new(resolve(cx, inner, scope, diagnostics)?)),
        ExprKind::Binary(op, a, b) => {
            let mut side =
                |one: &ast::Expr, other: &ast::Expr| match named_value(cx, one, other, scope) {
                    Some(number) if op.compares() => Some(Expr::Number(number)),
                    _ => resolve(cx, one, scope, diagnostics),
                };
            let (left, right) = (side(a, b), side(b, a));
            return binary(*op, (left?, a), (right?, b), diagnostics);
        }
        ExprKind::If(condition, yes, no) => {
            let condition = condition_in(cx, condition, scope, diagnostics);
            let (a, b) = (
                resolve(cx, yes, scope, diagnostics)?,
                resolve(cx, no, scope, diagnostics)?,
            );
            if a.ty() != b.ty() {
                wrong_type(no, b.ty(), a.ty(), diagnostics);
                return None;
            }
            Expr::If(Box::new(condition?), Box::new(a), Box::new(b))
        }
    })
}

/// Resolves a condition.
pub fn condition_in(
    cx: &Context,
    expr: &ast::Expr,
    scope: Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    let resolved = resolve(cx, expr, scope, diagnostics)?;
    if resolved.ty() != Type::Bool {
        wrong_type(expr, Type::Bits, Type::Bool, diagnostics);
        return None;
    }
    Some(resolved)
}

/// Resolves a value; a truth value counts as 0 or 1.
pub fn value_in(
    cx: &Context,
    expr: &ast::Expr,
    scope: Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    let resolved = resolve(cx, expr, scope, diagnostics)?;
    Some(match resolved.ty() {
        Type::Bits => resolved,
        Type::Bool => Expr::AsBit(Box::new(resolved)),
    })
}

/// Resolves a constant.
pub fn constant(cx: &Context, expr: &ast::Expr, diagnostics: &mut Diagnostics) -> Option<u64> {
    let resolved = value_in(cx, expr, Scope::CONSTANT, diagnostics)?;
    Some(crate::interpret::constant(&resolved))
}

fn wrong_type(expr: &ast::Expr, is: Type, wanted: Type, diagnostics: &mut Diagnostics) {
    let word = |ty| {
        if ty == Type::Bool {
            "a condition"
        } else {
            "a number"
        }
    };
    let help = match wanted {
        Type::Bool => "compare it: `... != 0`",
        Type::Bits => "use numbers on both sides, or `1 if CONDITION else 0`",
    };
    diagnostics.add(
        &codes::WRONG_TYPE,
        expr.span,
        format!("this is {}, not {}", word(is), word(wanted)),
        help,
    );
}

fn binary(
    op: Op,
    left: (Expr, &ast::Expr),
    right: (Expr, &ast::Expr),
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    let ((left, left_at), (right, right_at)) = (left, right);
    let wanted = match op {
        Op::Both | Op::Either => Some(Type::Bool),
        Op::Shl | Op::Shr | Op::Lt | Op::Le | Op::Gt | Op::Ge => Some(Type::Bits),
        Op::And | Op::Or | Op::Eq | Op::Ne => None,
    };
    for (side, at) in [(&left, left_at), (&right, right_at)] {
        let wanted = wanted.unwrap_or(left.ty());
        if side.ty() != wanted {
            match (op, &right, path_text(left_at)) {
                (Op::Eq | Op::Ne, Expr::Number(to @ (0 | 1)), Some(name)) => {
                    let not = match (op == Op::Eq) == (*to == 1) {
                        true => "",
                        false => "!",
                    };
                    diagnostics.add(
                        &codes::WRONG_TYPE,
                        left_at.span,
                        format!("`{name}` is a condition, and needs no number to compare with"),
                        format!("write `{not}{name}`"),
                    );
                }
                _ => wrong_type(at, side.ty(), wanted, diagnostics),
            }
            return None;
        }
    }
    if matches!(op, Op::Shl | Op::Shr) && !matches!(right, Expr::Number(0..=63)) {
        diagnostics.add(
            &codes::SHIFT,
            right_at.span,
            "a shift by something else than a number from 0 to 63",
            "write the number of bits",
        );
        return None;
    }
    if let Some(always) = super::width::decided(op, &left, &right) {
        let other = match &left {
            Expr::Number(_) => &right,
            _ => &left,
        };
        diagnostics.add(
            &codes::RULE_WITHOUT_EFFECT,
            left_at.span,
            format!("this comparison is always {always}"),
            format!(
                "what is compared goes up to {:#x}: compare it with something that it can be, or leave the comparison out",
                super::width::bits(other)
            ),
        );
    }
    Some(Expr::Binary(op, Box::new(left), Box::new(right)))
}

/// `NAME` or `NAME.FIELD`, as it is written.
fn path_text(expr: &ast::Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Path {
            base,
            index: None,
            field,
        } => Some(match field {
            Some(field) => format!("{}.{}", base.text, field.text),
            None => base.text.clone(),
        }),
        _ => None,
    }
}

/// The number of a name of an enumeration that is compared with its field. A name that means something else means that.
fn named_value(cx: &Context, one: &ast::Expr, other: &ast::Expr, scope: Scope) -> Option<u64> {
    let ExprKind::Path {
        base: name,
        index: None,
        field: None,
    } = &one.kind
    else {
        return None;
    };
    let text = name.text.as_str();
    let taken = ["value", "state", "i"].contains(&text)
        || cx.names.contains_key(text)
        || cx.features().any(|feature| feature.name.text == text)
        || scope
            .own
            .is_some_and(|own| field_names(cx, own).contains(&text));
    let ExprKind::Path { base, field, .. } = &other.kind else {
        return None;
    };
    let (register, field) = match (field, cx.names.get(base.text.as_str())) {
        (Some(field), Some(id)) => (*id, field),
        (Some(field), None) if ["value", "state"].contains(&base.text.as_str()) => {
            (scope.own?, field)
        }
        (None, _) => (scope.own?, base),
        _ => return None,
    };
    let field = cx
        .fields(register)
        .find(|one| one.name.text == field.text)
        .filter(|_| !taken)?;
    value_of(field, text)
}

/// The number behind a name of a field's enumeration.
pub fn value_of(field: &ast::Field, name: &str) -> Option<u64> {
    let ast::FieldType::Enum { values, .. } = &field.ty.value else {
        return None;
    };
    let mut values = values.iter();
    values.find_map(|(own, value)| (own.text == name).then_some(value.value))
}

/// A field that has a value of this name, and its number.
fn in_enumeration<'a>(cx: &Context<'a>, name: &str) -> Option<(&'a str, u64)> {
    let mut fields = (0..cx.registers.len()).flat_map(|id| cx.fields(RegisterId(id)));
    fields.find_map(|field| Some((field.name.text.as_str(), value_of(field, name)?)))
}

/// What to write for a name of an enumeration of this register, where it stands alone.
fn value_elsewhere(cx: &Context, own: RegisterId, name: &str) -> Option<String> {
    cx.fields(own).find_map(|field| {
        let value = value_of(field, name)?;
        let field = &field.name.text;
        Some(format!(
            "it is a value of `{field}`: compare it with `{field}`, or write {value}"
        ))
    })
}

fn path(
    cx: &Context,
    expr: &ast::Expr,
    base: &ast::Name,
    index: Option<&ast::At<u64>>,
    field: Option<&ast::Name>,
    scope: Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    if scope.constant {
        diagnostics.add(
            &codes::NOT_CONSTANT,
            expr.span,
            format!("`{}` is not a constant", base.text),
            match (
                in_enumeration(cx, &base.text),
                closest(&base.text, ["zero", "all_ones"]),
            ) {
                (Some((field, value)), _) => {
                    format!("it is a value of `{field}`: here that is the number {value}")
                }
                (None, Some(word)) => format!("did you mean `{word}`?"),
                (None, None) => {
                    "only numbers, `zero`, `all_ones` and operators stand here".to_owned()
                }
            },
        );
        return None;
    }
    if let Some(own) = scope.own {
        let whole = match base.text.as_str() {
            "value" if scope.value => Some(Expr::Value),
            "value" => {
                let (message, help) = match scope.lock {
                    true => (
                        "a lock asks what the state is, not what is written",
                        "ask `state`, a field or another register; which values may be written `require CONDITION else ...;` says",
                    ),
                    false => (
                        "`value` is the value being written; nothing is written here",
                        "use it in `legal` and `require`",
                    ),
                };
                diagnostics.add(&codes::NO_VALUE, base.span, message, help);
                return None;
            }
            "state" => Some(Expr::State),
            "i" => {
                if !super::width::has_places(cx.registers[own.0]) {
                    diagnostics.add(
                        &codes::WHICH_BANK,
                        base.span,
                        format!(
                            "`i` is always 0: `{}` is a single register",
                            cx.registers[own.0].name.text
                        ),
                        "it is the bank, or the place in a range of MSRs: leave it out",
                    );
                }
                return Some(Expr::Index);
            }
            _ => None,
        };
        if let Some(whole) = whole {
            return match field {
                Some(field) => field_of(cx, own, field, whole, diagnostics),
                None => Some(whole),
            };
        }
        let own_field = index.is_none() && field.is_none() && !cx.is_said_outside(&base.text);
        if own_field && field_names(cx, own).contains(&base.text.as_str()) {
            return field_of(cx, own, base, Expr::State, diagnostics);
        }
    }
    if let Some(id) = cx.names.get(base.text.as_str()).copied() {
        let whole = register_value(cx, id, base, index, diagnostics)?;
        return match field {
            Some(field) => field_of(cx, id, field, whole, diagnostics),
            None => Some(whole),
        };
    }
    if let Some(feature) = cx.features().find(|feature| feature.name.text == base.text) {
        // What is no bit is told of at the feature.
        let bit = resolve(cx, feature.bit.first()?, Scope::OUTSIDE, diagnostics)?;
        return (bit.ty() == Type::Bool).then_some(bit);
    }
    unknown(cx, base, scope, diagnostics);
    None
}

fn unknown(cx: &Context, base: &ast::Name, scope: Scope, diagnostics: &mut Diagnostics) {
    if scope
        .own
        .is_some_and(|own| cx.registers[own.0].may_have_more_fields())
        || cx.spec.may_define(&base.text)
    {
        return;
    }
    let elsewhere = cx.spec.registers.iter().any(|r| r.name.text == base.text)
        || cx.spec.features.iter().any(|f| f.name.text == base.text);
    if elsewhere {
        diagnostics.add(
            &codes::NOT_IN_VERSION,
            base.span,
            format!("`{}` does not exist in version {}", base.text, cx.version),
            "put the line into `in VERSIONS { ... }`, or widen the versions of what it names",
        );
        return;
    }
    let mut known: Vec<&str> = cx.registers.iter().map(|r| r.name.text.as_str()).collect();
    known.extend(cx.features().map(|f| f.name.text.as_str()));
    if let Some(own) = scope.own {
        known.extend(field_names(cx, own));
    }
    known.extend(["zero", "all_ones", "true", "false"]);
    let value = scope
        .own
        .and_then(|own| value_elsewhere(cx, own, &base.text));
    let help = value.or_else(|| {
        let meant = crate::words::closest(&base.text, known.iter().copied());
        meant.map(|c| format!("did you mean `{c}`?"))
    });
    let help = help.unwrap_or_else(|| {
        "it is neither a register, a feature, nor a field of this register".to_owned()
    });
    diagnostics.add(
        &codes::UNKNOWN_NAME,
        base.span,
        format!("unknown name `{}`", base.text),
        help,
    );
}

fn register_value(
    cx: &Context,
    id: RegisterId,
    base: &ast::Name,
    index: Option<&ast::At<u64>>,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    if let Some(ast::Statement::Read(
        ast::Read::Fault | ast::Read::Unlisted | ast::Read::Pass | ast::Read::Hook(_),
    )) = super::select::select(&cx.registers[id.0].statements, cx.version)
        .map(|said| &said.what)
        .find(|what| matches!(what, ast::Statement::Read(_)))
    {
        diagnostics.add(
            &codes::NOT_READABLE,
            base.span,
            format!("`{}` has no value that could be used here", base.text),
            "its reads fault, are not listed, or are answered elsewhere: name a register whose read is a value",
        );
        return None;
    }
    match (cx.registers[id.0].banked, index) {
        (false, None) => Some(Expr::Register(id)),
        (true, Some(index)) => {
            if let Some(stored) = cx.stored()
                && index.value >= u64::from(stored)
            {
                diagnostics.add(
                    &codes::NO_SUCH_BANK,
                    index.span,
                    format!("bank {} has no state", index.value),
                    format!("banks with state: 0 to {}", i64::from(stored) - 1),
                );
                return None;
            }
            Some(Expr::Cell(id, index.value as u32))
        }
        (true, None) => {
            diagnostics.add(
                &codes::WHICH_BANK,
                base.span,
                format!("`{}` exists in each bank", base.text),
                format!("name the bank: `{}[1]`", base.text),
            );
            None
        }
        (false, Some(index)) => {
            diagnostics.add(
                &codes::WHICH_BANK,
                index.span,
                format!("`{}` is not banked", base.text),
                "leave the bank out",
            );
            None
        }
    }
}

fn field_names<'a>(cx: &Context<'a>, id: RegisterId) -> Vec<&'a str> {
    cx.fields(id)
        .map(|field| field.name.text.as_str())
        .collect()
}

fn field_of(
    cx: &Context,
    id: RegisterId,
    field: &ast::Name,
    whole: Expr,
    diagnostics: &mut Diagnostics,
) -> Option<Expr> {
    let Some(found) = cx.fields(id).find(|one| one.name.text == field.text) else {
        let register = cx.registers[id.0];
        if register.may_have_more_fields() {
            return None;
        }
        let elsewhere = register.statements.iter().any(
            |said| matches!(&said.what, ast::Statement::Field(f) if f.name.text == field.text),
        );
        match elsewhere {
            true => diagnostics.add(
                &codes::NOT_IN_VERSION,
                field.span,
                format!(
                    "field `{}` does not exist in version {}",
                    field.text, cx.version
                ),
                "put the line into `in VERSIONS { ... }`, or widen the versions of the field",
            ),
            false => diagnostics.add(
                &codes::UNKNOWN_NAME,
                field.span,
                format!("`{}` has no field `{}`", register.name.text, field.text),
                suggest(&field.text, &field_names(cx, id)),
            ),
        }
        return None;
    };
    let bits = Expr::Field(Box::new(whole), found.hi as u32, found.lo as u32);
    Some(match found.ty.value {
        ast::FieldType::Bool => Expr::IsSet(Box::new(bits)),
        _ => bits,
    })
}

impl<'a> Context<'a> {
    /// The fields that a register has in this version.
    pub fn fields(&self, id: RegisterId) -> impl Iterator<Item = &'a ast::Field> + use<'a> {
        let version = self.version;
        super::select::select(&self.registers[id.0].statements, version).filter_map(move |said| {
            match &said.what {
                ast::Statement::Field(field) if super::select::lives(field.versions, version) => {
                    Some(field)
                }
                _ => None,
            }
        })
    }

    /// The features of this version.
    pub fn features(&self) -> impl Iterator<Item = &'a ast::Feature> + use<'a> {
        let version = self.version;
        self.spec
            .features
            .iter()
            .filter(move |feature| super::select::lives(feature.versions, version))
    }

    /// It is the name of a register or of a feature. A field of that name, which would hide it, is told of where it stands.
    pub fn is_said_outside(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.features().any(|feature| feature.name.text == name)
    }

    /// How many banks have state, as the spec says.
    pub fn stored(&self) -> Option<u32> {
        let lost = |banks: &ast::Banks| banks.lost.iter().any(|lost| lost.may_say("stored"));
        let interface = &self.spec.interfaces[0];
        if interface.may_say("banks") || interface.banks.iter().any(|said| lost(&said.what)) {
            return None;
        }
        let banks = super::select::select(&self.spec.interfaces[0].banks, self.version).next();
        let stored =
            banks.and_then(|banks| super::select::select(&banks.what.stored, self.version).next());
        Some(stored?.what.value.min(64) as u32)
    }
}

/// A bank that an expression names has a cell.
pub fn cells(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids() {
        let mut missing = None;
        each_expression(register, &mut |expr| {
            expr.walk(&mut |one| match one {
                Expr::Cell(of, _) if !view.register(*of).stored => missing = Some(*of),
                _ => {}
            });
        });
        if let Some(of) = missing {
            diagnostics.add(
                &codes::NOT_READABLE,
                cx.registers[id.0].name.span,
                format!(
                    "`{}` uses a bank of `{}`, which has no state",
                    register.name,
                    view.register(of).name
                ),
                "write the value itself",
            );
        }
    }
}

/// Every expression of a register.
pub fn each_expression(register: &Register, visit: &mut dyn FnMut(&Expr)) {
    if let Read::Value(value) = &register.read {
        visit(value);
    }
    if let Some((condition, _)) = &register.present {
        visit(condition);
    }
    for rule in &register.rules {
        if let Legal::Holds(condition) = &rule.legal {
            visit(condition);
        }
    }
    for field in &register.fields {
        field
            .read
            .iter()
            .chain(&field.present)
            .for_each(&mut *visit);
        if let BitRule::Locked(by) = &field.write {
            visit(by);
        }
    }
    if let BitRule::Locked(by) = &register.reserved {
        visit(by);
    }
}

/// No register's value depends on itself.
pub fn cycles(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    fn visit(view: &View, id: RegisterId, path: &mut Vec<RegisterId>) -> Option<Vec<RegisterId>> {
        if let Some(at) = path.iter().position(|one| *one == id) {
            return Some(path[at..].to_vec());
        }
        path.push(id);
        for next in depends_on(view, id) {
            if let Some(cycle) = visit(view, next, path) {
                return Some(cycle);
            }
        }
        path.pop();
        None
    }
    for (id, _) in view.ids() {
        let Some(cycle) = visit(view, id, &mut Vec::new()) else {
            continue;
        };
        let first = cycle.iter().min().copied().unwrap_or(id);
        let names: Vec<&str> = cycle
            .iter()
            .map(|id| view.register(*id).name.as_str())
            .collect();
        let name = &view.register(first).name;
        let presence = cycle.len() == 1 && asks_presence(view.register(first), first);
        diagnostics.add(
            &codes::CYCLE,
            cx.registers[first.0].name.span,
            match presence {
                true => format!("whether `{name}`, or a field of it, is there depends on itself"),
                false => format!(
                    "what `{name}` reads depends on itself ({})",
                    names.join(" -> ")
                ),
            },
            match cycle.len() {
                1 if presence => "ask another register, or a feature",
                1 => "inside of a register say `state`, or its own fields by their names alone",
                _ => "break the circle: let one of them be state",
            },
        );
        return;
    }
}

/// Whether a register, or a field of it, is there depends on the register itself.
fn asks_presence(register: &Register, id: RegisterId) -> bool {
    let own = register.present.iter().map(|(condition, _)| condition);
    let fields = register.fields.iter().flat_map(|field| &field.present);
    own.chain(fields)
        .any(|condition| condition.registers().contains(&id))
}

/// The registers whose read value is part of this one's.
pub fn depends_on(view: &View, id: RegisterId) -> Vec<RegisterId> {
    let register = view.register(id);
    let mut found = Vec::new();
    let mut note = |expr: &Expr| {
        expr.walk(&mut |one| {
            if let Expr::Register(other) = one {
                found.push(*other);
            }
        });
    };
    if let Read::Value(value) = &register.read {
        note(value);
    }
    if let Some((condition, _)) = &register.present {
        note(condition);
    }
    for field in &register.fields {
        field.read.iter().chain(&field.present).for_each(&mut note);
    }
    if register.banked
        && let Some(banks) = &view.banks
    {
        note(&banks.count);
    }
    found
}
