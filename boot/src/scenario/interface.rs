//! `interface` of a guest: `NAME@VERSION`, and features after `+`.

use msr_dsl::interpret::Machine;
use msr_dsl::model::View;

use super::Known;
use super::place::{Located, Problems, suggestion};

/// Checks that a guest can be given this interface.
pub fn check(interface: &Located<String>, known: &Known, problems: &mut Problems) {
    if let Err((message, help)) = mistake(&interface.value, known) {
        problems.add_with_help(&interface.span, message, help);
    }
}

/// What is wrong, and the mend.
fn mistake(text: &str, known: &Known) -> Result<(), (String, String)> {
    let (base, features) = match text.split_once('+') {
        Some((base, features)) => (base, features.split('+').collect()),
        None => (text, Vec::new()),
    };
    let Some((name, version)) = base.split_once('@') else {
        let newest = known.interfaces.get(base).and_then(Option::as_ref);
        let newest = newest.map_or(2, |model| model.newest().version);
        let message = format!("`{text}` names no version");
        return Err((message, format!("write it as `{base}@{newest}`")));
    };
    let Some(model) = known.interfaces.get(name) else {
        let names: Vec<_> = known.interfaces.keys().map(String::as_str).collect();
        let message = format!("no interface is called `{name}`");
        return Err((message, suggestion(name, &names)));
    };
    let number = version.parse::<u16>();
    // A spec with mistakes: the build will name them.
    let (Some(model), Ok(_)) = (model, &number) else {
        return number.map(drop).map_err(|_| {
            let message = format!("`{version}` is no version");
            (message, "NAME@VERSION, such as `vmce@2`".to_owned())
        });
    };
    let view = number.ok().and_then(|number| model.version(number));
    let versions: Vec<_> = model
        .views
        .iter()
        .filter(|view| !view.restore_only)
        .map(|view| view.version.to_string())
        .collect();
    let versions = format!("its versions: {}", versions.join(", "));
    match view {
        None => Err((format!("`{name}` has no version `{version}`"), versions)),
        Some(view) if view.restore_only => Err((
            format!("no guest starts under version {version} of `{name}`: it is only restored"),
            versions,
        )),
        Some(view) => check_features(view, &features),
    }
}

/// A new guest's vCPU under an interface. `None`: there is no such one, or its spec has mistakes.
pub fn born<'k>(text: &str, known: &'k Known) -> Option<Machine<'k>> {
    let (base, features) = text.split_once('+').unwrap_or((text, ""));
    let (name, version) = base.split_once('@')?;
    let model = known.interfaces.get(name)?.as_ref()?;
    let view = model.version(version.parse().ok()?)?;
    if view.restore_only {
        return None;
    }
    let mut machine = Machine::new(view);
    for feature in features.split('+').filter(|feature| !feature.is_empty()) {
        machine.add_feature(feature).ok()?;
    }
    Some(machine)
}

fn check_features(view: &View, features: &[&str]) -> Result<(), (String, String)> {
    let of = format!("`{}@{}`", view.name, view.version);
    let mut machine = Machine::new(view);
    for feature in features {
        machine.add_feature(feature).map_err(|known| {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            (
                format!("{of} has no feature `{feature}`"),
                suggestion(feature, &known),
            )
        })?;
    }
    match machine.unmet_requirement() {
        Some((feature, one_of)) => Err((
            format!("the feature `{feature}` of {of} requires another"),
            format!("add `+{}`", one_of.join("` or `+")),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is taken here is what the hypervisor takes.
    #[test]
    fn is_as_the_image_has_it() {
        let known = Known::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let mut taken = 0;
        for name in ["vmce", "vmce_amd", "vmce-amd", "kvm", "sdm", "platform", ""] {
            for version in 0..8 {
                for features in ["", "+LMCE", "+LMCE+CMCI", "+SER", "+lmce", "+", "+LMCE+"] {
                    let text = format!("{name}@{version}{features}");
                    let image = specs::Choice::parse(&text).and_then(|choice| choice.create());
                    let here = mistake(&text, &known);
                    assert_eq!(here.is_ok(), image.is_ok(), "{text}: {here:?} {image:?}");
                    taken += usize::from(here.is_ok());
                }
            }
        }
        assert!(taken >= 10, "{taken}");
        assert!(mistake("vmce@3+LMCE", &known).is_ok());
    }
}
