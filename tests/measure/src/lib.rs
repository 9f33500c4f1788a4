//! What generated code costs.
//!
//! The program `subject` makes accesses through generated code, each through one of the functions of its module `measured`;
//! [`callgrind`] runs it under valgrind and counts the instructions of each call. The counts are exact and the same in every
//! run, so that a test can hold the limits.

pub mod callgrind;

/// Generated specs that differ in nothing but their size.
pub mod sizes {
    macro_rules! of_size {
        ($module:ident, $file:literal) => {
            #[doc = concat!("`", $file, "`.")]
            pub mod $module {
                use msr_dsl_macros::interface;
                include!(concat!(env!("OUT_DIR"), "/", $file));
            }
        };
    }
    of_size!(ten, "registers-10.msr");
    of_size!(hundred, "registers-100.msr");
    of_size!(thousand, "registers-1000.msr");
}
