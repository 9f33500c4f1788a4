//! Every version of every shipped spec, generated and checked.

use msr_dsl::model::{Model, View};
use msr_dsl::source::compile_text;

/// One version.
pub struct Version {
    model: &'static Model,
    number: u16,
    /// Restores a record in both implementations; see [`crate::restore`].
    pub restore: fn(&View, &[u8]),
}

impl Version {
    fn is(&self, view: &View) -> bool {
        (&self.view().name, self.number) == (&view.name, view.version)
    }

    /// The version as the interpreter has it.
    pub fn view(&self) -> &'static View {
        self.model
            .version(self.number)
            .expect("seen when it was made")
    }
}

fn read(name: &str, text: &str) -> &'static Model {
    let model = compile_text(text).model;
    Box::leak(Box::new(
        model.unwrap_or_else(|| panic!("{name} has mistakes")),
    ))
}

macro_rules! versions {
    ($($spec:ident $file:literal: $($module:ident)*;)*) => {{
        let mut all = Vec::new();
        $(
            let model = read($file, include_str!(concat!("../../", $file)));
            $(all.push(Version {
                model,
                number: <specs::$spec::$module::State as msr_runtime::Interface>::VERSION,
                restore: crate::restore::<specs::$spec::$module::State>,
            });)*
            let missing = model.views.iter().find(|view| {
                !view.restore_only && !all.iter().any(|one| one.is(view))
            });
            assert!(missing.is_none(), "a version of {} is not listed here", $file);
        )*
        all
    }};
}

/// All of them; an input's first byte chooses one.
pub fn versions() -> Vec<Version> {
    versions! {
        vmce "vmce.msr": v2 v3 v4;
        vmce_amd "vmce-amd.msr": v2;
        kvm "kvm.msr": v1;
        sdm "sdm.msr": v1;
        platform "platform.msr": v1;
    }
}
