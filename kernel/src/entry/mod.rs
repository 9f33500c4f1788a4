//! Entry code: where assembly hands over to Rust, at boot and at each VM exit.

pub mod boot;
pub mod vm;
