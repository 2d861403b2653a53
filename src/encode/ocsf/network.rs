//! What goes over a network: ends and connections, names, pages, mail.

use super::objects::{ACTOR, DEVICE, os_type};
use super::words::{DEVICE_TYPE, DNS_RESPONSE, IP_TYPE, number_of, same_word};
use super::writer::{Member, Object, Take, Writer};
use crate::event::ends::{End, is_inbound};
use crate::event::text::{UrlParts, host_of};
use crate::event::{Class, Field, Raw, Text, json};

use Take::{Code, First, Made, Object as Of, Small};

/// Classes without a device and an actor of their own have them by the profile `host`.
pub(super) const HOST: &[Member] = &[("device", Made(host_device)), ("actor", Made(host_actor))];
pub(super) const HOST_DEVICE: &[Member] = &[("device", Made(host_device))];

fn host_device(writer: &mut Writer<'_, '_>) -> bool {
    let is_written = writer.object(&DEVICE);
    writer.announced.host |= is_written;
    is_written
}

fn host_actor(writer: &mut Writer<'_, '_>) -> bool {
    let is_written = writer.object(&ACTOR);
    writer.announced.host |= is_written;
    is_written
}

pub(super) const CONNECTION: &[Member] = &[
    ("src_endpoint", Made(source)),
    ("dst_endpoint", Made(destination)),
    ("connection_info", Of(&CONNECTION_INFO)),
    ("traffic", Of(&TRAFFIC)),
    ("tls", Of(&TLS)),
    ("app_name", First(&[Field::AppName])),
    ("app_protocol_name", First(&[Field::RequestProtocol, Field::LogonProtocol])),
];
pub(super) const NETWORK_ACTIVITY: &[Member] = &[("url", Made(remote_url))];
pub(super) const DNS_ACTIVITY: &[Member] =
    &[("query", Of(&QUERY)), ("answers", Made(answers)), ("rcode_id", Code(Field::DnsResponse, DNS_RESPONSE, "rcode"))];
pub(super) const HTTP_ACTIVITY: &[Member] =
    &[("http_request", Of(&HTTP_REQUEST)), ("http_response", Of(&HTTP_RESPONSE))];
