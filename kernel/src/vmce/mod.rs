//! The guest side of a machine check: who is hit, what each vCPU gets, and its delivery.
//!
//! * In #MC context nothing of a vCPU's state is touched, for the interrupted code may be changing it. The recovering
//!   processor leaves [`Mail`] in the vCPUs' [`Mailbox`]es.
//! * The vCPU's own processor delivers in ordinary context, before the vCPU runs its next instruction ([`deliver`]).
//! * What a guest sees of it is the interface's business (`msr_runtime::MachineCheck`, made from the spec).

mod deliver;
mod mailbox;
mod route;

pub use deliver::{Delivery, StopReason, after_write, deliver, follow_up};
pub use mailbox::{About, Mail, Mailbox, Outcome};
pub(crate) use route::{Post, Routes};
