//! Words for bits, MSRs and numbers.

/// `bit 3`, `bits 31:16, 3`.
pub fn bits(mask: u64) -> String {
    let mut parts = Vec::new();
    let mut hi = 64;
    while hi > 0 {
        hi -= 1;
        if mask >> hi & 1 == 0 {
            continue;
        }
        let mut lo = hi;
        while lo > 0 && mask >> (lo - 1) & 1 == 1 {
            lo -= 1;
        }
        parts.push(if hi == lo {
            hi.to_string()
        } else {
            format!("{hi}:{lo}")
        });
        hi = lo;
    }
    let word = if mask.count_ones() == 1 {
        "bit"
    } else {
        "bits"
    };
    format!("{word} {}", parts.join(", "))
}

/// `0x179`, `0x401, 0x405`, `0x401 and 31 more to 0x47d`.
pub fn msrs(all: &[u32]) -> String {
    match all {
        [] => "no MSR".to_owned(),
        [one] => format!("{one:#x}"),
        [one, two] => format!("{one:#x}, {two:#x}"),
        [first, between @ .., last] => {
            format!("{first:#x} and {} more to {last:#x}", between.len() + 1)
        }
    }
}

/// `1 bank`, `2 banks`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    #[test]
    fn bits_are_named_as_in_manuals() {
        assert_eq!(super::bits(1 << 27), "bit 27");
        assert_eq!(super::bits(0xffff_8000_0000_0009), "bits 63:47, 3, 0");
        assert_eq!(super::bits(u64::MAX), "bits 63:0");
    }
}
