//! What a row raises instead of what guests get: what else one could have done.

use serde::Deserialize;

use super::delivered::{Delivery, Told};

/// A change to the first #MC of a row.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Change {
    /// Whose registers.
    pub vcpu: usize,
    /// MCG_STATUS is this.
    pub mcg_status: Option<u64>,
    /// These bits of MCi_STATUS are set besides.
    #[serde(default)]
    pub set: u64,
    /// These bits of MCi_STATUS are clear.
    #[serde(default)]
    pub clear: u64,
    /// MCi_MISC is this.
    pub misc: Option<u64>,
    /// What it gets, another vCPU gets, and the other way round.
    pub swap_with: Option<usize>,
    /// It shows the record of that vCPU too.
    pub shows_that_of: Option<usize>,
    /// It shows no record.
    #[serde(default)]
    pub clean: bool,
    /// It gets no #MC.
    #[serde(default)]
    pub left_out: bool,
}

impl Change {
    /// Whether it names no vCPU beyond `vcpus`.
    pub fn fits(&self, vcpus: usize) -> bool {
        let named = [Some(self.vcpu), self.swap_with, self.shows_that_of];
        named.into_iter().flatten().all(|vcpu| vcpu < vcpus)
    }

    /// Makes it.
    pub fn make(&self, delivery: &mut Delivery) {
        if let Some(other) = self.swap_with {
            delivery.swap(self.vcpu, other);
        }
        let shown = self.shows_that_of.and_then(|other| delivery[other]);
        if self.left_out {
            delivery[self.vcpu] = None;
        }
        let Some(Told { mcg_status, record }) = &mut delivery[self.vcpu] else {
            return;
        };
        *mcg_status = self.mcg_status.unwrap_or(*mcg_status);
        *record = shown.and_then(|shown| shown.record).or(*record);
        *record = record.filter(|_| !self.clean);
        if let Some(record) = record {
            record.status = record.status & !self.clear | self.set;
            record.misc = self.misc.unwrap_or(record.misc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivered::Record;
    use super::*;

    fn changed(text: &str) -> Delivery {
        let record = Record {
            status: 0b1100,
            addr: 0x1000,
            misc: 0x8c,
        };
        let told = |mcg_status, record| Some(Told { mcg_status, record });
        let mut delivery = vec![told(5, None), told(7, Some(record))];
        toml::from_str::<Change>(text).unwrap().make(&mut delivery);
        delivery
    }

    #[test]
    fn one_thing_is_changed() {
        let status = |delivery: &Delivery| delivery[1].unwrap().record.unwrap().status;
        assert_eq!(
            changed("vcpu = 1\nmcg-status = 5")[1].unwrap().mcg_status,
            5
        );
        assert_eq!(status(&changed("vcpu = 1\nset = 1\nclear = 4")), 0b1001);
        let misc = changed("vcpu = 1\nmisc = 0x8e")[1]
            .unwrap()
            .record
            .unwrap()
            .misc;
        assert_eq!(misc, 0x8e);
        let swapped = changed("vcpu = 1\nswap-with = 0");
        assert_eq!(swapped[0].unwrap().mcg_status, 7);
        assert_eq!(swapped[1].unwrap().record, None);
        let shown = changed("vcpu = 0\nshows-that-of = 1");
        assert_eq!(shown[0].unwrap().record, shown[1].unwrap().record);
        assert_eq!(shown[0].unwrap().mcg_status, 5);
        assert_eq!(changed("vcpu = 0\nleft-out = true")[0], None);
        let clean = changed("vcpu = 1\nclean = true")[1].unwrap();
        assert_eq!((clean.mcg_status, clean.record), (7, None));
    }
}
