use std::collections::BTreeMap;

use super::*;

fn busy(path: &std::path::Path) -> Settings {
    let mut settings = quiet();
    settings.clock = Clock::System;
    settings.history = Some(path.to_owned());
    settings.workload = WorkloadSettings {
        records_per_second: 20_000,
        records_total: Some(1_003),
        changes_per_second: 500,
        changes_total: Some(57),
        paused: true,
        ..WorkloadSettings::default()
    };
    settings
}

async fn in_time(what: &str, future: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn the_workload_waits_when_paused_and_ends_exactly_at_its_totals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let lab = Lab::with(busy(&path)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(lab.cloud.totals().records, 0);
    lab.cloud.resume();
    in_time("the totals", lab.cloud.finished()).await;
    let totals = lab.cloud.totals();
    assert_eq!((totals.records, totals.changes), (1_003, 57));
    assert_eq!(lab.cloud.produced().values().sum::<u64>(), 1_003);

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().filter_map(|line| line["records"].as_u64());
    assert_eq!((told.clone().sum::<u64>(), told.count() as u64), (1_003, totals.messages));
    assert_eq!(lines.iter().filter(|line| line.get("object").is_some()).count(), 57);
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.get("sequence").is_some()) {
        let (stream, sequence) = (line["stream"].as_str().unwrap(), line["sequence"].as_u64().unwrap());
        let expected = last.get(stream).map_or(0, |last| last + 1);
        assert_eq!(sequence, expected, "{stream} is told without a hole");
        last.insert(stream, sequence);
        assert_eq!(line["sha256"].as_array().unwrap().len() as u64, line["records"].as_u64().unwrap());
    }
    assert!(last.len() > 4, "both tenants' hubs are fed, over several partitions: {last:?}");
    lab.cloud.stop().await;
}

#[tokio::test]
async fn what_the_history_tells_of_is_what_graph_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut settings = busy(&path);
    settings.workload.paused = false;
    settings.workload.records_per_second = 0;
    settings.workload.options.late = 0.0;
    let lab = Lab::with(settings).await;
    in_time("the totals", lab.cloud.finished()).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["stream"] == "contoso/incidents" {
            newest.insert(line["object"].as_str().unwrap().into(), line["updated"].as_str().unwrap().into());
        }
    }
    assert!(!newest.is_empty());
    let (_, body) = lab.ask("/v1.0/security/incidents").await;
    let shown = body["value"].as_array().unwrap().iter().map(|row| {
        let updated = Timestamp::parse(row["lastUpdateDateTime"].as_str().unwrap()).unwrap();
        (row["id"].as_str().unwrap().to_owned(), updated.to_microsoft())
    });
    assert_eq!(shown.collect::<BTreeMap<_, _>>(), newest);
}

#[tokio::test]
async fn a_paused_workload_goes_on_where_it_stopped() {
    let mut settings = quiet();
    settings.clock = Clock::System;
    settings.workload =
        WorkloadSettings { records_per_second: 2_000, changes_per_second: 0, ..WorkloadSettings::default() };
    let lab = Lab::with(settings).await;
    until("something is produced", || lab.cloud.totals().records > 0).await;
    lab.cloud.pause();
    let mut before = 0;
    until("nothing more is produced", || {
        let now = lab.cloud.totals().records;
        std::mem::replace(&mut before, now) == now
    })
    .await;
    lab.cloud.resume();
    until("it goes on", || lab.cloud.totals().records > before).await;
    assert_eq!(lab.ask("/v1.0/security/incidents").await.0, 200);
}

#[tokio::test]
async fn prepared_messages_are_sent_over_and_over_and_totals_still_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = busy(&folder.path().join("history"));
    settings.workload.paused = false;
    settings.workload.prepared = 3;
    let lab = Lab::with(settings).await;
    in_time("the totals", lab.cloud.finished()).await;
    assert_eq!(lab.cloud.totals().records, 1_003);
}
