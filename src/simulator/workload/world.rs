//! The tenant that everything happens in: its people, its devices, and the processes that run on them now.

use std::sync::Arc;

use super::Options;
use super::catalogue::{FIRST_NAMES, GROUPS, LAST_NAMES, PROGRAMS, Program, SYSTEMS};
use super::random::Random;
use crate::clock::Timestamp;

/// Which customer the data belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub name: String,
    /// The directory's id, a GUID.
    pub directory: String,
    pub domain: String,
}

impl Tenant {
    /// A tenant whose id and domain follow from its name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            directory: Random::labelled(0, name).guid(),
            domain: format!("{}.example", name.replace(['.', '_'], "-")),
        }
    }
}

pub struct User {
    pub name: String,
    pub display: String,
    pub principal: String,
    pub sid: String,
    pub object: String,
}

pub struct Device {
    pub id: String,
    pub host: String,
    pub dns: String,
    pub address: [u8; 4],
    pub external: [u8; 4],
    pub group: Option<&'static str>,
    pub system: &'static System,
    /// Index of the person it was given to.
    pub owner: usize,
}

pub struct System {
    pub platform: &'static str,
    pub version: &'static str,
    pub build: u64,
    pub prefix: &'static str,
}

/// A file's digests and size; the same file has the same ones everywhere.
pub struct Image {
    pub sha1: String,
    pub sha256: String,
    pub md5: String,
    pub bytes: u64,
}

impl Image {
    pub fn draw(random: &mut Random) -> Self {
        Self {
            sha1: random.hex(40),
            sha256: random.hex(64),
            md5: random.hex(32),
            bytes: random.between(8_000, 90_000_000),
        }
    }
}

/// What doesn't change while data flows.
pub struct World {
    pub tenant: Tenant,
    /// The old, short name of the domain.
    pub netbios: String,
    pub users: Vec<User>,
    pub devices: Vec<Device>,
    /// One image for each entry of `PROGRAMS`.
    pub images: Vec<Image>,
    /// Images of documents, downloads and other files that aren't programs.
    pub files: Vec<Image>,
    seed: Random,
}

const FILES: usize = 512;

impl World {
    pub fn new(seed: u64, tenant: &Tenant, options: &Options) -> Self {
        let seed = Random::labelled(seed, &tenant.name);
        let mut random = seed.fork(0);
        let netbios = tenant.name.to_ascii_lowercase();
        let authority =
            format!("S-1-5-21-{}-{}-{}", random.below(1 << 31), random.below(1 << 31), random.below(1 << 31));
        let users: Vec<User> =
            (0..options.users.max(1)).map(|n| user(&mut random, n, &tenant.domain, &authority)).collect();
        let devices =
            (0..options.devices.max(1)).map(|n| device(&mut random, n, &tenant.domain, users.len())).collect();
        let images = PROGRAMS.iter().map(|_| Image::draw(&mut random)).collect();
        let files = (0..FILES).map(|_| Image::draw(&mut random)).collect();
        Self { tenant: tenant.clone(), netbios, users, devices, images, files, seed }
    }

    /// A stream of numbers that belongs to one purpose and follows from the seed.
    pub fn random(&self, purpose: u64) -> Random {
        self.seed.fork(purpose)
    }

    pub fn owner(&self, device: &Device) -> &User {
        &self.users[device.owner]
    }
}

fn user(random: &mut Random, n: usize, domain: &str, authority: &str) -> User {
    let (first, last) = (random.one_of(FIRST_NAMES), random.one_of(LAST_NAMES));
    let initial: String = first.chars().take(1).filter(char::is_ascii).collect();
    let plain: String = last.chars().filter(char::is_ascii_alphabetic).collect();
    let name = format!("{initial}{plain}{n}").to_lowercase();
    User {
        principal: format!("{name}@{domain}"),
        display: format!("{first} {last}"),
        sid: format!("{authority}-{}", 1100 + n),
        object: random.guid(),
        name,
    }
}

fn device(random: &mut Random, n: usize, domain: &str, users: usize) -> Device {
    let system = random.pick(SYSTEMS);
    let host = format!("{}-{n:05}", system.prefix);
    Device {
        id: random.hex(40),
        dns: format!("{host}.{domain}"),
        host,
        address: [10, byte(random, 1, 249), byte(random, 0, 255), byte(random, 1, 254)],
        external: public_address(random),
        group: *random.pick(GROUPS),
        system,
        owner: random.index(users),
    }
}

fn byte(random: &mut Random, low: u64, high: u64) -> u8 {
    u8::try_from(random.between(low, high)).unwrap_or(u8::MAX)
}

pub fn public_address(random: &mut Random) -> [u8; 4] {
    [
        *random.pick(&[13, 20, 40, 52, 104, 142, 185, 203]),
        byte(random, 0, 255),
        byte(random, 0, 255),
        byte(random, 1, 254),
    ]
}

pub fn private_address(random: &mut Random) -> [u8; 4] {
    [10, byte(random, 1, 249), byte(random, 0, 255), byte(random, 1, 254)]
}

/// A running process, as the events of its children and its deeds tell of it.
#[derive(Clone)]
pub struct Process {
    pub pid: u64,
    pub created: Timestamp,
    pub program: usize,
    pub command: Arc<str>,
    /// Who runs it; nobody means the system itself.
    pub user: Option<usize>,
    pub session: u64,
    pub parent_pid: u64,
    pub parent_created: Timestamp,
    pub parent_file: &'static str,
}

impl Process {
    pub fn program(&self) -> &'static Program {
        &PROGRAMS[self.program]
    }
}

/// The processes alive on one device. Slot 0 starts services and slot 1 starts what people run; both live for ever.
#[derive(Default)]
pub struct Alive {
    slots: Vec<Process>,
}

/// Enough for variety; a process that makes room for another has ended.
const ALIVE_MAX: usize = 10;
const ROOTS: usize = 2;

impl Alive {
    pub fn has_booted(&self) -> bool {
        self.slots.len() >= ROOTS
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn at(&self, index: usize) -> &Process {
        &self.slots[index]
    }

    pub fn add(&mut self, process: Process, random: &mut Random) {
        if self.slots.len() < ALIVE_MAX {
            self.slots.push(process);
        } else {
            let ended = ROOTS + random.index(ALIVE_MAX - ROOTS);
            self.slots[ended] = process;
        }
    }
}
