//! What shows a difference between the records of two interfaces: a record of one, restored there, and converted on the other
//! side.

use super::accesses::Setting;
use super::finding::Witness;
use super::items::{Item, record, tag};
use super::steps::{Guest, Start, Step};
use crate::model::{Register, View};

/// A record of one side with one of these words as an item, after which the sides differ; best one after which they would not
/// with others of the words: then it is the item that tells them apart. `bank` is the one that is looked at.
pub(super) fn witness(
    setting: &Setting,
    item: &Item,
    side: usize,
    bank: usize,
    words: &[Vec<u64>],
) -> Option<Witness> {
    let crossing = Crossing { setting, side };
    let lasts = crossing.lasts(item, bank);
    let mut second = None;
    // Where the other side has nothing at the register's MSRs, every value tells.
    let there = &setting.places[1 - side];
    let unlisted = !item.msrs.is_empty() && !item.msrs.iter().any(|msr| there.contains_key(msr));
    for capability in crossing.capabilities(item) {
        if unlisted && second.is_some() {
            break;
        }
        let words = words.iter();
        let restored: Vec<Restored> = words
            .filter_map(|words| crossing.restored(item, words, capability))
            .collect();
        for last in &lasts {
            let shown = restored.iter();
            let shown: Vec<Witness> = shown
                .filter_map(|one| one.and_then(last.as_ref()))
                .collect();
            let untold = shown.iter().any(|witness| !witness.tells());
            let told = shown.into_iter().find(Witness::tells);
            match (told, untold) {
                (Some(told), true) => return Some(told),
                (told, _) => second = second.or(told),
            }
        }
    }
    second
}

/// The word with values that a restore takes in the fields that list theirs: the largest, or a new guest's for none.
fn possible(register: &Register, word: u64) -> u64 {
    register.fields.iter().fold(word, |word, field| {
        let own = (word & field.mask()) >> field.lo;
        let listed = field.restored.iter().flatten().max();
        let refused = field
            .restored
            .as_ref()
            .is_some_and(|all| !all.contains(&own));
        match listed.filter(|_| refused) {
            None => word,
            Some(_) if own == 0 => word & !field.mask() | register.reset & field.mask(),
            Some(most) => word & !field.mask() | most << field.lo,
        }
    })
}

struct Crossing<'s, 'a> {
    setting: &'s Setting<'a>,
    side: usize,
}

impl Crossing<'_, '_> {
    fn view(&self) -> &View {
        self.setting.views[self.side]
    }

    /// What is looked at after the restore: nothing, the item's register, or its state where the hypervisor holds it.
    fn lasts(&self, item: &Item, bank: usize) -> Vec<Option<Step>> {
        let register = self.view().register(item.id);
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let own = msrs.filter(|(_, index)| !register.banked || *index as usize == bank);
        let msrs: Vec<u32> = own.map(|(msr, _)| msr).collect();
        let reads = msrs.iter().map(|msr| Some(Step::Read(*msr)));
        let held = msrs.iter().filter(|_| register.held);
        let held = held.map(|msr| Some(Step::Held(*msr)));
        std::iter::once(None).chain(held).chain(reads).collect()
    }

    /// Words that both sides know: a new guest's, and those with a flag more or less. Last one that this side alone knows, for
    /// an item that guests without it do not have. None for an interface without such a word.
    fn capabilities(&self, item: &Item) -> Vec<Option<(u16, u64)>> {
        let own = self.view().capability.map(|id| self.view().register(id));
        let Some((tag, register)) = own.and_then(|own| Some((tag(own)?, own))) else {
            return vec![None];
        };
        if item.capability {
            return vec![None];
        }
        let has = self.setting.guests.has;
        let common = has[0] & has[1];
        let base = register.reset & common;
        let flags = register.fields.iter().filter(|field| field.hi == field.lo);
        let flags = flags.map(|field| field.mask() & common);
        let all = flags.clone().fold(base, |word, flag| word | flag);
        let one = flags.map(|flag| base ^ flag);
        let own = register.accepts & !common & !self.setting.count_bits;
        let words = std::iter::once(base).chain(one).chain([all]);
        // The same with as many banks as there can be: those that the other side does not store are seen.
        let words: Vec<u64> = words.collect();
        let count = self.setting.count_bits & common;
        let more = words.iter().map(|word| word | count);
        let words = words.iter().copied().chain(more).chain([base | own]);
        words
            .map(|word| Some((tag, possible(register, word))))
            .collect()
    }

    /// The record in two guests, which is as far as all that are asked the same go.
    fn restored(
        &self,
        item: &Item,
        words: &[u64],
        capability: Option<(u16, u64)>,
    ) -> Option<Restored<'_>> {
        let own = (item.tag, words.to_vec());
        let word = capability.map(|(tag, word)| (tag, vec![word]));
        let items: Vec<(u16, Vec<u64>)> = word.into_iter().chain([own]).collect();
        let restore = Step::Restore(record(self.view(), &items));
        let mut start = [Start::default(), Start::default()];
        start[1 - self.side].from = Some(self.view().name.clone());
        let guest = |side: usize| start[side].guest_of(self.setting.views, side).ok();
        let mut guests = [guest(0)?, guest(1)?];
        let answers = guests
            .each_mut()
            .map(|guest| guest.execute(&restore).unwrap_or_default());
        Some(Restored {
            witness: Witness {
                start,
                steps: vec![restore],
                answers,
                before: None,
            },
            guests,
        })
    }
}

/// Two guests after a restore.
struct Restored<'v> {
    witness: Witness,
    guests: [Guest<'v>; 2],
}

impl Restored<'_> {
    /// What a last step shows, if the restore itself does not; or what the restore does.
    fn and_then(&self, last: Option<&Step>) -> Option<Witness> {
        let mut witness = self.witness.clone();
        if let Some(last) = last {
            // What follows a difference is not another one.
            if witness.tells() {
                return None;
            }
            let answer = |guest: &Guest| guest.clone().execute(last).unwrap_or_default();
            witness.answers = self.guests.each_ref().map(answer);
            witness.steps.push(last.clone());
        }
        Some(witness)
    }
}
