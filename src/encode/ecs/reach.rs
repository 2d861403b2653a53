//! Values of ECS about who was reached: the ends of a connection, addresses of the web, names, and the registry.

use std::net::IpAddr;

use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::ends::{End, Ends, is_inbound};
use crate::event::text::{UrlParts, host_of};
use crate::event::{Class, Event, Evidence, EvidenceKind, Field, Raw, Text, json};

pub(super) fn source(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let fields = &event.fields;
    let mut end = Ends::of(event).source;
    if end.ip.is_none() && target_of_alert(event).is_none() {
        const OTHERS: [Field; 5] =
            [Field::IpAddress, Field::MailSenderIp, Field::MailSenderIp6, Field::RequestIp, Field::FileOriginIp];
        end.ip = OTHERS.into_iter().find_map(|field| fields.ip(field));
        if fields.has(Field::RequestIp) {
            end.port = end.port.or_else(|| fields.integer(Field::RequestPort));
        }
    }
    if event.class == Class::Email && end.host.is_none() {
        end.host = fields.text(Field::MailSenderDomain);
    }
    json.open_object();
    let empty = json.length();
    write_end(event, end, scratch, json);
    host_of_url(event, end, true, scratch, json);
    if target_of_alert(event).is_none() {
        place(event, scratch, json);
    }
    let is_written = json.length() > empty;
    json.close_object();
    is_written
}

pub(super) fn destination(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let mut end = Ends::of(event).destination;
    let target = target_of_alert(event);
    end.ip = end.ip.or(target);
    json.open_object();
    let empty = json.length();
    write_end(event, end, scratch, json);
    host_of_url(event, end, false, scratch, json);
    if target.is_some() {
        place(event, scratch, json);
    }
    let is_written = json.length() > empty;
    json.close_object();
    is_written
}

/// The address an alert shows, where its part in the alert was to be reached.
fn target_of_alert(event: &Event<'_>) -> Option<IpAddr> {
    let address = event.fields.ip(Field::IpAddress)?;
    let is_it =
        |piece: &&Evidence<'_>| piece.kind == EvidenceKind::Ip && piece.fields.ip(Field::IpAddress) == Some(address);
    event.evidence.iter().find(is_it).filter(|piece| piece.roles.is_target()).map(|_| address)
}

/// The far end of a connection has the name by which it was asked for, if upstream has no other.
fn host_of_url(event: &Event<'_>, end: End<'_>, is_source: bool, scratch: &mut Scratch, json: &mut Json<'_>) {
    if end.host.is_some() || end.is_device || is_inbound(event) != is_source {
        return;
    }
    let url = event.fields.text(Field::NetRemoteUrl).map(|url| url.read(&mut scratch.letters));
    if let Some(host) = url.and_then(host_of) {
        json.written_key("\"domain\":");
        json.lower(Text::plain(host));
        if end.ip.is_none() {
            json.written_key("\"address\":");
            json.lower(Text::plain(host));
        }
    }
}

fn write_end(event: &Event<'_>, end: End<'_>, scratch: &mut Scratch, json: &mut Json<'_>) {
    if let Some(address) = end.ip {
        json.written_key("\"ip\":");
        json.address(address);
        json.written_key("\"address\":");
        json.address(address);
        show(&ADDRESSES, scratch, |field| event.fields.ip(field) == Some(address));
    }
    if let Some(host) = end.host {
        json.written_key("\"domain\":");
        json.lower(host);
        if end.ip.is_none() {
            json.written_key("\"address\":");
            json.lower(host);
        }
        show(&HOSTS, scratch, |field| event.fields.text(field) == Some(host));
    }
    let numbers = [
        ("\"port\":", end.port, PORTS),
        (
            "\"bytes\":",
            end.bytes,
            [
                Field::NetSourceBytes,
                Field::NetDestinationBytes,
                Field::NetSourceBytes,
                Field::NetSourceBytes,
                Field::NetSourceBytes,
            ],
        ),
        (
            "\"packets\":",
            end.packets,
            [
                Field::NetSourcePackets,
                Field::NetDestinationPackets,
                Field::NetSourcePackets,
                Field::NetSourcePackets,
                Field::NetSourcePackets,
            ],
        ),
    ];
    for (key, number, fields) in numbers {
        // Elastic refuses a document for a port or a count that can't be one.
        if let Some(number) = number.filter(|number| *number >= 0) {
            json.written_key(key);
            json.integer(number);
            show(&fields, scratch, |field| event.fields.integer(field) == Some(number));
        }
    }
    if let Some(address) = end.mac {
        json.written_key("\"mac\":");
        json.mac(address, b'-');
        show(&[Field::NetSourceMac, Field::NetDestinationMac], scratch, |field| {
            event.fields.mac(field) == Some(address)
        });
    }
}

const ADDRESSES: [Field; 9] = [
    Field::NetLocalIp,
    Field::NetRemoteIp,
    Field::NetSourceIp,
    Field::NetDestinationIp,
    Field::IpAddress,
    Field::MailSenderIp,
    Field::MailSenderIp6,
    Field::RequestIp,
    Field::FileOriginIp,
];
const HOSTS: [Field; 4] =
    [Field::NetRemoteHost, Field::NetSourceHost, Field::NetDestinationHost, Field::MailSenderDomain];
const PORTS: [Field; 5] =
    [Field::NetLocalPort, Field::NetRemotePort, Field::NetSourcePort, Field::NetDestinationPort, Field::RequestPort];

/// A field whose value stands in the line is shown, whichever end it belongs to.
fn show(fields: &[Field], scratch: &mut Scratch, is_there: impl Fn(Field) -> bool) {
    fields.iter().filter(|field| is_there(**field)).for_each(|field| scratch.shown.add(*field));
}

