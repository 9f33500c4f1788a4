//! Events that a vCPU has still to take: as in hardware, one that was being delivered when #MC came, and one NMI behind it.

use super::interruption::Interruption;

/// An event that waits until the vCPU can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The event.
    pub event: Interruption,
    /// The vCPU was taking it when #MC came: no NMI is blocked but by itself. Some processors forget that at the entry that delivers #MC.
    pub was_let_in: bool,
}

/// All that waits for one vCPU.
#[derive(Debug, Default)]
pub struct Waits {
    /// It gave way to #MC. An NMI: guests get no other event that waits.
    gave_way: Option<Interruption>,
    /// An NMI has come since.
    nmi: bool,
}

impl Waits {
    /// Nothing waits.
    pub const NOTHING: Self = Self {
        gave_way: None,
        nmi: false,
    };

    /// An event that was about to be delivered makes room for #MC.
    pub fn give_way(&mut self, event: Interruption) {
        if self.gave_way.replace(event).is_some() {
            self.nmi = true;
        }
    }

    /// An NMI has come. Of those that come while one waits nothing is left.
    pub fn add_nmi(&mut self) {
        self.nmi = true;
    }

    /// What the vCPU takes next.
    pub fn next(&self) -> Option<Waiting> {
        let gave_way = self.gave_way.map(|event| Waiting {
            event,
            was_let_in: true,
        });
        gave_way.or(self.nmi.then_some(Waiting {
            event: Interruption::NMI,
            was_let_in: false,
        }))
    }

    /// The vCPU has taken [`Waits::next`].
    pub fn taken(&mut self) {
        if self.gave_way.take().is_none() {
            self.nmi = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that waits: whether each was being delivered before.
    fn take(waits: &mut Waits) -> Vec<bool> {
        let next = || {
            let waiting = waits.next()?;
            assert_eq!(waiting.event, Interruption::NMI);
            waits.taken();
            Some(waiting.was_let_in)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn an_nmi_that_gave_way_and_the_next_one_both_come() {
        let mut waits = Waits::NOTHING;
        assert_eq!(take(&mut waits), []);
        waits.add_nmi();
        waits.add_nmi();
        assert_eq!(take(&mut waits), [false], "one is latched");
        // Whichever came first.
        waits.give_way(Interruption::NMI);
        waits.add_nmi();
        assert_eq!(take(&mut waits), [true, false]);
        waits.add_nmi();
        waits.give_way(Interruption::NMI);
        assert_eq!(take(&mut waits), [true, false]);
        waits.give_way(Interruption::NMI);
        waits.give_way(Interruption::NMI);
        assert_eq!(take(&mut waits), [true, false]);
    }
}
