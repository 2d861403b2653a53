use proptest::prelude::*;

use super::category::{Category, Ruling};
use super::*;
use crate::encode::Format;
use crate::encode::json_tests::{Strict, any_text_reads_back, golden, hostile, line_of, nothing_is_lost};
use crate::event::{Fields, Text, Value};

/// ECS's matrix: which types each category knows.
const MATRIX: &[(&str, &[&str])] = &[
    (
        "api",
        &["access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"],
    ),
    ("authentication", &["start", "end", "info"]),
    ("configuration", &["access", "change", "creation", "deletion", "info"]),
    ("driver", &["change", "end", "info", "start"]),
    ("email", &["info"]),
    ("file", &["access", "change", "creation", "deletion", "info"]),
    ("host", &["access", "change", "end", "info", "start"]),
    ("iam", &["admin", "change", "creation", "deletion", "group", "info", "user"]),
    ("intrusion_detection", &["allowed", "denied", "info"]),
    ("library", &["start"]),
    ("malware", &["info"]),
    ("network", &["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]),
    ("process", &["access", "change", "end", "info", "start"]),
    ("registry", &["access", "change", "creation", "deletion"]),
    ("web", &["access", "error", "info"]),
];

fn allowed(category: &str) -> &'static [&'static str] {
    MATRIX.iter().find(|(name, _)| *name == category).unwrap_or_else(|| panic!("{category} is no category")).1
}

#[test]
fn every_category_and_type_is_one_that_ecs_allows() {
    for class in Class::ALL {
        for activity in Activity::ALL {
            for ruling in Ruling::ALL {
                let Category { kind, categories, types } = Category::of(*class, *activity, *ruling);
                assert!(["alert", "asset", "event", "pipeline_error"].contains(&kind));
                assert_eq!(categories.is_empty(), types.is_empty(), "{class:?}");
                for one in types {
                    let is_known = categories.iter().any(|category| allowed(category).contains(one));
                    assert!(is_known, "{class:?} {activity:?} {ruling:?}: {one} of {categories:?}");
                }
                // A category that allows none of the types is there only beside the one that rules.
                for category in categories.iter().filter(|_| categories[0] != "intrusion_detection") {
                    let is_used = types.iter().any(|one| allowed(category).contains(one));
                    assert!(is_used || *category == "registry", "{class:?} {activity:?}: {category} of {types:?}");
                }
            }
        }
    }
    assert!(made::ABOUT.iter().all(|category| allowed(category).contains(&"info")));
}

#[test]
fn no_field_is_lost_whatever_the_event_is_about() {
    nothing_is_lost(Format::Ecs, OMITTED);
}

fn one(class: Class, activity: Activity, values: &[(Field, Value<'static>)]) -> Strict {
    let mut fields = Fields::default();
    for (field, value) in values {
        fields.insert(*field, value.clone());
    }
    Strict::read(&line_of(Format::Ecs, (class, activity), fields, vec![]))
}

fn list(texts: &[&str]) -> Option<Strict> {
    Some(Strict::Array(texts.iter().map(|text| Strict::Text((*text).to_owned())).collect()))
}

#[test]
fn the_registry_comes_apart_into_hive_key_and_value() {
    let plain = Value::plain;
    let read = one(
        Class::Registry,
        Activity::Update,
        &[
            (Field::RegistryPath, plain(r"HKEY_LOCAL_MACHINE\SOFTWARE\Contoso")),
            (Field::RegistryValueName, plain("Run")),
            (Field::RegistryValue, plain("7")),
            (Field::RegistryValueType, plain("Dword")),
        ],
    );
    let text = |path: &str| read.at(path).and_then(Strict::text);
    assert_eq!(text("registry.hive"), Some("HKLM"));
    assert_eq!(text("registry.key"), Some(r"SOFTWARE\Contoso"));
    assert_eq!(text("registry.path"), Some(r"HKLM\SOFTWARE\Contoso\Run"));
    assert_eq!(text("registry.data.type"), Some("REG_DWORD"));
    assert_eq!(read.at("registry.data.strings").cloned(), list(&["7"]));
    let apart = one(
        Class::Alert,
        Activity::Other,
        &[(Field::RegistryHive, plain("HKEY_CURRENT_USER")), (Field::RegistryKey, plain("Run"))],
    );
    assert_eq!(apart.at("registry.path").and_then(Strict::text), Some(r"HKCU\Run"));
}

#[test]
fn a_sub_technique_names_its_technique_and_a_category_its_tactic() {
    let techniques = crate::event::List::of(vec![Text::plain("Cloud Accounts (T1078.004)"), Text::plain("T1078")]);
    let read = one(
        Class::Alert,
        Activity::Create,
        &[(Field::Techniques, Value::List(techniques)), (Field::AlertCategory, Value::plain("InitialAccess"))],
    );
    assert_eq!(read.at("threat.technique.id").cloned(), list(&["T1078"]));
    assert_eq!(read.at("threat.technique.subtechnique.id").cloned(), list(&["T1078.004"]));
    assert_eq!(read.at("threat.tactic.id").cloned(), list(&["TA0001"]));
    assert_eq!(read.at("rule.category"), None);
    let malware = one(Class::Alert, Activity::Create, &[(Field::AlertCategory, Value::plain("Malware"))]);
    assert_eq!(malware.at("rule.category").and_then(Strict::text), Some("Malware"));
    assert_eq!(malware.at("threat"), None);
    assert_eq!(malware.at("event.category").cloned(), list(&["intrusion_detection", "malware"]));
}

#[test]
fn who_acts_and_who_is_acted_on_stay_apart() {
    let people = [(Field::UserName, Value::plain("new")), (Field::ActorUserName, Value::plain("doer"))];
    let text = |read: &Strict, path: &str| read.at(path).and_then(Strict::text).map(str::to_owned);
    let account = one(Class::Account, Activity::Create, &people);
    assert_eq!(text(&account, "user.name").as_deref(), Some("doer"));
    assert_eq!(text(&account, "user.target.name").as_deref(), Some("new"));
    let logon = one(Class::Logon, Activity::Logon, &people);
    assert_eq!(text(&logon, "user.name").as_deref(), Some("new"));
    assert_eq!(text(&logon, "process.user.name").as_deref(), Some("doer"));
    assert_eq!(text(&logon, "event.outcome").as_deref(), Some("unknown"));
    let names = [(Field::ProcessName, Value::plain("child")), (Field::ActorProcessName, Value::plain("parent"))];
    let process = one(Class::Process, Activity::Start, &names);
    assert_eq!(text(&process, "process.name").as_deref(), Some("child"));
    assert_eq!(text(&process, "process.parent.name").as_deref(), Some("parent"));
    let file = one(Class::File, Activity::Create, &names[1..]);
    assert_eq!(text(&file, "process.name").as_deref(), Some("parent"));
}

#[test]
fn values_have_the_types_elastic_expects() {
    let mac = Value::Mac([0, 0, 0x5e, 0, 0x53, 0x23]);
    let ip = |text: &str| Value::Ip(text.parse().unwrap());
    let read = one(
        Class::Http,
        Activity::Traffic,
        &[
            (Field::DeviceMac, mac),
            (Field::DeviceIp, ip("192.0.2.1")),
            (Field::DeviceExternalIp, ip("192.0.2.1")),
            (Field::ActorProcessPid, Value::Integer(7)),
            (Field::ActorProcessUid, Value::plain("12")),
            (Field::HttpStatus, Value::plain("404")),
            (Field::HttpUri, Value::plain("/a?b=c")),
            (Field::HttpHost, Value::plain("www.contoso.example")),
            (Field::DnsAnswers, Value::plain(r#"["192.0.2.9","alias.example"]"#)),
            (Field::Extra, Value::plain(r#"{"a":1}"#)),
            (Field::NetTransport, Value::plain("TcpV4")),
        ],
    );
    assert_eq!(read.at("host.mac").cloned(), list(&["00-00-5E-00-53-23"]));
    assert_eq!(read.at("host.ip").cloned(), list(&["192.0.2.1"]));
    assert_eq!(read.at("process.pid"), Some(&Strict::Number(7.0)));
    assert_eq!(read.at("process.entity_id").and_then(Strict::text), Some("12"));
    assert_eq!(read.at("http.response.status_code"), Some(&Strict::Number(404.0)));
    assert_eq!(read.at("url.path").and_then(Strict::text), Some("/a"));
    assert_eq!(read.at("url.domain").and_then(Strict::text), Some("www.contoso.example"));
    assert_eq!(read.at("dns.resolved_ip").cloned(), list(&["192.0.2.9"]));
    assert_eq!(read.at("microsoft.defender.additional_fields.a"), Some(&Strict::Number(1.0)));
    assert_eq!(read.at("network.transport").and_then(Strict::text), Some("tcp"));
    assert_eq!(read.at("related.ip").cloned(), list(&["192.0.2.1"]));
}

#[test]
fn golden_records_are_documents_that_elastic_takes() {
    golden(Format::Ecs, |event, read| {
        for path in ["@timestamp", "ecs.version", "event.kind", "event.id", "event.dataset", "observer.vendor"] {
            assert!(read.at(path).and_then(Strict::text).is_some(), "{path} of {:?}", event.kind);
        }
        let pieces = match read.at("microsoft.defender.evidence") {
            Some(Strict::Array(pieces)) => pieces.len(),
            _ => 0,
        };
        assert_eq!(pieces, event.evidence.len());
        let id = |path: &str| read.at(path).and_then(Strict::text);
        if event.class == Class::Alert && event.revision.is_some() {
            assert_eq!(id("event.id"), id("microsoft.defender.alert_id"));
        } else if event.class != Class::Incident {
            assert_eq!(id("event.id"), id("siemgate.event_id"), "a row of a stream is itself");
        }
    });
}

#[test]
fn of_what_was_deleted_the_state_before_is_shown() {
    let before = [
        (Field::RegistryPreviousPath, Value::plain(r"HKEY_USERS\S-1-5-18\Environment")),
        (Field::RegistryPreviousValueName, Value::plain("Flag")),
    ];
    let read = one(Class::Registry, Activity::Delete, &before);
    assert_eq!(read.at("registry.path").and_then(Strict::text), Some(r"HKU\S-1-5-18\Environment\Flag"));
}

#[test]
fn the_far_end_has_the_name_it_was_asked_for_by() {
    let url = (Field::NetRemoteUrl, Value::plain("https://Bad.contoso.example/x"));
    let read = one(Class::Network, Activity::Open, &[url.clone(), (Field::DeviceName, Value::plain("ws01"))]);
    assert_eq!(read.at("destination.domain").and_then(Strict::text), Some("bad.contoso.example"));
    assert_eq!(read.at("source.domain").and_then(Strict::text), Some("ws01"));
    let inbound = one(Class::Network, Activity::Open, &[url, (Field::NetDirection, Value::plain("inbound"))]);
    assert_eq!(inbound.at("source.domain").and_then(Strict::text), Some("bad.contoso.example"));
}

#[test]
fn where_a_person_lives_is_no_source() {
    let city = [(Field::GeoCity, Value::plain("Berlin"))];
    assert_eq!(one(Class::Identity, Activity::Collect, &city).at("source"), None);
    assert!(one(Class::Cloud, Activity::Read, &city).at("source.geo.city_name").is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_text_in_any_field_reads_back(text in hostile(), class in proptest::sample::select(Class::ALL)) {
        any_text_reads_back(Format::Ecs, class, &text);
    }
}
