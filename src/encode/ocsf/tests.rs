//! Every class with every activity and every field: nothing is lost, nothing breaks out. Whether the events are what
//! the schema wants is told by a validator that shares nothing with this code: `OCSF_EVENTS=FILE` writes them down.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;

use super::Ocsf;
use super::omitted::is_omitted;
use crate::clock::Timestamp;
use crate::event::{
    Activity, Class, Event, EventId, Evidence, EvidenceKind, Field, Fields, Kind, List, Member, Raw, Remediation, Role,
    Roles, Severity, Text, Value, Verdict,
};
use crate::ids::{SourceId, TenantId};

/// What fields are filled with: each value tells of which field it is.
struct Words {
    texts: Vec<String>,
    lists: Vec<String>,
    objects: Vec<String>,
    tenant: TenantId,
    source: SourceId,
}

const HOSTILE: &str = r#"\"}],\n{\"x\":\ud83d \u0000 \\\" é"#;
const GOOD: &[&str] = &[
    "bea@contoso.example",
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "C:\\Temp\\tool.exe",
    "https://login.contoso.example:8443/a/b?c=d#e",
    "Malware",
    "resolved",
    "truePositive",
    "Inbound",
    "Blocked",
    "success",
    "443",
    "48.4",
    "1e999",
    "0x1B",
    "Dword",
    "MultiString",
    "String",
    "Tcp",
    "High",
    "Workstation",
    "GET",
    "T1078.004",
    "S-1-5-18",
    "[\"192.0.2.1\"]",
    "Onboarded",
    "InitialAccess",
    "{\"SPF\":\"pass\"}",
    "[{\"UserName\":\"bea\",\"Sid\":\"\"}]",
    "[{\"IPAddress\":\"x\"},{\"IPAddress\":\"192.0.2.7\"}]",
    "\\",
    "@",
    "",
];

impl Words {
    fn new() -> Self {
        let texts = |make: fn(&Field) -> String| Field::ALL.iter().map(make).collect();
        Self {
            texts: texts(|field| format!("value of {}", field.name())),
            lists: texts(|field| format!("[\"element of {}\"]", field.name())),
            objects: texts(|field| format!("{{\"object\":\"of {}\"}}", field.name())),
            tenant: "contoso".parse().unwrap(),
            source: "hub".parse().unwrap(),
        }
    }

