//! Values of Splunk's about who was reached: the ends of a connection, URLs, paths and the registry.

use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::ends::{End, Ends};
use crate::event::text::{UrlParts, between, host_of};
use crate::event::{Event, Field};

/// A name where there is one, else the address.
fn name(event: &Event<'_>, end: &End<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const NAMES: [Field; 4] =
        [Field::DeviceName, Field::NetRemoteHost, Field::NetSourceHost, Field::NetDestinationHost];
    match (end.host, end.ip) {
        (Some(host), _) => {
            json.text(host);
            for field in NAMES.into_iter().filter(|field| event.fields.text(*field) == Some(host)) {
                scratch.shown.add(field);
            }
        }
        (None, Some(address)) => json.address(address),
        (None, None) => return false,
    }
    true
}

fn address(event: &Event<'_>, end: &End<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const ADDRESSES: [Field; 4] = [Field::NetLocalIp, Field::NetRemoteIp, Field::NetSourceIp, Field::NetDestinationIp];
    let Some(address) = end.ip else { return false };
    json.address(address);
    for field in ADDRESSES.into_iter().filter(|field| event.fields.ip(*field) == Some(address)) {
        scratch.shown.add(field);
    }
    true
}

fn port(event: &Event<'_>, end: &End<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const PORTS: [Field; 4] =
        [Field::NetLocalPort, Field::NetRemotePort, Field::NetSourcePort, Field::NetDestinationPort];
    let Some(port) = end.port else { return false };
    json.integer(port);
    for field in PORTS.into_iter().filter(|field| event.fields.integer(*field) == Some(port)) {
        scratch.shown.add(field);
    }
    true
}

fn mac(event: &Event<'_>, end: &End<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Some(address) = end.mac else { return false };
    json.mac(address, b':');
    for field in [Field::NetSourceMac, Field::NetDestinationMac] {
        if event.fields.mac(field) == Some(address) {
            scratch.shown.add(field);
        }
    }
    true
}

pub(super) fn src(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let source = Ends::of(event).source;
    if !source.is_known() && goes_out(event) {
        return event.fields.text(Field::DeviceName).map(|device| json.text(device)).is_some();
    }
    name(event, &source, scratch, json)
}
pub(super) fn src_ip(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    address(event, &Ends::of(event).source, scratch, json)
}
pub(super) fn src_port(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    port(event, &Ends::of(event).source, scratch, json)
}
pub(super) fn src_mac(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    mac(event, &Ends::of(event).source, scratch, json)
}
pub(super) fn dest_ip(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    address(event, &Ends::of(event).destination, scratch, json)
}
pub(super) fn dest_port(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    port(event, &Ends::of(event).destination, scratch, json)
}
pub(super) fn dest_mac(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    mac(event, &Ends::of(event).destination, scratch, json)
}

/// The other end, by the host of its URL if nothing else names it; the device itself where there is no other end.
pub(super) fn dest(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let destination = Ends::of(event).destination;
    if destination.host.is_none() {
        let urls = [Field::NetRemoteUrl, Field::TlsServerName, Field::HttpHost];
        for text in urls.into_iter().filter_map(|field| event.fields.text(field)) {
            if let Some(host) = host_of(text.read(&mut scratch.letters)) {
                json.string(host);
                return true;
            }
        }
    }
    if destination.is_known() {
        return name(event, &destination, scratch, json);
    }
    // Who asked isn't who answered, even if nothing tells who did.
    if goes_out(event) {
        return false;
    }
    event.fields.text(Field::DeviceName).map(|device| json.text(device)).is_some()
}

/// Whether the device is where it all comes from.
fn goes_out(event: &Event<'_>) -> bool {
    event.fields.text(Field::NetDirection).is_some_and(|way| way == *"outbound")
}

/// The URL of an inspected connection: its host and what was asked of it.
pub(super) fn inspected_url(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Scratch { letters, more, shown, .. } = scratch;
    let (host, uri) = (event.fields.text(Field::HttpHost), event.fields.text(Field::HttpUri));
    more.clear();
    if let Some(uri) = uri {
        let uri = uri.read(letters);
        if let Some(host) = host
            && !uri.contains("://")
        {
            more.push_str("http://");
            host.append_to(more);
            shown.add(Field::HttpHost);
        }
        more.push_str(uri);
        shown.add(Field::HttpUri);
    } else if let Some(host) = host {
        more.push_str(host.read(letters));
        shown.add(Field::HttpHost);
    }
    json.string(more);
    !more.is_empty()
}

