//! With and without indexer acknowledgement.

use super::*;
use siemgate::simulator::splunk::{Behaviour, Fault, Said};

#[tokio::test]
async fn s3_with_acknowledgement_a_parcel_counts_once_it_is_indexed() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(2))).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    for _ in 0..5 {
        sink.send().await;
    }
    let first = sink.acknowledged().await;
    assert!(splunk.tally().distinct >= u64::from(EVENTS), "it is indexed before it counts: {:?}", splunk.tally());
    let mut rest = sink.all_acknowledged(4).await;
    rest.push(first.batch);
    rest.sort_unstable();
    assert_eq!(rest, [0, 1, 2, 3, 4]);
    let tally = splunk.tally();
    assert_eq!((tally.distinct, tally.duplicates, tally.channels), (50, 0, 1));
    assert_eq!(sink.status.assurance(), "indexed");
    assert!(sink.status.confirms_when_asked());
    sink.end().await;
}

#[tokio::test]
async fn s3_an_indexer_that_begins_anew_gets_what_it_had_not_indexed_again() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({"acknowledge": true}));
    for _ in 0..5 {
        sink.send().await;
        let sent = sink.sent;
        splunk.wait_until(BOUND, |tally| tally.requests >= sent).await.unwrap();
    }
    splunk.restart();
    splunk.change(|it| it.indexing = Duration::from_millis(100));
    assert_eq!(splunk.tally().lost, 50);
    sink.send().await;
    assert_eq!(sink.all_acknowledged(6).await, (0..6).collect::<Vec<_>>());
    let order = splunk.order(&feed(0).to_string());
    let first_of = |batch| order.iter().position(|it| *it == id(batch, 0)).unwrap();
    assert!((1..5).all(|batch| first_of(batch - 1) < first_of(batch)), "S15: again, but in order: {order:?}");
    assert_eq!(splunk.tally().distinct, 60, "its next id shows that it began anew; nobody waits five minutes");
    sink.end().await;
}

#[tokio::test]
async fn s3_what_is_not_indexed_in_time_is_sent_again_and_said() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({"ack_timeout": "1s"}));
    sink.send().await;
    sink.trouble("accepted but not indexed within 1s").await;
    splunk.change(|it| it.indexing = Duration::ZERO);
    assert_eq!(sink.acknowledged().await.batch, 0);
    sink.end().await;
}

#[tokio::test]
async fn s3_an_id_whose_request_was_never_answered_confirms_nothing_else() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_millis(50))).await;
    // A balancer breaks in: the events are taken, and get an id that nobody hears of.
    splunk.make([Fault::TakeAndSay(Said::page(502, "Bad Gateway"))]);
    let mut sink = Sink::to(&[&splunk], json!({}));
    for _ in 0..3 {
        sink.send().await;
    }
    sink.all_acknowledged(3).await;
    let tally = splunk.tally();
    assert_eq!((tally.distinct, tally.channels), (30, 2), "what may have been given out is not waited for: {tally:?}");
    sink.end().await;
}

#[tokio::test]
async fn a_token_without_acknowledgement_is_found_out() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    splunk.wait_until(BOUND, |tally| tally.requests == 1).await.unwrap();
    splunk.change(|it| it.acknowledges = false);
    assert_eq!(sink.acknowledged().await.batch, 0, "code 14: what was accepted counts");
    assert_eq!(sink.status.assurance(), "accepted");
    sink.end().await;
}

#[tokio::test]
async fn who_demands_acknowledgement_of_a_token_without_it_is_told_what_to_do() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::to(&[&splunk], json!({"acknowledge": true}));
    sink.send().await;
    let told = sink.trouble("no indexer acknowledgement").await;
    assert!(told.contains("`acknowledge = true`"), "{told}");
    assert!(sink.acks.try_recv().is_err(), "accepted is less than was demanded");
    sink.end().await;
}

#[tokio::test]
async fn who_wants_no_acknowledgement_gets_none() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({"acknowledge": false}));
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 0);
    assert_eq!((sink.status.assurance(), splunk.tally().questions), ("accepted", 0));
    sink.end().await;
}

