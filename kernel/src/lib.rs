//! Bankshot's pure parts: what the hypervisor decides, without VMX and without I/O.
//!
//! `mca` is the host side of a machine check, `vmce` the guest side, `guest` what a guest is made of, `schedule` whose turn it is,
//! `faults` the injector. Everything here runs unchanged in `cargo test` on a simulated machine with 1 to 4096 processors.
//!
//! How the binary drives the machine-check engine. `S` is a static `mca::Shared`, `M` its `mca::Machine`:
//!
//! * Each processor, as soon as its #MC entry is ready: MCG_STATUS is cleared and CR4.MCE set. Then `mca::start(&S, &M)`: it logs and clears what
//!   is in the banks, and enables them (and LMCE). When all have done so, `mca::join(&S, &M)`: from then on the processor is expected at
//!   every rendezvous. Guests run when all have joined (`mca::online(&S)`).
//! * #MC in root mode, and every VM exit that stands for one (vector 18, "machine check during VM entry", the injector's NMI):
//!   `mca::handle(&S, &M, interrupted)` gives a `mca::Verdict`. `Resume`: return to root code, or go the ordinary way before
//!   VM entry. After an #MC in root mode the next VM entry must exit at once (as after an NMI), for mail may have
//!   come after the last look. `FixUp`: return to the marked copy's fix-up. `Fatal`: the processor for which `resets` is true calls `mca::stop_others(&S, &M)`,
//!   writes what it has to say (`mca::still_ending(&S)` with each step), and resets; any other calls `mca::await_reset(&S, &M)`, and resets if that returns.
//! * Every NMI, in any mode: if `mca::nmi(&S, &M)` says so, the same `mca::await_reset(&S, &M)`.
//! * Before each VM entry: `mailbox.is_pending()`; if so `vmce::deliver(..)` says what to do. It writes the vCPU's interface
//!   state, so it runs in ordinary context.
//! * After each WRMSR of the guest to its machine-check interface, and after a restore: `vmce::after_write(..)`.
//! * vCPU 0's power-on and each SIPI: `mailbox.start()`; each INIT: `mailbox.will_park()` by who sends it, then
//!   `mailbox.park()`.
//! * Housekeeping: `mca::poll(&S, &M)` on each processor; `vmce::follow_up(mailboxes)` for each guest, and if it says so, a
//!   kick to the processors (`mailbox.ran(ticks)` after each exit of a vCPU for which `mailbox.is_leaving()`, and `mailbox.halts()`, tell it
//!   when handlers have returned); then every processor's `ring::EventRing` is drained into the log.
//! * With feature `faults`: `faults::Schedule::due(now)` in housekeeping; a fault's guest-physical address made host-physical, then
//!   `faults::raise(&fault, &overlays)`, whose event is emitted, then the vector on the processors concerned. `Machine::read_msr` and
//!   `write_msr` ask this processor's `faults::Overlay` first.
//!
//! An #MC handler runs on its own stack; 8 KiB are enough.
#![cfg_attr(not(any(test, loom)), no_std)]
#![forbid(unsafe_code)]

pub mod clock;
pub mod command;
pub mod faults;
pub mod guest;
pub mod handover;
pub mod last_words;
mod mc;
pub mod mca;
pub mod message;
pub mod placement;
pub mod records;
#[cfg(not(loom))]
pub mod retired;
pub mod ring;
pub mod schedule;
mod sync;
pub mod turnstile;
pub mod units;
pub mod vmce;
pub mod whose;
pub mod xapic;

pub use mc::event;
