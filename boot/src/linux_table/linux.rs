//! Linux in QEMU: booted once, saved when its programs run, and started from there for each row.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::delivered::{Delivery, Told};
use super::initramfs::initramfs;
use super::row::Row;
use crate::emulator::{self, KERNEL_LOG, Monitor, Running};
use crate::error::{self, Doing, Error, Result};
use crate::interrupt::interrupted;

/// Processors of the machine.
pub const PROCESSORS: usize = 2;

/// The bank that guests' records are in, and one that is only there to raise the vector: QEMU does so with a record alone. That one has EN,
/// S and PCC clear, so that Linux leaves it be.
const BANK: u8 = 1;
const BELL: (u8, u64) = (9, 0xa000_0000_0000_0000);

/// How long a boot may take, and a row until it is over: Linux waits for processors that never come.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the clock and the user are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A program says that often that it runs before what it was told is taken for all.
const RUNS: usize = 3;
/// So often before what a program still has to be told is given up: Linux lets a worker take the page away some time later.
const RUNS_AT_MOST: usize = 100;

/// Linux as it is when its programs run.
pub struct Linux {
    kernel: PathBuf,
    initramfs: PathBuf,
    state: PathBuf,
    /// Physical addresses of the programs' pages, by processor and number.
    pages: BTreeMap<(usize, usize), u64>,
    _work: tempfile::TempDir,
}

struct Machine {
    // The folder lives as long as the emulator that works in it.
    running: Running,
    monitor: Monitor,
    lines: Receiver<String>,
    work: tempfile::TempDir,
}

impl Linux {
    /// Boots it: a kernel, and the program that is all there is besides.
    ///
    /// # Errors
    /// No emulator, or a kernel that does not get that far.
    pub fn boot(kernel: &Path, program: &Path) -> Result<Self> {
        let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
        let file = |name| work.path().join(name);
        let mut linux = Self {
            kernel: kernel.to_owned(),
            initramfs: error::write(&file("initramfs"), initramfs(&error::read(program)?))?,
            state: file("state"),
            pages: BTreeMap::new(),
            _work: work,
        };
        let mut machine = Machine::start(&linux, None)?;
        let deadline = Instant::now() + PATIENCE;
        let mut runs = [false; PROCESSORS];
        while !runs.iter().all(|runs| *runs) {
            let Some(line) = machine.line(deadline)? else {
                let said = error::read(&machine.work.path().join(KERNEL_LOG))?;
                return Err(Error::Failed {
                    program: "Linux in QEMU".into(),
                    status: "its programs do not run".into(),
                    said: String::from_utf8_lossy(&said).into_owned(),
                });
            };
            if let Some((place, at)) = page(&line) {
                linux.pages.insert(place, at);
            }
            if let Some(cpu) = Answer::default().take(&line) {
                runs[cpu] = true;
            }
        }
        machine.monitor.stop()?;
        machine.monitor.save(&linux.state)?;
        Ok(linux)
    }

    /// Raises what a row says, given what its guest got, and watches what comes of it.
    ///
    /// # Errors
    /// The emulator broke, or refuses an error.
    pub fn raise(&self, row: &Row, mut deliveries: Vec<Delivery>) -> Result<Answer> {
        let pages = Pages::of(&deliveries);
        if let Some(first) = deliveries.first_mut() {
            row.change.iter().for_each(|change| change.make(first));
        }
        let mut machine = Machine::start(self, Some(&self.state))?;
        machine.monitor.wait_until_loaded()?;
        machine.monitor.go_on()?;
        let mut answer = Answer::default();
        let place = |addr| self.pages.get(&pages.place(addr)?).copied();
        let mut records = 0;
        for (number, delivery) in deliveries.iter().enumerate() {
            machine.stop_in(|cpu| number == 0 && row.in_kernel.contains(&cpu))?;
            for (cpu, told) in delivery.iter().enumerate() {
                if let Some(told) = told {
                    machine.put(cpu, told, place)?;
                }
            }
            records += delivery
                .iter()
                .flatten()
                .filter(|told| told.record.is_some())
                .count();
            machine.monitor.go_on()?;
            if !machine.watch(&mut answer, records.min(row.told.len()))? {
                break;
            }
        }
        let log = error::read(&machine.work.path().join(KERNEL_LOG))?;
        answer.take_log(&String::from_utf8_lossy(&log));
        Ok(answer)
    }
}

/// `cpu=0 page=3 at=0x4a1b000`
fn page(line: &str) -> Option<((usize, usize), u64)> {
    let mut words = line.split_whitespace();
    let mut next = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let (cpu, page, at) = (next("cpu")?, next("page")?, next("at")?);
    let at = u64::from_str_radix(at.strip_prefix("0x")?, 16).ok()?;
    Some(((cpu.parse().ok()?, page.parse().ok()?), at))
}

/// The guest's pages, and which of Linux's stand for them: the first that a vCPU's records name is page 0 of the program on that
/// processor, the next another.
struct Pages(Vec<(u64, (usize, usize))>);

