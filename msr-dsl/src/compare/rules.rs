//! The table of rules: every finding names one, `msr diff --explain RULE` prints the entry, and the manual's list is made
//! from it. Each rule has its mirror, which is what the same difference is called the other way round; so one table gives
//! the verdicts of both directions.

use std::fmt;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// What the guest sees.
    Guest,
    /// What a saved record holds.
    Record,
    /// What migration does, and who may have which feature.
    Migration,
    /// What people read.
    Documentation,
}

impl Subject {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [
        Self::Guest,
        Self::Record,
        Self::Migration,
        Self::Documentation,
    ];

    /// A word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Record => "record",
            Self::Migration => "migration",
            Self::Documentation => "documentation",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "What the guest sees",
            Self::Record => "What a saved record holds",
            Self::Migration => "What migration does",
            Self::Documentation => "Documentation",
        })
    }
}

/// What a guest that lives on the old side meets when it goes on under the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that it relied on is gone.
    Safe,
    /// It must be one that the difference does not touch; the finding says which.
    Condition,
    /// It cannot.
    Refused,
}

/// An entry of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub id: &'static str,
    /// The name of the same difference the other way round.
    pub mirror: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// From old to new.
    pub effect: Effect,
    /// A guest's accesses, or a record, show it.
    pub witnessed: bool,
    /// What it says in a few words.
    pub title: &'static str,
    /// What it means for guests that run.
    pub explanation: &'static str,
}

impl Rule {
    /// The rule of the other direction.
    pub fn mirrored(&self) -> &'static Rule {
        find(self.mirror).unwrap_or(&UNKNOWN_MIRROR)
    }
}

/// Stands for a mirror that is missing from the table, which a test excludes.
static UNKNOWN_MIRROR: Rule = Rule {
    id: "unknown",
    mirror: "unknown",
    subject: Subject::Guest,
    effect: Effect::Refused,
    witnessed: false,
    title: "a rule without a mirror",
    explanation: "",
};

/// An entry by its name.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.id == id)
}

