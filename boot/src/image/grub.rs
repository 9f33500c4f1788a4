//! GRUB's configuration for a payload.

use super::Payload;

/// Folder of the payload's files on the medium.
pub const FOLDER: &str = "boot";

/// File name of the hypervisor in [`FOLDER`].
pub const KERNEL: &str = "bankshot";

/// File name of a module in [`FOLDER`].
pub fn module(index: usize) -> String {
    format!("module{index}")
}

/// `grub.cfg`: boots the payload at once; the error is the reason why GRUB cannot hand it over.
///
/// # Errors
/// A string that would arrive changed.
pub fn configuration(payload: &Payload) -> Result<String, String> {
    let mut text = String::from("set timeout=0\nset gfxpayload=text\nmenuentry Bankshot {\n");
    let words = quote(&payload.command_line)?;
    text += &format!("    multiboot2 /{FOLDER}/{KERNEL}{words}\n");
    for (index, item) in payload.modules.iter().enumerate() {
        let words = quote(&item.string)?;
        text += &format!("    module2 /{FOLDER}/{}{words}\n", module(index));
    }
    text += "    boot\n}\n";
    Ok(text)
}

/// The words of a string, each quoted for GRUB and after a blank.
///
/// GRUB splits a line into words and joins them with one blank for the kernel; it puts a backslash before quotes
/// and backslashes when it does.
fn quote(string: &str) -> Result<String, String> {
    if string.contains(['\'', '"', '\\']) || string.contains(char::is_control) {
        return Err(format!(
            "GRUB cannot hand over quotes, backslashes and control characters: {string}"
        ));
    }
    let words = string.split(' ');
    if !string.is_empty() && words.clone().any(str::is_empty) {
        return Err(format!(
            "GRUB cannot hand over more than one blank in a row: {string}"
        ));
    }
    Ok(words
        .filter(|word| !word.is_empty())
        .map(|word| format!(" '{word}'"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Module, Payload};
    use super::configuration;

    fn payload(string: &str) -> Payload {
        let modules = vec![Module {
            string: string.into(),
            bytes: Vec::new(),
        }];
        Payload {
            kernel_elf: "k".into(),
            command_line: String::new(),
            modules,
        }
    }

    #[test]
    fn words_are_quoted_one_by_one() {
        let text = configuration(&payload("guest args=a $b ;c")).unwrap();
        assert!(text.contains("    multiboot2 /boot/bankshot\n"), "{text}");
        assert!(
            text.contains("    module2 /boot/module0 'guest' 'args=a' '$b' ';c'\n"),
            "{text}"
        );
    }

    #[test]
    fn what_would_arrive_changed_is_refused() {
        for string in ["a'b", "a\"b", "a\\b", "a  b", "a\nb", " a"] {
            assert!(configuration(&payload(string)).is_err(), "{string:?}");
        }
    }
}
