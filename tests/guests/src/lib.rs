//! What every tiny guest shares.
#![no_std]