macro_rules! rules {
    ($($name:ident $id:literal / $mirror:literal $subject:ident $effect:ident $witnessed:ident $title:literal $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Rule = Rule {
                id: $id,
                mirror: $mirror,
                subject: Subject::$subject,
                effect: Effect::$effect,
                witnessed: rules!(@$witnessed),
                title: $title,
                explanation: $explanation,
            };
        )*
        /// The whole table, in the order of the manual.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
    (@witness) => { true };
    (@silent) => { false };
}

rules! {
    CAPABILITY_BIT_ADDED "capability-bit-added" / "capability-bit-removed" Guest Safe witness
        "a capability bit that guests can have"
        "A guest can be given, or be restored with, a bit that the old side refuses. Guests without it see nothing of it.";
    CAPABILITY_BIT_REMOVED "capability-bit-removed" / "capability-bit-added" Guest Condition witness
        "a capability bit that guests can no longer have"
        "A guest that was promised the bit is refused when it is restored.";
    GIVEN_TO_ALL "capability-bit-given" / "capability-bit-withheld" Guest Safe witness
        "a capability bit that new guests now have"
        "The capability word travels with a guest, so those that run keep theirs; a new guest sees the bit set.";
    GIVEN_TO_NONE "capability-bit-withheld" / "capability-bit-given" Guest Safe witness
        "a capability bit that new guests no longer have"
        "The capability word travels with a guest, so those that run keep theirs; a new guest sees the bit clear.";
    BANK_COUNT_RAISED "bank-count-raised" / "bank-count-lowered" Guest Safe witness
        "new guests have more banks"
        "Guests keep the count that their capability word has, if they have one; new ones see more banks.";
    BANK_COUNT_LOWERED "bank-count-lowered" / "bank-count-raised" Guest Safe witness
        "new guests have fewer banks"
        "Guests keep the count that their capability word has, if they have one; new ones see fewer banks.";
    BANK_COUNT_SOURCE "bank-count-source" / "bank-count-source" Guest Condition witness
        "the number of banks comes from elsewhere"
        "One and the same guest has another number of banks.";
    REGISTER_ADDED "register-added" / "register-removed" Guest Safe witness
        "an MSR that the old side does not list"
        "It faulted (or was left to another interface); now it answers.";
    REGISTER_REMOVED "register-removed" / "register-added" Guest Condition witness
        "an MSR that the new side does not list"
        "It answered; now it faults, or is left to another interface.";
    REGISTER_PRESENT "register-present" / "register-absent" Guest Safe witness
        "guests that lacked a register have it"
        "The register exists on both sides; the condition under which a guest has it is wider.";
    REGISTER_ABSENT "register-absent" / "register-present" Guest Condition witness
        "guests that had a register lack it"
        "The register exists on both sides; the condition under which a guest has it is narrower.";
    ADDRESS_MOVED "address-moved" / "address-moved" Guest Condition witness
        "a register at another MSR"
        "The same register is reached elsewhere, and no longer where it was.";
    ABSENCE_ZERO "absence-answers" / "absence-faults" Guest Safe witness
        "an absent register no longer faults"
        "A guest that lacks the register reads zero there, and its writes are dropped.";
    ABSENCE_FAULTS "absence-faults" / "absence-answers" Guest Condition witness
        "an absent register faults"
        "A guest that lacks the register read zero there; now its accesses fault. Some guests touch such registers unasked.";
    MSR_CLAIMED "msr-claimed" / "msr-left" Guest Safe witness
        "the interface itself answers with a fault"
        "The MSR was not listed, which ends in #GP unless another interface answers it; now this one does.";
    MSR_LEFT "msr-left" / "msr-claimed" Guest Safe witness
        "a fault is left to other interfaces"
        "The interface answered with #GP; now it does not list the MSR, and #GP follows unless another interface answers.";
    RESET_CHANGED "reset-changed" / "reset-changed" Guest Condition witness
        "another value after power-on"
        "A guest finds another value in the register after power-on.";
    INIT_CHANGED "init-changed" / "init-changed" Guest Condition witness
        "another value after INIT"
        "What a vCPU finds in the register after INIT (kept, or reset) is different.";
    READ_FAULTS "read-faults" / "read-answers" Guest Condition witness
        "a read that gave a value now faults"
        "RDMSR raises #GP where it gave a value.";
    READ_ANSWERS "read-answers" / "read-faults" Guest Safe witness
        "a read that faulted now gives a value"
        "RDMSR gives a value where it raised #GP.";
    WRITE_FAULTS "write-faults" / "write-accepted" Guest Condition witness
        "a value once accepted now faults"
        "WRMSR raises #GP for values that it took.";
    WRITE_ACCEPTED "write-accepted" / "write-faults" Guest Safe witness
        "a value that faulted is now accepted"
        "WRMSR takes values for which it raised #GP.";
    WRITE_IGNORED "write-ignored" / "write-kept" Guest Condition witness
        "a value once kept is now ignored"
        "The guest's write changed what it reads; now it does not.";
    WRITE_KEPT "write-kept" / "write-ignored" Guest Safe witness
        "a value that was ignored is now kept"
        "The guest's write changed nothing; now the bit becomes what is written to it.";
    WRITE_EFFECT "write-effect" / "write-effect" Guest Condition witness
        "after a write another value is read"
        "A write makes the sides differ, and not because one alone keeps what is written: it is of another MSR, or brings the register, or gives the bit another value than is written.";
    READ_ZERO "read-zero" / "read-not-zero" Guest Condition witness
        "bits once readable now read zero"
        "Whatever the guest does, it reads zero there now.";
    READ_NOT_ZERO "read-not-zero" / "read-zero" Guest Condition witness
        "bits that always read zero no longer do"
        "The guest may find ones where there never were any.";
    READ_CONSTANT "read-constant" / "read-varies" Guest Condition witness
        "bits once variable now read a constant one"
        "Whatever the guest does, it reads ones there now.";
    READ_VARIES "read-varies" / "read-constant" Guest Condition witness
        "bits that always read one now vary"
        "The guest may find zeros where there never were any.";
    READ_CHANGED "read-changed" / "read-changed" Guest Condition witness
        "a read gives another value"
        "The same accesses lead to different values.";
    SCOPE_GUEST "scope-guest" / "scope-vcpu" Guest Condition witness
        "state that all vCPUs of a guest share"
        "Each vCPU had its own value; now there is one, and what a vCPU writes the others read.";
    SCOPE_VCPU "scope-vcpu" / "scope-guest" Guest Condition witness
        "state of which each vCPU has its own"
        "A value that one vCPU wrote was there for all; now each has to be written.";
    INJECTION_ADDED "injection-added" / "injection-removed" Guest Safe witness
        "machine checks can be injected"
        "The old side had no way to show a guest an error.";
    INJECTION_REMOVED "injection-removed" / "injection-added" Guest Condition witness
        "machine checks can no longer be injected"
        "The new side has no way to show a guest an error.";
    INJECTION_SETS_MORE "injection-sets-more" / "injection-sets-less" Guest Safe witness
        "an injection may set more bits"
        "A guest that takes a machine check can find bits set that it never did before.";
    INJECTION_SETS_LESS "injection-sets-less" / "injection-sets-more" Guest Condition witness
        "an injection may set fewer bits"
        "A guest that takes a machine check no longer finds these bits.";
    INJECTION_BANK "injection-bank" / "injection-bank" Guest Condition witness
        "errors go to another bank"
        "The bank in which a guest finds an error is another one.";
    DELIVERY_BROADCAST "delivery-broadcast" / "delivery-one" Guest Condition witness
        "every vCPU is told of an error"
        "An error was told to one vCPU. A guest whose vendor does not broadcast has no use for the others.";
    DELIVERY_ONE "delivery-one" / "delivery-broadcast" Guest Condition witness
        "one vCPU is told of an error"
        "An error was told to every vCPU. A guest that waits for all of them panics.";
    LOCAL_ADDED "local-delivery-added" / "local-delivery-removed" Guest Safe witness
        "a guest can ask for local delivery"
        "Guests that enable it are told of an error on one vCPU alone.";
    LOCAL_REMOVED "local-delivery-removed" / "local-delivery-added" Guest Condition witness
        "a guest can no longer ask for local delivery"
        "Guests that enabled it are told of errors on every vCPU again.";
    LOCAL_CHANGED "local-delivery-changed" / "local-delivery-changed" Guest Condition witness
        "local delivery has another condition"
        "Of two guests that did the same, one is told locally and the other is not.";
    HOOK_ADDED "hook-added" / "hook-removed" Guest Condition witness
        "the hypervisor answers an access"
        "What it answers is not in the spec.";
    HOOK_REMOVED "hook-removed" / "hook-added" Guest Condition witness
        "the hypervisor no longer answers an access"
        "The spec says the answer; what the hook did is gone.";
    HOOK_CHANGED "hook-changed" / "hook-changed" Guest Condition witness
        "another hook answers"
        "The hypervisor does something else at this access.";
    HOOK_ARGUMENTS "hook-arguments" / "hook-arguments" Guest Condition silent
        "a hook is told of other things"
        "The hypervisor's code is given other arguments; what it makes of them is not in the spec.";
    HELD_ADDED "held-added" / "held-removed" Guest Condition witness
        "the hypervisor sets a register's state"
        "What it puts there is not in the spec.";
    HELD_REMOVED "held-removed" / "held-added" Guest Condition witness
        "the hypervisor no longer sets a register's state"
        "What it put there is gone: the state is the guest's, or there is none.";
    PASS_THROUGH_ADDED "pass-through-added" / "pass-through-removed" Guest Condition witness
        "an access goes to the processor"
        "The guest reaches the hardware register.";
    PASS_THROUGH_REMOVED "pass-through-removed" / "pass-through-added" Guest Condition witness
        "an access no longer goes to the processor"
        "The guest reached the hardware register; now the interface answers.";
    ITEM_ADDED "item-added" / "item-removed" Record Safe witness
        "an item that the old side does not save"
        "A record of the old side lacks it and restores with the default. The old side takes a record with the item only when that is zero.";
    ITEM_REMOVED "item-removed" / "item-added" Record Condition witness
        "an item that the new side does not save"
        "A record that has it is refused unless the item is zero.";
    ITEM_DROPPED "item-dropped" / "item-saved-again" Record Condition witness
        "an item that the new side reads and drops"
        "A record that has it restores, and the value is lost.";
    ITEM_SAVED_AGAIN "item-saved-again" / "item-dropped" Record Safe witness
        "an item that the old side reads and drops is saved"
        "A record of the old side lacks it and restores with the default.";
    ITEM_RETAGGED "item-retagged" / "item-retagged" Record Condition witness
        "a register is saved under another tag"
        "A record crosses only while the item is zero, unless the other side knows the tag: as another register's, or to drop it. What the register held is lost.";
    ITEM_OWNER "item-owner" / "item-owner" Record Condition witness
        "an item is another register's"
        "Both sides have both registers. What the first one held is restored into the second, and is lost to the first.";
    ITEM_LONGER "item-longer" / "item-shorter" Record Safe witness
        "an item has more words"
        "More banks are saved. What an old record lacks is left at the default.";
    ITEM_SHORTER "item-shorter" / "item-longer" Record Condition witness
        "an item has fewer words"
        "A record with more banks than the new side saves is refused unless they are zero.";
    ACCEPTS_MORE "restore-accepts-more" / "restore-accepts-less" Record Safe witness
        "a restore accepts more values"
        "Records that the old side refuses are restored.";
    ACCEPTS_LESS "restore-accepts-less" / "restore-accepts-more" Record Condition witness
        "a restore accepts fewer values"
        "Records that the old side restores are refused.";
    DEFAULT_CHANGED "item-default" / "item-default" Record Safe witness
        "another value for records without the item"
        "Records of the old side have the item; those of still older versions restore to another value.";
    OLD_ITEM_ACCEPTED "old-item-accepted" / "old-item-refused" Record Safe witness
        "an item of old records is read and dropped"
        "Records that hold the tag are no longer refused.";
    OLD_ITEM_REFUSED "old-item-refused" / "old-item-accepted" Record Safe witness
        "an item of old records is refused"
        "Neither side writes the tag; records of older versions that hold it do not restore any more.";
    SHARED_REMOVED "shared-state-removed" / "shared-state-added" Record Refused witness
        "a guest's vCPUs share nothing any more"
        "A guest of the old side has a record of what its vCPUs share, besides theirs. The new side has nothing to restore it into and refuses it, whatever it holds.";
    SHARED_ADDED "shared-state-added" / "shared-state-removed" Record Safe witness
        "a guest's vCPUs come to share something"
        "A guest of the old side has no record of what its vCPUs share: what the new side lets them share begins as after power-on. The other way, that record is refused.";
    RESTORE_ORDER "restore-order" / "restore-order" Record Safe silent
        "items are restored in another order"
        "Registers whose meaning depends on others are restored after them.";
    MOVE_CHANGES "move-changes" / "move-back-changes" Record Condition witness
        "a guest that moves meets something else afterwards"
        "It was saved under the old side and restored under the new one, and an access answers otherwise than it did before: what it relied on did not come along.";
    MOVE_BACK_CHANGES "move-back-changes" / "move-changes" Record Safe witness
        "a guest that moves back meets something else afterwards"
        "It was saved under the new side and restored under the old one, and an access answers otherwise than it did before.";
    RESTORED_CHANGES "restored-changes" / "restored-back-changes" Record Condition witness
        "a guest that only a record brings meets something else afterwards"
        "As `move-changes`, of a state in which no guest of the old side comes by itself: it is in a record, of an older version or from elsewhere, that both sides take.";
    RESTORED_BACK_CHANGES "restored-back-changes" / "restored-changes" Record Safe witness
        "a guest that only a record brings meets something else on the way back"
        "As `move-back-changes`, of a state in which no guest of the new side comes by itself.";
    INTERFACE_NAME "interface-name" / "interface-name" Record Condition witness
        "another interface"
        "A record says whose it is, so it is refused. `msr record convert` writes it anew.";
    FEATURE_ADDED "feature-added" / "feature-removed" Migration Safe silent
        "a feature that new guests can be given"
        "Guests could have its bit before, from a record; now new ones can be given it by name.";
    FEATURE_REMOVED "feature-removed" / "feature-added" Migration Safe silent
        "a feature that new guests can no longer be given"
        "Guests that have its bit keep it; a boot option that names the feature is refused.";
    FEATURE_RENAMED "feature-renamed" / "feature-renamed" Migration Safe silent
        "a feature has another name"
        "Guests that run know the bit alone; a boot option that uses the old name is refused.";
    REQUIREMENT_ADDED "requirement-added" / "requirement-removed" Migration Safe silent
        "a feature requires more"
        "New guests are given the feature only together with what it requires. Those that run keep what they have.";
    REQUIREMENT_REMOVED "requirement-removed" / "requirement-added" Migration Safe silent
        "a feature requires less"
        "New guests are given the feature without what it required.";
    HOST_ADDED "host-requirement-added" / "host-requirement-removed" Migration Condition silent
        "a feature needs a capability of the host"
        "A host without the capability cannot honour the feature.";
    HOST_REMOVED "host-requirement-removed" / "host-requirement-added" Migration Safe silent
        "a feature no longer needs a capability of the host"
        "Any host can honour the feature.";
    RESTORE_ONLY "restore-only" / "runs-guests" Migration Refused silent
        "guests of the version are only restored into a later one"
        "No guest runs under the new side.";
    RUNS_GUESTS "runs-guests" / "restore-only" Migration Safe silent
        "guests run under the version"
        "The old side's guests are restored into a later version; this is one.";
    INTERFACE_ADDED "interface-added" / "interface-removed" Migration Safe silent
        "an interface that the old side does not have"
        "No guest lives under it yet.";
    INTERFACE_REMOVED "interface-removed" / "interface-added" Migration Refused silent
        "an interface that the new side does not have"
        "Guests that live under it cannot go on.";
    DOCUMENTATION "documentation" / "documentation" Documentation Safe silent
        "other words"
        "Documentation or a citation differs; no guest notices.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_mirror() {
        for rule in ALL {
            let mirror = find(rule.mirror).unwrap_or_else(|| panic!("{} has no mirror", rule.id));
            assert_eq!(mirror.mirror, rule.id);
            assert_eq!(
                (mirror.subject, mirror.witnessed),
                (rule.subject, rule.witnessed)
            );
            assert_eq!(ALL.iter().filter(|other| other.id == rule.id).count(), 1);
        }
    }
}
