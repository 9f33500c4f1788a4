//! Where a file says what a finding is about.

use super::finding::{About, Aspect, Line};
use crate::ast::{self, Field, FieldStatement, Register, Said, Statement, Versions};
use crate::diagnostics::start;
use crate::source::syntax;
use proc_macro2::Span;

/// The lines of one version of a file.
pub struct Lines {
    file: String,
    kind: Source,
}

enum Source {
    /// A spec.
    Spec { spec: Box<ast::Spec>, version: u16 },
    /// A manifest: its text.
    Manifest { text: String, version: u16 },
}

impl Lines {
    /// Of a spec.
    pub fn of_spec(file: &str, text: &str, version: u16) -> Self {
        let spec = Box::new(syntax(text).unwrap_or_default());
        Self {
            file: file.to_owned(),
            kind: Source::Spec { spec, version },
        }
    }

    /// Of a manifest.
    pub fn of_manifest(file: &str, text: &str, version: u16) -> Self {
        Self {
            file: file.to_owned(),
            kind: Source::Manifest {
                text: text.to_owned(),
                version,
            },
        }
    }

    /// The line about something, on the old (0) or new (1) side.
    pub fn find(&self, about: &About, side: usize) -> Option<Line> {
        let (line, column) = match &self.kind {
            Source::Spec { spec, version } => {
                let place = start(
                    Spec {
                        spec,
                        version: *version,
                    }
                    .find(about, side)?,
                );
                (place.line, place.column)
            }
            Source::Manifest { text, version } => (in_manifest(text, *version, about)?, 1),
        };
        Some(Line {
            file: self.file.clone(),
            line,
            column,
        })
    }
}

struct Spec<'s> {
    spec: &'s ast::Spec,
    version: u16,
}

impl Spec<'_> {
    fn lives(&self, versions: Option<Versions>) -> bool {
        versions.is_none_or(|versions| versions.contain(self.version))
    }

    fn find(&self, about: &About, side: usize) -> Option<Span> {
        let interface = self.spec.interfaces.first()?;
        let injection = self.spec.injections.first().map(|injection| injection.span);
        let feature = about.name.as_ref().and_then(|name| {
            let mut all = self
                .spec
                .features
                .iter()
                .filter(|feature| self.lives(feature.versions));
            all.find(|feature| feature.name.text == *name)
        });
        let register = about.registers[side].as_ref().and_then(|name| {
            let mut all = self
                .spec
                .registers
                .iter()
                .filter(|register| self.lives(register.versions));
            all.find(|register| register.name.text == *name)
        });
        let found = match (about.aspect, feature, register) {
            (Aspect::Injection, ..) => injection,
            (Aspect::Banks, ..) => interface.banks.first().map(|banks| banks.span),
            (_, Some(feature), _) => Some(feature.name.span),
            (aspect, _, Some(register)) => Some(self.in_register(register, aspect, about.bits)),
            _ => None,
        };
        // What a side does not say, it does not say in the line of its version.
        found.or_else(|| {
            let version = interface
                .versions
                .iter()
                .find(|line| line.number.value == u64::from(self.version));
            version.map(|line| line.number.span)
        })
    }

    fn in_register(&self, register: &Register, aspect: Aspect, bits: u64) -> Span {
        let statements = || {
            register
                .statements
                .iter()
                .filter(|said| self.lives(said.versions))
        };
        let field = statements().find_map(|said| match &said.what {
            Statement::Field(field)
                if self.lives(field.versions) && bits != 0 && bits & !mask(field) == 0 =>
            {
                Some(field)
            }
            _ => None,
        });
        if let Some(field) = field {
            let own = |said: &&Said<FieldStatement>| {
                matches!(
                    (&said.what, aspect),
                    (FieldStatement::Read(_), Aspect::Read)
                        | (
                            FieldStatement::Write(_) | FieldStatement::Legal(..),
                            Aspect::Write
                        )
                        | (FieldStatement::When(_), Aspect::Presence)
                )
            };
            let said = field
                .statements
                .iter()
                .filter(|said| self.lives(said.versions))
                .find(own);
            if said.is_some() || aspect != Aspect::Accepts {
                return said.map_or(field.name.span, |said| said.span);
            }
        }
        let reserved = bits != 0 && field.is_none();
        let fits = |statement: &Statement| match (statement, aspect) {
            (Statement::Reserved(_), Aspect::Write) => reserved,
            (Statement::Legal(..) | Statement::Require(..), Aspect::Write) => true,
            (Statement::When(..), Aspect::Presence) => true,
            (Statement::Read(_), Aspect::Read) => true,
            (Statement::Reset(_), Aspect::Reset) => true,
            (Statement::Init(_), Aspect::Init) => true,
            (Statement::Scope(_), Aspect::Scope) => true,
            (Statement::Held, Aspect::Held) => true,
            (Statement::Migrate(_), Aspect::Migrate) => true,
            (Statement::Accepts(_), Aspect::Accepts) => true,
            _ => false,
        };
        let written = |statement: &Statement| match statement {
            Statement::Write(_) => aspect == Aspect::Write,
            // What a held register's rules refuse, a restore refuses too.
            Statement::Legal(..) | Statement::Require(..) => aspect == Aspect::Accepts,
            _ => false,
        };
        let said = statements()
            .find(|said| fits(&said.what))
            .or_else(|| statements().find(|said| written(&said.what)));
        said.map_or(register.name.span, |said| said.span)
    }
}

fn mask(field: &Field) -> u64 {
    match (u32::try_from(field.hi), u32::try_from(field.lo)) {
        (Ok(hi), Ok(lo)) if lo <= hi && hi < 64 => crate::model::mask(hi, lo),
        _ => 0,
    }
}

/// The first line about an MSR or a tag, else that of the version; from 1.
fn in_manifest(text: &str, version: u16, about: &About) -> Option<usize> {
    let keys: Vec<String> = about.msrs.iter().map(|msr| format!("{msr:#x} ")).collect();
    let tag = about.tag.map(|tag| format!("tag {tag}, "));
    let mut lines = text
        .lines()
        .enumerate()
        .skip_while(|(_, line)| *line != format!("version {version}"));
    let head = lines.next()?.0;
    let mut own = lines.take_while(|(_, line)| !line.starts_with("version "));
    let found = own.find(|(_, line)| {
        keys.iter().any(|key| line.starts_with(key)) && about.tag.is_none()
            || tag.as_ref().is_some_and(|tag| line.contains(tag))
    });
    Some(found.map_or(head, |(at, _)| at) + 1)
}
