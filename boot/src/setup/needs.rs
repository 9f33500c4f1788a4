//! What each purpose needs: a program or file, and the Debian package that has it.

use std::path::Path;

use crate::emulator::program;

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Boot in Bochs.
    Bochs,
    /// Boot in QEMU.
    Qemu,
    /// Boot stock Linux in QEMU.
    Linux,
    /// Boot in QEMU through UEFI.
    Uefi,
    /// Make an ISO.
    Iso,
    /// Open a reference page.
    Browser,
    /// Count instructions.
    Count,
    /// Build the fuzzers.
    Fuzz,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bochs,
        Self::Qemu,
        Self::Linux,
        Self::Uefi,
        Self::Iso,
        Self::Browser,
        Self::Count,
        Self::Fuzz,
    ];

    /// What for, in words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Bochs => "to emulate a processor with VMX",
            Self::Qemu => "to emulate a processor without VMX, or use KVM",
            Self::Linux => "to boot stock Linux",
            Self::Uefi => "to boot through UEFI",
            Self::Iso => "to make an ISO",
            Self::Browser => "to try the reference pages",
            Self::Count => "to count instructions",
            Self::Fuzz => "to build the fuzzers",
        }
    }
}

/// Something that has to be there.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// A program in `PATH`, or a file or folder by its path.
    pub file: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// What for.
    pub purposes: &'static [Purpose],
}

const fn need(file: &'static str, package: &'static str, purposes: &'static [Purpose]) -> Need {
    Need {
        file,
        package,
        purposes,
    }
}

const COUNT: &[Purpose] = &[Purpose::Count];
// libFuzzer is C++.
const FUZZ: &[Purpose] = &[Purpose::Fuzz];
const BOCHS: &[Purpose] = &[Purpose::Bochs];
const QEMU: &[Purpose] = &[Purpose::Qemu, Purpose::Linux, Purpose::Uefi];
const UEFI: &[Purpose] = &[Purpose::Uefi];
// UEFI boots the ISO.
const ISO: &[Purpose] = &[Purpose::Iso, Purpose::Uefi];
const BROWSER: &[Purpose] = &[Purpose::Browser];

/// Everything. The emulator and the image ask for the same when they start, and name the package too.
const NEEDS: [Need; 14] = [
    need("bochs", "bochs", BOCHS),
    need(
        "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so",
        "bochs-term",
        BOCHS,
    ),
    need("/usr/share/bochs/BIOS-bochs-latest", "bochsbios", BOCHS),
    need("/usr/share/bochs/VGABIOS-lgpl-latest", "bochs", BOCHS),
    need("qemu-system-x86_64", "qemu-system-x86", QEMU),
    need("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf", UEFI),
    need("grub-mkrescue", "grub-common", ISO),
    need("/usr/lib/grub/i386-pc", "grub-pc-bin", ISO),
    need("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin", ISO),
    need("xorriso", "xorriso", ISO),
    need("mformat", "mtools", ISO),
    need("chromium", "chromium", BROWSER),
    need("valgrind", "valgrind", COUNT),
    need("g++", "g++", FUZZ),
];

/// Whether a program or file is there.
pub fn present(file: &str) -> bool {
    program::need(file, "").is_ok() && (!file.starts_with('/') || Path::new(file).exists())
}

/// What is not there for these purposes.
pub fn missing(purposes: &[Purpose], present: impl Fn(&str) -> bool) -> Vec<Need> {
    NEEDS
        .into_iter()
        .filter(|need| {
            need.purposes
                .iter()
                .any(|purpose| purposes.contains(purpose))
        })
        .filter(|need| !present(need.file))
        .collect()
}

/// The packages of some needs, each once.
pub fn packages(needs: &[Need]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for need in needs {
        if !packages.contains(&need.package) {
            packages.push(need.package);
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_for_the_purpose() {
        assert!(missing(&Purpose::ALL, |_| true).is_empty());
        let all = missing(&[Purpose::Bochs], |_| false);
        assert_eq!(packages(&all), ["bochs", "bochs-term", "bochsbios"]);
        let one = missing(&[Purpose::Bochs, Purpose::Iso], |file| file != "xorriso");
        assert_eq!(packages(&one), ["xorriso"]);
    }

    #[test]
    fn whatever_the_emulators_ask_for_is_installed() {
        // They name the package in the error; each such package must be in the table.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let asked = regex::Regex::new(
            r#"need\(\s*[^()]*?"([a-z0-9-]+)",?\s*\)\?|\("[^"]+", "([a-z0-9-]+)"\),"#,
        )
        .unwrap();
        let mut seen = 0;
        for file in ["emulator/bochs.rs", "emulator/qemu.rs", "image/iso.rs"] {
            let text = std::fs::read_to_string(source.join(file)).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for found in asked.captures_iter(text) {
                let package = found.get(1).or(found.get(2)).unwrap().as_str();
                assert!(
                    NEEDS.iter().any(|need| need.package == package),
                    "{file}: {package}"
                );
                seen += 1;
            }
        }
        assert!(seen >= 11, "only {seen} found: has the source changed?");
    }
}
