//! The interfaces Bankshot shows its guests.
#![no_std]
