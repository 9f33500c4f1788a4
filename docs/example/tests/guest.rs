//! What a guest of this interface sees, and what survives a move.

use msr_runtime::{Interface, RecordError, record::crc32c};
use power_msrs::{GeneralProtection, Processor, Vcpu, power};

#[derive(Default)]
struct Recorder {
    asked: Vec<u16>,
}

impl Processor for Recorder {
    fn performance(&self) -> u16 {
        self.asked.last().copied().unwrap_or(0x800)
    }
    fn perform(&mut self, state: u16) {
        self.asked.push(state);
    }
}

#[test]
fn the_processor_hears_of_a_wanted_state() {
    let (mut vcpu, mut processor) = (Vcpu::new(), Recorder::default());
    assert_eq!(vcpu.rdmsr(0x198, &processor), Ok(0x800));
    assert_eq!(vcpu.wrmsr(0x199, 0x1_0000_0c00, &mut processor), Ok(()));
    assert_eq!(processor.asked, [0xc00]);
    assert_eq!(vcpu.rdmsr(0x199, &processor), Ok(0x1_0000_0c00));
    assert_eq!(vcpu.rdmsr(0x198, &processor), Ok(0xc00));
}

#[test]
fn what_is_reserved_or_not_listed_faults() {
    let (mut vcpu, mut processor) = (Vcpu::new(), Recorder::default());
    for (msr, value) in [(0x199, 1 << 16), (0x1b0, 1 << 4), (0x198, 0), (0x19a, 0)] {
        assert_eq!(
            vcpu.wrmsr(msr, value, &mut processor),
            Err(GeneralProtection)
        );
    }
    assert!(processor.asked.is_empty());
    assert_eq!(vcpu.rdmsr(0x19a, &processor), Err(GeneralProtection));
    assert_eq!(vcpu.rdmsr(0x19c, &processor), Ok(0x8028_0000));
}

#[test]
fn a_guest_moves() {
    let (mut vcpu, mut processor) = (Vcpu::new(), Recorder::default());
    vcpu.wrmsr(0x1b0, 15, &mut processor).unwrap();
    let mut record = [0; Vcpu::RECORD_LENGTH];
    let length = vcpu.save(&mut record).unwrap();
    let moved = Vcpu::restore(&record[..length]).unwrap();
    assert_eq!(moved.rdmsr(0x1b0, &processor), Ok(15));

    record[20] ^= 1;
    assert!(matches!(
        Vcpu::restore(&record[..length]),
        Err(RecordError::Damaged)
    ));
}

#[test]
fn a_guest_of_the_first_version_moves_here() {
    let mut old = power::v1::State::create();
    assert!(old.write(0x199, 0xc00).is_err(), "the hook of the write");
    let mut record = [0; power::v1::State::RECORD_LENGTH];
    let length = old.save(&mut record, crc32c).unwrap();
    let vcpu = Vcpu::restore(&record[..length]).unwrap();
    let processor = Recorder::default();
    assert_eq!(vcpu.rdmsr(0x199, &processor), Ok(0xc00));
    // What the record does not have takes the default that the spec gives.
    assert_eq!(vcpu.rdmsr(0x1b0, &processor), Ok(6));
}