fn part<'s>(
    event: &Event<'_>,
    letters: &'s mut String,
    take: impl Fn(UrlParts<'s>) -> Option<&'s str>,
) -> Option<&'s str> {
    let urls = [Field::Url, Field::NetRemoteUrl];
    let url = urls.into_iter().find_map(|field| event.fields.text(field));
    // The text is copied, so that it lives as long as the part that is taken of it.
    letters.clear();
    url?.append_to(letters);
    take(UrlParts::of(letters))
}

pub(super) fn url_domain(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    if let Some(host) = part(event, &mut scratch.letters, |parts| parts.host) {
        json.string(host);
        return true;
    }
    event.fields.text(Field::HttpHost).map(|host| json.text(host)).is_some()
}

pub(super) fn uri_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    part(event, &mut scratch.letters, |parts| parts.path).map(|path| json.string(path)).is_some()
}

pub(super) fn uri_query(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    part(event, &mut scratch.letters, |parts| parts.query).map(|query| json.string(query)).is_some()
}

pub(super) fn recipient_domain(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let recipient = event.fields.text(Field::MailRecipient).map(|text| text.read(&mut scratch.letters));
    let domain = recipient.and_then(|recipient| recipient.rsplit_once('@')).map(|(_, domain)| domain);
    domain.filter(|domain| !domain.is_empty()).map(|domain| json.string(domain)).is_some()
}

pub(super) fn file_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    joined(event, Field::FileFolder, Field::FileName, scratch, json)
}
pub(super) fn process_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    joined(event, Field::ProcessFolder, Field::ProcessName, scratch, json)
}

fn joined(event: &Event<'_>, folder: Field, name: Field, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Scratch { letters, more, shown, .. } = scratch;
    shown.add(folder);
    let folder = event.fields.text(folder).map_or("", |text| text.read(letters));
    let name = event.fields.text(name).map_or("", |text| text.read(more));
    match between(folder, name) {
        Some(between) => json.joined(&[folder, between, name]),
        None => json.string(folder),
    }
    !folder.is_empty() || !name.is_empty()
}

/// The whole path where upstream gives it, else the hive and the key, which evidence has apart.
fn path<'s>(event: &Event<'_>, scratch: &'s mut Scratch) -> &'s str {
    let Scratch { letters, more, shown, .. } = scratch;
    more.clear();
    // What is deleted has only its former path.
    for field in [Field::RegistryPath, Field::RegistryPreviousPath] {
        if let Some(path) = event.fields.text(field) {
            more.push_str(path.read(letters));
            shown.add(field);
            return more;
        }
    }
    for field in [Field::RegistryHive, Field::RegistryKey] {
        if let Some(text) = event.fields.text(field) {
            more.push_str(if more.is_empty() { "" } else { "\\" });
            more.push_str(text.read(letters));
            shown.add(field);
        }
    }
    more
}

/// The model knows seven hives, three of which it calls in its own way; any other is left out.
const HIVES: &[(&str, &str)] = &[
    ("HKEY_CURRENT_CONFIG", "HKEY_CURRENT_CONFIG"),
    ("HKEY_CURRENT_USER", "HKEY_CURRENT_USER"),
    ("HKEY_LOCAL_MACHINE\\SAM", "HKEY_LOCAL_MACHINE\\SAM"),
    ("HKEY_LOCAL_MACHINE\\SECURITY", "HKEY_LOCAL_MACHINE\\Security"),
    ("HKEY_LOCAL_MACHINE\\SOFTWARE", "HKEY_LOCAL_MACHINE\\Software"),
    ("HKEY_LOCAL_MACHINE\\SYSTEM", "HKEY_LOCAL_MACHINE\\System"),
    ("HKEY_USERS\\.DEFAULT", "HKEY_USERS\\.DEFAULT"),
];

pub(super) fn registry_hive(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let path = path(event, scratch).as_bytes();
    let is_in = |hive: &str| {
        path.get(..hive.len()).is_some_and(|start| start.eq_ignore_ascii_case(hive.as_bytes()))
            && matches!(path.get(hive.len()), None | Some(b'\\'))
    };
    HIVES.iter().find(|(hive, _)| is_in(hive)).map(|(_, name)| json.string(name)).is_some()
}

pub(super) fn registry_path(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let path = path(event, scratch);
    json.string(path);
    !path.is_empty()
}

pub(super) fn registry_key_name(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let path = path(event, scratch);
    let name = path.rsplit('\\').next().unwrap_or_default();
    json.string(name);
    !name.is_empty()
}