/// Bits of an address within its page.
const OFFSET: u64 = 0xfff;

impl Pages {
    fn of(deliveries: &[Delivery]) -> Self {
        let mut pages = Self(Vec::new());
        for (cpu, told) in deliveries.iter().flat_map(|told| told.iter().enumerate()) {
            let record = told.and_then(|told| told.record);
            if let Some(addr) = record.map(|record| record.addr)
                && pages.place(addr).is_none()
            {
                let number = pages.0.iter().filter(|(_, place)| place.0 == cpu).count();
                pages.0.push((addr & !OFFSET, (cpu, number)));
            }
        }
        pages
    }

    /// Processor and number of the page that an address is in.
    fn place(&self, addr: u64) -> Option<(usize, usize)> {
        let mut known = self.0.iter();
        known
            .find(|(page, _)| *page == addr & !OFFSET)
            .map(|(_, place)| *place)
    }
}

impl Machine {
    fn start(linux: &Linux, state: Option<&Path>) -> Result<Self> {
        let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
        let (mut running, monitor) = emulator::start_linux(
            &linux.kernel,
            &linux.initramfs,
            PROCESSORS,
            state,
            work.path(),
        )?;
        let bytes = std::mem::replace(&mut running.log, Box::new(io::empty()));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(bytes).lines().map_while(io::Result::ok) {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            running,
            monitor,
            lines,
            work,
        })
    }

    /// The next line of a program; none when QEMU has ended, as it does after a panic.
    fn line(&mut self, deadline: Instant) -> Result<Option<String>> {
        loop {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    return Err(Error::Failed {
                        program: "Linux in QEMU".into(),
                        status: format!("nothing heard for {} s", PATIENCE.as_secs()),
                        said: String::new(),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Stops the machine where each processor is in the system or in its program, as asked.
    fn stop_in(&mut self, in_kernel: impl Fn(usize) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            self.monitor.stop()?;
            let registers = self.monitor.human("info registers -a")?;
            let mut processors = registers.split("CPU#").skip(1).enumerate();
            if processors.all(|(cpu, registers)| registers.contains("CPL=0") == in_kernel(cpu)) {
                return Ok(());
            }
            self.monitor.go_on()?;
            std::thread::sleep(Duration::from_millis(3));
        }
        Err(Error::Impossible(
            "Linux is never where the row wants it".into(),
        ))
    }

    /// Puts an #MC on a processor; `place` says where the page of a guest's address is here.
    fn put(&mut self, cpu: usize, told: &Told, place: impl Fn(u64) -> Option<u64>) -> Result<()> {
        let mcg_status = told.mcg_status;
        let command = match told.record {
            None => format!("mce {cpu} {} {:#x} {mcg_status:#x} 0 0", BELL.0, BELL.1),
            Some(record) => {
                let page = place(record.addr)
                    .ok_or_else(|| Error::Impossible("more pages than the programs have".into()))?;
                format!(
                    "mce {cpu} {BANK} {:#x} {mcg_status:#x} {:#x} {:#x}",
                    record.status,
                    page | record.addr & OFFSET,
                    record.misc
                )
            }
        };
        match self.monitor.human(&command)?.as_str() {
            "" => Ok(()),
            said => Err(Error::Impossible(format!(
                "QEMU does not raise `{command}`: {said}"
            ))),
        }
    }

    /// Takes what the programs say until all have run for a while since the last signal, and for longer as long as fewer than `due`
    /// signals have come; false if the machine has ended.
    fn watch(&mut self, answer: &mut Answer, due: usize) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        let mut runs = [0; PROCESSORS];
        let mut all = 0;
        while runs.iter().any(|runs| *runs < RUNS)
            || answer.told.len() < due && all < PROCESSORS * RUNS_AT_MOST
        {
            let Some(line) = self.line(deadline)? else {
                self.running.kill();
                return Ok(false);
            };
            let before = answer.told.len();
            if let Some(cpu) = answer.take(&line) {
                runs[cpu] += 1;
                all += 1;
            }
            if answer.told.len() > before {
                runs = [0; PROCESSORS];
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivered::Record;
    use super::*;

    #[test]
    fn each_page_of_a_guest_is_one_of_its_program() {
        let told = |addr| {
            Some(Told {
                mcg_status: 5,
                record: Some(Record {
                    status: 0,
                    addr,
                    misc: 0,
                }),
            })
        };
        let pages = Pages::of(&[
            vec![told(0x1000), told(0x2000)],
            vec![told(0x3004), told(0x1008)],
            vec![None, told(0x4000)],
        ]);
        let places = [0x1abc, 0x2000, 0x3000, 0x4000, 0x5000].map(|addr| pages.place(addr));
        assert_eq!(
            places,
            [Some((0, 0)), Some((1, 0)), Some((0, 1)), Some((1, 1)), None]
        );
        assert_eq!(
            page("cpu=1 page=7 at=0xd1a9000"),
            Some(((1, 7), 0xd1a_9000))
        );
        assert_eq!(page("cpu=1 runs"), None);
    }
}
