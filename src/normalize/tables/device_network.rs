//! `DeviceNetworkEvents`: connections, and what network inspection saw inside them.

use super::To::Field as To;
use super::{Action, Column, Table, common};
use crate::event::{Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceNetworkEvents",
    class: Class::Network,
    columns: &[common::RECORD, common::INITIATING_PROCESS, COLUMNS],
    nested: NESTED,
    actions: ACTIONS,
};

const COLUMNS: &[Column] = &[
    ("LocalIP", To(Field::NetLocalIp)),
    ("LocalPort", To(Field::NetLocalPort)),
    ("LocalIPType", To(Field::NetLocalIpType)),
    ("RemoteIP", To(Field::NetRemoteIp)),
    ("RemotePort", To(Field::NetRemotePort)),
    ("RemoteIPType", To(Field::NetRemoteIpType)),
    ("RemoteUrl", To(Field::NetRemoteUrl)),
    ("Protocol", To(Field::NetTransport)),
];

/// Inspection writes all of these as strings.
const NESTED: &[Column] = &[
    ("direction", To(Field::NetDirection)),
    ("query", To(Field::DnsQuery)),
    ("qtype_name", To(Field::DnsQueryType)),
    ("rcode_name", To(Field::DnsResponse)),
    ("answers", To(Field::DnsAnswers)),
    ("host", To(Field::HttpHost)),
    ("uri", To(Field::HttpUri)),
    ("method", To(Field::HttpMethod)),
    ("status_code", To(Field::HttpStatus)),
    ("user_agent", To(Field::HttpUserAgent)),
    ("server_name", To(Field::TlsServerName)),
    ("version", To(Field::TlsVersion)),
    ("cipher", To(Field::TlsCipher)),
    ("orig_bytes", To(Field::NetSourceBytes)),
    ("resp_bytes", To(Field::NetDestinationBytes)),
    ("Source Mac", To(Field::NetSourceMac)),
    ("Destination Mac", To(Field::NetDestinationMac)),
];

/// The first row that fits speaks, so that longer beginnings stand before shorter ones. What came in the record itself
/// comes before what a name suggests: an inspected connection says its direction in `AdditionalFields`.
const ACTIONS: &[Action] = &[
    Action { prefix: "ConnectionSuccess", means: &[OUTBOUND, (Field::Outcome, "success")] },
    Action { prefix: "ConnectionFailed", means: &[OUTBOUND, (Field::Outcome, "failure")] },
    Action { prefix: "InboundConnectionAccepted", means: &[INBOUND, (Field::Outcome, "success")] },
    Action {
        prefix: "InboundConnectionBlocked",
        means: &[INBOUND, (Field::Outcome, "failure"), (Field::Disposition, "blocked")],
    },
    Action { prefix: "Inbound", means: &[INBOUND] },
    Action { prefix: "ListeningConnectionCreated", means: &[] },
    Action { prefix: "", means: &[OUTBOUND] },
];

const OUTBOUND: (Field, &str) = (Field::NetDirection, "outbound");
const INBOUND: (Field, &str) = (Field::NetDirection, "inbound");