/// OCSF wants one of the two ends; an event that tells of none has the device that reports.
fn source(writer: &mut Writer<'_, '_>) -> bool {
    if end(writer, writer.ends.source, true) {
        return true;
    }
    let length = writer.json.length();
    if destination(writer) {
        writer.json.take_back(length);
        return false;
    }
    writer.json.open_object();
    match writer.text(Field::DeviceName).filter(|_| writer.event.class != Class::Click) {
        Some(name) => {
            writer.json.known_key("hostname");
            writer.json.text(name);
        }
        None => writer.json.written_key(r#""name":"unknown""#),
    }
    writer.json.close_object();
    true
}

pub(super) fn destination(writer: &mut Writer<'_, '_>) -> bool {
    end(writer, writer.ends.destination, false)
}

/// Where the doer is, for classes that must be told.
pub(super) fn must_source(writer: &mut Writer<'_, '_>) -> bool {
    if !end(writer, writer.ends.source, true) {
        writer.json.written_key(r#"{"name":"unknown"}"#);
    }
    true
}

/// The source alone, where it may be missing.
pub(super) fn plain_source(writer: &mut Writer<'_, '_>) -> bool {
    end(writer, writer.ends.source, true)
}

/// One end of a connection. What is known of its place and its system belongs to the source.
fn end(writer: &mut Writer<'_, '_>, end: End<'_>, is_source: bool) -> bool {
    let length = writer.json.length();
    writer.json.open_object();
    let before = writer.json.length();
    if let Some(ip) = end.ip {
        writer.json.known_key("ip");
        writer.json.address(ip);
        for field in [Field::NetLocalIp, Field::NetRemoteIp, Field::NetSourceIp, Field::NetDestinationIp] {
            if writer.fields.ip(field) == Some(ip) {
                writer.shown.add(field);
            }
        }
    }
    if let Some(host) = end.host.filter(|host| !host.is_empty()) {
        writer.json.known_key("hostname");
        writer.json.text(host);
        for field in [Field::NetRemoteHost, Field::NetSourceHost, Field::NetDestinationHost] {
            if writer.fields.text(field) == Some(host) {
                writer.shown.add(field);
            }
        }
    } else if !end.is_device && is_inbound(writer.event) == is_source {
        let url = writer.text(Field::NetRemoteUrl).map(|url| url.read(writer.letters));
        if let Some(host) = url.and_then(host_of) {
            writer.json.known_key("hostname");
            writer.json.string(host);
        }
    }
    if writer.json.length() == before {
        writer.json.take_back(length);
        return false;
    }
    if let Some(port) = end.port.filter(|port| (0..=65535).contains(port)) {
        writer.json.known_key("port");
        writer.json.integer(port);
        for field in [Field::NetLocalPort, Field::NetRemotePort, Field::NetSourcePort, Field::NetDestinationPort] {
            if writer.fields.integer(field) == Some(port) {
                writer.shown.add(field);
            }
        }
    }
    writer.members(if is_source { OF_SOURCE } else { OF_DESTINATION });
    writer.json.close_object();
    true
}

const OF_SOURCE: &[Member] = &[
    ("mac", First(&[Field::NetSourceMac])),
    ("location", Of(&LOCATION)),
    ("isp", First(&[Field::GeoIsp])),
    ("os", Of(&SOURCE_OS)),
    ("type_id", Code(Field::NetSourceType, DEVICE_TYPE, "type")),
];
const OF_DESTINATION: &[Member] = &[("mac", First(&[Field::NetDestinationMac]))];

pub(super) static LOCATION: Object = Object {
    one_of: &[
        ("country", First(&[Field::IpCountry, Field::GeoCountry])),
        ("city", First(&[Field::GeoCity])),
        ("region", First(&[Field::GeoRegion])),
    ],
    instead: None,
    also: &[
        ("lat", Made(|writer| degrees(writer, Field::GeoLatitude, 90.0))),
        ("long", Made(|writer| degrees(writer, Field::GeoLongitude, 180.0))),
    ],
    last: &[],
};

/// A number as upstream wrote it, if there is such a place.
fn degrees(writer: &mut Writer<'_, '_>, field: Field, most: f64) -> bool {
    let Some(text) = writer.text(field).and_then(Text::as_plain) else { return false };
    let is_number = matches!(json::whole(text), Ok(Raw::Number(_)));
    if !is_number || !text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most) {
        return false;
    }
    writer.json.raw(Raw::Number(text.trim()));
    writer.done(true, field)
}

static SOURCE_OS: Object = Object {
    one_of: &[("name", First(&[Field::NetSourceOs]))],
    instead: None,
    also: &[],
    last: &[("type_id", Made(|writer| os_type(writer, Field::NetSourceOs)))],
};

pub(super) static CONNECTION_INFO: Object = Object {
    one_of: &[],
    instead: None,
    also: &[
        ("protocol_name", Made(protocol_name)),
        ("protocol_num", Made(protocol_number)),
        ("tcp_flags", Made(tcp_flags)),
        ("direction_id", Made(known_direction)),
        ("boundary_id", Code(Field::NetRemoteIpType, IP_TYPE, "boundary")),
    ],
    last: &[("direction_id", Made(no_direction)), ("protocol_ver_id", Made(ip_version))],
};

/// `Tcp`, `TcpV4` and `TcpV6` are all `tcp`.
fn protocol_name(writer: &mut Writer<'_, '_>) -> bool {
    let Some(name) = writer.text(Field::NetTransport) else { return false };
    match TRANSPORTS.iter().find(|(word, ..)| same_word(name, word)) {
        Some((_, name, _)) => writer.json.string(name),
        None => writer.json.lower(name),
    }
    writer.done(true, Field::NetTransport)
}

fn protocol_number(writer: &mut Writer<'_, '_>) -> bool {
    let Some(name) = writer.text(Field::NetTransport) else { return false };
    let number = TRANSPORTS.iter().find(|(word, ..)| same_word(name, word));
    number.map(|(.., number)| writer.json.integer(*number)).is_some()
}

const TRANSPORTS: &[(&str, &str, i64)] = &[
    ("tcp", "tcp", 6),
    ("udp", "udp", 17),
    ("tcpv4", "tcp", 6),
    ("tcpv6", "tcp", 6),
    ("udpv4", "udp", 17),
    ("udpv6", "udp", 17),
    ("icmp", "icmp", 1),
    ("icmpv6", "ipv6-icmp", 58),
];

/// Flags as a number, decimal or hexadecimal.
fn tcp_flags(writer: &mut Writer<'_, '_>) -> bool {
    let Some(text) = writer.text(Field::NetTcpFlags).and_then(Text::as_plain) else { return false };
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.map(|number| writer.json.integer(number.into())).is_some() && writer.done(true, Field::NetTcpFlags)
}

fn direction(writer: &Writer<'_, '_>) -> Option<i64> {
    number_of(writer.text(Field::NetDirection)?, &[("inbound", 1), ("outbound", 2)])
}

/// A direction is worth a statement by itself; that none is known isn't.
fn known_direction(writer: &mut Writer<'_, '_>) -> bool {
    let number = direction(writer);
    number.map(|number| writer.json.integer(number)).is_some() && writer.done(true, Field::NetDirection)
}

fn no_direction(writer: &mut Writer<'_, '_>) -> bool {
    let is_unknown = direction(writer).is_none();
    if is_unknown {
        writer.json.integer(0);
    }
    is_unknown
}

fn ip_version(writer: &mut Writer<'_, '_>) -> bool {
    let Some(ip) = writer.ends.source.ip.or(writer.ends.destination.ip) else { return false };
    writer.json.integer(if ip.is_ipv4() { 4 } else { 6 });
    true
}

static TRAFFIC: Object = Object {
    one_of: &[],
    instead: None,
    also: &[
        ("bytes_out", First(&[Field::NetSourceBytes])),
        ("bytes_in", First(&[Field::NetDestinationBytes])),
        ("packets_out", First(&[Field::NetSourcePackets])),
        ("packets_in", First(&[Field::NetDestinationPackets])),
    ],
    last: &[],
};

static TLS: Object = Object {
    one_of: &[("version", First(&[Field::TlsVersion]))],
    instead: Some(r#""version":"unknown""#),
    also: &[("sni", First(&[Field::TlsServerName])), ("cipher", First(&[Field::TlsCipher]))],
    last: &[],
};

pub(super) static QUERY: Object = Object {
    one_of: &[("hostname", Made(query_name))],
    instead: None,
    also: &[("type", First(&[Field::DnsQueryType])), ("class", First(&[Field::DnsQueryClass]))],
    last: &[],
};

fn query_name(writer: &mut Writer<'_, '_>) -> bool {
    writer.value(Field::DnsQuery) || (writer.event.class == Class::Dns && writer.value(Field::QueryTarget))
}

fn remote_url(writer: &mut Writer<'_, '_>) -> bool {
    url(writer, Field::NetRemoteUrl) || url(writer, Field::Url)
}

/// A URL, whole and in parts.
pub(super) fn url(writer: &mut Writer<'_, '_>, field: Field) -> bool {
    let Some(text) = writer.text(field) else { return false };
    writer.json.open_object();
    writer.json.known_key("url_string");
    writer.json.text(text);
    let parts = UrlParts::of(text.read(writer.letters));
    let texts =
        [("hostname", parts.host), ("scheme", parts.scheme), ("path", parts.path), ("query_string", parts.query)];
    for (key, part) in texts {
        if let Some(part) = part {
            writer.json.known_key(key);
            writer.json.string(part);
        }
    }
    if let Some(port) = parts.port {
        writer.json.known_key("port");
        writer.json.integer(port.into());
    }
    writer.json.close_object();
    writer.done(true, field)
}

pub(super) static HTTP_REQUEST: Object = Object {
    one_of: &[],
    instead: None,
    also: &[
        ("http_method", Made(http_method)),
        ("user_agent", First(&[Field::HttpUserAgent])),
        ("url", Made(request_url)),
        ("body_length", Small(Field::HttpRequestBytes)),
    ],
    last: &[],
};

/// The schema knows nine methods, in capitals.
fn http_method(writer: &mut Writer<'_, '_>) -> bool {
    const METHODS: &[&str] = &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    let Some(method) = writer.text(Field::HttpMethod) else { return false };
    let known = METHODS.iter().find(|known| method.eq_ignore_case(known));
    known.map(|known| writer.json.string(known)).is_some() && writer.done(true, Field::HttpMethod)
}

/// The URL a click followed, or what a page was asked by: a path on a host.
fn request_url(writer: &mut Writer<'_, '_>) -> bool {
    url(writer, Field::Url) || writer.object(&PAGE) || url(writer, Field::NetRemoteUrl)
}

static PAGE: Object = Object {
    one_of: &[("path", First(&[Field::HttpUri]))],
    instead: None,
    also: &[("hostname", First(&[Field::HttpHost]))],
    last: &[],
};

static HTTP_RESPONSE: Object = Object {
    one_of: &[("code", Small(Field::HttpStatus))],
    instead: None,
    also: &[("body_length", Small(Field::HttpResponseBytes))],
    last: &[],
};

/// What `AdditionalFields` says of a name's resolution, as a list in JSON, a list in a string, or plain words.
pub(super) fn answers(writer: &mut Writer<'_, '_>) -> bool {
    let Some(answers) = writer.text(Field::DnsAnswers) else { return false };
    let letters = answers.read(writer.letters);
    writer.json.open_array();
    let mut has_some = false;
    if letters.starts_with('[') && json::whole(letters).is_ok() {
        for element in json::elements(letters) {
            if let Raw::String(answer) = element
                && !answer.is_empty()
            {
                writer.json.open_object();
                writer.json.known_key("rdata");
                writer.json.text(answer);
                writer.json.close_object();
                has_some = true;
            }
        }
    } else {
        for answer in letters.split([',', ';']).map(str::trim).filter(|answer| !answer.is_empty()) {
            writer.json.open_object();
            writer.json.known_key("rdata");
            writer.json.string(answer);
            writer.json.close_object();
            has_some = true;
        }
    }
    writer.json.close_array();
    writer.done(has_some, Field::DnsAnswers)
}