    fn value(&self, field: Field) -> Value<'_> {
        let number = field as usize;
        let small = u8::try_from(number % 250).unwrap();
        let other = u8::try_from(number / 250).unwrap();
        match field.kind() {
            Kind::Text | Kind::Id => Value::plain(&self.texts[number]),
            Kind::Integer => Value::Integer(20_000 + i64::try_from(number).unwrap()),
            Kind::Bool => Value::Bool(true),
            Kind::Time => Value::Time(Timestamp::from_millis(1_893_400_000_000 + i64::try_from(number).unwrap())),
            Kind::Ip => Value::Ip(IpAddr::from([198, 51, other, small])),
            Kind::Mac => Value::Mac([0, 0, 0x5e, 0, other, small]),
            Kind::List => Value::List(List::of_array(&self.lists[number]).unwrap()),
            Kind::Json => Value::Json(&self.objects[number]),
        }
    }

    /// What the value is looked for by; flags all look the same.
    fn mark(&self, field: Field) -> Option<String> {
        match self.value(field) {
            Value::Text(text) => Some(text.to_string()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Time(time) => Some(time.millis().to_string()),
            Value::Ip(address) => Some(address.to_string()),
            Value::Mac(mac) => Some(format!("5e:00:{:02x}:{:02x}", mac[4], mac[5])),
            Value::List(list) => list.iter().next().map(|text| text.to_string()),
            Value::Json(text) => Some(text.to_owned()),
            Value::Bool(_) => None,
        }
    }

    fn event<'r>(&'r self, class: Class, activity: Activity, fields: Fields<'r>) -> Event<'r> {
        Event {
            id: EventId::from_bytes([7; 16]),
            tenant: &self.tenant,
            source: &self.source,
            class,
            activity,
            kind: Text::plain("DeviceEvents"),
            action: Some(Text::plain("SomethingHappened")),
            time: Some(Timestamp::from_millis(1_893_492_125_123)),
            severity: Severity::Unknown,
            fields,
            evidence: Vec::new(),
            unmapped: Vec::new(),
            revision: None,
            index: 0,
            record: "{}",
            raw: b"{}",
            repaired: false,
            reduced: None,
        }
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn written(ocsf: &mut Ocsf, event: &Event<'_>) -> String {
    let mut out = Vec::from(b"before");
    ocsf.encode(event, &mut out);
    let line = String::from_utf8(out.split_off(6)).unwrap();
    assert!(!line.contains(['\n', '\r']), "{line}");
    let read: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(read.is_object());
    only_once(&line);
    observables_stand_where_they_say(&read);
    line
}

/// What people are pointed to is there.
fn observables_stand_where_they_say(event: &serde_json::Value) {
    for observable in event["observables"].as_array().into_iter().flatten() {
        let name = observable["name"].as_str().unwrap();
        let pointer = format!("/{}", name.replace(['.', '['], "/").replace(']', ""));
        let there = match event.pointer(&pointer) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => panic!("nothing is at {name} of {event}"),
        };
        assert_eq!(Some(there.as_str()), observable["value"].as_str(), "{name} of {event}");
    }
}

/// No object names a member twice: readers would see only one of the two.
fn only_once(document: &str) {
    let mut open = vec![crate::event::json::whole(document).unwrap()];
    while let Some(value) = open.pop() {
        match value {
            Raw::Object(object) => {
                let mut seen = BTreeMap::new();
                for member in crate::event::json::members(object) {
                    assert!(seen.insert(member.key.to_string(), ()).is_none(), "`{}` twice in {document}", member.key);
                    open.push(member.value);
                }
            }
            Raw::Array(array) => open.extend(crate::event::json::elements(array)),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::String(_) => {}
        }
    }
}

#[test]
fn every_field_of_every_class_is_shown_somewhere() {
    let words = Words::new();
    let mut ocsf = Ocsf::new();
    // One event can't hold all fields.
    let halves = [0, 1].map(|half| Field::ALL.iter().copied().filter(move |field| *field as usize % 2 == half));
    for half in halves {
        for class in Class::ALL {
            let mut fields = Fields::default();
            half.clone().for_each(|field| assert!(fields.insert(field, words.value(field))));
            let event = words.event(*class, Activity::Update, fields);
            let line = written(&mut ocsf, &event);
            for field in half.clone().filter(|field| !is_omitted(*field)) {
                let Some(mark) = words.mark(field) else { continue };
                let mark = mark.trim_matches(['{', '}']).to_lowercase();
                let is_there = line.to_lowercase().contains(&mark);
                assert!(is_there || is_time_shown(&line, &words, field), "{class:?} hides {}: {line}", field.name());
            }
        }
    }
}

/// What has no attribute is written as people read it.
fn is_time_shown(line: &str, words: &Words, field: Field) -> bool {
    matches!(words.value(field), Value::Time(time) if line.contains(&time.to_microsoft()))
}

#[test]
fn whatever_a_field_holds_the_line_reads_back() {
    let words = Words::new();
    let mut ocsf = Ocsf::new();
    let file = std::env::var_os("OCSF_EVENTS");
    let rounds = if file.is_some() { 12 } else { 1 };
    let mut lines = Vec::new();
    for class in Class::ALL {
        for activity in Activity::ALL {
            lines.push(written(&mut ocsf, &words.event(*class, *activity, Fields::default())));
            for half in 0..2 {
                let mut fields = Fields::default();
                Field::ALL.iter().filter(|field| **field as usize % 2 == half).for_each(|field| {
                    fields.insert(*field, words.value(*field));
                });
                lines.push(written(&mut ocsf, &words.event(*class, *activity, fields)));
            }
            let seed = 1000 * (*class as u64) + *activity as u64;
            for round in 0..rounds {
                lines.push(written(&mut ocsf, &random(&words, *class, *activity, &mut Dice(seed * 10 + round))));
            }
        }
    }
    if let Some(path) = file {
        let mut file = std::fs::File::create(path).unwrap();
        lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
    }
}

fn random<'r>(words: &'r Words, class: Class, activity: Activity, dice: &mut Dice) -> Event<'r> {
    let share = 1 + dice.below(40);
    let fields = some_fields(words, share, dice);
    let mut event = words.event(class, activity, fields);
    event.severity = Severity::ALL[dice.below(Severity::ALL.len())];
    event.action = [None, Some(Text::plain("RegistryValueSet")), Some(Text::quoted(HOSTILE, true))][dice.below(3)];
    if dice.below(9) == 0 {
        event.time = None;
    }
    let keys = ["Column", "Column", "Column_2", "device_group", "additional_fields", "x"];
    event.unmapped = (0..dice.below(7))
        .map(|_| Member { key: Text::plain(keys[dice.below(6)]), value: Raw::Object("{\"a\":\n[1]}") })
        .collect();
    if class == Class::Alert || class == Class::Behavior {
        event.evidence = (0..dice.below(6)).map(|_| piece(words, dice)).collect();
    }
    event
}

