//! What a boot module's string says (docs/boot-protocol.md).

/// A boot module by its string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A guest.
    Guest(GuestConfig<'a>),
    /// Fault commands.
    Faults,
}

/// How a guest is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestConfig<'a> {
    /// Its name, for the log.
    pub name: &'a str,
    /// How many vCPUs, 1 to [`MAX_VCPUS`].
    pub vcpus: u8,
    /// Memory in MiB, a multiple of 2 (its pages are 2 MiB).
    pub memory_mib: u32,
    /// The machine-check interface, `NAME@VERSION`.
    pub interface: &'a str,
    /// It is the privileged guest: the administrator's ([`crate::guest::hypercall`]).
    pub is_privileged: bool,
    /// The guest's own command line.
    pub arguments: &'a str,
}

/// vCPUs of one guest, at most.
pub const MAX_VCPUS: u8 = 64;

/// Why a module's string was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// The first word is not a kind of module.
    Kind(&'a str),
    /// This word is not a known key with a good value.
    Word(&'a str),
    /// This key is missing.
    Missing(&'static str),
}

impl<'a> Kind<'a> {
    /// Reads a module's string.
    pub fn parse(string: &'a str) -> Result<Self, Error<'a>> {
        let string = string.trim();
        let (kind, rest) = string.split_once(' ').unwrap_or((string, ""));
        match kind {
            "guest" => GuestConfig::parse(rest).map(Self::Guest),
            "faults" => Ok(Self::Faults),
            other => Err(Error::Kind(other)),
        }
    }
}

impl<'a> GuestConfig<'a> {
    fn parse(string: &'a str) -> Result<Self, Error<'a>> {
        let (words, arguments) = match string.find("args=") {
            Some(at) => (&string[..at], &string[at + "args=".len()..]),
            None => (string, ""),
        };
        let (mut name, mut vcpus, mut memory_mib, mut interface) = (None, None, None, None);
        let mut is_privileged = false;
        for word in words.split_ascii_whitespace() {
            let wrong = Error::Word(word);
            let (key, value) = word.split_once('=').ok_or(wrong)?;
            match key {
                "name" => name = Some(value),
                "vcpus" => {
                    let count =
                        number(value).filter(|count| (1..=u64::from(MAX_VCPUS)).contains(count));
                    vcpus = Some(count.ok_or(wrong)? as u8);
                }
                "memory" => {
                    let mib =
                        number(value).filter(|mib| mib % 2 == 0 && (2..=1 << 20).contains(mib));
                    memory_mib = Some(mib.ok_or(wrong)? as u32);
                }
                "interface" => interface = Some(value),
                "privileged" if value == "yes" => is_privileged = true,
                "image" if value == "pvh" => {}
                "delivery" if value == "inject" => {}
                _ => return Err(wrong),
            }
        }
        Ok(Self {
            name: name.ok_or(Error::Missing("name"))?,
            vcpus: vcpus.ok_or(Error::Missing("vcpus"))?,
            memory_mib: memory_mib.ok_or(Error::Missing("memory"))?,
            interface: interface.ok_or(Error::Missing("interface"))?,
            is_privileged,
            arguments,
        })
    }
}

/// A decimal or 0x hexadecimal number.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest() {
        let string = "guest image=pvh name=g0 vcpus=2 memory=16 interface=vmce@2 delivery=inject args=a=b  c";
        assert_eq!(
            Kind::parse(string),
            Ok(Kind::Guest(GuestConfig {
                name: "g0",
                vcpus: 2,
                memory_mib: 16,
                interface: "vmce@2",
                is_privileged: false,
                arguments: "a=b  c"
            }))
        );
        let Ok(Kind::Guest(config)) = Kind::parse(
            "guest image=pvh name=g1 vcpus=1 memory=2 interface=vmce@2 privileged=yes args=privileged=no",
        ) else {
            panic!("a guest");
        };
        assert!(config.is_privileged);
        assert_eq!(Kind::parse("faults"), Ok(Kind::Faults));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |string| Kind::parse(string).unwrap_err();
        assert_eq!(refused("gust name=g"), Error::Kind("gust"));
        assert_eq!(refused("guest vcpus=0"), Error::Word("vcpus=0"));
        assert_eq!(refused("guest vcpus=65"), Error::Word("vcpus=65"));
        assert_eq!(refused("guest memory=3"), Error::Word("memory=3"));
        assert_eq!(refused("guest privileged=1"), Error::Word("privileged=1"));
        assert_eq!(refused("guest colour=red"), Error::Word("colour=red"));
        assert_eq!(
            refused("guest name=g vcpus=1 memory=2"),
            Error::Missing("interface")
        );
    }
}
