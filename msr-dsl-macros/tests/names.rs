//! Names that the checker passes and that come close to those of Rust and of the generated code: rustc takes them too.

use msr_runtime::{Interface, Reset};

/// Registers called like methods, keywords and helpers.
#[allow(missing_docs)]
mod close {
    use msr_dsl_macros::interface;
    include!("names/close.msr");
}

use close::v1::State;

#[test]
fn registers_called_like_methods_are_told_apart() {
    let mut state = State::default();
    assert_eq!(state.write(0x10, 3), Ok(()));
    assert_eq!(state.write(0x11, 5), Ok(()));
    assert_eq!(state.clone_register(), 3);
    assert_eq!(state.mc(), 5);
    // One that computes from another called like its helper.
    assert_eq!(state.value_of_mc(), 5);
    assert_eq!(state.read(0x12), Ok(5));
    assert_eq!(state.as_written_register(), 0);
    assert_eq!(state.type_().set_it(), 0);
    state.reset(Reset::PowerOn);
    assert_eq!(state, State::new());
}
