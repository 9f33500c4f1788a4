//! The saved record.

use super::expression::hex;
use super::names::snake;
use crate::model::{FieldType, Register, View};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// `RECORD_LENGTH`, `save` and `restore`.
pub fn record(view: &View) -> TokenStream {
    let saved = view.saved();
    let words = |id| view.cells(view.register(id));
    let length: usize = saved
        .iter()
        .map(|(id, ..)| 4 + 8 * words(*id))
        .sum::<usize>()
        + 20;
    let name = &view.name;
    let version = view.version;
    let puts = saved.iter().map(|(id, tag, _)| {
        let register = view.register(*id);
        let cells = snake(&register.name);
        let words = if register.banked {
            quote!(self.#cells)
        } else {
            quote!([self.#cells])
        };
        quote!(writer.item(#tag, &#words)?;)
    });
    let items: Vec<_> = saved
        .iter()
        .map(|(_, tag, _)| format_ident!("item_{}", tag))
        .collect();
    let tags: Vec<u16> = saved.iter().map(|(_, tag, _)| *tag).collect();
    let dropped = view
        .dropped_tags
        .iter()
        .map(|tag| quote!(#tag => continue,));
    let takes = saved.iter().zip(&items).map(|((id, tag, default), item)| {
        let register = view.register(*id);
        let (cells, default) = (snake(&register.name), hex(*default));
        let count = words(*id);
        let refused = refused(view, register);
        let (register_name, put) = (&register.name, if register.banked { quote!(words) } else { quote!(words[0]) });
        quote! {
            let mut words = [#default; #count];
            if let Some(payload) = #item {
                record::words(#tag, payload, &mut words)?;
                for word in &words {
                    let word = *word;
                    let bits = #refused;
                    if bits != 0 {
                        return Err(RecordError::Refused { tag: #tag, register: #register_name, bits });
                    }
                }
            }
            state.#cells = #put;
        }
    });
    quote! {
        const RECORD_LENGTH: usize = #length;

        fn save(&self, out: &mut [u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<usize, ::msr_runtime::RecordError> {
            use ::msr_runtime::record;
            let mut writer = record::Writer::new(out, const { record::name(#name) }, #version, #length)?;
            #(#puts)*
            writer.finish(crc32c)
        }

        fn restore(bytes: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<Self, ::msr_runtime::RecordError> {
            use ::msr_runtime::{RecordError, record};
            let opened = record::Record::open(bytes, const { record::name(#name) }, crc32c)?;
            #(let mut #items: Option<&[u8]> = None;)*
            for item in opened.items() {
                let (tag, payload) = item?;
                let known: &mut Option<&[u8]> = match tag {
                    #(#tags => &mut #items,)*
                    #(#dropped)*
                    _ if payload.iter().all(|byte| *byte == 0) => continue,
                    _ => return Err(RecordError::UnknownItem(tag)),
                };
                if known.replace(payload).is_some() {
                    return Err(RecordError::ItemTwice(tag));
                }
            }
            let mut state = Self::new();
            #(#takes)*
            Ok(state)
        }
    }
}

/// For a held register, which goes to hardware as it is: the whole of a value that the register's rules refuse.
fn illegal_values(view: &View, register: &Register) -> TokenStream {
    let rules = register.rules.iter().filter(|rule| rule.is_about_value());
    let rules = rules.map(|rule| {
        let legal = super::write::legal(view, rule);
        quote!(| (if { let value = word; #legal } { 0 } else { word }))
    });
    quote!(#(#rules)*)
}

/// The bits of `word` that a restore refuses: those outside the mask, and values of enumerations that have no name.
fn refused(view: &View, register: &Register) -> TokenStream {
    let outside = hex(!register.accepts);
    let closed = register.fields.iter().filter_map(|field| {
        let FieldType::Enum {
            values,
            other: false,
        } = &field.ty
        else {
            return None;
        };
        let (mask, lo) = (hex(field.mask()), field.lo);
        let named = values.iter().map(|(_, value)| hex(*value));
        Some(
            quote!(| (if matches!((word & #mask) >> #lo, #(#named)|*) { 0 } else { word & #mask })),
        )
    });
    let held = register.held.then(|| illegal_values(view, register));
    quote!((word & #outside) #(#closed)* #held)
}