/// Where the source is in the world. Where a person lives isn't where anything came from.
fn place(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) {
    let fields = &event.fields;
    if event.class == Class::Identity {
        return;
    }
    let country = [Field::GeoCountry, Field::IpCountry].into_iter().find(|field| fields.has(*field));
    let text = |field: Option<Field>| field.and_then(|field| fields.text(field));
    if let (Some(field), Some(name)) = (country, text(country)) {
        let key = if name.as_written().len() == 2 { "\"country_iso_code\":" } else { "\"country_name\":" };
        json.written_key("\"geo\":{");
        json.written_key(key);
        json.text(name);
        scratch.shown.add(field);
    }
    if let Some(city) = fields.text(Field::GeoCity) {
        if country.is_none() {
            json.written_key("\"geo\":{");
        }
        json.written_key("\"city_name\":");
        json.text(city);
        scratch.shown.add(Field::GeoCity);
    }
    if country.is_some() || fields.has(Field::GeoCity) {
        json.close_object();
    }
    if let Some(name) = fields.text(Field::GeoIsp) {
        json.written_key("\"as\":{\"organization\":{\"name\":");
        json.text(name);
        json.close_object();
        json.close_object();
        scratch.shown.add(Field::GeoIsp);
    }
}

pub(super) fn protocol(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let name = match event.class {
        Class::Dns => "dns",
        Class::Http => "http",
        Class::Ssh => "ssh",
        Class::Ftp => "ftp",
        Class::Network if event.fields.has(Field::TlsVersion) || event.fields.has(Field::TlsServerName) => "tls",
        _ => return false,
    };
    json.string(name);
    true
}

/// A file is asked for over a network unless the request is local.
pub(super) fn request_protocol(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let protocol = event.fields.text(Field::RequestProtocol).filter(|protocol| !protocol.eq_ignore_case("local"));
    let Some(protocol) = protocol else { return false };
    scratch.shown.add(Field::RequestProtocol);
    json.lower(protocol);
    true
}

pub(super) fn network_type(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let fields = [Field::NetRemoteIp, Field::NetLocalIp, Field::NetDestinationIp, Field::NetSourceIp];
    let address = fields.into_iter().find_map(|field| event.fields.ip(field));
    address.map(|address| json.string(if address.is_ipv6() { "ipv6" } else { "ipv4" })).is_some()
}

/// A number that upstream writes as text; one that is none stays in our own namespace.
pub(super) fn status(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let text = event.fields.text(Field::HttpStatus).and_then(Text::as_plain);
    let Some(number) = text.and_then(|text| text.parse::<u16>().ok()) else { return false };
    scratch.shown.add(Field::HttpStatus);
    json.integer(i64::from(number));
    true
}

/// Answers are a list that was written into a string, or one alone.
fn each_answer(event: &Event<'_>, letters: &mut String, mut each: impl FnMut(&str)) -> bool {
    let Some(text) = event.fields.text(Field::DnsAnswers) else { return false };
    let text = text.read(letters);
    let Ok(Raw::Array(array)) = json::whole(text) else {
        each(text);
        return true;
    };
    let mut are_texts = true;
    for answer in json::elements(array) {
        match answer {
            Raw::String(text) => each(&text.to_cow()),
            _ => are_texts = false,
        }
    }
    are_texts
}

pub(super) fn answers(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_array();
    let mut is_written = false;
    let is_whole = each_answer(event, &mut scratch.letters, |answer| {
        json.open_object();
        json.written_key("\"data\":");
        json.string(answer);
        json.close_object();
        is_written = true;
    });
    json.close_array();
    if is_whole && is_written {
        scratch.shown.add(Field::DnsAnswers);
    }
    is_written
}

pub(super) fn resolved(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_array();
    let mut is_written = false;
    each_answer(event, &mut scratch.letters, |answer| {
        if let Ok(address) = answer.parse::<IpAddr>() {
            json.address(address);
            is_written = true;
        }
    });
    json.close_array();
    is_written
}

/// A URL, whole and in parts. What has no scheme is a host, or a path on a host that another field names.
pub(super) fn url(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let fields = &event.fields;
    let wholes = [Field::Url, Field::NetRemoteUrl, Field::HttpUri];
    let whole = wholes.into_iter().find_map(|field| Some((field, fields.text(field)?)));
    let hosts = [Field::HttpHost, Field::UrlDomain];
    let host = hosts.into_iter().find_map(|field| Some((field, fields.text(field)?)));
    json.open_object();
    let empty = json.length();
    let mut parts = UrlParts::default();
    if let Some((field, text)) = whole {
        scratch.shown.add(field);
        let letters = text.read(&mut scratch.letters);
        json.written_key("\"original\":");
        json.string(letters);
        if letters.starts_with('/') {
            let rest = letters.split('#').next().unwrap_or_default();
            let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
            parts = UrlParts { path: Some(path), query, ..parts };
        } else {
            parts = UrlParts::of(letters);
        }
        if parts.scheme.is_some() {
            json.written_key("\"full\":");
            json.string(letters);
        }
    }
    let texts = [("\"scheme\":", parts.scheme), ("\"path\":", parts.path), ("\"query\":", parts.query)];
    for (key, text) in texts {
        if let Some(text) = text {
            json.written_key(key);
            json.string(text);
        }
    }
    if let Some(port) = parts.port {
        json.written_key("\"port\":");
        json.integer(i64::from(port));
    }
    match (parts.host, host) {
        (Some(name), _) => {
            json.written_key("\"domain\":");
            json.string(name);
        }
        (None, Some((field, name))) => {
            json.written_key("\"domain\":");
            json.text(name);
            scratch.shown.add(field);
        }
        (None, None) => {}
    }
    let is_written = json.length() > empty;
    json.close_object();
    is_written
}
