//! Why a machine is none for the hypervisor, in words.

/// The sentence for the reason that the log gives (kernel/src/vmx/capability.rs); it goes on from "this machine: ".
pub fn sentence(reason: &str) -> String {
    match reason {
        "no-vmx" => "its processor has no VMX (`--on bochs` emulates one that has)".into(),
        "vmx-locked-by-firmware" => {
            "its firmware has locked VMX out; the firmware's set-up may have a switch".into()
        }
        "vmx-operation-refused" => "its processor refuses to enter VMX operation".into(),
        other => format!("its VMX lacks what the hypervisor needs: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_reason_without_a_sentence_is_still_named() {
        assert!(sentence("no-vmx").contains("has no VMX"));
        assert!(sentence("unrestricted-guest").ends_with(": unrestricted-guest"));
    }
}
