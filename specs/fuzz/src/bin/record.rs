//! Hostile records: restored by every version in both implementations, and converted.
#![no_main]

use fuzz::input::Input;
use fuzz::versions::{Version, versions};
use std::cell::LazyCell;

thread_local! {
    static VERSIONS: LazyCell<Vec<Version>> = LazyCell::new(versions);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else {
        return;
    };
    VERSIONS.with(|all| {
        let (version, to) = (&all[input.version % all.len()], &all[input.to % all.len()]);
        let view = version.view();
        fuzz::tell(|| {
            format!(
                "{}-{} {}",
                view.name,
                view.version,
                fuzz::hex(&input.record)
            )
        });
        (version.restore)(view, &input.record);
        fuzz::convert(view, to.view(), &input.record);
    });
});
