//! Records of errors that wait for the privileged guest: made of events as those are logged, in ordinary context.
//!
//! They are kept whether that guest has asked for them yet or not. What finds no room is counted, by a record of its own at the end of those that
//! did: so their numbers have no gaps, and whoever has read the last one knows of everything.

mod layout;

pub use layout::{Kind, RECORD_BYTES, Record};

use crate::event::{Event, Stamped};
use crate::mc::grade::Class;
use crate::units::{Bank, Pcpu, Tsc};

/// At most `N` records of a machine with at most `P` processors, the last of which says what was lost if there were more.
pub struct Records<const N: usize, const P: usize> {
    /// A ring: `count` of them from `first` on.
    kept: [Record; N],
    first: usize,
    count: usize,
    /// Records so far.
    made: u64,
    /// MCG_STATUS of the machine check that each processor is in, by what the log has told so far.
    mcg_status: [u64; P],
}

const NO_RECORD: Record = Record {
    number: 0,
    at: Tsc(0),
    status: 0,
    address: 0,
    misc: 0,
    mcg_status: 0,
    count: 0,
    processor: Pcpu(0),
    bank: Bank(0),
    kind: Kind::Lost,
    class: Class::None,
};

impl<const N: usize, const P: usize> Records<N, P> {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            kept: [NO_RECORD; N],
            first: 0,
            count: 0,
            made: 0,
            mcg_status: [0; P],
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Hears what happened, each processor's events in their order. True if there is one record more.
    pub fn hear(&mut self, stamped: &Stamped) -> bool {
        let Stamped { at, on, event } = *stamped;
        let Some(mcg_status) = self.mcg_status.get_mut(usize::from(on.0)) else {
            return self.lose(1);
        };
        let record = |kind, class, bank, status, address, misc| Record {
            at,
            status,
            address,
            misc,
            processor: on,
            bank,
            kind,
            class,
            ..NO_RECORD
        };
        match event {
            Event::EnteredGuest { mcg_status: is, .. }
            | Event::EnteredHypervisor { mcg_status: is } => {
                *mcg_status = is;
                false
            }
            Event::Resumed {} => {
                *mcg_status = 0;
                false
            }
            Event::BankError {
                bank,
                class,
                status,
                addr,
                misc,
                ..
            } => {
                let mcg_status = *mcg_status;
                let error = record(Kind::MachineCheck, class, bank, status, addr, misc);
                self.keep(Record {
                    mcg_status,
                    ..error
                })
            }
            Event::EarlierError {
                bank,
                status,
                addr,
                misc,
                ..
            } => {
                let error = record(Kind::Earlier, Class::None, bank, status, addr, misc);
                self.keep(Record {
                    at: Tsc(0),
                    ..error
                })
            }
            Event::CorrectedError {
                bank,
                status,
                addr,
                misc,
                count,
                ..
            } => {
                let error = record(Kind::Corrected, Class::Corrected, bank, status, addr, misc);
                self.keep(Record {
                    count: count.into(),
                    ..error
                })
            }
            Event::UncorrectedError {
                bank,
                status,
                addr,
                misc,
                ..
            } => self.keep(record(
                Kind::Uncorrected,
                Class::Ucna,
                bank,
                status,
                addr,
                misc,
            )),
            _ => false,
        }
    }

    /// So many events are lost, of which each may have been a record. True if there is one record more.
    pub fn lose(&mut self, count: u64) -> bool {
        if let Some(last) = self.last()
            && last.kind == Kind::Lost
        {
            last.count = last.count.saturating_add(count);
            return false;
        }
        self.put(Record { count, ..NO_RECORD })
    }

    /// The oldest record, which stays.
    pub fn first(&self) -> Option<&Record> {
        self.kept.get(self.first).filter(|_| self.count != 0)
    }

    /// Takes the oldest record out, which has been told as `told`. If more was lost meanwhile, there is a record more for that, and this is true.
    pub fn remove(&mut self, told: &Record) -> bool {
        let Some(first) = self.first().filter(|first| first.number == told.number) else {
            return false;
        };
        let more = match first.kind {
            Kind::Lost => first.count.saturating_sub(told.count),
            _ => 0,
        };
        self.first = (self.first + 1) % N;
        self.count -= 1;
        more != 0 && self.lose(more)
    }

    fn keep(&mut self, record: Record) -> bool {
        // The last place is for what is lost.
        if self.count + 1 < N {
            self.put(record)
        } else {
            self.lose(1)
        }
    }

    fn put(&mut self, record: Record) -> bool {
        let Some(place) = self.kept.get_mut((self.first + self.count) % N) else {
            return false;
        };
        self.made += 1;
        *place = Record {
            number: self.made,
            ..record
        };
        self.count += 1;
        true
    }

    fn last(&mut self) -> Option<&mut Record> {
        let last = self.count.checked_sub(1)?;
        self.kept.get_mut((self.first + last) % N)
    }
}

impl<const N: usize, const P: usize> Default for Records<N, P> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
