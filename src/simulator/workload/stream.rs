//! Composes messages: which table comes next, the envelope around each row, and what the exporter does to them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::hostile;
use super::json::{self, Row};
use super::random::Random;
use super::world::{Alive, World};
use super::{MESSAGE_BYTES_MAX, Options, Routing, StreamMessage};
use crate::clock::Timestamp;

/// The tables we write, with how often each occurs in a thousand records.
const TABLES: &[(Table, u64)] = &[
    (Table::Network, 290),
    (Table::Process, 210),
    (Table::File, 130),
    (Table::Logon, 130),
    (Table::Registry, 70),
    (Table::IdentityLogon, 70),
    (Table::Email, 55),
    (Table::AlertEvidence, 20),
    (Table::AlertInfo, 10),
    (Table::DeviceInfo, 10),
    (Table::Unannounced, 5),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    Process,
    Network,
    File,
    Logon,
    Registry,
    IdentityLogon,
    Email,
    AlertInfo,
    AlertEvidence,
    DeviceInfo,
    /// A table no documentation knows, as they do appear.
    Unannounced,
}

impl Table {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "DeviceProcessEvents",
            Self::Network => "DeviceNetworkEvents",
            Self::File => "DeviceFileEvents",
            Self::Logon => "DeviceLogonEvents",
            Self::Registry => "DeviceRegistryEvents",
            Self::IdentityLogon => "IdentityLogonEvents",
            Self::Email => "EmailEvents",
            Self::AlertInfo => "AlertInfo",
            Self::AlertEvidence => "AlertEvidence",
            Self::DeviceInfo => "DeviceInfo",
            Self::Unannounced => "DeviceTelemetryPreview",
        }
    }

    /// Whether a row of it tells what a process did.
    const fn needs_process(self) -> bool {
        matches!(self, Self::Network | Self::File | Self::Registry)
    }
}

