//! The stream: its determinism, its shares and sizes, what is true within it, and what it may be made to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::columns::COLUMNS;
use super::*;

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() {
    let wild = Options { hostile: 0.1, malformed: 0.1, repeated: 0.1, ..small() };
    let bodies = |seed| -> Vec<Bytes> { messages(seed, wild.clone(), 60).into_iter().map(|m| m.body).collect() };
    assert!(bodies(1) == bodies(1));
    assert!(bodies(1) != bodies(2));
    let tenants = ["contoso", "fabrikam"].map(|name| {
        let body = Workload::new(1, &Tenant::named(name), small()).next_message(at(0)).body;
        body.to_vec()
    });
    assert_ne!(tenants[0], tenants[1]);
}

#[test]
fn asking_for_changes_does_not_alter_the_stream() {
    let (mut alone, mut both) = (workload(5, small()), workload(5, small()));
    for step in 0..50 {
        both.next_change(at(step));
        assert_eq!(alone.next_message(at(step)).body, both.next_message(at(step)).body);
    }
}

#[test]
fn every_tame_record_is_json_in_the_exporters_envelope() {
    for message in messages(1, small(), 100) {
        let records = records(&message);
        assert_eq!((records.len(), message.malformed), (message.records, 0));
        for record in records {
            assert_eq!(record["operationName"], "Publish");
            assert_eq!(record["tenantId"], Tenant::named("contoso").directory.as_str());
            assert_eq!(record["time"].as_str().unwrap().len(), "2030-01-01T10:02:05.1234567Z".len());
            let happened = Timestamp::parse(record["properties"]["Timestamp"].as_str().unwrap()).unwrap();
            assert!(happened <= Timestamp::parse(record["time"].as_str().unwrap()).unwrap());
        }
    }
}

#[test]
fn the_main_tables_have_their_shares_and_records_their_size() {
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    let (mut bytes, mut columns, mut total) = (0, 0, 0);
    for message in messages(2, Options { devices: 100, ..small() }, 500) {
        bytes += message.body.len();
        for record in records(&message) {
            *shares.entry(table(&record).to_owned()).or_default() += 1;
            columns += record["properties"].as_object().unwrap().len();
            total += 1;
        }
    }
    let share = |name: &str| shares[name] * 1000 / total;
    assert_eq!(shares.len(), 11);
    assert!((250..330).contains(&share("DeviceNetworkEvents")), "{shares:?}");
    assert!((180..250).contains(&share("DeviceProcessEvents")), "{shares:?}");
    assert!((100..160).contains(&share("DeviceLogonEvents")), "{shares:?}");
    assert!((2_000..2_700).contains(&(bytes / total)), "{} bytes a record", bytes / total);
    assert!((40..60).contains(&(columns / total)), "{} columns a record", columns / total);
}

#[test]
fn a_process_is_created_before_it_does_anything_and_its_parent_before_it() {
    let mut created = BTreeSet::new();
    let mut checked = 0;
    for message in messages(3, small(), 400) {
        for record in records(&message) {
            let row = &record["properties"];
            let known =
                |pid: &str, time: &str| (row["DeviceId"].to_string(), row[pid].to_string(), row[time].to_string());
            if row["InitiatingProcessFileName"].is_string() && row["InitiatingProcessFileName"] != "wininit.exe" {
                let actor = known("InitiatingProcessId", "InitiatingProcessCreationTime");
                assert!(created.contains(&actor), "{} {actor:?}", table(&record));
                checked += 1;
            }
            if table(&record) == "DeviceProcessEvents" {
                assert!(created.insert(known("ProcessId", "ProcessCreationTime")));
            }
        }
    }
    assert!(checked > 2_000, "{checked}");
}

#[test]
fn people_sit_before_devices_they_own() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for message in messages(4, small(), 400) {
        for record in records(&message) {
            let row = &record["properties"];
            if matches!(row["LogonType"].as_str(), Some("Interactive" | "Unlock" | "RemoteInteractive")) {
                let user = row["AccountName"].to_string();
                let owner = owners.entry(row["DeviceId"].to_string()).or_insert_with(|| user.clone());
                assert_eq!(*owner, user);
            }
        }
    }
    assert!(owners.len() > 10);
}

#[test]
fn a_hub_per_table_gets_that_table_alone() {
    for message in messages(5, Options { routing: Routing::HubPerTable, ..small() }, 200) {
        let expected = message.table.unwrap();
        assert_eq!(*message.hub, format!("insights-logs-advancedhunting-{}", expected.to_lowercase()));
        assert!(records(&message).iter().all(|record| table(record) == expected));
    }
}

