//! The guest's command line: words of the form `name=number`.

use core::ffi::CStr;
use core::ptr::with_exposed_provenance;

unsafe extern "C" {
    /// Physical address of the start info, stored by the entry code of vCPU 0.
    static start_info: u32;
}

/// The start info of the PVH boot ABI, as far as it is used here.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
}

const MAGIC: u32 = 0x336e_c578;

/// The number that the command line gives to `name`; `default` when it gives none.
///
/// # Panics
/// When the command line has something else than a decimal number there.
pub fn number(name: &str, default: u64) -> u64 {
    let mut words = command_line()
        .split(' ')
        .filter_map(|word| word.split_once('='));
    let Some((_, text)) = words.find(|(found, _)| *found == name) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{name}={text}: not a decimal number"))
}

fn command_line() -> &'static str {
    // SAFETY: the loader leaves the structure and a zero-terminated string in memory that nobody changes.
    let bytes = unsafe {
        let info = with_exposed_provenance::<StartInfo>(start_info as usize).read();
        assert!(info.magic == MAGIC, "no start info at {start_info:#x}");
        if info.command_line == 0 {
            return "";
        }
        CStr::from_ptr(with_exposed_provenance(info.command_line as usize))
    };
    bytes.to_str().expect("the command line is UTF-8")
}
