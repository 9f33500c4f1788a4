use super::*;
use crate::mc::code::ErrorCode;
use crate::units::GuestId;

const STATUS: u64 = 0xbd00_0000_0000_00cf;

fn on(processor: u16, at: u64, event: Event) -> Stamped {
    Stamped {
        at: Tsc(at),
        on: Pcpu(processor),
        event,
    }
}

fn bank(status: u64) -> Event {
    Event::BankError {
        bank: Bank(2),
        class: Class::Srao,
        code: ErrorCode(0xcf),
        status,
        addr: 0x5000,
        misc: 0x8c,
    }
}

/// Takes all that is kept.
fn take<const N: usize>(records: &mut Records<N, 2>) -> Vec<Record> {
    let mut taken = Vec::new();
    while let Some(record) = records.first().copied() {
        assert!(!records.remove(&record));
        taken.push(record);
    }
    assert_eq!(records.count(), 0);
    taken
}

#[test]
fn every_kind_of_error_makes_a_record_with_all_that_its_event_says() {
    let mut records = Records::<8, 2>::new();
    let (code, addr, misc) = (ErrorCode(0xcf), 0x5000, 0x8c);
    let events = [
        on(
            1,
            3,
            Event::EarlierError {
                bank: Bank(3),
                code,
                status: 1,
                addr,
                misc,
            },
        ),
        on(1, 4, Event::EnteredHypervisor { mcg_status: 7 }),
        on(
            0,
            5,
            Event::EnteredGuest {
                guest: GuestId(0),
                vcpu: 0,
                mcg_status: 5,
            },
        ),
        on(1, 6, bank(STATUS)),
        on(0, 7, bank(STATUS + 1)),
        on(1, 8, Event::Resumed {}),
        // Without that it was told of an #MC: that record was lost.
        on(1, 9, bank(STATUS + 2)),
        on(
            0,
            10,
            Event::CorrectedError {
                bank: Bank(0),
                code,
                status: 2,
                addr,
                misc,
                count: 9,
            },
        ),
        on(
            1,
            11,
            Event::UncorrectedError {
                bank: Bank(1),
                code,
                status: 3,
                addr,
                misc,
            },
        ),
    ];
    let new: Vec<_> = events.iter().map(|event| records.hear(event)).collect();
    assert_eq!(
        new,
        [true, false, false, true, true, false, true, true, true]
    );
    assert_eq!(records.count(), 6);
    let record = |number, at, processor, bank, kind, class, status| Record {
        number,
        at: Tsc(at),
        status,
        address: addr,
        misc,
        mcg_status: 0,
        count: 0,
        processor: Pcpu(processor),
        bank: Bank(bank),
        kind,
        class,
    };
    let expected = [
        record(1, 0, 1, 3, Kind::Earlier, Class::None, 1),
        Record {
            mcg_status: 7,
            ..record(2, 6, 1, 2, Kind::MachineCheck, Class::Srao, STATUS)
        },
        Record {
            mcg_status: 5,
            ..record(3, 7, 0, 2, Kind::MachineCheck, Class::Srao, STATUS + 1)
        },
        record(4, 9, 1, 2, Kind::MachineCheck, Class::Srao, STATUS + 2),
        Record {
            count: 9,
            ..record(5, 10, 0, 0, Kind::Corrected, Class::Corrected, 2)
        },
        record(6, 11, 1, 1, Kind::Uncorrected, Class::Ucna, 3),
    ];
    assert_eq!(take(&mut records), expected);
}

/// However many come and whenever they are read: what was kept and what was lost are together what came, in order, and numbers have no gaps.
#[test]
fn what_finds_no_room_is_counted_by_a_record_of_its_own() {
    for burst in 0..12 {
        for read in 0..6 {
            let mut records = Records::<4, 2>::new();
            let (mut came, mut told, mut new, mut numbers) = (0, 0, 0, Vec::new());
            let mut last = 0;
            for turn in 0..9 {
                for _ in 0..burst {
                    came += 1;
                    new += usize::from(records.hear(&on(0, 0, bank(came))));
                }
                if turn % 3 == 2 {
                    came += 5;
                    new += usize::from(records.lose(5));
                }
                let most = if turn == 8 { usize::MAX } else { read };
                for _ in 0..most {
                    let Some(&record) = records.first() else {
                        break;
                    };
                    // One in two reads is slow: more is lost while it goes on.
                    if record.number % 2 == 0 && turn < 8 {
                        came += 3;
                        new += usize::from(records.lose(3));
                    }
                    new += usize::from(records.remove(&record));
                    numbers.push(record.number);
                    if record.kind == Kind::Lost {
                        told += record.count;
                    } else {
                        told += 1;
                        assert!(record.status > last, "in order");
                        last = record.status;
                    }
                }
                assert!(records.count() <= 4);
            }
            assert_eq!(told, came, "burst {burst} read {read}");
            assert_eq!(numbers, (1..=new as u64).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_oldest_stay() {
    let mut records = Records::<4, 2>::new();
    for n in 1..=10 {
        records.hear(&on(1, n, bank(n)));
    }
    let taken = take(&mut records);
    let statuses: Vec<_> = taken.iter().map(|record| record.status).collect();
    assert_eq!(statuses, [1, 2, 3, 0]);
    assert_eq!((taken[3].kind, taken[3].count), (Kind::Lost, 7));
    // There is room again.
    assert!(records.hear(&on(1, 11, bank(11))));
    assert_eq!(take(&mut records)[0].number, 5);
}

#[test]
fn a_processor_that_nobody_knows_is_lost() {
    let mut records = Records::<4, 2>::new();
    assert!(records.hear(&on(2, 1, bank(1))));
    assert_eq!(take(&mut records)[0].kind, Kind::Lost);
}
