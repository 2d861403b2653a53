//! Values of ECS about hosts: the addresses of one, and what is told of the one that a request came from.

use std::net::IpAddr;

use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::{Event, Field, Raw, json};

pub(super) fn host_ip(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const FIELDS: [Field; 2] = [Field::DeviceIp, Field::DeviceExternalIp];
    // An adapter has a handful; of more than these one may be there twice.
    let (mut seen, mut count) = ([None; 16], 0);
    let mut see = |address: IpAddr, json: &mut Json<'_>| {
        if !seen.contains(&Some(address)) {
            json.address(address);
            if let Some(place) = seen.get_mut(count) {
                *place = Some(address);
            }
            count += 1;
        }
    };
    json.open_array();
    FIELDS.into_iter().filter_map(|field| event.fields.ip(field)).for_each(|address| see(address, json));
    // An adapter has a list of its addresses, whose prefixes and types stay in our own namespace.
    if let Some(all) = event.fields.text(Field::InterfaceAddresses)
        && let Ok(Raw::Array(all)) = json::whole(all.read(&mut scratch.letters))
    {
        for element in json::elements(all) {
            let Raw::Object(object) = element else { continue };
            let text = json::members(object).find_map(|member| match member.value {
                Raw::String(text) if member.key.eq_ignore_case("ipaddress") => text.as_plain(),
                _ => None,
            });
            if let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) {
                see(address.to_canonical(), json);
            }
        }
    }
    json.close_array();
    FIELDS.into_iter().for_each(|field| scratch.shown.add(field));
    count > 0
}

/// What a browser told of itself describes the browser; otherwise it is the device that a request came from.
pub(super) fn source_os(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    told_of_source(event, Field::NetSourceOs, false, scratch, json)
}

pub(super) fn agent_os(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    told_of_source(event, Field::NetSourceOs, true, scratch, json)
}

pub(super) fn source_type(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    told_of_source(event, Field::NetSourceType, false, scratch, json)
}

fn told_of_source(event: &Event<'_>, field: Field, of_agent: bool, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let text = event.fields.text(field).filter(|_| event.fields.has(Field::HttpUserAgent) == of_agent);
    if text.is_some() {
        scratch.shown.add(field);
    }
    text.map(|text| json.text(text)).is_some()
}

pub(super) fn os_type(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const STARTS: &[(&str, &str)] =
        &[("windows", "windows"), ("linux", "linux"), ("macos", "macos"), ("android", "android"), ("ios", "ios")];
    let of_source = event.fields.text(Field::NetSourceOs).filter(|_| !event.fields.has(Field::HttpUserAgent));
    let Some(name) = event.fields.text(Field::DeviceOs).or(of_source) else { return false };
    let name = name.read(&mut scratch.letters).as_bytes();
    let is =
        |start: &str| name.get(..start.len()).is_some_and(|letters| letters.eq_ignore_ascii_case(start.as_bytes()));
    STARTS.iter().find(|(start, _)| is(start)).map(|(_, kind)| json.string(kind)).is_some()
}
