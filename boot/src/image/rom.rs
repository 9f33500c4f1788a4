//! The option ROM: the firmware calls it in real mode; it reads the payload from the first disk and starts the kernel as a
//! multiboot2 loader does.
//!
//! From a disk, because Bochs fills no more than the first 128 KiB of an `optramimage` correctly.

use super::multiboot2::MAGIC;

/// Size of the ROM, in bytes.
pub const BYTES: usize = 512;

/// Where the firmware calls an option ROM, from its start.
const CALLED_AT: usize = 3;
const ENTRY_32_AT: usize = 0x50;
const GDT_AT: usize = 0x100;

/// Sectors that one command reads (a count of 0 means so many): the payload is a multiple of them.
pub const SECTORS_AT_ONCE: usize = 256;
/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// Flat 4 GiB segments: selector 8 is code, 16 is data, as multiboot2 asks (section 3.3).
const GDT: [u64; 3] = [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff];

/// The ROM that reads `commands` times [`SECTORS_AT_ONCE`] sectors from the start of the first ATA disk to `load_at`, and enters
/// `entry` with the information structure at `information`; all three are physical addresses.
///
/// It runs at whichever segment the firmware put it, and else writes to the stack alone.
pub fn build(entry: u32, information: u32, load_at: u32, commands: u32) -> [u8; BYTES] {
    let mut rom = [0; BYTES];
    put(&mut rom, 0, &[0x55, 0xaa, 1]);
    put(&mut rom, CALLED_AT, &real_mode());
    put(
        &mut rom,
        ENTRY_32_AT,
        &protected_mode(entry, information, load_at, commands),
    );
    put(&mut rom, GDT_AT, GDT.map(u64::to_le_bytes).as_flattened());
    // The firmware calls a ROM only when its bytes add up to zero.
    rom[BYTES - 1] = rom.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    rom
}

/// 16-bit code: A20 on, GDT, protected mode, far jump.
#[rustfmt::skip]
fn real_mode() -> Vec<u8> {
    const GDT_LIMIT: u8 = size_of::<[u64; 3]>() as u8 - 1;
    [
        &[0xfa, 0xfc][..],                // cli; cld
        &[0xe4, 0x92],                    // in al, 0x92
        &[0x0c, 0x02, 0x24, 0xfe],        // or al, 2 (A20); and al, ~1 (no reset)
        &[0xe6, 0x92],                    // out 0x92, al
        &[0x66, 0x31, 0xdb, 0x8c, 0xcb],  // xor ebx, ebx; mov bx, cs
        &[0x66, 0xc1, 0xe3, 0x04],        // shl ebx, 4: the ROM's physical address
        &[0x66, 0x67, 0x8d, 0x83],        // lea eax, [ebx + GDT_AT]
        &(GDT_AT as u32).to_le_bytes(),
        &[0x66, 0x50, 0x6a, GDT_LIMIT],   // push eax; push word GDT_LIMIT: the operand of lgdt
        &[0x89, 0xe5],                    // mov bp, sp
        &[0x66, 0x0f, 0x01, 0x56, 0x00],  // lgdt [bp]
        &[0x66, 0x67, 0x8d, 0x83],        // lea eax, [ebx + ENTRY_32_AT]
        &(ENTRY_32_AT as u32).to_le_bytes(),
        &[0x66, 0x6a, 0x08, 0x66, 0x50],  // push dword 8; push eax: where retf goes
        &[0x0f, 0x20, 0xc0],              // mov eax, cr0
        &[0x0c, 0x01],                    // or al, 1
        &[0x0f, 0x22, 0xc0],              // mov cr0, eax
        &[0x66, 0xcb],                    // retf
    ]
    .concat()
}

