//! A new generation behind the feed, and sinks that lack some of the old one.

use super::*;

impl Book {
    /// After which messages something was lost, gap by gap.
    pub(super) fn gaps_after(&self) -> Vec<Option<i64>> {
        self.2.said.lock().iter().map(|(gap, _)| gap.after_sequence).collect()
    }
}

#[tokio::test]
async fn l2_a_sink_that_is_held_back_does_not_keep_a_new_generation_from_the_others() {
    let ((paused, mut paused_queue), (healthy, mut queue)) =
        (lane("paused", "A2", Some(0)), lane("healthy", "A2", Some(0)));
    paused.status.paused();
    let stage = Stage::set(vec![paused, healthy]);
    for sequence in 1..5 {
        stage.record(1, sequence).await;
    }
    assert_eq!(takes(&mut queue, 4).await, [1, 2, 3, 4]);
    stage.record(2, 0).await;
    assert_eq!(takes(&mut queue, 1).await, [0]);
    assert_eq!(stage.ledger.gaps_after(), [Some(0)], "what it lacks is told");
    assert_eq!(stage.ledger.cursor("paused"), Some(-1), "and it begins with the others");
    assert_eq!(takes(&mut paused_queue, 3).await, [1, 2, 0], "the two that it held, and the new one");
    stage.ledger.until("paused", 0).await;
}

#[tokio::test]
async fn while_a_new_generation_waits_the_problem_names_who_is_behind() {
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", Some(0)), lane("healthy", "A2", Some(0)));
    let stage = Stage::set(vec![dead, healthy]);
    stage.record(1, 1).await;
    assert_eq!(takes(&mut queue, 1).await, [1]);
    stage.record(2, 0).await;
    soon(async {
        while !stage.status.problem().is_some_and(|problem| problem.error.contains("behind: dead")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(takes(&mut dead_queue, 1).await, [1], "what is kept it still gets");
    assert_eq!(takes(&mut queue, 1).await, [0]);
    assert!(stage.status.problem().is_none() && stage.ledger.gaps_after().is_empty());
}

#[tokio::test]
async fn s1_a_suspended_sink_begins_with_the_new_generation_and_a_gap_record() {
    let (healthy, mut queue) = lane("healthy", "A2", Some(5));
    let cursor = Cursor { generation: Generation(1), position: Position::Log(position(5)), seen: vec![] };
    let (soc, done, new): (SinkId, SinkId, SinkId) =
        ("soc".parse().unwrap(), "done".parse().unwrap(), "new".parse().unwrap());
    let stands = |sequence| Some(Position::Log(position(sequence)));
    let owed = vec![(soc.clone(), stands(4)), (done.clone(), stands(6)), (new, None)];
    let setting = Setting {
        quarantine: "/nonexistent".into(),
        memory: 1 << 20,
        spool: None,
        resume: Resume { cursor: Some(cursor), ..Resume::default() },
        ledger: Arc::default(),
        catch_up: CatchUp::Not { remedy: "" },
        clock: Clock::System,
        ahead: 4,
        aside: Aside::new(owed, [&done, &soc]),
    };
    let stage = Stage::of(vec![healthy], setting);
    stage.record(1, 6).await;
    assert_eq!(takes(&mut queue, 1).await, [6]);
    stage.ledger.until("healthy", 6).await;
    assert_eq!(stage.ledger.cursor("new"), Some(5), "who has no place yet begins where reading does");
    assert_eq!(stage.ledger.cursor("soc"), None, "its own is as it was");

    stage.record(2, 0).await;
    assert_eq!(takes(&mut queue, 1).await, [0]);
    assert_eq!(stage.ledger.gaps_after(), [Some(4), Some(5)], "one had all of the old generation");
    for sink in ["soc", "done", "new"] {
        assert_eq!(stage.ledger.cursor(sink), Some(-1), "{sink}");
    }
}

#[tokio::test]
async fn a_gap_that_is_said_again_is_the_same_gap() {
    let (lane, mut queue) = lane("siem", "A2", Some(4));
    let stage = Stage::after(4, vec![lane], 1 << 20, None);
    stage.ledger.2.unheard.store(2, Relaxed);
    let (generation, reason) = (Generation(1), crate::event::batch::GapReason::Expired);
    let gap = Gap { reason, lost: Some(3), after_sequence: Some(4), before_sequence: Some(8), passed: None };
    let coordinates = Coordinates::Log { generation, partition: "0".into(), sequence: 7 };
    let entry = Entry { content: Content::Gap(gap), coordinates, published: None };
    let after = Position::Log(position(7));
    stage.batches.send(Batch { generation, entries: vec![entry], after, seen: vec![], unread: None }).await.unwrap();
    stage.record(1, 8).await;
    assert_eq!(takes(&mut queue, 2).await, [7, 8], "the sink is told as well");
    let said = stage.ledger.2.said.lock().clone();
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|again| *again == said[0]), "{said:?}");
}
