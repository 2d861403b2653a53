use proptest::prelude::*;

use super::*;
use crate::encode::json_tests::{Strict, any_text_reads_back, encoded, golden, hostile, line_of, nothing_is_lost};
use crate::encode::{Encoder, Format, Options as AllOptions};
use crate::event::batch::Shape;
use crate::event::{Activity, Class, Fields, Value};
use crate::normalize::{Normalized, Normalizer, Origin};

#[test]
fn no_field_is_lost_whatever_the_event_is_about() {
    nothing_is_lost(Format::Splunk, OMITTED);
}

#[test]
fn actions_are_words_the_model_expects() {
    let expected: &[(&str, &[&str])] = &[
        ("Malware", &["allowed", "blocked", "deferred"]),
        ("Processes", &["created", "stopped", "allowed", "blocked"]),
        ("Filesystem", &["acl_modified", "created", "deleted", "modified", "read"]),
        ("Registry", &["created", "deleted", "modified", "read"]),
        ("Network_Traffic", &["allowed", "blocked", "teardown"]),
        ("Web", &["allowed", "blocked"]),
        ("Authentication", &["success", "failure", "pending", "error"]),
        ("Change", CHANGES),
        ("Account_Management", CHANGES),
        ("Email", &["delivered", "blocked", "quarantined", "deleted"]),
        (
            "Data_Access",
            &[
                "created",
                "deleted",
                "disabled",
                "downloaded",
                "enabled",
                "locked",
                "modified",
                "read",
                "shared",
                "started",
                "stopped",
                "unlocked",
                "uploaded",
            ],
        ),
    ];
    let mut encoder = Encoder::new(Format::Splunk, AllOptions::default());
    for class in Class::ALL {
        for activity in Activity::ALL {
            for word in ["blocked", "audited", "allowed", "Delivered", "notFound", "something new"] {
                let mut fields = Fields::default();
                fields.insert(Field::Disposition, Value::plain(word));
                fields.insert(Field::MailAction, Value::plain(word));
                fields.insert(Field::Outcome, Value::plain(word));
                fields.insert(Field::AlertCategory, Value::plain("Malware"));
                let read = Strict::read(&encoded(&mut encoder, (*class, *activity), fields, vec![], vec![]));
                let Some(action) = read.at("event.action").and_then(Strict::text) else { continue };
                let model = read.at("event.cim_model").and_then(Strict::text).unwrap();
                let words = expected.iter().find(|(name, _)| *name == model).unwrap_or_else(|| panic!("{model}")).1;
                assert!(words.contains(&action), "{action} of {model}");
            }
        }
    }
}

const CHANGES: &[&str] =
    &["created", "deleted", "modified", "lockout", "unlocked", "read", "started", "stopped", "cleared", "updated"];

#[test]
fn our_own_names_never_pass_for_the_models() {
    for model in Model::ALL {
        for row in rows_of(*model).iter().copied().flatten() {
            let is_ours = ["defender_", "unmapped_"].iter().any(|prefix| row.path.starts_with(prefix));
            assert!(!is_ours && !row.path.contains('.'), "{}", row.path);
            let later = ["change", "revision", "revision_digest", "repaired", "evidence"];
            assert!(!later.contains(&row.path), "{}", row.path);
        }
    }
}

#[test]
fn words_of_the_model_replace_microsofts() {
    let mut fields = Fields::default();
    for (field, word) in [
        (Field::RegistryPath, r"HKEY_LOCAL_MACHINE\SOFTWARE\Contoso"),
        (Field::RegistryValueType, "ExpandString"),
        (Field::ActorProcessIntegrity, "System"),
        (Field::ActorProcessSha1, "aa"),
        (Field::ActorProcessSha256, "bb"),
    ] {
        fields.insert(field, Value::plain(word));
    }
    let read = Strict::read(&line_of(Format::Splunk, (Class::Registry, Activity::Update), fields, vec![]));
    let text = |name: &str| read.at("event").and_then(|event| event.at(name)).and_then(Strict::text);
    assert_eq!(text("registry_hive"), Some(r"HKEY_LOCAL_MACHINE\Software"));
    assert_eq!(text("registry_key_name"), Some("Contoso"));
    assert_eq!(text("registry_value_type"), Some("REG_EXPAND_SZ"));
    assert_eq!(text("process_integrity_level"), Some("system"));
    assert_eq!(text("process_hash"), Some("SHA1=aa,SHA256=bb"));
    assert_eq!(read.at("time"), Some(&Strict::Number(1_893_492_125.123)));
}

