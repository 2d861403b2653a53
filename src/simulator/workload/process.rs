//! What runs where: devices boot one after another, start processes, and every process has a parent that was there.

use super::catalogue::{BOOT, EXPLORER, PROGRAMS, RunsAs, SERVICES};
use super::stream::Stream;
use super::world::Process;
use crate::clock::Timestamp;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Stream {
    /// A device to start a process on: most often one that runs already, now and then the next one to boot.
    pub(super) fn device_for_process(&mut self) -> usize {
        if let Some(&last) = self.booted.last()
            && (!self.alive[last].has_booted() || self.booted.len() == self.alive.len() || !self.random.chance(0.15))
        {
            let drawn = self.random.index(self.booted.len());
            return if self.alive[last].has_booted() { self.booted[drawn] } else { last };
        }
        let next = self.booted.len();
        self.booted.push(next);
        next
    }

    /// The event clock of a device, which lags the export clock by a few minutes.
    pub(super) fn when(&mut self, device: usize, now: Timestamp) -> Timestamp {
        let lag = 88 + (device as i64 * 37) % 330;
        let ticks = i64::try_from(self.random.below(10_000)).unwrap_or(0);
        Timestamp::from_nanos(now.nanos() - lag * NANOS_PER_SECOND + ticks * 100)
    }

    /// The next process of a device, and its parent.
    pub(super) fn start_process(&mut self, device: usize, when: Timestamp) -> (Process, Process) {
        let alive = &self.alive[device];
        let owner = self.world.devices[device].owner;
        let (program, parent) = match alive.len() {
            SERVICES => (SERVICES, boot_process(when)),
            EXPLORER => (EXPLORER, boot_process(when)),
            _ => {
                let program = EXPLORER + 1 + self.random.index(BOOT - EXPLORER - 1);
                let parent = match PROGRAMS[program].runs_as {
                    RunsAs::System => SERVICES,
                    RunsAs::Person if self.random.chance(0.6) => EXPLORER,
                    RunsAs::Person => self.random.index(alive.len()),
                };
                (program, alive.at(parent).clone())
            }
        };
        let known = &PROGRAMS[program];
        let n = self.random.below(1_000_000).to_string();
        let arguments = known.arguments.replace("{n}", &n).replace("{u}", &self.world.users[owner].name);
        let earliest = Timestamp::from_nanos(parent.created.nanos() + 100);
        let process = Process {
            pid: self.random.between(200, 16_000) * 4,
            created: when.max(earliest),
            program,
            command: format!("\"{}\"{arguments}", known.file).into(),
            user: (known.runs_as == RunsAs::Person).then_some(owner),
            session: u64::from(known.runs_as == RunsAs::Person),
            parent_pid: parent.pid,
            parent_created: parent.created,
            parent_file: parent.program().file,
        };
        (process, parent)
    }

    /// Something that runs, where it runs, and the time at which it does what the row tells.
    pub(super) fn actor(&mut self, now: Timestamp) -> (usize, Timestamp, Process) {
        let drawn = self.random.index(self.booted.len());
        let device = self.booted[drawn];
        let when = self.when(device, now);
        // The device that boots right now has at least its first process, so there is always one to pick.
        let slot = self.random.index(self.alive[device].len());
        let process = self.alive[device].at(slot).clone();
        (device, when.max(process.created), process)
    }

    /// A process of this device, where one runs and is known to have done the thing.
    pub(super) fn running_on(&mut self, device: usize) -> Option<Process> {
        let running = self.alive[device].len();
        let known = running > 0 && self.random.chance(0.6);
        known.then(|| self.alive[device].at(self.random.index(running)).clone())
    }

    /// The next number of the device's own, and so repeating, report counter.
    pub(super) fn report(&mut self, device: usize) -> u64 {
        self.reports[device] += 1;
        self.reports[device]
    }
}

/// What the sensor finds running when it starts; it never sees it created.
fn boot_process(when: Timestamp) -> Process {
    let created = Timestamp::from_nanos(when.nanos() - 60 * NANOS_PER_SECOND);
    Process {
        pid: 612,
        created,
        program: BOOT,
        command: PROGRAMS[BOOT].file.into(),
        user: None,
        session: 0,
        parent_pid: 496,
        parent_created: created,
        parent_file: "smss.exe",
    }
}