#[test]
fn the_documented_type_traps_are_all_there() {
    let mut traps = BTreeSet::new();
    for message in messages(6, small(), 400) {
        for record in records(&message) {
            let row = &record["properties"];
            match &row["ReportId"] {
                Value::Number(number) if number.as_u64() > Some(1 << 53) => traps.insert("large report id"),
                Value::Number(_) => traps.insert("small report id"),
                Value::String(_) => traps.insert("text report id"),
                _ => false,
            };
            traps.insert(if row["AdditionalFields"].is_object() { "object" } else { "no object" });
            if row.get("ISP").is_some_and(Value::is_string) {
                traps.insert("ISP");
            }
            if row.get("Isp").is_some_and(Value::is_string) {
                traps.insert("Isp");
            }
            if let (Some(folder), Some(file)) = (row["FolderPath"].as_str(), row["FileName"].as_str()) {
                assert!(folder.ends_with(file));
                traps.insert("full path");
            }
            if let Some(text) = row["AdditionalFields"].as_str().filter(|text| text.starts_with('{')) {
                serde_json::from_str::<Value>(text).unwrap();
                traps.insert("JSON in a string");
            }
            if !record["_TimeReceivedBySvc"].as_str().unwrap().ends_with('Z') {
                traps.insert("no zone");
            }
        }
    }
    assert_eq!(traps.len(), 10, "{traps:?}");
}

#[test]
fn repeated_records_have_the_same_properties_in_a_fresh_envelope() {
    let options = Options { repeated: 0.2, records_per_message: 1, ..small() };
    let bodies = messages(7, options, 500);
    let properties = |body: &Bytes| {
        let text = std::str::from_utf8(body).unwrap().to_owned();
        text[text.find("\"properties\":").unwrap()..].to_owned()
    };
    let pairs = bodies.windows(2).filter(|pair| properties(&pair[0].body) == properties(&pair[1].body));
    let repeated: Vec<_> = pairs.collect();
    assert!((60..140).contains(&repeated.len()), "{}", repeated.len());
    assert!(repeated.iter().all(|pair| pair[0].body != pair[1].body));
}

#[test]
fn hostile_and_malformed_shares_are_what_was_asked_for() {
    let options = Options { malformed: 0.1, ..small() };
    let (mut elements, mut malformed, mut torn) = (0, 0, 0);
    for message in messages(8, options, 500) {
        if serde_json::from_slice::<Value>(&message.body).is_err() {
            torn += usize::from(message.records == 1);
        }
        elements += message.records;
        malformed += message.malformed;
    }
    assert!((8..13).contains(&(malformed * 100 / elements)), "{malformed} of {elements}");
    assert!(torn > 0);

    let hostile = messages(9, Options { hostile: 0.2, records_per_message: 4, ..small() }, 300);
    assert!(hostile.iter().all(|message| message.body.len() <= MESSAGE_BYTES_MAX));
    assert!(hostile.iter().any(|message| message.body.len() > MESSAGE_BYTES_MAX / 2));
    assert!(hostile.iter().any(|message| std::str::from_utf8(&message.body).is_err()));
    let nul = |message: &StreamMessage| message.body.windows(6).any(|window| window == b"\\u0000");
    assert!(hostile.iter().any(nul));
}

#[test]
fn the_documented_columns_are_all_present() {
    let mut missing: BTreeMap<&str, BTreeSet<&str>> =
        COLUMNS.iter().map(|(table, columns)| (*table, columns.split(", ").collect())).collect();
    for message in messages(10, small(), 100) {
        for record in records(&message) {
            let row = record["properties"].as_object().unwrap();
            if let Some(columns) = missing.get_mut(table(&record)) {
                // `Isp` is one of the columns the wire spells as it likes.
                columns.retain(|column| !row.keys().any(|key| key.eq_ignore_ascii_case(column)));
            }
        }
    }
    missing.retain(|_, columns| !columns.is_empty());
    assert!(missing.is_empty(), "{missing:?}");
}

/// Measures the rate, and fails only where something is badly wrong: tests run unoptimised and beside other work.
#[test]
fn a_workload_outruns_what_it_feeds() {
    let mut workload = workload(11, Options::default());
    let mut records = 0;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(300) {
        records += workload.next_message(at(records)).records;
    }
    let rate = records as f64 / started.elapsed().as_secs_f64();
    println!("{rate:.0} records a second");
    assert!(rate > 1_000.0, "{rate}");
}
