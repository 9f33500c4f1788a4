//! A bitfield-struct type per register with named fields.

use super::expression::hex;
use super::names::{camel, ident, snake};
use crate::model::{Field, FieldType, Register};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The type's name, if the register has fields.
pub fn type_name(register: &Register) -> Option<Ident> {
    if register.fields.is_empty() {
        None
    } else {
        Some(camel(&register.name))
    }
}

/// The register's type and those of its enumerations.
pub fn types(register: &Register) -> TokenStream {
    let Some(name) = type_name(register) else {
        return TokenStream::new();
    };
    let mut members = TokenStream::new();
    let mut enums = TokenStream::new();
    let mut next = 0;
    for field in register.fields.iter().rev() {
        members.extend(padding(field.lo - next));
        members.extend(member(&name, field));
        if let FieldType::Enum { values, .. } = &field.ty {
            enums.extend(enumeration(
                &format_ident!("{}{}", name, camel(&field.name)),
                field,
                values,
            ));
        }
        next = field.hi + 1;
    }
    members.extend(padding(64 - next));
    let doc = doc(&register.doc, &register.name);
    quote! {
        #doc
        #[::msr_runtime::bitfield_struct::bitfield(u64)]
        #[derive(PartialEq, Eq)]
        pub struct #name { #members }
        #enums
    }
}

fn padding(bits: u32) -> TokenStream {
    let bits = bits as usize;
    if bits == 0 {
        TokenStream::new()
    } else {
        quote!(#[bits(#bits)] __: u64,)
    }
}

fn member(register: &Ident, field: &Field) -> TokenStream {
    let (name, bits) = (snake(&field.name), field.width() as usize);
    let doc = doc(&field.doc, &field.name);
    match &field.ty {
        FieldType::Bool => quote!(#doc pub #name: bool,),
        FieldType::Enum { .. } => {
            let ty = format_ident!("{}{}", register, camel(&field.name));
            quote!(#doc #[bits(#bits)] pub #name: #ty,)
        }
        FieldType::Unsigned | FieldType::Const(_) => {
            let ty = match bits {
                0..=8 => quote!(u8),
                9..=16 => quote!(u16),
                17..=32 => quote!(u32),
                _ => quote!(u64),
            };
            quote!(#doc #[bits(#bits)] pub #name: #ty,)
        }
    }
}

fn enumeration(name: &Ident, field: &Field, values: &[(String, u64)]) -> TokenStream {
    let variants: Vec<Ident> = values.iter().map(|(text, _)| variant(text)).collect();
    let docs = values
        .iter()
        .map(|(text, value)| format!(" {text}, {value:#x}."));
    let numbers: Vec<TokenStream> = values.iter().map(|(_, value)| hex(*value)).collect();
    let doc = doc(&field.doc, &field.name);
    quote! {
        #doc
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum #name {
            #(#[doc = #docs] #variants,)*
            /// A value without a name.
            Unnamed(u64),
        }
        impl #name {
            /// The value's bits.
            pub const fn into_bits(self) -> u64 {
                match self {
                    #(Self::#variants => #numbers,)*
                    Self::Unnamed(value) => value,
                }
            }
            /// The name of a value.
            pub const fn from_bits(value: u64) -> Self {
                match value {
                    #(#numbers => Self::#variants,)*
                    other => Self::Unnamed(other),
                }
            }
        }
    }
}

fn variant(text: &str) -> Ident {
    let name = camel(text);
    if name == "Unnamed" {
        ident("Unnamed_")
    } else {
        name
    }
}

/// Doc attributes, one for each line as a `///` comment gives them; the name where the spec has no comment.
pub fn doc(text: &str, name: &str) -> TokenStream {
    if text.trim().is_empty() {
        return lines(&format!("`{name}`."));
    }
    lines(text)
}

/// See [`doc`].
pub fn lines(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| match line {
        "" => String::new(),
        line => format!(" {}", line.trim_start()),
    });
    quote!(#(#[doc = #lines])*)
}
