//! What the versions of a file call the items of their records: a version that does not know an item can say what it is.

use super::{Migrate, View};
use std::sync::Arc;

/// A name, and the versions that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name.
    pub name: String,
    /// The first version.
    pub since: u16,
    /// The last version.
    pub until: u16,
}

impl Known {
    fn new(name: &str, version: u16) -> Self {
        Self {
            name: name.to_owned(),
            since: version,
            until: version,
        }
    }

    /// `MCG_STATUS, since version 4`: the versions are said where this one is not among them.
    pub fn seen_by(&self, version: u16) -> String {
        let Self { name, since, until } = self;
        match (version < *since, version > *until) {
            (true, _) => format!("{name}, since version {since}"),
            (_, true) => format!("{name}, until version {until}"),
            _ => name.clone(),
        }
    }
}

/// An item of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownItem {
    /// Its tag.
    pub tag: u16,
    /// The register.
    pub register: Known,
    /// Its fields, each with its bits.
    pub fields: Vec<(Known, u64)>,
}

/// The items of all versions, the oldest first.
pub fn known(views: &[View]) -> Arc<[KnownItem]> {
    let mut items: Vec<KnownItem> = Vec::new();
    for view in views {
        for register in &view.registers {
            let Migrate::Saved { tag, .. } = register.migrate else {
                continue;
            };
            let at = items.iter().position(|item| item.tag == tag);
            let at = at.unwrap_or_else(|| {
                items.push(KnownItem {
                    tag,
                    register: Known::new(&register.name, view.version),
                    fields: Vec::new(),
                });
                items.len() - 1
            });
            let item = &mut items[at];
            item.register.until = view.version;
            for field in &register.fields {
                let same = |(known, mask): &&mut (Known, u64)| {
                    known.name == field.name && *mask == field.mask()
                };
                match item.fields.iter_mut().find(same) {
                    Some((known, _)) => known.until = view.version,
                    None => {
                        let known = Known::new(&field.name, view.version);
                        item.fields.push((known, field.mask()));
                    }
                }
            }
        }
    }
    items.into()
}
