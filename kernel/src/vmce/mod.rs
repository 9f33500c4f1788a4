//! The guest side of a machine check: who is hit, what each vCPU gets, and its delivery.
//!
//! * In #MC context nothing of a vCPU's state is touched, for the interrupted code may be changing it. The recovering
//!   processor leaves [`Mail`] in the vCPUs' [`Mailbox`]es.
//! * The vCPU's own processor delivers in ordinary context, before the vCPU runs its next instruction ([`deliver`]).
//! * What a guest sees of it is the interface's business (`msr_runtime::MachineCheck`, made from the spec).

mod deliver;
mod route;

pub use crate::mc::mail::{About, Mail, Outcome};
pub use crate::mc::mailbox::{HANDLER_LEAVES, Mailbox};
pub use crate::mc::stop::StopReason;
pub use deliver::{Delivery, after_write, deliver, follow_up};
pub(crate) use route::{Post, Routes};
