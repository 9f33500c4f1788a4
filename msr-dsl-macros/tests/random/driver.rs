// The program that runs generated code and reference interpreter side by side over all random specs.
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::Model;
use msr_runtime::record::crc32c;
use msr_runtime::{Extra, Interface, Refusal, Reset};
use std::fmt::Debug;

fn answer<T, H: Debug>(result: Result<T, Refusal<H>>, ok: impl Fn(T) -> Answer) -> Answer {
    match result {
        Ok(value) => ok(value),
        Err(Refusal::Fault) => Answer::Fault,
        Err(Refusal::Unlisted) => Answer::Unlisted,
        Err(Refusal::Pass) => Answer::Pass,
        Err(Refusal::Hook(hook)) => Answer::Hook(format!("{hook:?}").split(' ').next().unwrap_or("").to_owned()),
    }
}

pub struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn value(&mut self) -> u64 {
        let (bit, kind) = (1u64 << (self.next() % 64), self.next() % 6);
        match kind {
            0 => 0,
            1 => u64::MAX,
            2 => bit,
            3 => !bit,
            4 => self.next() % 16,
            _ => self.next(),
        }
    }
}

/// Gives the number of accesses compared.
pub fn run<S: Interface + PartialEq + Debug>(name: &str, model: &Model, numbers: &mut Numbers) -> u64
where
    S::Hook: Debug,
{
    let view = model.newest();
    let addresses = view.registers.iter().flat_map(|register| &register.addresses);
    let mut msrs: Vec<u32> = addresses.flat_map(|address| address.msrs()).map(|(msr, _)| msr).collect();
    msrs.extend([0, 0x12, 0x13, 0x140, 0x1fff, 0x2000, 0xc000_0000, u32::MAX]);
    let mut compared = 0;
    for guest in 0..24u64 {
        let word = [0x104, 0, 0x305, 0x2ff, 0x1, 0x208, 1 << 40 | 0x308, 1 << 40 | 0x103][guest as usize % 8];
        let mut generated = S::create();
        // Every other guest lives where the administrator has named something.
        let named = if guest % 2 == 0 { Extra::NONE } else { Extra::parse("cap:40,tag:10,tag:3000,msr:0x12-0x13,msr:0x140,msr:0x1fff").expect("a list") };
        named.within(&S::EXTRA).expect("a list that the spec takes");
        let mut reference = Machine::new(view).with_extra(named);
        generated.set_capability_word(word);
        reference.set_capability(word);
        for step in 0..160 {
            let (msr, value) = (msrs[numbers.next() as usize % msrs.len()], numbers.value());
            let at = format!("{name}, guest {guest}, step {step}, msr {msr:#x}, value {value:#x}");
            match numbers.next() % 12 {
                0..4 => assert_eq!(answer(generated.read_with(msr, &named), Answer::Value), reference.read(msr), "read: {at}"),
                4..11 => {
                    let own = answer(generated.write_with(msr, value, &named), |()| Answer::Ok);
                    assert_eq!(own, reference.write(msr, value), "write: {at}");
                }
                _ => {
                    let reset = if value & 1 == 0 { Reset::PowerOn } else { Reset::Init };
                    generated.reset(reset);
                    reference.reset(reset);
                }
            }
            compared += 1;
        }
        for msr in &msrs {
            assert_eq!(answer(generated.read_with(*msr, &named), Answer::Value), reference.read(*msr), "at the end: {name}, {msr:#x}");
        }
        let mut record = vec![0; S::RECORD_LENGTH];
        generated.save(&mut record, crc32c).expect("space");
        assert_eq!(record, reference.save(), "{name}: record");
        let mut other = Machine::new(view).with_extra(named);
        match (S::restore_with(&record, crc32c, &named), other.restore(&record)) {
            (Ok(state), Ok(())) => {
                for msr in &msrs {
                    assert_eq!(answer(state.read_with(*msr, &named), Answer::Value), other.read(*msr), "restored: {name}, {msr:#x}");
                }
            }
            (Err(error), Err(reason)) => assert_eq!(error.to_string(), reason, "{name}"),
            (own, theirs) => panic!("{name}: {own:?}, {theirs:?}"),
        }
    }
    compared
}