fn some_fields<'r>(words: &'r Words, share: usize, dice: &mut Dice) -> Fields<'r> {
    let mut fields = Fields::default();
    for field in Field::ALL {
        if dice.below(share) > 2 {
            continue;
        }
        let value = match (field.kind(), dice.below(6)) {
            (Kind::Text | Kind::Id, 0) => Value::Text(Text::quoted(HOSTILE, true)),
            (Kind::Text | Kind::Id, 1..=4) => Value::plain(GOOD[dice.below(GOOD.len())]),
            (Kind::Integer, 0) => Value::Integer(-1),
            (Kind::Integer, 1) => Value::Integer(70_000),
            (Kind::Integer, 2) => Value::Integer(i64::MAX),
            (Kind::Time, 0) => Value::Time(Timestamp::from_millis(-5)),
            (Kind::List, 0) => Value::List(List::of_array("[]").unwrap()),
            (Kind::List, 1) => Value::List(List::of_array(r#"["T1003","x (T1003.001)","","T1003"]"#).unwrap()),
            (Kind::Json, 0) => Value::Text(Text::quoted(r#"{\"a\":\"\\ud83d\",\n\"b\":[1]}"#, true)),
            (Kind::Json, 1) => Value::Text(Text::quoted(HOSTILE, true)),
            (Kind::Json, 2) => Value::Json("[{\"comment\":\"first\"},\n{\"comment\":\"\\ud83d last\"}]"),
            (Kind::Json, 3) => Value::plain(GOOD[dice.below(GOOD.len())]),
            (Kind::Ip, 0) => Value::Ip("2001:db8::1".parse().unwrap()),
            _ => words.value(*field),
        };
        fields.insert(*field, value);
    }
    fields
}

fn piece<'r>(words: &'r Words, dice: &mut Dice) -> Evidence<'r> {
    let mut roles = Roles::default();
    if dice.below(2) == 0 {
        roles.add(Role::ALL[dice.below(Role::ALL.len())]);
    }
    let share = 1 + dice.below(20);
    Evidence {
        kind: EvidenceKind::ALL[dice.below(EvidenceKind::ALL.len())],
        kind_name: Text::plain("someEvidence"),
        roles,
        verdict: [Verdict::Unknown, Verdict::Malicious, Verdict::Other][dice.below(3)],
        remediation: [Remediation::None, Remediation::Blocked][dice.below(2)],
        fields: some_fields(words, share, dice),
        unmapped: vec![Member { key: Text::plain(["more", "roles"][dice.below(2)]), value: Raw::Array("[1]") }],
        raw: ["{}", "{\"@odata.type\":\n\"#microsoft.graph.security.someEvidence\"}"][dice.below(2)],
    }
}

#[test]
fn every_kind_of_evidence_is_shown_whole() {
    let words = Words::new();
    let mut ocsf = Ocsf::new();
    let cases = [(0, Role::Attacker), (1, Role::CommandAndControl), (0, Role::Destination), (1, Role::Source)];
    for (kind, (half, role)) in EvidenceKind::ALL.iter().flat_map(|kind| cases.map(|case| (kind, case))) {
        let mut fields = Fields::default();
        let some = Field::ALL.iter().copied().filter(|field| *field as usize % 2 == half);
        some.clone().for_each(|field| _ = fields.insert(field, words.value(field)));
        let mut event = words.event(Class::Alert, Activity::Create, Fields::default());
        let raw = "{\"raw\":\"all of it\"}";
        let mut roles = Roles::default();
        roles.add(role);
        event.evidence.push(Evidence { fields, raw, roles, kind: *kind, ..piece(&words, &mut Dice(1)) });
        let line = written(&mut ocsf, &event);
        let is_whole = line.contains("all of it");
        for field in some.filter(|field| !is_omitted(*field)) {
            let Some(mark) = words.mark(field) else { continue };
            let mark = mark.trim_matches(['{', '}']).to_lowercase();
            let is_there = line.to_lowercase().contains(&mark) || is_time_shown(&line, &words, field);
            assert!(is_whole || is_there, "{kind:?} hides {}: {line}", field.name());
        }
    }
}

fn written_with(class: Class, activity: Activity, some: &[(Field, Value<'_>)]) -> serde_json::Value {
    let words = Words::new();
    let mut fields = Fields::default();
    some.iter().for_each(|(field, value)| assert!(fields.insert(*field, value.clone())));
    serde_json::from_str(&written(&mut Ocsf::new(), &words.event(class, activity, fields))).unwrap()
}

#[test]
fn what_the_schema_would_refuse_is_kept_where_anything_may_stand() {
    let some = [
        (Field::MailSender, Value::plain("nobody")),
        (Field::MailRecipient, Value::plain("bea@contoso.example")),
        (Field::FileName, Value::plain("a.txt")),
        (Field::FileSha1, Value::plain("not a hash")),
    ];
    let event = written_with(Class::Email, Activity::Receive, &some);
    assert_eq!(event["email"]["from"], serde_json::Value::Null);
    assert_eq!(event["email"]["to"][0], "bea@contoso.example");
    assert_eq!(event["email"]["files"][0]["hashes"], serde_json::Value::Null);
    assert_eq!(event["unmapped"]["mail_sender"], "nobody");
    assert_eq!(event["unmapped"]["file_sha1"], "not a hash");

    let some = [
        (Field::NetSourceIp, Value::Ip("192.0.2.1".parse().unwrap())),
        (Field::NetSourcePort, Value::Integer(70_000)),
        (Field::ActorProcessPid, Value::Integer(1 << 40)),
        (Field::ActorProcessName, Value::plain("a.exe")),
    ];
    let event = written_with(Class::Network, Activity::Open, &some);
    assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1"}));
    assert_eq!(event["actor"]["process"]["pid"], 0);
    assert_eq!(event["metadata"]["profiles"], serde_json::json!(["host"]));
    assert_eq!(event["unmapped"], serde_json::json!({"net_source_port": 70_000, "actor_process_pid": 1_i64 << 40}));
}

#[test]
fn what_an_event_is_about_decides_its_class_and_without_it_a_process_did_something() {
    let class = |class, activity, some: &[(Field, Value<'_>)]| written_with(class, activity, some)["type_uid"].clone();
    let path = (Field::RegistryPath, Value::plain("HKEY_LOCAL_MACHINE\\SOFTWARE"));
    let value = (Field::RegistryValueName, Value::plain("x"));
    assert_eq!(class(Class::Registry, Activity::Create, std::slice::from_ref(&path)), 20_100_101);
    assert_eq!(class(Class::Registry, Activity::Write, &[path, value]), 20_100_202);
    assert_eq!(class(Class::Registry, Activity::Write, &[]), 100_799);
    assert_eq!(class(Class::Script, Activity::Execute, &[]), 100_799);
    assert_eq!(class(Class::Service, Activity::Create, &[(Field::ServiceName, Value::plain("x"))]), 100_799);
    assert_eq!(class(Class::Directory, Activity::Query, &[(Field::TargetDevice, Value::plain("x"))]), 400_106);
    assert_eq!(class(Class::Directory, Activity::Read, &[(Field::TargetDevice, Value::plain("x"))]), 300_402);
    assert_eq!(class(Class::Click, Activity::Open, &[(Field::Url, Value::plain("https://a.example"))]), 400_203);
    assert_eq!(class(Class::Email, Activity::Other, &[(Field::MailDirection, Value::plain("Intra-org"))]), 400_902);
    assert_eq!(class(Class::Generic, Activity::Other, &[]), 99);
}

#[test]
fn a_change_of_name_shows_the_old_file_and_the_new_one() {
    let some = [(Field::FileName, Value::plain("new.txt")), (Field::FilePreviousName, Value::plain("old.txt"))];
    let event = written_with(Class::File, Activity::Rename, &some);
    assert_eq!((&event["file"]["name"], &event["file_result"]["name"]), (&"old.txt".into(), &"new.txt".into()));
}

#[test]
fn behaviours_are_findings_and_no_alerts() {
    let some = [(Field::BehaviorId, Value::plain("b1")), (Field::FileName, Value::plain("a.exe"))];
    let event = written_with(Class::Behavior, Activity::Create, &some);
    assert_eq!((&event["is_alert"], &event["type_uid"]), (&false.into(), &200_401.into()));
    assert_eq!(event["finding_info"]["uid"], "b1");
    assert_eq!(event["evidences"][0]["file"]["name"], "a.exe");
}
