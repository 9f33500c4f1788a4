//! What the guest was promised: the capability word and the features in it.

use super::Machine;
use super::record::refused;
use super::refusal::{Wrong, bits_named, taken};

impl<'a> Machine<'a> {
    /// The capability register's value.
    pub fn capability(&self) -> Option<u64> {
        self.view.capability.map(|id| self.cells[id][0])
    }

    /// Gives the guest another capability word (as a restore or a selected feature does).
    pub fn set_capability(&mut self, value: u64) {
        if let Some(id) = self.view.capability {
            self.cells[id][0] = value;
        }
    }

    /// Gives the guest a capability word that a restore takes.
    ///
    /// # Errors
    /// Why it takes none like it.
    pub fn promise(&mut self, value: u64) -> Result<(), String> {
        let id = self.view.capability;
        let id = id.ok_or_else(|| format!("`{}` has no capability register", self.view.name))?;
        let register = self.view.register(id);
        let refused = refused(register, value, self.extra.capability());
        let reasons = refused.iter().map(|wrong| match wrong {
            Wrong::Bits(bits) => format!("unknown {}", bits_named(self.view, register, *bits)),
            Wrong::Value(_) => format!("a restore takes {}", taken(register, value)),
        });
        let reasons: Vec<String> = reasons.collect();
        if !reasons.is_empty() {
            let (name, reasons) = (&register.name, reasons.join("; "));
            return Err(format!("`{name}` {value:#x} is refused: {reasons}"));
        }
        self.set_capability(value);
        Ok(())
    }

    /// Gives the guest a feature; if there is no such one, the names that there are.
    pub fn add_feature(&mut self, name: &str) -> Result<(), Vec<String>> {
        match self
            .view
            .features
            .iter()
            .find(|feature| feature.name == name)
        {
            Some(feature) => {
                self.set_capability(self.capability().unwrap_or(0) | 1 << feature.bit);
                Ok(())
            }
            None => Err(self
                .view
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect()),
        }
    }

    /// The first feature of the guest that lacks what it requires, and one of what it needs.
    pub fn unmet_requirement(&self) -> Option<(&'a str, &'a [String])> {
        let word = self.capability().unwrap_or(0);
        let has = |name: &String| {
            self.view
                .features
                .iter()
                .any(|f| f.name == *name && word >> f.bit & 1 == 1)
        };
        let mut own = self
            .view
            .features
            .iter()
            .filter(|feature| has(&feature.name));
        own.find_map(|feature| {
            let unmet = feature
                .requires
                .iter()
                .find(|one_of| !one_of.iter().any(has))?;
            Some((feature.name.as_str(), unmet.as_slice()))
        })
    }
}
