//! What an administrator may name at boot.

use super::select::{select, single};
use super::{Context, field};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{ExtraLimits, Field, FieldType, View};
use msr_runtime::extra::MOST;

/// The limits of this version; none if nothing may be named. After `capability`.
pub fn extra(cx: &Context, view: &View, diagnostics: &mut Diagnostics) -> Option<ExtraLimits> {
    let said = select(&cx.spec.interfaces[0].extra, cx.version).map(|said| (&said.what, said.span));
    let (section, span) = single(said, "extra", diagnostics)?;
    let most = single(
        section.most.iter().map(|at| (at.value, at.span)),
        "most",
        diagnostics,
    );
    let msrs = single(
        section.msrs.iter().map(|at| (&at.value, at.span)),
        "msr",
        diagnostics,
    );
    let bits = single(
        section.capability.iter().map(|bits| (bits, bits.span)),
        "capability",
        diagnostics,
    );
    let half = |what: &str, help: &str, diagnostics: &mut Diagnostics| {
        diagnostics.add(
            &codes::HALF_SAID,
            span,
            format!("extras without {what}"),
            help,
        );
    };
    let Some((most, most_at)) = most else {
        half(
            "`most`",
            "add `most 8;`: how many may be named in all",
            diagnostics,
        );
        return None;
    };
    if !(1..=MOST as u64).contains(&most) {
        diagnostics.add(
            &codes::OUT_OF_RANGE,
            most_at,
            format!("{most} extras"),
            format!("from 1 to {MOST}"),
        );
    }
    if msrs.is_none() && bits.is_none() {
        half(
            "anything that could be named",
            "add `msr 0x0..=0x1fff;` or `capability BITS;`",
            diagnostics,
        );
    }
    let mut windows: Vec<(u32, u32)> = Vec::new();
    for window in msrs.map_or(&[][..], |(windows, _)| windows) {
        let (first, last) = window.value;
        let wide = last > u64::from(u32::MAX);
        if wide || first > last {
            let (message, help) = match wide {
                true => (
                    "an MSR's number has 32 bits",
                    "RDMSR takes it from ECX: at most 0xffffffff",
                ),
                false => ("an empty range", "write the lower address first"),
            };
            diagnostics.add(&codes::ADDRESS, window.span, message, help);
            continue;
        }
        windows.push((first as u32, last as u32));
    }
    let mut capability = 0;
    if let Some((bits, at)) = bits {
        let Some(id) = view.capability else {
            // Features lack it too, and say so.
            if cx.features().next().is_some() {
                return None;
            }
            diagnostics.add(
                &codes::EXTRA_BIT,
                at,
                "capability bits, and the interface has no capability register",
                "name it with `capability REGISTER;`, or leave the bits out",
            );
            return None;
        };
        capability = field::bits(cx, id, bits, diagnostics)?;
        let register = view.register(id);
        let wide = register.fields.iter().rev();
        let wide: Vec<&Field> = wide.filter(|field| field.ty != FieldType::Bool).collect();
        if let Some(field) = wide.iter().find(|field| field.mask() & capability != 0) {
            let names: Vec<&str> = wide.iter().map(|field| field.name.as_str()).collect();
            diagnostics.add(
                &codes::EXTRA_BIT,
                at,
                format!(
                    "bits of `{}.{}`, which is no single bit",
                    register.name, field.name
                ),
                format!("write `all less {}`, or name the bits", names.join(" | ")),
            );
        }
    }
    Some(ExtraLimits {
        most: most as usize,
        msrs: windows,
        capability,
    })
}
