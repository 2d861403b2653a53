//! `DeviceNetworkEvents`: connections, and what network inspection saw inside them.

use super::To::Field as To;
use super::{Action, BLOCKED, Column, FAILURE, INBOUND, Nested, OUTBOUND, SUCCESS, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceNetworkEvents",
    class: Class::Network,
    activity: Activity::Traffic,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    nested: Nested::extra(NESTED),
    actions: ACTIONS,
    follows: &[(Field::DnsAnswers, ANSWERED)],
    moves: &[(Class::Http, VERSION_IS_ANOTHER), (Class::Ssh, VERSION_IS_ANOTHER)],
    ..Table::PLAIN
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
    ("qclass_name", To(Field::DnsQueryClass)),
    ("rcode_name", To(Field::DnsResponse)),
    ("answers", To(Field::DnsAnswers)),
    ("host", To(Field::HttpHost)),
    ("uri", To(Field::HttpUri)),
    ("method", To(Field::HttpMethod)),
    ("status_code", To(Field::HttpStatus)),
    ("user_agent", To(Field::HttpUserAgent)),
    ("request_body_len", To(Field::HttpRequestBytes)),
    ("response_body_len", To(Field::HttpResponseBytes)),
    ("server_name", To(Field::TlsServerName)),
    ("version", To(Field::TlsVersion)),
    ("cipher", To(Field::TlsCipher)),
    ("subject", To(Field::TlsSubject)),
    ("issuer", To(Field::TlsIssuer)),
    ("orig_bytes", To(Field::NetSourceBytes)),
    ("resp_bytes", To(Field::NetDestinationBytes)),
    ("orig_pkts", To(Field::NetSourcePackets)),
    ("resp_pkts", To(Field::NetDestinationPackets)),
    ("Tcp Flags", To(Field::NetTcpFlags)),
    ("NumOfConnections", To(Field::NetCount)),
    ("Source Mac", To(Field::NetSourceMac)),
    ("Destination Mac", To(Field::NetDestinationMac)),
];

/// Inspection has one `version` for whatever it looks into.
const VERSION_IS_ANOTHER: &[(Field, Field)] = &[(Field::TlsVersion, Field::NetProtocolVersion)];

/// A question that has an answer with it is the answer.
const ANSWERED: &[Action] = &[Action::only("[]", &[]), Action::is("*", Activity::Response, &[])];

/// What came in the record itself comes before what a name suggests: an inspected connection says its direction in
/// `AdditionalFields`.
const ACTIONS: &[Action] = &[
    Action::is("ConnectionRequest", Activity::Open, &[OUTBOUND]),
    Action::is("ConnectionAttempt", Activity::Open, &[OUTBOUND]),
    Action::is("ConnectionSuccess", Activity::Open, &[OUTBOUND, SUCCESS]),
    Action::is("ConnectionFailed", Activity::Fail, &[OUTBOUND, FAILURE]),
    Action::is("ConnectionSuccess*", Activity::Traffic, &[OUTBOUND, SUCCESS]),
    Action::is("ConnectionFailed*", Activity::Traffic, &[OUTBOUND, FAILURE]),
    Action::is("InboundConnectionAccepted", Activity::Open, &[INBOUND, SUCCESS]),
    Action::is("InboundConnectionBlocked", Activity::Refuse, &[INBOUND, FAILURE, BLOCKED]),
    Action::is("Inbound*", Activity::Traffic, &[INBOUND]),
    Action::is("ListeningConnectionCreated", Activity::Listen, &[]),
    Action { means: &[OUTBOUND], ..Action::in_class(Class::Dns, "DnsConnectionInspected") },
    Action::of(Class::Http, "HttpConnectionInspected", Activity::Traffic, &[OUTBOUND]),
    Action::of(Class::Ssh, "SshConnectionInspected", Activity::Traffic, &[OUTBOUND]),
    Action::of(Class::Ftp, "FtpConnectionInspected", Activity::Other, &[OUTBOUND]),
    Action::is("*", Activity::Traffic, &[OUTBOUND]),
];