pub struct Stream {
    pub(super) world: Arc<World>,
    pub(super) random: Random,
    /// What runs on each device.
    pub(super) alive: Vec<Alive>,
    /// Devices that processes run on, in the order they booted.
    pub(super) booted: Vec<usize>,
    /// The counter behind each device's `ReportId`.
    pub(super) reports: Vec<u64>,
    /// How many alerts `AlertInfo` rows have told of.
    pub(super) alerts: u64,
    options: Options,
    hubs: HashMap<Table, Arc<str>>,
    /// The last row and its table, for the exporter to repeat.
    last: Option<(Table, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Stream {
    pub fn new(world: Arc<World>, options: Options) -> Self {
        let devices = world.devices.len();
        let hubs = TABLES
            .iter()
            .map(|&(table, _)| {
                let per_table = || format!("insights-logs-advancedhunting-{}", table.name().to_lowercase()).into();
                let hub = match &options.routing {
                    Routing::OneHub(name) => Arc::clone(name),
                    Routing::HubPerTable => per_table(),
                };
                (table, hub)
            })
            .collect();
        Self {
            random: world.random(STREAM),
            world,
            alive: (0..devices).map(|_| Alive::default()).collect(),
            booted: Vec::new(),
            reports: vec![0; devices],
            alerts: 0,
            options,
            hubs,
            last: None,
            buffer: Vec::with_capacity(64 << 10),
        }
    }

    pub fn next(&mut self, now: Timestamp) -> StreamMessage {
        let only = (self.options.routing == Routing::HubPerTable).then(|| self.table());
        let key = self.random.index(self.world.devices.len());
        let mut body = std::mem::take(&mut self.buffer);
        body.clear();
        let (mut records, mut malformed) = self.compose(&mut body, only, now);
        if self.random.chance(self.options.malformed / 8.0) {
            hostile::break_body(&mut self.random, &mut body);
            (records, malformed) = (1, 1);
        }
        let message = StreamMessage {
            hub: Arc::clone(&self.hubs[&only.unwrap_or(Table::Process)]),
            table: only.map(Table::name),
            partition_key: self.world.devices[key].id.clone(),
            body: Bytes::copy_from_slice(&body),
            records,
            malformed,
        };
        self.buffer = body;
        message
    }

    /// Writes the body and says how many elements it has, and how many of them aren't rows.
    fn compose(&mut self, body: &mut Vec<u8>, only: Option<Table>, now: Timestamp) -> (usize, usize) {
        let (mut records, mut malformed) = (0, 0);
        body.extend_from_slice(b"{\"records\":[");
        while records < self.options.records_per_message.max(1) {
            let room = MESSAGE_BYTES_MAX.saturating_sub(body.len());
            if room < RECORD_BYTES_ROOM && records > 0 {
                break;
            }
            if records > 0 {
                body.push(b',');
            }
            if self.random.chance(self.options.malformed) {
                hostile::malformed(&mut self.random, body);
                malformed += 1;
            } else {
                self.record(body, only, now, room);
            }
            records += 1;
        }
        body.extend_from_slice(b"]}");
        (records, malformed)
    }

    fn record(&mut self, body: &mut Vec<u8>, only: Option<Table>, now: Timestamp, room: usize) {
        if self.random.chance(self.options.repeated)
            && let Some((table, properties)) = self.last.take()
            && only.is_none_or(|only| only == table)
        {
            self.envelope(body, table, now, |_, body| body.extend_from_slice(&properties));
            self.last = Some((table, properties));
            return;
        }
        let table = only.unwrap_or_else(|| self.table());
        let poison = if self.random.chance(self.options.hostile) {
            hostile::poison(&mut self.random, room.saturating_sub(RECORD_BYTES_ROOM))
        } else {
            Vec::new()
        };
        let repeats = self.options.repeated > 0.0;
        self.envelope(body, table, now, |stream, body| {
            let start = body.len();
            stream.row(table, Row::open(body, &poison), now);
            if repeats {
                stream.last = Some((table, body[start..].to_vec()));
            }
        });
    }

    fn envelope(
        &mut self,
        body: &mut Vec<u8>,
        table: Table,
        now: Timestamp,
        properties: impl FnOnce(&mut Self, &mut Vec<u8>),
    ) {
        body.extend_from_slice(b"{\"time\":\"");
        json::time(body, now);
        body.extend_from_slice(b"Z\",\"tenantId\":\"");
        body.extend_from_slice(self.world.tenant.directory.as_bytes());
        body.extend_from_slice(b"\",\"operationName\":\"Publish\",\"category\":\"AdvancedHunting-");
        body.extend_from_slice(table.name().as_bytes());
        body.extend_from_slice(b"\",\"_TimeReceivedBySvc\":\"");
        let received = Timestamp::from_nanos(now.nanos() - 1_000_000_000 * i64::from(self.random.word() as u8));
        json::time(body, received);
        let zone: &[u8] = if self.random.chance(0.1) { b"" } else { b"Z" };
        body.extend_from_slice(zone);
        body.extend_from_slice(b"\",\"properties\":");
        properties(self, body);
        body.extend_from_slice(b",\"Tenant\":\"DefaultTenant\"}");
    }

    fn row(&mut self, table: Table, row: Row<'_>, now: Timestamp) {
        match table {
            Table::Process => self.process_event(row, now),
            Table::Network => self.network_event(row, now),
            Table::File => self.file_event(row, now),
            Table::Logon => self.logon_event(row, now),
            Table::Registry => self.registry_event(row, now),
            Table::IdentityLogon => self.identity_logon(row, now),
            Table::Email => self.email(row, now),
            Table::AlertInfo => self.alert_info(row, now),
            Table::AlertEvidence => self.alert_evidence(row, now),
            Table::DeviceInfo => self.device_info(row, now),
            Table::Unannounced => self.unannounced(row, now),
        }
    }

    /// The next table: by weight, but nothing happens on devices before a process runs somewhere.
    fn table(&mut self) -> Table {
        let total = TABLES.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(total);
        let mut table = Table::Process;
        for &(candidate, weight) in TABLES {
            if drawn < weight {
                table = candidate;
                break;
            }
            drawn -= weight;
        }
        if table.needs_process() && self.booted.is_empty() { Table::Process } else { table }
    }
}

/// The purpose of the numbers drawn here, beside those of the other parts of a workload.
const STREAM: u64 = 1;

/// A tame record is never longer than this, so a message with this much room left takes one more.
const RECORD_BYTES_ROOM: usize = 16 << 10;
