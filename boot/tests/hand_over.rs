//! Every way into every emulator hands over the same: a tiny kernel prints what it was given, and then whatever it is
//! sent.

use std::io::{Read, empty};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use boot::emulator::{Kind, Machine, Way, start};
use boot::image::{Module, Payload};

/// Prints the information structure to port 0xE9 and COM1, then copies COM1's input there.
#[rustfmt::skip]
const CODE: &[u8] = &[
    0xbc, 0x00, 0x00, 0x09, 0x00,       // mov esp, 0x90000
    0x66, 0xba, 0xfb, 0x03,             // mov dx, 0x3fb (line control)
    0xb0, 0x03, 0xee,                   // mov al, 3 (8N1); out dx, al
    0x66, 0xba, 0xfc, 0x03, 0xee,       // mov dx, 0x3fc (DTR, RTS); out dx, al
    0x89, 0xde,                         // mov esi, ebx
    0x8b, 0x0b,                         // mov ecx, [ebx]
    0xac,                               // lodsb
    0xe8, 0x17, 0x00, 0x00, 0x00,       // call put
    0xe2, 0xf8,                         // loop to lodsb
    0x66, 0xba, 0xfd, 0x03, 0xec,       // mov dx, 0x3fd (line status); in al, dx
    0xa8, 0x01, 0x74, 0xf7,             // test al, 1; jz to mov
    0x66, 0xba, 0xf8, 0x03, 0xec,       // mov dx, 0x3f8; in al, dx
    0xe8, 0x02, 0x00, 0x00, 0x00,       // call put
    0xeb, 0xeb,                         // jmp to mov
    0xe6, 0xe9,                         // put: out 0xe9, al
    0x88, 0xc4,                         // mov ah, al
    0x66, 0xba, 0xfd, 0x03, 0xec,       // mov dx, 0x3fd; in al, dx
    0xa8, 0x20, 0x74, 0xfb,             // test al, 0x20; jz to in
    0x66, 0xba, 0xf8, 0x03,             // mov dx, 0x3f8
    0x88, 0xe0, 0xee, 0xc3,             // mov al, ah; out dx, al; ret
];

/// The ELF: one segment at 1 MiB with the multiboot2 header and the code.
fn kernel() -> Vec<u8> {
    const BASE: u64 = 0x10_0000;
    const HEADERS: u64 = 120;
    const MAGIC: u32 = 0xe852_50d6;
    const LENGTH: u32 = 24;
    let mut segment = Vec::new();
    for word in [MAGIC, 0, LENGTH, (MAGIC + LENGTH).wrapping_neg(), 0, 8] {
        segment.extend(word.to_le_bytes());
    }
    segment.extend(CODE);

    let size = segment.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    elf.resize(16, 0);
    elf.extend([2, 0, 0x3e, 0, 1, 0, 0, 0]);
    elf.extend((BASE + u64::from(LENGTH)).to_le_bytes());
    elf.extend(64u64.to_le_bytes());
    elf.extend([0; 12]);
    elf.extend([64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    for word in [HEADERS, BASE, BASE, size, size, 8] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(segment);
    elf
}

/// A tag of the information structure, of which the test knows the end.
fn tag(kind: u32, size: usize, end: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let size = u32::try_from(size).unwrap();
    (
        [kind.to_le_bytes(), size.to_le_bytes()].concat(),
        end.to_vec(),
    )
}

fn hand_over(kind: Kind, way: Way) {
    let work = tempfile::tempdir().unwrap();
    let kernel_elf = work.path().join("kernel");
    std::fs::write(&kernel_elf, kernel()).unwrap();
    let module = Module {
        string: "guest image=pvh args=a $b ;c".into(),
        bytes: b"module".to_vec(),
    };
    let payload = Payload {
        kernel_elf,
        command_line: "mca=only period=5".into(),
        modules: vec![module],
    };
    let machine = Machine {
        processors: 2,
        memory_mib: 256,
        banks: 4,
        mcg_cap: 0x100_0c04,
        strict_banks: false,
    };
    // The words of a missing emulator name the mend.
    let mut running =
        start(kind, &machine, &payload, way, work.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut log = Log::of(std::mem::replace(&mut running.log, Box::new(empty())));
    for (head, end) in [
        tag(1, 8 + 18, b"mca=only period=5\0"),
        tag(3, 16 + 29, b"guest image=pvh args=a $b ;c\0"),
    ] {
        log.wait_for(&head);
        log.wait_for(&end);
    }
    // The end tag.
    log.wait_for(&[0, 0, 0, 0, 8, 0, 0, 0]);
    running.commands.write_all(b"mce cpu=0\n").unwrap();
    log.wait_for(b"mce cpu=0\n");
    running.kill();
}

/// What was read of a log so far.
struct Log {
    seen: Vec<u8>,
    more: Receiver<Vec<u8>>,
    until: Instant,
}

impl Log {
    fn of(mut source: Box<dyn Read + Send>) -> Self {
        let (sender, more) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            seen: Vec::new(),
            more,
            until: Instant::now() + Duration::from_secs(60),
        }
    }

    /// Waits until the bytes have come, in order with those waited for before.
    fn wait_for(&mut self, bytes: &[u8]) {
        loop {
            let mut windows = self.seen.windows(bytes.len());
            if let Some(at) = windows.position(|window| window == bytes) {
                self.seen.drain(..at + bytes.len());
                return;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            match self.more.recv_timeout(left) {
                Ok(more) => self.seen.extend(more),
                Err(error) => panic!(
                    "{error} before {:?} came; last:\n{}",
                    String::from_utf8_lossy(bytes),
                    String::from_utf8_lossy(&self.seen)
                ),
            }
        }
    }
}

#[test]
fn bochs_from_memory() {
    hand_over(Kind::Bochs, Way::Direct);
}

#[test]
fn bochs_from_an_iso() {
    hand_over(Kind::Bochs, Way::Iso);
}

#[test]
fn qemu_from_memory() {
    hand_over(Kind::Qemu, Way::Direct);
}

#[test]
fn qemu_from_an_iso() {
    hand_over(Kind::Qemu, Way::Iso);
}

#[test]
fn qemu_from_an_iso_by_uefi() {
    hand_over(Kind::Qemu, Way::IsoUefi);
}
