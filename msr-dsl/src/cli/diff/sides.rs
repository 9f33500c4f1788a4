//! Sides as the command line names them.

use crate::cli::file;
use msr_dsl::compare::side::Side;
use msr_dsl::diagnostics::Severity;
use msr_dsl::manifest::Manifest;
use msr_dsl::source::compile_text;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions behind an argument: one, or those of a directory by interface.
pub fn sides(argument: &str) -> Result<Vec<Side>, String> {
    if Path::new(argument).is_dir() {
        return directory(Path::new(argument));
    }
    one(argument).map(|side| vec![side])
}

/// The version behind an argument that names one.
pub fn one(argument: &str) -> Result<Side, String> {
    if Path::new(argument).is_dir() {
        return Err(format!(
            "{argument} is a folder: name a spec in it, as {}/NAME.msr",
            argument.trim_end_matches('/')
        ));
    }
    match revision(argument) {
        Some((revision, path)) => in_git(revision, path),
        None => in_file(argument),
    }
}

fn directory(path: &Path) -> Result<Vec<Side>, String> {
    let entries =
        std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "msr"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no specs (*.msr)", path.display()));
    }
    let sides = files
        .iter()
        .map(|file| in_file(&file.display().to_string()));
    let sides = sides.collect::<Result<Vec<Side>, String>>()?;
    for (at, side) in sides.iter().enumerate() {
        let mut earlier = sides[..at].iter();
        if let Some(other) = earlier.find(|other| other.view.name == side.view.name) {
            return Err(format!(
                "{}: {} and {} are both of interface `{}`; name one of them",
                path.display(),
                other.name,
                side.name,
                side.view.name
            ));
        }
    }
    Ok(sides)
}

/// `REVISION:FILE`, if that is not a file's own name.
fn revision(argument: &str) -> Option<(&str, &str)> {
    let (revision, path) = argument.split_once(':')?;
    (!Path::new(argument).exists() && !revision.is_empty() && !path.is_empty())
        .then_some((revision, path))
}

fn in_git(revision: &str, path: &str) -> Result<Side, String> {
    let (file, version) = split(path, &|_| false);
    // Git takes paths from the top of the tree; `./` makes them those of here.
    let object = if file.starts_with('/') {
        format!("{revision}:{file}")
    } else {
        format!("{revision}:./{file}")
    };
    let kind = Command::new("git")
        .args(["cat-file", "-t", &object])
        .output();
    if kind.is_ok_and(|kind| kind.stdout.starts_with(b"tree")) {
        return Err(format!(
            "{object} is a folder: name a spec in it, as {revision}:{file}/NAME.msr"
        ));
    }
    let output = Command::new("git").args(["show", &object]).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git show {object}: {}", reason.trim()));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| format!("{object} is not text"))?;
    let name = format!("{revision}:{file}");
    of_text(&name, &name, &text, version)
}

/// `FILE@VERSION` in its parts; `exists` says whether a name is that of a file.
fn split<'a>(argument: &'a str, exists: &dyn Fn(&str) -> bool) -> (&'a str, Option<&'a str>) {
    match argument.rsplit_once('@') {
        Some((file, version))
            if !exists(argument)
                && (exists(file) || version.bytes().all(|b| b.is_ascii_digit())) =>
        {
            (file, Some(version))
        }
        _ => (argument, None),
    }
}

fn in_file(argument: &str) -> Result<Side, String> {
    let (file, version) = split(argument, &|file| Path::new(file).exists());
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    if Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "lock")
    {
        return of_text(file, file, &read(file)?, version);
    }
    // With its manifest: a spec that alters a released version has no meaning.
    let model = file::model(file)?;
    let view = pick(file, &model.name, &model.views, version)?;
    Ok(Side::of_spec(
        &format!("{file}@{}", view.version),
        file,
        &read(file)?,
        view,
    ))
}

fn of_text(name: &str, file: &str, text: &str, version: Option<&str>) -> Result<Side, String> {
    if file.ends_with(".lock") {
        return of_manifest(name, file, text, version);
    }
    let compiled = compile_text(text);
    let model = compiled.model.ok_or_else(|| {
        let errors = compiled.diagnostics.iter();
        let errors = errors.filter(|one| one.severity() == Severity::Error);
        let shown: Vec<String> = errors.map(|one| one.render(file, text)).collect();
        format!(
            "{}
{file} has mistakes",
            shown
                .join(
                    "
"
                )
                .trim_end()
        )
    })?;
    let view = pick(file, &model.name, &model.views, version)?;
    Ok(Side::of_spec(
        &format!("{name}@{}", view.version),
        file,
        text,
        view,
    ))
}

/// The versions of a spec that are not what its manifest says, each as it was released and as the spec has it now; none if there is
/// anything else wrong with the spec.
pub fn altered(argument: &str) -> Option<Vec<[Side; 2]>> {
    let (file, _) = split(argument, &|file| Path::new(file).exists());
    let lock = Path::new(file).with_extension("lock");
    let (text, released) = (
        std::fs::read_to_string(file).ok()?,
        std::fs::read_to_string(&lock).ok()?,
    );
    let lock = lock.display().to_string();
    let model = compile_text(&text).model?;
    let versions = Manifest::parse(&released).ok()?.versions;
    let pair = |version: u16| {
        let view = model.views.iter().find(|view| view.version == version)?;
        let was = Side::of_manifest(
            &format!("{lock}@{version}"),
            &lock,
            &released,
            &model.name,
            version,
        )?;
        let is = Side::of_spec(&format!("{file}@{version}"), file, &text, view);
        Some([was, is])
    };
    Some(versions.into_keys().filter_map(pair).collect())
}

/// The interface's name stands in the first line of its manifest.
fn of_manifest(name: &str, file: &str, text: &str, version: Option<&str>) -> Result<Side, String> {
    let versions = Manifest::parse(text)
        .map_err(|broken| format!("{file}:{}:1: {}", broken.line, broken.what))?
        .versions;
    let interface = text
        .split('`')
        .nth(1)
        .ok_or_else(|| format!("{file}:1:1: no interface is named"))?;
    let numbers: Vec<String> = versions.keys().map(ToString::to_string).collect();
    let number = match version {
        None => versions.keys().next_back().copied(),
        Some(version) => version
            .parse()
            .ok()
            .filter(|number| versions.contains_key(number)),
    };
    let number = number.ok_or_else(|| {
        let version = version.unwrap_or("newest");
        format!(
            "{file}: `{version}` is no released version of `{interface}`; there are {}",
            numbers.join(", ")
        )
    })?;
    Side::of_manifest(&format!("{name}@{number}"), file, text, interface, number)
        .ok_or_else(|| format!("{file}: version {number} has a line that is none of a manifest"))
}

fn pick<'m>(
    file: &str,
    name: &str,
    views: &'m [msr_dsl::model::View],
    version: Option<&str>,
) -> Result<&'m msr_dsl::model::View, String> {
    let found = match version {
        None => views.last(),
        Some(version) => views
            .iter()
            .find(|view| view.version.to_string() == version),
    };
    found.ok_or_else(|| {
        let known: Vec<String> = views.iter().map(|view| view.version.to_string()).collect();
        let version = version.unwrap_or("newest");
        format!(
            "{file}: `{version}` is no version of `{name}`; it has {}",
            known.join(", ")
        )
    })
}
