//! Names become names of Rust, where capitals and underscores count for less: two that become one are refused here, not by
//! rustc in generated code.

use crate::ast::{FieldType, Name, Spec, Statement, Versions};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::generate::names::{camel, snake};
use std::collections::HashMap;

/// Types that every version's module has.
const TYPES: &[&str] = &[
    "State",
    "Hook",
    "Held",
    "Guest",
    "GuestHeld",
    "Interface",
    "SharedInterface",
    "Refusal",
    "Reset",
    "Self",
];
/// Methods that every register's type has.
const METHODS: &[&str] = &[
    "new",
    "from_bits",
    "into_bits",
    "default",
    "clone",
    "fmt",
    "eq",
    "self_",
];

/// Notes every name that cannot be one of Rust beside the others.
pub fn rust_names(spec: &Spec, diagnostics: &mut Diagnostics) {
    let registers: Vec<(&Name, Option<Versions>)> = spec
        .registers
        .iter()
        .map(|r| (&r.name, r.versions))
        .collect();
    clashes(
        &registers,
        TYPES,
        &|name| camel(name).to_string(),
        diagnostics,
    );
    let hooks: Vec<(&Name, Option<Versions>)> =
        spec.hooks.iter().map(|hook| (&hook.name, None)).collect();
    clashes(&hooks, &[], &|name| camel(name).to_string(), diagnostics);
    for register in &spec.registers {
        let fields = || {
            register
                .statements
                .iter()
                .filter_map(|said| match &said.what {
                    Statement::Field(field) => Some((field, field.versions.or(said.versions))),
                    _ => None,
                })
        };
        let names: Vec<(&Name, Option<Versions>)> = fields()
            .map(|(field, versions)| (&field.name, versions))
            .collect();
        clashes(
            &names,
            METHODS,
            &|name| snake(name).to_string(),
            diagnostics,
        );
        for (field, _) in fields() {
            if let FieldType::Enum { values, .. } = &field.ty.value {
                let values: Vec<(&Name, Option<Versions>)> =
                    values.iter().map(|(name, _)| (name, None)).collect();
                clashes(&values, &[], &|name| camel(name).to_string(), diagnostics);
            }
        }
    }
}

/// Two different names that become one (the same name twice is another mistake, found elsewhere).
fn clashes(
    names: &[(&Name, Option<Versions>)],
    taken: &[&str],
    rust: &dyn Fn(&str) -> String,
    diagnostics: &mut Diagnostics,
) {
    // Whoever has a name of Rust already: a spec has many names, and making one of Rust takes its time.
    let mut holders: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, (name, versions)) in names.iter().enumerate() {
        let own = rust(&name.text);
        if taken.contains(&own.as_str()) {
            diagnostics.add(
                &codes::RUST_NAME,
                name.span,
                format!("`{}` becomes `{own}` in Rust, which is taken", name.text),
                "choose another name",
            );
        }
        let meets = |other: Option<Versions>| match (other, versions) {
            (Some(a), Some(b)) => {
                a.from <= b.to.unwrap_or(u16::MAX) && b.from <= a.to.unwrap_or(u16::MAX)
            }
            _ => true,
        };
        let before = holders.entry(own.clone()).or_default();
        let clash = before
            .iter()
            .map(|holder| &names[*holder])
            .find(|(first, over)| first.text != name.text && meets(*over));
        before.push(number);
        if let Some((first, _)) = clash {
            diagnostics.add(
                &codes::RUST_NAME,
                name.span,
                format!(
                    "`{}` and `{}` both become `{own}` in Rust",
                    first.text, name.text
                ),
                "rename one",
            );
        }
    }
}
