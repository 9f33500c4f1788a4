//! What a guest got: of each #MC the registers of each vCPU.

use crate::log::{Event, Value};

/// What a vCPU's bank shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// MCi_STATUS.
    pub status: u64,
    /// MCi_ADDR.
    pub addr: u64,
    /// MCi_MISC.
    pub misc: u64,
}

/// What a vCPU gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// MCG_STATUS.
    pub mcg_status: u64,
    /// Its bank; none if all are clean.
    pub record: Option<Record>,
}

/// One #MC of a guest: a place for each vCPU; none for one that does not get it.
pub type Delivery = Vec<Option<Told>>;

/// What guest 0 got in a run, one #MC after the other: each vCPU's first is of the first, its second of the second.
pub fn deliveries(events: &[Event], vcpus: usize) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = Vec::new();
    let mut had = vec![0; vcpus];
    let injected = events
        .iter()
        .filter(|event| event.kind == "vmce.injected" && event.number("guest") == Some(0));
    for event in injected {
        let number = |field| event.number(field);
        let Some(vcpu) = number("vcpu")
            .map(|vcpu| vcpu as usize)
            .filter(|vcpu| *vcpu < vcpus)
        else {
            continue;
        };
        let record = number("status").map(|status| Record {
            status,
            addr: number("addr").unwrap_or(0),
            misc: number("misc").unwrap_or(0),
        });
        let told = Told {
            mcg_status: number("mcg_status").unwrap_or(0),
            record,
        };
        if all.len() == had[vcpu] {
            all.push(vec![None; vcpus]);
        }
        all[had[vcpu]][vcpu] = Some(told);
        had[vcpu] += 1;
    }
    for delivery in &mut all {
        for (vcpu, told) in delivery.iter_mut().enumerate() {
            if let Some(record) = told.as_mut().and_then(|told| told.record.as_mut()) {
                *record = as_read(events, vcpu, *record);
            }
        }
    }
    all
}

/// A record as the guest's handler read it, if the guest says so on its console: the interface does not let every bit through.
fn as_read(events: &[Event], vcpu: usize, record: Record) -> Record {
    let read = |event: &Event| {
        let text = event.get("text")?.to_string();
        let field = |name: &str| {
            let mut words = text.split(' ').filter_map(|word| word.split_once('='));
            let (_, value) = words.find(|(key, _)| *key == name)?;
            Value::parse(value).number()
        };
        let is_this = text.starts_with("mc vcpu=")
            && field("vcpu") == Some(vcpu as u64)
            && field("addr") == Some(record.addr);
        let (status, misc) = (field("status")?, field("misc")?);
        is_this.then_some(Record {
            status,
            misc,
            ..record
        })
    };
    events.iter().find_map(read).unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn the_second_of_each_vcpu_is_of_the_second() {
        let events: Vec<_> = [
            "vmce.injected guest=0 vcpu=1 mcg_status=0x7 record=yes status=0xb1 addr=0x1000 misc=0x8c",
            "vmce.injected guest=1 vcpu=0 mcg_status=0x5 record=no",
            "vmce.injected guest=0 vcpu=0 mcg_status=0x5 record=no",
            "vmce.injected guest=0 vcpu=0 mcg_status=0x5 record=yes status=0xab00b0 addr=0x2000 misc=0x8c",
            "guest.console guest=0 vcpu=0 text=mc vcpu=0 count=1 mcg_status=0x5 together=1",
            "guest.console guest=0 vcpu=0 text=mc vcpu=0 bank=1 status=0xb0 addr=0x2000 misc=0x8c",
        ]
        .into_iter()
        .map(|text| Event::parse(text, None, Level::Warn))
        .collect();
        let record = |status, addr| Record {
            status,
            addr,
            misc: 0x8c,
        };
        let told = |mcg_status, record| Some(Told { mcg_status, record });
        assert_eq!(
            deliveries(&events, 2),
            [
                vec![told(5, None), told(7, Some(record(0xb1, 0x1000)))],
                vec![told(5, Some(record(0xb0, 0x2000))), None],
            ]
        );
    }
}
