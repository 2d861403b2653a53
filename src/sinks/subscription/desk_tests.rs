use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::lease::Lease;
use crate::sinks::Stretch;
use crate::sinks::limits::{UNACKED_AGE, UNACKED_BYTES};

const CAPS: Caps = Caps { events: 100, bytes: UNACKED_BYTES, age: UNACKED_AGE };
const ALL: Room = Room { events: 100, bytes: UNACKED_BYTES };

fn parcel(events: u32, acks: &mpsc::Sender<crate::sinks::Ack>) -> Parcel {
    let receipt = Some(Receipt::new(Stretch::sample(), 0, 0, events, acks.clone()));
    let ends = (1..=events).collect();
    let frames = Bytes::from(vec![0; events as usize]);
    Parcel { frames, ends, events, permit: None, receipt, lease: Lease::unlimited() }
}

#[tokio::test]
async fn what_is_shown_to_be_in_flight_goes_down_whatever_ends_it() {
    let status = Arc::new(SinkStatus::default());
    let desk = Arc::new(Desk::new(CAPS, status.clone()));
    let member: MemberName = "a".parse().unwrap();
    let (acks, heard) = mpsc::channel(10);
    let shown = || (status.sent.load(Relaxed), status.acknowledged.load(Relaxed), status.in_flight.load(Relaxed));
    desk.set_members([(member.clone(), Epoch(1))].into());
    let visitor = desk.attach(&member, Epoch(1)).unwrap();
    desk.take(parcel(3, &acks));
    desk.take(parcel(2, &acks));
    let first = visitor.fetch(ALL).unwrap();
    assert_eq!((first.events, shown()), (3, (3, 0, 3)));
    let Chunk { feed, epoch, generation, through, .. } = first;
    visitor.acknowledge(&Acknowledgement { feed, epoch, generation, through }).unwrap();
    visitor.fetch(ALL).unwrap();
    assert_eq!(shown(), (5, 3, 2));
    drop(visitor);
    assert_eq!(shown(), (5, 3, 0), "it comes again to whoever is next");
    let visitor = desk.attach(&member, Epoch(1)).unwrap();
    visitor.fetch(ALL).unwrap();
    assert_eq!(shown(), (7, 3, 2));
    drop(heard);
    desk.tidy();
    assert_eq!(shown(), (7, 3, 0), "its feed's task has ended");
}
