//! Events that the collector will never take.

use std::time::Instant;

use super::*;
use siemgate::simulator::splunk::{Numbering, POISON};
use siemgate::sinks::Refused;

fn poison_at(place: u32) -> impl Fn(u32) -> Option<&'static str> {
    move |record| (record == place).then_some(POISON)
}

fn refused(ack: &Ack) -> Vec<u32> {
    ack.refused.iter().map(|it| it.frame).collect()
}

#[tokio::test]
async fn l3_a_poison_event_is_named_and_delays_nobody_by_a_second() {
    for numbering in [Numbering::FromZero, Numbering::FromOne, Numbering::Untold] {
        for keeps_earlier in [false, true] {
            let splunk = splunk(|it| (it.numbering, it.keeps_earlier) = (numbering, keeps_earlier)).await;
            let mut sink = Sink::to(&[&splunk], json!({}));
            let begun = Instant::now();
            for parcel in 0..10 {
                let poison = if parcel == 4 { 7 } else { EVENTS };
                sink.send_of(parcel % 2, poison_at(poison)).await;
            }
            let mut acks = Vec::new();
            for _ in 0..10 {
                acks.push(sink.acknowledged().await);
            }
            assert!(begun.elapsed() < Duration::from_secs(1), "L3: {:?} with {numbering:?}", begun.elapsed());
            for ack in &acks {
                assert_eq!(refused(ack), if ack.batch == 4 { vec![7] } else { vec![] }, "{numbering:?}");
            }
            let reason = &acks.iter().find(|ack| ack.batch == 4).unwrap().refused[0].reason;
            assert!(reason.contains("code 6, Invalid data format"), "{reason}");
            let tally = splunk.tally();
            assert_eq!(tally.distinct, 99, "{tally:?}");
            assert!(!splunk.holds(&id(4, 7)));
            assert!(keeps_earlier || tally.duplicates == 0, "{tally:?}");
            sink.end().await;
        }
    }
}

#[tokio::test]
async fn several_poison_events_in_one_batch_are_all_found() {
    for numbering in [Numbering::FromZero, Numbering::FromOne, Numbering::Untold] {
        let splunk = splunk(|it| it.numbering = numbering).await;
        let mut sink = Sink::to(&[&splunk], json!({}));
        let bad = [0, 3, 4, 9];
        sink.send_of(0, |record| bad.contains(&record).then_some(POISON)).await;
        let ack = sink.acknowledged().await;
        assert_eq!((refused(&ack), ack.events), (bad.to_vec(), EVENTS), "{numbering:?}");
        assert_eq!(splunk.tally().distinct, 6);
        sink.end().await;
    }
}

#[tokio::test]
async fn a_blank_event_is_refused_with_the_collectors_words() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send_of(0, |record| (record == 2).then_some(" ")).await;
    let expected = Refused { frame: 2, reason: "it answers code 13, Event field cannot be blank".to_owned() };
    assert_eq!(sink.acknowledged().await.refused, [expected]);
    sink.end().await;
}

#[tokio::test]
async fn what_is_too_large_together_is_sent_in_parts_and_what_is_too_large_alone_is_refused() {
    static HUGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "x".repeat(20_000));
    let splunk = splunk(|it| it.content_max = 12_000).await;
    let mut sink = Sink::to(&[&splunk], json!({"gzip": false}));
    for parcel in 0..10 {
        sink.send_of(0, move |record| (parcel == 3 && record == 5).then(|| HUGE.as_str())).await;
    }
    for _ in 0..10 {
        let ack = sink.acknowledged().await;
        assert_eq!(refused(&ack), if ack.batch == 3 { vec![5] } else { vec![] });
    }
    assert_eq!(splunk.tally().distinct, 99);
    sink.end().await;
}

#[tokio::test]
async fn a_collector_that_refuses_everything_is_at_fault_and_not_the_events() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    for _ in 0..4 {
        sink.send_of(0, |_| Some(POISON)).await;
    }
    let told = sink.trouble("it refuses one event after the other").await;
    assert!(told.contains("code 6"), "{told}");
    let named: usize = std::iter::from_fn(|| sink.acks.try_recv().ok()).map(|ack| ack.refused.len()).sum();
    assert_eq!(named, 20, "the rest is held");
    sink.end().await;
}
