//! Pages, and where they are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::mount::{MountFlags, mount};

const PAGE: usize = 4096;
/// Pages of a witness.
const PAGES: usize = 8;

/// Makes /proc what it is elsewhere.
///
/// # Errors
/// The system's.
pub fn mount_proc() -> io::Result<()> {
    Ok(mount("proc", "/proc", "proc", MountFlags::empty(), None)?)
}

/// Locked memory that nobody else uses and that is never looked at; and those of its pages that are told of.
pub struct Pages {
    memory: Vec<u8>,
    map: File,
    chosen: Vec<usize>,
}

impl Pages {
    /// Takes them.
    ///
    /// # Errors
    /// The system's, or that memory lies in an unlucky way.
    pub fn new() -> io::Result<Self> {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
        // Written, so that it is there.
        let mut pages = Self {
            memory: vec![1; 128 * PAGE],
            map: File::open("/proc/self/pagemap")?,
            chosen: (0..126).collect(),
        };
        let frames: Vec<_> = pages
            .physical()?
            .iter()
            .map(|at| at / PAGE as u64)
            .collect();
        // Pages whose 16 KiB begin with another page of ours, which is not chosen: it shows when an address is rounded.
        let is_good = |page: &usize| {
            let (frame, first) = (frames[*page], frames[*page] & !3);
            frame != first && frames.contains(&first)
        };
        pages.chosen.retain(is_good);
        pages.chosen.truncate(PAGES);
        match pages.chosen.len() {
            PAGES => Ok(pages),
            _ => Err(io::Error::other("memory lies in an unlucky way")),
        }
    }

    /// The address of a page that has no other's bytes around it.
    fn address(&self, page: usize) -> usize {
        (self.memory.as_ptr().addr() / PAGE + 1 + page) * PAGE
    }

    /// Which of those chosen an address is in.
    pub fn index_of(&self, address: usize) -> Option<usize> {
        let mut chosen = self.chosen.iter();
        chosen.position(|page| self.address(*page) == address & !(PAGE - 1))
    }

    /// The physical addresses of those chosen; 0 for one that is no longer mapped.
    ///
    /// # Errors
    /// The system's.
    pub fn physical(&self) -> io::Result<Vec<u64>> {
        const PRESENT: u64 = 1 << 63;
        const FRAME: u64 = (1 << 55) - 1;
        let entry = |page: &usize| {
            let mut entry = [0; 8];
            let at = self.address(*page) / PAGE * entry.len();
            self.map.read_exact_at(&mut entry, at as u64)?;
            let entry = u64::from_le_bytes(entry);
            let is_there = entry & PRESENT != 0;
            Ok(if is_there {
                (entry & FRAME) * PAGE as u64
            } else {
                0
            })
        };
        self.chosen.iter().map(entry).collect()
    }
}
