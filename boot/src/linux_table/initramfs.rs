//! An initial file system of one program, in the format `newc` of cpio(5) (the kernel's documentation, "initramfs buffer format").

/// The archive: `/init`, and what it needs.
pub fn initramfs(init: &[u8]) -> Vec<u8> {
    const FOLDER: u32 = 0o040_755;
    const PROGRAM: u32 = 0o100_755;
    const CHARACTER_DEVICE: u32 = 0o020_600;
    /// The first serial port: 4, 64 (devices.txt of the kernel's documentation).
    const SERIAL: (u32, u32) = (4, 64);
    let mut archive = Archive::default();
    archive.add("dev", FOLDER, (0, 0), &[]);
    archive.add("proc", FOLDER, (0, 0), &[]);
    archive.add("dev/ttyS0", CHARACTER_DEVICE, SERIAL, &[]);
    archive.add("init", PROGRAM, (0, 0), init);
    archive.add("TRAILER!!!", 0, (0, 0), &[]);
    archive.bytes
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries += 1;
        let length = |bytes: usize| bytes as u32;
        // Inode, mode, user, group, links, time, size, device of the file, device that it is, name, checksum.
        let numbers = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length(content.len()),
            0,
            0,
            major,
            minor,
            length(name.len() + 1),
            0,
        ];
        self.bytes.extend(b"070701");
        for number in numbers {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::initramfs;

    #[test]
    fn entries_are_padded_and_sized() {
        let archive = initramfs(b"12345");
        assert_eq!(archive.len() % 4, 0);
        let at = archive
            .windows(5)
            .position(|five| five == b"12345")
            .unwrap();
        // Header of 110 bytes, "init" with its end, one byte to a multiple of four.
        let header = &archive[at - 116..at];
        assert_eq!(&header[..6], b"070701");
        assert_eq!(&header[54..62], b"00000005");
        assert_eq!(&header[110..], b"init\0\0");
        assert_eq!(&archive[at + 5..at + 8], [0; 3]);
    }
}
