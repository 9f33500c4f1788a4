//! `msr pool`.

use super::file;
use super::output::{put, tell};
use super::{NO, USAGE};
use msr_dsl::compare::pool::{Host, Pool, pool};
use msr_dsl::compare::side::Side;
use serde_json::json;
use std::process::ExitCode;

/// What `--help` says of hosts.
pub const HOSTS: &str = "\
A host is FILE[@VERSION][+CAPABILITY...]: the spec that it ships, up to that version, and what its hardware has, as specs
name it (`host LMCE;`): specs/vmce.msr@3+LMCE

Exit status: 0 there is an interface for all, 1 there is none, 2 a host that cannot be read";

/// Prints what all hosts can honour.
pub fn run(hosts: &[String], json: bool) -> ExitCode {
    match answer(hosts) {
        Ok(Ok(pool)) => {
            if json {
                as_json(&pool)
            } else {
                as_text(&pool)
            }
            ExitCode::SUCCESS
        }
        Ok(Err(reasons)) => {
            if json {
                put!("{:#}", json!({ "interface": null, "reasons": reasons }));
            } else {
                put!("no interface that every host can honour");
                reasons.iter().for_each(|reason| {
                    put!("  {reason}");
                });
            }
            ExitCode::from(NO)
        }
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn answer(hosts: &[String]) -> Result<Result<Pool, Vec<String>>, String> {
    let hosts = hosts
        .iter()
        .map(|text| host(text))
        .collect::<Result<Vec<Host>, String>>()?;
    pool(&hosts)
}

fn host(text: &str) -> Result<Host, String> {
    let mut words = text.split('+');
    let spec = words.next().unwrap_or(text);
    if spec.ends_with(".lock") || spec.contains(".lock@") {
        return Err(format!(
            "{spec}: a manifest does not say what a host ships: name its spec (*.msr)"
        ));
    }
    let has: Vec<String> = words.map(str::to_owned).collect();
    let named = file::named(spec)?;
    let mut known: Vec<&str> = named
        .model
        .views
        .iter()
        .flat_map(|view| &view.features)
        .filter_map(|one| one.host.as_deref())
        .collect();
    known.sort_unstable();
    known.dedup();
    if let Some(unknown) = has.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "{text}: no feature needs `{unknown}` of a host: {}",
            msr_dsl::words::suggest(unknown, &known)
        ));
    }
    let source =
        std::fs::read_to_string(named.file).map_err(|error| format!("{}: {error}", named.file))?;
    let newest = named.view().version;
    let versions = named
        .model
        .views
        .iter()
        .filter(|view| view.version <= newest);
    let side = |view: &msr_dsl::model::View| {
        Side::of_spec(
            &format!("{}@{}", named.file, view.version),
            named.file,
            &source,
            view,
        )
    };
    Ok(Host {
        name: text.to_owned(),
        versions: versions.map(side).collect(),
        has,
    })
}

fn as_text(pool: &Pool) {
    put!("interface={}", pool.choice);
    for reason in &pool.passed {
        put!("  not {reason}");
    }
    for loss in &pool.losses {
        if loss.losses.is_empty() {
            put!("{}: loses nothing", loss.host);
            continue;
        }
        put!("{}: of {} it loses", loss.host, loss.own);
        loss.losses.iter().for_each(|what| {
            put!("  {what}");
        });
    }
}

fn as_json(pool: &Pool) {
    let hosts: Vec<_> = pool
        .losses
        .iter()
        .map(|loss| json!({ "host": loss.host, "own": loss.own, "losses": loss.losses }))
        .collect();
    put!(
        "{:#}",
        json!({ "interface": pool.choice, "passed": pool.passed, "hosts": hosts })
    );
}
