//! Hostile specs: whatever the text, the checker says what is wrong with it, or it is a spec whose code can be made.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    fuzz::tell(|| format!("spec {}", fuzz::hex(bytes)));
    fuzz::spec(text);
});
