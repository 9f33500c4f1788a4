//! The greatest interface that every host of a pool can honour.

use super::compare;
use super::finding::Finding;
use super::rules::{self, Effect, Subject};
use super::side::Side;
use crate::interpret::{Answer, Machine};
use crate::model::{Expr, Feature, Offer, View};

/// A host: the versions that it ships, and what its hardware has.
pub struct Host {
    /// As it was named.
    pub name: String,
    /// The versions of one interface, oldest first.
    pub versions: Vec<Side>,
    /// Host capabilities, as specs name them.
    pub has: Vec<String>,
}

/// What a host gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The host.
    pub host: String,
    /// Its own greatest version with its features: `vmce@4+LMCE`.
    pub own: String,
    /// What its guests would have had, in words.
    pub losses: Vec<String>,
}

/// What a pool can offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// `vmce@3+LMCE`: the value of the guest's boot option `interface=`.
    pub choice: String,
    /// Why no newer version is.
    pub passed: Reasons,
    /// Host by host.
    pub losses: Vec<Loss>,
}

/// Why there is none: for each candidate, newest first, who cannot honour it.
pub type Reasons = Vec<String>;

/// The greatest version, with the most features, that guests can start under on every host.
///
/// # Errors
/// A question that is too large to decide, in words; inside, why no version is common to all.
pub fn pool(hosts: &[Host]) -> Result<Result<Pool, Reasons>, String> {
    let mut reasons = Vec::new();
    if hosts.is_empty() {
        return Ok(Err(vec!["no hosts".to_owned()]));
    }
    for candidate in candidates(hosts) {
        let refused = refusals(candidate, hosts)?;
        if refused.is_empty() {
            let features = common(&candidate.view, hosts);
            let mut losses = Vec::new();
            for host in hosts {
                losses.push(loss(host, candidate, &features)?);
            }
            return Ok(Ok(Pool {
                choice: choice(&candidate.view, &features),
                passed: reasons,
                losses,
            }));
        }
        // A host may be named more than once.
        for reason in refused {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    Ok(Err(reasons))
}

/// Every version that some host ships, newest first, those of the first host's interface before others.
fn candidates(hosts: &[Host]) -> Vec<&Side> {
    let mut all: Vec<&Side> = Vec::new();
    for side in hosts.iter().flat_map(|host| host.versions.iter().rev()) {
        if !all.iter().any(|known| same(known, side)) {
            all.push(side);
        }
    }
    let names: Vec<&str> = all.iter().map(|side| side.view.name.as_str()).collect();
    let place = |side: &Side| names.iter().position(|name| *name == side.view.name);
    let mut sorted = all.clone();
    sorted.sort_by_key(|side| (place(side), std::cmp::Reverse(side.view.version)));
    sorted
}

/// Both are the same version of one interface, by what they are called.
fn same(one: &Side, other: &Side) -> bool {
    one.view.name == other.view.name && one.view.version == other.view.version
}

fn label(view: &View) -> String {
    format!("{}@{}", view.name, view.version)
}

/// Why a version is not for all.
fn refusals(candidate: &Side, hosts: &[Host]) -> Result<Reasons, String> {
    let label = label(&candidate.view);
    let mut reasons = Vec::new();
    if candidate.view.restore_only {
        reasons.push(format!("{label}: no guest starts under it"));
    }
    for host in hosts {
        let own = host.versions.iter().find(|side| same(side, candidate));
        let Some(own) = own else {
            reasons.push(format!("{label}: {} does not have it", host.name));
            continue;
        };
        let differs = compare(own, candidate)
            .decided()?
            .findings
            .into_iter()
            .find(|one| one.rule.subject != Subject::Documentation);
        if let Some(finding) = differs {
            let first = (hosts.iter())
                .find(|other| other.versions.iter().any(|side| same(side, candidate)))
                .map_or("", |other| &other.name);
            reasons.push(format!(
                "{label}: {} and {first} mean different things by it ({}: {})",
                host.name, finding.rule.id, finding.text
            ));
        }
        let default = candidate
            .view
            .features
            .iter()
            .filter(|feature| feature.offer == Offer::Default);
        for feature in default.filter(|feature| !honoured(feature, host)) {
            let needs = feature.host.as_deref().unwrap_or("");
            reasons.push(format!(
                "{label}: {} lacks {needs}, without which every guest's {} cannot be honoured",
                host.name, feature.name
            ));
        }
    }
    Ok(reasons)
}

fn honoured(feature: &Feature, host: &Host) -> bool {
    feature
        .host
        .as_ref()
        .is_none_or(|needs| host.has.contains(needs))
}

/// Features on offer that all can honour, with what they require.
fn common(view: &View, hosts: &[Host]) -> Vec<String> {
    let mut had: Vec<&Feature> = view
        .features
        .iter()
        .filter(|one| hosts.iter().all(|host| honoured(one, host)))
        .collect();
    loop {
        let met = |one: &Feature| {
            one.requires.iter().all(|any| {
                any.iter()
                    .any(|name| had.iter().any(|other| other.name == *name))
            })
        };
        let left: Vec<&Feature> = had.iter().copied().filter(|one| met(one)).collect();
        if left.len() == had.len() {
            let offered = left.into_iter().filter(|one| one.offer == Offer::Offered);
            return offered.map(|one| one.name.clone()).collect();
        }
        had = left;
    }
}

fn choice(view: &View, features: &[String]) -> String {
    features
        .iter()
        .fold(label(view), |text, name| format!("{text}+{name}"))
}

/// What a host's guests would have under its own greatest version.
fn loss(host: &Host, chosen: &Side, features: &[String]) -> Result<Loss, String> {
    let own = host
        .versions
        .iter()
        .rev()
        .find(|side| !side.view.restore_only)
        .unwrap_or(chosen);
    let own_features = common(&own.view, std::slice::from_ref(host));
    let mut losses: Vec<String> = own_features
        .iter()
        .filter(|name| !features.contains(name))
        .map(|name| format!("feature {name}"))
        .collect();
    let missed = Had::new(own, &own_features);
    let missed =
        |finding: &Finding| finding.effects()[0] != Effect::Safe && missed.could_meet(finding);
    for finding in compare(own, chosen)
        .decided()?
        .findings
        .iter()
        .filter(|finding| missed(finding))
    {
        // A version is meant here, not a change to it: the rule's title does not fit.
        let (subject, rule) = (finding.subject(), finding.rule.id);
        let text = format!("{subject}: {rule}: {}", finding.text);
        if !losses.contains(&text) {
            losses.push(text);
        }
    }
    Ok(Loss {
        host: host.name.clone(),
        own: choice(&own.view, &own_features),
        losses,
    })
}

/// What guests of a host can have: one does not miss what goes with a feature that this host cannot honour.
struct Had<'a> {
    /// A guest with all features that it can have.
    guest: Machine<'a>,
    /// Bits that none has.
    never: u64,
}

impl<'a> Had<'a> {
    fn new(own: &'a Side, features: &[String]) -> Self {
        let mut guest = Machine::new(&own.view);
        for name in features {
            // They are of this very version.
            let _ = guest.add_feature(name);
        }
        let word = guest.capability().unwrap_or(0);
        let lacks = own.view.features.iter();
        let lacks = lacks.filter(|one| word >> one.bit & 1 == 0);
        let never = lacks.fold(0, |mask, one| mask | 1u64 << one.bit);
        Self { guest, never }
    }

    fn could_meet(&self, finding: &Finding) -> bool {
        let without = |(mask, value): &(u64, u64)| mask & value & self.never == 0;
        let affected = finding.conditions[0]
            .as_ref()
            .and_then(|condition| condition.affected.as_ref());
        let possible = affected
            .is_none_or(|affected| affected.cases.is_empty() || affected.cases.iter().any(without));
        let shown = finding
            .witness
            .as_ref()
            .and_then(|one| one.start[0].capability);
        let absent = |msr: &u32| matches!(self.guest.read(*msr), Answer::Fault | Answer::Unlisted);
        let item = finding.about.tag.is_some() && !finding.about.msrs.is_empty();
        possible
            && !self.only_locally(finding)
            && shown.is_none_or(|word| word & self.never == 0)
            && !(item && finding.about.msrs.iter().all(absent))
    }

    /// It is about the flag of a local machine check alone, and this guest has no way to ask for local ones.
    fn only_locally(&self, finding: &Finding) -> bool {
        let Some(injection) = &self.guest.view().injection else {
            return false;
        };
        let mut asks = false;
        if let Some(local) = &injection.local {
            local.walk(&mut |part| {
                if let Expr::Register(id) | Expr::Cell(id, _) = part {
                    let register = self.guest.view().register(*id);
                    let msrs = register.addresses.iter().flat_map(|address| address.msrs());
                    let mut answers = msrs.map(|(msr, _)| self.guest.read(msr));
                    asks |= answers.any(|answer| matches!(answer, Answer::Value(_)));
                }
            });
        }
        let bits = finding.about.bits;
        let flag = bits != 0 && bits & !injection.bits.lmce_s == 0;
        finding.rule == &rules::INJECTION_SETS_LESS && flag && !asks
    }
}
