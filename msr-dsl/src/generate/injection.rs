//! `MachineCheck`, from the injection section.

use super::expression::{hex, rust};
use super::names::snake;
use crate::model::View;
use proc_macro2::TokenStream;
use quote::quote;

/// The implementation; nothing if the version has no injection section.
pub fn injection(view: &View) -> TokenStream {
    let Some(injection) = &view.injection else {
        return TokenStream::new();
    };
    let name = |id| snake(&view.register(id).name);
    let (global, status, address, misc) = (
        name(injection.global.0),
        name(injection.status.0),
        name(injection.address.0),
        name(injection.misc.0),
    );
    let mask = |bits: u64| hex(bits & injection.global.1);
    let bits = &injection.bits;
    let (ripv, eipv, mcip, lmce_s) = (
        mask(bits.ripv),
        mask(bits.eipv),
        mask(bits.mcip),
        mask(bits.lmce_s),
    );
    let in_progress = hex(bits.mcip);
    let (status_mask, address_mask, misc_mask) = (
        hex(injection.status.1),
        hex(injection.address.1),
        hex(injection.misc.1),
    );
    let (broadcast, bank) = (injection.broadcast, injection.bank as usize);
    let local = injection
        .local
        .as_ref()
        .map_or_else(|| quote!(false), |condition| rust(view, condition));
    let pending = injection.pending.map(|id| {
        let pending = name(id);
        quote! {
            fn pending(&self) -> bool {
                self.#pending & 1 != 0
            }

            fn set_pending(&mut self, pending: bool) {
                self.#pending = pending as u64;
            }
        }
    });
    quote! {
        impl ::msr_runtime::MachineCheck for State {
            #[inline(always)]
            fn is_broadcast(&self) -> bool {
                #broadcast
            }

            #[inline]
            fn in_progress(&self) -> bool {
                self.#global & #in_progress != 0
            }

            #[inline]
            fn local_enabled(&self) -> bool {
                #local
            }

            #pending

            fn inject(&mut self, event: &::msr_runtime::MachineCheckEvent) {
                let mut told = #mcip;
                if event.restart_ip_valid { told |= #ripv; }
                if event.error_ip_valid { told |= #eipv; }
                if event.local { told |= #lmce_s; }
                self.#global = told;
                if let Some(record) = &event.record {
                    self.#status[#bank] = record.status & #status_mask;
                    self.#address[#bank] = record.address & #address_mask;
                    self.#misc[#bank] = record.misc & #misc_mask;
                }
            }
        }
    }
}