/// 32-bit code: data segments, the payload by programmed I/O (ATA READ SECTORS, 28-bit addresses), then the kernel's entry with the
/// multiboot2 registers.
#[rustfmt::skip]
fn protected_mode(entry: u32, information: u32, load_at: u32, commands: u32) -> Vec<u8> {
    [
        &[0xb8, 16, 0, 0, 0][..],             // mov eax, 16
        &[0x8e, 0xd8, 0x8e, 0xc0],            // mov ds, ax; mov es, ax
        &[0x8e, 0xe0, 0x8e, 0xe8],            // mov fs, ax; mov gs, ax
        &[0x8e, 0xd0],                        // mov ss, ax
        &[0xbf], &load_at.to_le_bytes(),      // mov edi, load_at
        &[0xbd], &commands.to_le_bytes(),     // mov ebp, commands
        &[0x31, 0xdb],                        // xor ebx, ebx: the sector
        // command:
        &[0x66, 0xba, 0xf2, 0x01],            // mov dx, 0x1f2: how many
        &[0x30, 0xc0, 0xee],                  // xor al, al (256); out dx, al
        &[0x89, 0xd8],                        // mov eax, ebx
        &[0x42, 0xee],                        // inc edx (0x1f3); out dx, al
        &[0xc1, 0xe8, 0x08, 0x42, 0xee],      // shr eax, 8; inc edx; out dx, al
        &[0xc1, 0xe8, 0x08, 0x42, 0xee],      // shr eax, 8; inc edx; out dx, al
        &[0xc1, 0xe8, 0x08, 0x0c, 0xe0],      // shr eax, 8; or al, 0xe0 (LBA, master)
        &[0x42, 0xee],                        // inc edx; out dx, al
        &[0xb0, 0x20, 0x42, 0xee],            // mov al, 0x20 (READ SECTORS); inc edx; out dx, al
        &[0xbe, 0x00, 0x01, 0x00, 0x00],      // mov esi, 256
        // sector:
        &[0x66, 0xba, 0xf7, 0x01],            // mov dx, 0x1f7
        &[0xec, 0x24, 0x88, 0x3c, 0x08],      // in al, dx; and al, 0x88; cmp al, 8 (data, not busy)
        &[0x75, 0xf9],                        // jne the in
        &[0x66, 0xba, 0xf0, 0x01],            // mov dx, 0x1f0
        &[0xb9, 0x80, 0x00, 0x00, 0x00],      // mov ecx, 128
        &[0xf3, 0x6d],                        // rep insd
        &[0x43, 0x4e],                        // inc ebx; dec esi
        &[0x75, 0xe6],                        // jnz sector
        &[0x4d],                              // dec ebp
        &[0x75, 0xbe],                        // jnz command
        &[0xb8], &MAGIC.to_le_bytes(),        // mov eax, MAGIC
        &[0xbb], &information.to_le_bytes(),  // mov ebx, information
        &[0xb9], &entry.to_le_bytes(),        // mov ecx, entry
        &[0xff, 0xe1],                        // jmp ecx
    ]
    .concat()
}

/// Copies `bytes` to `at`; the place must be empty, so that parts that have grown into each other are seen.
fn put(rom: &mut [u8; BYTES], at: usize, bytes: &[u8]) {
    let place = &mut rom[at..at + bytes.len()];
    assert!(
        place.iter().all(|byte| *byte == 0),
        "parts of the option ROM overlap at {at:#x}"
    );
    place.copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::{BYTES, build};

    #[test]
    fn a_firmware_accepts_it() {
        let rom = build(0x10_1234, 0x20_0000, 0x10_0000, 3);
        assert_eq!(rom[..2], [0x55, 0xaa]);
        assert_eq!(usize::from(rom[2]) * 512, BYTES);
        assert_eq!(rom.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }

    /// The code as a disassembler reads it.
    fn instructions(bits: u32, code: &[u8]) -> Vec<String> {
        use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
        let mut formatter = GasFormatter::new();
        let text = |instruction| {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            text
        };
        Decoder::new(bits, code, DecoderOptions::NONE)
            .into_iter()
            .map(text)
            .collect()
    }

    #[test]
    fn its_code_is_what_the_comments_say() {
        let real = instructions(16, &super::real_mode());
        for expected in ["lea 0x100(%ebx),%eax", "lgdtl (%bp)", "lea 0x50(%ebx),%eax"] {
            assert!(
                real.iter().any(|line| line == expected),
                "{expected} in {real:#?}"
            );
        }
        assert_eq!(real.last().unwrap(), "lretl");
        let protected = instructions(
            32,
            &super::protected_mode(0x10_1234, 0x20_0000, 0x10_0000, 3),
        );
        assert_eq!(
            protected[protected.len() - 4..],
            [
                "mov $0x36D76289,%eax",
                "mov $0x200000,%ebx",
                "mov $0x101234,%ecx",
                "jmp *%ecx"
            ]
        );
    }
}
