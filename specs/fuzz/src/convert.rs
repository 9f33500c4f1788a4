//! A record of one version as another.

use msr_dsl::interpret::Machine;
use msr_dsl::model::View;

/// A record that is converted is one that the other version takes; and a version's own record can always be converted to itself.
///
/// # Panics
/// If not: that is a finding.
pub fn convert(from: &View, to: &View, bytes: &[u8]) {
    if let Ok(record) = msr_dsl::compare::convert::convert(from, to, bytes) {
        let taken = Machine::new(to).restore(&record);
        assert_eq!(taken, Ok(()), "the converted record {record:02x?}");
    }
    if Machine::new(from).restore(bytes).is_ok() {
        let same = msr_dsl::compare::convert::convert(from, from, bytes);
        assert!(same.is_ok(), "to its own version: {same:?}");
    }
}
