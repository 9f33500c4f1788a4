//! What the guest was promised: the capability word and the features in it.

use super::Machine;

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
