//! Every scenario on the emulated machine: boot, errors, guests, verdict. Nothing is installed here: where an emulator is
//! missing, the test fails and names `cargo boot setup`.

mod accesses;
mod costs;
mod endings;
mod endurance;
mod priority;
mod scenarios;

use std::sync::OnceLock;
use std::time::Duration;

use boot::emulator::{Kind, Way};
use boot::log::Event;
use boot::run::{Followed, Options, Verdict, run};
use boot::scenario::Scenario;
use boot::workspace::{Artifacts, Workspace};

const BOCHS: Options = Options {
    on: Kind::Bochs,
    way: Way::Direct,
    timeout: Duration::from_secs(120),
};

fn workspace() -> &'static Workspace {
    static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
    WORKSPACE.get_or_init(|| Workspace::find().unwrap())
}

fn scenario(name: &str) -> Scenario {
    Scenario::named(&workspace().root, name).unwrap_or_else(|error| panic!("{error}"))
}

/// The image, built once for all tests.
fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        workspace()
            .build()
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

/// The same without the injector.
fn artifacts_for_production() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        let built = workspace().build_for_production();
        built.unwrap_or_else(|error| panic!("{error}"))
    })
}

fn boot(scenario: &Scenario, options: &Options) -> (Verdict, Followed) {
    let artifacts = if scenario.production {
        artifacts_for_production()
    } else {
        artifacts()
    };
    run(scenario, artifacts, options, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario to its good end.
fn met(name: &str, options: &Options) -> Vec<Event> {
    let (verdict, followed) = boot(&scenario(name), options);
    assert!(
        verdict == Verdict::Met,
        "{name}: {verdict}\n{}",
        log(&followed.events)
    );
    assert_eq!(
        followed.undecodable, 0,
        "log frames that could not be decoded"
    );
    followed.events
}

fn log(events: &[Event]) -> String {
    let lines: Vec<_> = events
        .iter()
        .map(|event| format!("{:>12} {event}", event.t.unwrap_or_default()))
        .collect();
    lines.join("\n")
}

fn console(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter(|event| event.kind == "guest.console")
        .filter_map(|event| event.get("text"))
        .map(ToString::to_string)
        .collect()
}
