//! Names become names of Rust, where capitals and underscores count for less: two that become one are refused here, not by
//! rustc in generated code.

use crate::ast::{Field, FieldType, Name, Register, Spec, Statement, Versions};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::generate::names::{accessor, camel, snake};
use std::collections::{HashMap, HashSet};

/// Types that every version's module has, and those of Rust that generated code and its macros name without a path.
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
    "Option",
    "Some",
    "None",
    "Result",
    "Ok",
    "Err",
    "Default",
    "From",
    "Into",
    "Iterator",
    "Fn",
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
    "from",
    "self_",
];

/// Something with a name in one scope of Rust.
struct Named<'a> {
    /// Where the spec gives it.
    name: &'a Name,
    /// What it is called there; the same name twice is another mistake, found elsewhere.
    told: String,
    /// When it exists.
    versions: Option<Versions>,
    /// What it is called in Rust.
    rust: Vec<String>,
}

/// Notes every name that cannot be one of Rust beside the others.
pub fn rust_names(spec: &Spec, diagnostics: &mut Diagnostics) {
    types(spec, diagnostics);
    accessors(spec, diagnostics);
    let hooks = spec.hooks.iter().map(|hook| Named {
        name: &hook.name,
        told: hook.name.text.clone(),
        versions: None,
        rust: vec![camel(&hook.name.text).to_string()],
    });
    clashes(hooks.collect(), &[], diagnostics);
    for register in &spec.registers {
        fields(register, diagnostics);
    }
}

/// Registers, and the enumerations of their fields.
fn types(spec: &Spec, diagnostics: &mut Diagnostics) {
    let mut all = Vec::new();
    for register in &spec.registers {
        let own = camel(&register.name.text).to_string();
        for (field, versions) in fields_of(register) {
            if matches!(field.ty.value, FieldType::Enum { .. }) {
                all.push(Named {
                    name: &field.name,
                    told: format!("{}.{}", register.name.text, field.name.text),
                    versions: versions.or(register.versions),
                    rust: vec![format!("{own}{}", camel(&field.name.text))],
                });
            }
        }
        all.push(Named {
            name: &register.name,
            told: register.name.text.clone(),
            versions: register.versions,
            rust: vec![own],
        });
    }
    clashes(all, TYPES, diagnostics);
}

/// The methods by which registers are read.
fn accessors(spec: &Spec, diagnostics: &mut Diagnostics) {
    let all = spec.registers.iter().map(|register| Named {
        name: &register.name,
        told: register.name.text.clone(),
        versions: register.versions,
        rust: vec![accessor(&register.name.text).to_string()],
    });
    // Of names that become one type this has been said.
    let mut seen = HashSet::new();
    let all = all.filter(|one| seen.insert(camel(&one.told).to_string()));
    clashes(all.collect(), &[], diagnostics);
}

/// The methods by which fields are read and set, and the values of enumerations.
fn fields(register: &Register, diagnostics: &mut Diagnostics) {
    let names = fields_of(register).map(|(field, versions)| {
        let own = snake(&field.name.text).to_string();
        Named {
            name: &field.name,
            told: field.name.text.clone(),
            versions,
            rust: vec![
                own.clone(),
                format!("set_{own}"),
                format!("with_{own}"),
                format!("set_{own}_checked"),
                format!("with_{own}_checked"),
            ],
        }
    });
    clashes(names.collect(), METHODS, diagnostics);
    for (field, _) in fields_of(register) {
        if let FieldType::Enum { values, .. } = &field.ty.value {
            let values = values.iter().map(|(name, _)| Named {
                name,
                told: name.text.clone(),
                versions: None,
                rust: vec![camel(&name.text).to_string()],
            });
            clashes(values.collect(), &[], diagnostics);
        }
    }
}

fn fields_of(register: &Register) -> impl Iterator<Item = (&Field, Option<Versions>)> {
    let fields = register.statements.iter();
    fields.filter_map(|said| match &said.what {
        Statement::Field(field) => Some((field, field.versions.or(said.versions))),
        _ => None,
    })
}

/// Two different things that have one name of Rust in one version.
fn clashes(names: Vec<Named>, taken: &[&str], diagnostics: &mut Diagnostics) {
    // Whoever has a name of Rust already: a spec has many names, and making one of Rust takes its time.
    let mut holders: HashMap<&str, Vec<&Named>> = HashMap::new();
    for one in &names {
        // A word with a meaning of its own is no name at all, whatever becomes of it.
        let is_name = !super::MEANINGS.contains(&one.told.as_str());
        let mut own = one.rust.iter();
        if let Some(own) = own.find(|own| is_name && taken.contains(&own.as_str())) {
            diagnostics.add(
                &codes::RUST_NAME,
                one.name.span,
                format!("`{}` becomes `{own}` in Rust, which is taken", one.told),
                "choose another name",
            );
        }
        let meets = |other: &Named| match (other.versions, one.versions) {
            (Some(a), Some(b)) => {
                a.from <= b.to.unwrap_or(u16::MAX) && b.from <= a.to.unwrap_or(u16::MAX)
            }
            _ => true,
        };
        let clash = one.rust.iter().find_map(|own| {
            let holders = holders.get(own.as_str())?;
            let other = holders
                .iter()
                .find(|other| other.told != one.told && meets(other))?;
            Some((other.told.clone(), own))
        });
        if let Some((first, own)) = clash {
            diagnostics.add(
                &codes::RUST_NAME,
                one.name.span,
                format!("`{first}` and `{}` both become `{own}` in Rust", one.told),
                "rename one",
            );
        }
        for own in &one.rust {
            holders.entry(own).or_default().push(one);
        }
    }
}
