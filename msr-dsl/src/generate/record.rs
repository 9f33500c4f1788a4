//! The saved record.

use super::expression::hex;
use super::names::snake;
use super::refused::{Clear, Quick, quick, refusals};
use crate::model::{Scope, View};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// `RECORD_LENGTH`, `save` and `restore` of a vCPU's state or of what the guest's share; and the methods that they use.
pub fn record(view: &View, scope: Scope) -> (TokenStream, TokenStream) {
    let saved = view.saved_of(scope);
    let kind = Kind::of(scope);
    let (own, before) = (&kind.name, kind.before);
    let words = |id| view.cells(view.register(id));
    let length = view.record_length(scope);
    let name = &view.name;
    let version = view.version;
    let items_length = length - 20;
    let mut at = before;
    let places: Vec<usize> = saved
        .iter()
        .map(|(id, ..)| {
            let here = at;
            at += view.item_length(*id);
            here
        })
        .collect();
    let puts = saved.iter().zip(&places).map(|((id, tag, _), at)| {
        let register = view.register(*id);
        let cells = snake(&register.name);
        let words = if register.banked {
            quote!(self.#cells)
        } else {
            quote!([self.#cells])
        };
        quote!(record::put(items, #at, #tag, &#words);)
    });
    let mut found = Vec::new();
    let mut kept = Vec::new();
    let mut clear = Clear::default();
    for ((id, tag, _), at) in saved.iter().zip(&places) {
        let register = view.register(*id);
        let (cells, count, item) = (
            snake(&register.name),
            words(*id),
            format_ident!("item_{}", tag),
        );
        found.push(quote!(let #item = record::take::<#count>(items, #at, #tag)?;));
        let words = quote!(#item.iter().map(|word| u64::from_le_bytes(*word)));
        let Quick {
            clear: bits,
            alike,
            illegal,
        } = quick(view, register);
        clear.add(bits, quote!(#words.fold(0, |all, word| all | word)));
        for bits in alike {
            clear.add(
                bits,
                quote!(#words.fold(0, |all, word| all | (word ^ (word << 1)))),
            );
        }
        if !illegal.is_empty() {
            found.push(quote! {
                for word in #words {
                    #(if #illegal { return None; })*
                }
            });
        }
        // Word by word: an array that is made as a whole is made beside the state first.
        let each = (0..count).map(|bank| quote!(u64::from_le_bytes(#item[#bank])));
        kept.push(if register.banked {
            quote!(#cells: [#(#each),*])
        } else {
            quote!(#cells: #(#each)*)
        });
    }
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
        let named = match view.capability == Some(*id) {
            true => quote!(& !extra.capability()),
            false => quote!(),
        };
        let refused = refusals(view, register, &named);
        let (register_name, put) = (&register.name, if register.banked { quote!(words) } else { quote!(words[0]) });
        let outside = refused.outside.map(|outside| quote! {
            let bits = #outside;
            if bits != 0 {
                return Err(RecordError::Refused { tag: #tag, register: #register_name, bits });
            }
        });
        let illegal = refused.illegal.map(|illegal| quote! {
            if #illegal {
                return Err(RecordError::Illegal { tag: #tag, register: #register_name, value: word });
            }
        });
        let each = (outside.is_some() || illegal.is_some()).then(|| quote! {
            for word in &words {
                let word = *word;
                #outside
                #illegal
            }
        });
        quote! {
            let mut words = [#default; #count];
            if let Some(payload) = #item {
                record::words(#tag, payload, &mut words)?;
                #each
            }
            state.#cells = #put;
        }
    });
    let clear = clear.rust();
    let (mark, marked, stripped) = (&kind.mark, &kind.marked, &kind.stripped);
    let body = quote! {
        const RECORD_LENGTH: usize = #length;

        fn save(&self, out: &mut [u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<usize, ::msr_runtime::RecordError> {
            use ::msr_runtime::{RecordError, record};
            let (head, rest) = out.split_first_chunk_mut::<{ record::HEADER }>().ok_or(RecordError::NoSpace)?;
            let items = rest.first_chunk_mut::<#items_length>().ok_or(RecordError::NoSpace)?;
            #mark
            #(#puts)*
            *head = const { record::header(record::name(#name), #version, #length as u16) };
            record::seal(head, items, crc32c);
            Ok(#length)
        }

        fn restore_with(
            bytes: &[u8],
            crc32c: impl Fn(u32, &[u8]) -> u32,
            extra: &::msr_runtime::Extra,
        ) -> Result<Self, ::msr_runtime::RecordError> {
            use ::msr_runtime::record;
            let opened = record::Record::open(bytes, const { record::name(#name) }, crc32c)?;
            match Self::as_written(&opened) {
                Some(state) => Ok(state),
                None => Self::collected(&opened, extra),
            }
        }
    };
    let helpers = quote! {
        impl #own {
            /// The record as this version writes it: every item in its place, and nothing refused.
            #[inline(always)]
            fn as_written(record: &::msr_runtime::record::Record<'_>) -> Option<Self> {
                use ::msr_runtime::record;
                let items: &[u8; #items_length] = record.exactly()?;
                #marked
                #(#found)*
                #clear
                Some(Self { #(#kept,)* ..Self::new() })
            }

            /// The record as any version may have written it, or why it is refused.
            #[cold]
            fn collected(
                opened: &::msr_runtime::record::Record<'_>,
                extra: &::msr_runtime::Extra,
            ) -> Result<Self, ::msr_runtime::RecordError> {
                use ::msr_runtime::{RecordError, record};
                #(let mut #items: Option<&[u8]> = None;)*
                #stripped
                for item in opened.items() {
                    let (tag, payload) = item?;
                    let known: &mut Option<&[u8]> = match tag {
                        #(#tags => &mut #items,)*
                        #(#dropped)*
                        _ if payload.iter().all(|byte| *byte == 0) || extra.has_tag(tag) => continue,
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
    };
    (body, helpers)
}

/// What tells the two kinds of records apart.
struct Kind {
    /// The type that is saved.
    name: Ident,
    /// Bytes of the item that says so.
    before: usize,
    /// Puts that item.
    mark: TokenStream,
    /// Finds it in its place.
    marked: TokenStream,
    /// Takes it away.
    stripped: TokenStream,
}

impl Kind {
    fn of(scope: Scope) -> Self {
        match scope {
            Scope::Vcpu => Self {
                name: format_ident!("State"),
                before: 0,
                mark: quote!(),
                marked: quote!(),
                stripped: quote!(),
            },
            Scope::Guest => Self {
                name: format_ident!("Guest"),
                before: 12,
                mark: quote!(record::put(items, 0, record::KIND, &[record::OF_GUEST]);),
                marked: quote!(if *record::take::<1>(items, 0, record::KIND)?
                    != [record::OF_GUEST.to_le_bytes()]
                {
                    return None;
                }),
                stripped: quote!(let opened = opened.of_guest()?;),
            },
        }
    }
}
