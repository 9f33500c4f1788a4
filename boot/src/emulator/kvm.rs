//! Whether this machine's KVM offers VMX to its guests.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

const DEVICE: &str = "/dev/kvm";
const NESTED: &str = "/sys/module/kvm_intel/parameters/nested";

/// Passes when nested VMX can be had.
///
/// # Errors
/// [`Error::Impossible`] with the reason and, where there is one, the mend.
pub fn offers_vmx() -> Result<()> {
    check(Path::new(DEVICE), Path::new(NESTED)).map_err(|reason| {
        Error::Impossible(format!(
            "`--on kvm` needs KVM that gives VMX to its guests, and {reason}; without `--on`, Bochs emulates a processor that has it"
        ))
    })
}

fn check(device: &Path, nested: &Path) -> Result<(), String> {
    match File::options().read(true).write(true).open(device) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("there is no {}", device.display()));
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(format!(
                "{} may not be opened (be in the group `kvm`)",
                device.display()
            ));
        }
        Err(error) => return Err(format!("{} cannot be opened ({error})", device.display())),
    }
    match fs::read_to_string(nested) {
        Ok(value) if matches!(value.trim(), "Y" | "1") => Ok(()),
        Ok(_) => Err("nesting is off (`modprobe kvm_intel nested=1` turns it on)".into()),
        Err(_) => Err("the processor's KVM module is not kvm_intel".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    #[test]
    fn each_obstacle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let missing = Path::new("/nowhere/kvm");
        let (device, on, off) = (file("kvm", ""), file("on", "Y\n"), file("off", "N\n"));
        assert_eq!(check(&device, &on), Ok(()));
        assert!(
            check(missing, &on)
                .unwrap_err()
                .contains("there is no /nowhere/kvm")
        );
        assert!(check(&device, &off).unwrap_err().contains("nesting is off"));
        assert!(
            check(&device, missing)
                .unwrap_err()
                .contains("not kvm_intel")
        );
    }
}
