//! Who spoke to whom: the two ends of a connection, a logon or a message, whichever columns told of them.

use std::net::IpAddr;

use crate::event::{Event, Field, Text};

/// One end. Nothing is there that upstream didn't say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct End<'r> {
    pub ip: Option<IpAddr>,
    pub port: Option<i64>,
    pub host: Option<Text<'r>>,
    pub mac: Option<[u8; 6]>,
    /// What this end sent.
    pub bytes: Option<i64>,
    pub packets: Option<i64>,
    /// Whether this is the device that reports.
    pub is_device: bool,
}

impl End<'_> {
    pub const fn is_known(&self) -> bool {
        self.ip.is_some() || self.host.is_some()
    }
}

/// Source and destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends<'r> {
    pub source: End<'r>,
    pub destination: End<'r>,
}

impl<'r> Ends<'r> {
    /// Columns say "source" and "destination" or "local" and "remote"; local is the reporting device, which is the
    /// source of outbound traffic, the destination of inbound traffic, and always the destination of a logon.
    pub fn of(event: &Event<'r>) -> Self {
        let fields = &event.fields;
        let ip = |field| fields.ip(field);
        let local = End {
            ip: ip(Field::NetLocalIp),
            port: fields.integer(Field::NetLocalPort),
            host: fields.text(Field::DeviceName),
            is_device: true,
            ..End::default()
        };
        let remote = End {
            ip: ip(Field::NetRemoteIp),
            port: fields.integer(Field::NetRemotePort),
            host: fields.text(Field::NetRemoteHost),
            ..End::default()
        };
        let has_local = local.ip.is_some() || remote.is_known() || fields.has(Field::NetRemoteUrl);
        let mut ends = match (has_local, is_inbound(event)) {
            (false, _) => Self::default(),
            (true, false) => Self { source: local, destination: remote },
            (true, true) => Self { source: remote, destination: local },
        };
        ends.source.ip = ip(Field::NetSourceIp).or(ends.source.ip);
        ends.source.port = fields.integer(Field::NetSourcePort).or(ends.source.port);
        ends.source.host = fields.text(Field::NetSourceHost).or(ends.source.host);
        ends.destination.ip = ip(Field::NetDestinationIp).or(ends.destination.ip);
        ends.destination.port = fields.integer(Field::NetDestinationPort).or(ends.destination.port);
        ends.destination.host = fields.text(Field::NetDestinationHost).or(ends.destination.host);
        ends.source.mac = fields.mac(Field::NetSourceMac);
        ends.destination.mac = fields.mac(Field::NetDestinationMac);
        ends.source.bytes = fields.integer(Field::NetSourceBytes);
        ends.destination.bytes = fields.integer(Field::NetDestinationBytes);
        ends.source.packets = fields.integer(Field::NetSourcePackets);
        ends.destination.packets = fields.integer(Field::NetDestinationPackets);
        ends
    }
}

/// Whether the reporting device is the destination. A row of an alert's evidence says it of the address it names.
pub fn is_inbound(event: &Event<'_>) -> bool {
    event.class == crate::event::Class::Logon
        || event.fields.text(Field::NetDirection).is_some_and(|way| way == *"inbound")
        || event.fields.text(Field::EntityDirection).is_some_and(|way| way.eq_ignore_case("source"))
}