#[test]
fn the_device_is_the_end_it_is() {
    let read = |(class, activity): (Class, Activity), direction: &'static str, has_ends: bool| {
        let mut fields = Fields::default();
        fields.insert(Field::DeviceName, Value::plain("ws01"));
        fields.insert(Field::NetDirection, Value::plain(direction));
        if has_ends {
            fields.insert(Field::NetLocalIp, Value::Ip("192.0.2.1".parse().unwrap()));
            fields.insert(Field::NetLocalPort, Value::Integer(8080));
        }
        let read = Strict::read(&line_of(Format::Splunk, (class, activity), fields, vec![]));
        let text = |name: &str| read.at(name).and_then(Strict::text).map(str::to_owned);
        (text("event.src"), text("event.dest"), read.at("event.dest_port").is_some())
    };
    let ws01 = || Some("ws01".to_owned());
    assert_eq!(read((Class::Dns, Activity::Query), "outbound", false), (ws01(), None, false));
    assert_eq!(read((Class::Network, Activity::Refuse), "inbound", false), (None, ws01(), false));
    assert_eq!(read((Class::Network, Activity::Open), "outbound", true), (ws01(), None, false));
    // A port that listens is where others go.
    assert_eq!(read((Class::Network, Activity::Listen), "", true), (None, ws01(), true));
}

#[test]
fn acts_of_processes_have_the_words_of_their_model() {
    let written = |table: &str, action: &str| {
        let record = format!(
            r#"{{"category":"AdvancedHunting-{table}","properties":{{"ActionType":"{action}","FileName":"new.exe",
                "InitiatingProcessFileName":"acts.exe","InitiatingProcessParentFileName":"parent.exe"}}}}"#
        );
        let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: None };
        let mut line = Vec::new();
        Normalizer::new().normalize(&origin, Shape::Streaming, record.as_bytes(), &mut |normalized| {
            let Normalized::Event(event) = normalized else { panic!("rejected") };
            Encoder::new(Format::Splunk, AllOptions::default()).encode(event, &mut line);
        });
        let read = Strict::read(&line);
        let text = |name: &str| read.at(&format!("event.{name}")).and_then(Strict::text).unwrap_or("-").to_owned();
        ["cim_model", "action", "process_name", "parent_process_name"].map(text).join(" ")
    };
    assert_eq!(written("DeviceProcessEvents", "ProcessCreated"), "Processes created new.exe acts.exe");
    assert_eq!(written("DeviceProcessEvents", "OpenProcess"), "None - acts.exe parent.exe");
    assert_eq!(written("DeviceEvents", "SecurityLogCleared"), "Change cleared acts.exe parent.exe");
    assert_eq!(written("DeviceEvents", "SomethingAudited"), "Processes allowed acts.exe parent.exe");
}

#[test]
fn what_is_deleted_from_the_registry_has_its_former_path() {
    let mut fields = Fields::default();
    fields.insert(Field::RegistryPreviousPath, Value::plain(r"HKEY_CURRENT_USER\Software\Contoso"));
    fields.insert(Field::RegistryPreviousValueName, Value::plain("Flag"));
    let read = Strict::read(&line_of(Format::Splunk, (Class::Registry, Activity::Delete), fields, vec![]));
    let text = |name: &str| read.at(name).and_then(Strict::text);
    assert_eq!(text("event.registry_path"), Some(r"HKEY_CURRENT_USER\Software\Contoso"));
    assert_eq!(text("event.registry_key_name"), Some("Contoso"));
    assert_eq!(text("event.registry_value_name"), Some("Flag"));
}

#[test]
fn the_add_ons_get_the_untouched_record() {
    let options = Options { mode: Mode::AddOn, index: Some("defender".to_owned()), ..Options::default() };
    let mut encoder = Encoder::new(Format::Splunk, AllOptions { splunk: options, ..AllOptions::default() });
    golden(Format::Splunk, |event, _| {
        let mut line = Vec::new();
        encoder.encode(event, &mut line);
        let read = Strict::read(&line);
        let mut record = Strict::read(event.record.replace(['\n', '\r'], "").as_bytes());
        let sourcetype = match event.class {
            Class::Incident => "ms365:defender:incident",
            Class::Alert => "ms:defender:atp:alerts",
            _ => "ms:defender:eventhub",
        };
        assert_eq!(read.at("sourcetype").and_then(Strict::text), Some(sourcetype));
        assert_eq!(read.at("index").and_then(Strict::text), Some("defender"));
        if let (Class::Incident, Strict::Object(members)) = (event.class, &mut record) {
            assert!(members.remove("alerts").is_some());
        }
        assert_eq!(read.at("event"), Some(&record));
    });
}

#[test]
fn golden_records_are_envelopes_that_splunk_takes() {
    golden(Format::Splunk, |event, read| {
        for path in ["source", "sourcetype", "event.event_id", "event.vendor_product", "event.cim_model"] {
            assert!(read.at(path).and_then(Strict::text).is_some(), "{path} of {:?}", event.kind);
        }
        assert!(matches!(read.at("time"), Some(Strict::Number(_))));
    });
}

#[test]
fn options_read_back_and_a_wrong_word_is_refused() {
    let options = Options { mode: Mode::AddOn, host: Some("h".to_owned()), ..Options::default() };
    let written = serde_json::to_string(&options).unwrap();
    assert!(written.contains("\"add-on\""));
    assert_eq!(serde_json::from_str::<Options>(&written).unwrap(), options);
    assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
    assert!(serde_json::from_str::<Options>(r#"{"sourcetype":"x"}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_text_in_any_field_reads_back(text in hostile(), class in proptest::sample::select(Class::ALL)) {
        any_text_reads_back(Format::Splunk, class, &text);
    }
}
