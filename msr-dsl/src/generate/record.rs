//! The saved record.

use super::expression::hex;
use super::names::snake;
use crate::model::{Field, Register, Scope, View};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// `RECORD_LENGTH`, `save` and `restore` of a vCPU's state or of what the guest's share; and the methods that they use.
pub fn record(view: &View, scope: Scope) -> (TokenStream, TokenStream) {
    let saved = view.saved_of(scope);
    let kind = Kind::of(scope);
    let (own, before) = (&kind.name, kind.before);
    let words = |id| view.cells(view.register(id));
    let length: usize = saved
        .iter()
        .map(|(id, ..)| 4 + 8 * words(*id))
        .sum::<usize>()
        + before
        + 20;
    let name = &view.name;
    let version = view.version;
    let items_length = length - 20;
    let mut at = before;
    let places: Vec<usize> = saved
        .iter()
        .map(|(id, ..)| {
            let here = at;
            at += 4 + 8 * words(*id);
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
    for ((id, tag, _), at) in saved.iter().zip(&places) {
        let register = view.register(*id);
        let (cells, count, item) = (
            snake(&register.name),
            words(*id),
            format_ident!("item_{}", tag),
        );
        found.push(quote!(let #item = record::take::<#count>(items, #at, #tag)?;));
        let refused = refusals(view, register, &quote!());
        let words = quote!(#item.iter().map(|word| u64::from_le_bytes(*word)));
        if let Some(outside) = refused.outside {
            found.push(quote! {
                if #words.fold(0, |all, word| all | #outside) != 0 { return None; }
            });
        }
        if let Some(illegal) = refused.illegal {
            found.push(quote! {
                if #words.fold(false, |any, word| any | #illegal) { return None; }
            });
        }
        kept.push(if register.banked {
            quote!(#cells: #item.map(u64::from_le_bytes))
        } else {
            quote!(#cells: u64::from_le_bytes(#item[0]))
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

/// What a restore refuses of `word`, a register's cell.
pub struct Refusals {
    /// Its bits outside of what is accepted (`named` takes some away).
    pub outside: Option<TokenStream>,
    /// Whether it is a value that the register cannot have.
    pub illegal: Option<TokenStream>,
}

/// See [`Refusals`].
pub fn refusals(view: &View, register: &Register, named: &TokenStream) -> Refusals {
    let outside = hex(!register.accepts);
    let outside = (register.accepts != u64::MAX).then(|| quote!((word & #outside #named)));
    let fields = register.fields.iter().filter_map(unnamed);
    // A held register goes to hardware as it is: its rules about the value count here too.
    let rules = register
        .rules
        .iter()
        .filter(|rule| register.held && rule.is_about_value());
    let rules = rules.map(|rule| {
        let legal = super::write::legal(view, rule);
        quote!({ let value = word; !#legal })
    });
    let all: Vec<TokenStream> = fields.chain(rules).collect();
    let illegal = (!all.is_empty()).then(|| quote!((#(#all)|*)));
    Refusals { outside, illegal }
}

/// Whether the field of `word` has a value that a restore does not take.
fn unnamed(field: &Field) -> Option<TokenStream> {
    let values = field.restored.as_ref()?.iter().map(|value| hex(*value));
    let (mask, lo) = (hex(field.mask()), field.lo);
    Some(quote!((!matches!((word & #mask) >> #lo, #(#values)|*))))
}