#[tokio::test]
async fn whoever_asks_is_answered_sooner() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(5))).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    splunk.wait_until(BOUND, |tally| tally.questions >= 4).await.unwrap();
    splunk.change(|it| it.indexing = Duration::ZERO);
    sink.parcels.send(Parcel::asking(sink.lease.clone())).await.unwrap();
    let asked = std::time::Instant::now();
    splunk.wait_until(BOUND, |tally| tally.questions >= 6).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "the next two questions would come after 4 and 8 seconds");
    sink.acknowledged().await;
    sink.end().await;
}

#[tokio::test]
async fn acknowledgements_that_come_keep_the_sink_asking() {
    let splunk = splunk(|it| it.acknowledges = true).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        sink.send().await;
        sink.acknowledged().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "each waits for one pause: {:?}", begun.elapsed());
    sink.end().await;
}

#[tokio::test]
async fn s3_an_indexer_that_dies_with_what_it_had_accepted_loses_nothing() {
    let other = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_millis(100))).await;
    let dying = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&dying, &other], json!({"ack_timeout": "2s"}));
    for parcel in 0..20 {
        sink.send_of(parcel, |_| None).await;
    }
    dying.wait_until(BOUND, |tally| tally.requests > 0).await.unwrap();
    dying.restart();
    dying.behave(Behaviour::Refuse);
    assert_eq!(sink.all_acknowledged(20).await, (0..20).collect::<Vec<_>>());
    assert_eq!((other.tally().distinct, dying.tally().distinct), (200, 0));
    sink.end().await;
}

/// Sends so many parcels, each in a request of its own, so that their ids count up.
async fn accepted_one_by_one(sink: &mut Sink, splunk: &Splunk, parcels: u64) {
    for _ in 0..parcels {
        sink.send().await;
        let sent = sink.sent;
        splunk.wait_until(BOUND, |tally| tally.requests >= sent).await.unwrap();
    }
}

#[tokio::test]
async fn s3_an_id_given_out_unheard_by_an_indexer_that_began_anew_confirms_nothing_older() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    accepted_one_by_one(&mut sink, &splunk, 1).await;
    splunk.restart();
    splunk.change(|it| it.indexing = Duration::from_millis(50));
    // Taken by the new process under the id that the first one had from the old, and nobody hears of it.
    splunk.make([Fault::TakeAndSay(Said::page(502, "Bad Gateway"))]);
    sink.send().await;
    sink.all_acknowledged(2).await;
    for parcel in 0..2 {
        assert!((0..EVENTS).all(|it| splunk.holds(&id(parcel, it))), "{parcel} was acknowledged");
    }
    sink.end().await;
}

#[tokio::test]
async fn s3_what_waits_on_the_channel_of_a_killed_indexer_is_sent_again_long_before_the_timeout() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(3_600))).await;
    let mut sink = Sink::to(&[&splunk], json!({"ack_timeout": "20s"}));
    accepted_one_by_one(&mut sink, &splunk, 8).await;
    splunk.restart();
    splunk.change(|it| it.indexing = Duration::from_millis(50));
    splunk.make([Fault::Say(Said::page(502, "Bad Gateway"))]);
    let failed = std::time::Instant::now();
    sink.send().await;
    assert_eq!(sink.all_acknowledged(9).await, (0..9).collect::<Vec<_>>());
    assert!(failed.elapsed() < Duration::from_secs(10), "a quarter of the timeout, and some: {:?}", failed.elapsed());
    assert_eq!((splunk.tally().distinct, splunk.tally().duplicates), (90, 0));
    sink.end().await;
}

#[tokio::test]
async fn s3_what_an_indexer_that_lives_still_indexes_is_not_sent_again_because_of_one_failure() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(4))).await;
    let mut sink = Sink::to(&[&splunk], json!({"ack_timeout": "20s"}));
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 0);
    accepted_one_by_one(&mut sink, &splunk, 6).await;
    splunk.make([Fault::Say(Said::page(502, "Bad Gateway"))]);
    sink.send().await;
    sink.all_acknowledged(7).await;
    let tally = splunk.tally();
    assert_eq!((tally.distinct, tally.duplicates), (80, 30), "only those of the lowest ids: {tally:?}");
    sink.end().await;
}
