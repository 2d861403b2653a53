//! The status as metrics: one truth for people and for machines, and nothing counted twice.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{CredentialStatus, FeedState, FeedStatus, LaneState, SinkState, SinkStatus, Status};
use crate::clock::Timestamp;
use crate::ids::{CredentialId, FeedId, SinkId, SourceId, TenantId};
use crate::metrics;

/// Handles of everything that a status showed. What a later one doesn't show any more, reads as unknown; its counters
/// stay, so that they go on where they were should it return.
#[derive(Default)]
pub struct Figures {
    sources: BTreeMap<(TenantId, SourceId), metrics::Source>,
    feeds: BTreeMap<FeedId, Feed>,
    sinks: BTreeMap<SinkId, metrics::Sink>,
    credentials: BTreeMap<(TenantId, CredentialId), metrics::Credential>,
    owned: Option<metrics::Live>,
}

struct Feed {
    figures: metrics::Feed,
    lanes: BTreeMap<SinkId, metrics::Lane>,
}

impl Figures {
    pub fn show(&mut self, status: &Status) {
        self.fade(status);
        metrics::faulty_resources(status.faults.len());
        let owned = status.feeds.iter().filter(|feed| feed.owner == Some(status.node.id)).count();
        self.owned.get_or_insert_with(metrics::feeds_owned).set_count(owned as u64);
        for it in &status.sources {
            let shown = self.sources.entry((it.tenant.clone(), it.source.clone()));
            let shown = shown.or_insert_with(|| metrics::Source::new(&it.tenant, &it.source));
            shown.problem.set_count(u64::from(it.problem.is_some()));
        }
        for feed in status.feeds.iter().filter(|feed| is_shown(feed)) {
            let new = || Feed { figures: metrics::Feed::new(&feed.feed), lanes: BTreeMap::new() };
            show_feed(self.feeds.entry(feed.feed.clone()).or_insert_with(new), feed);
        }
        for sink in &status.sinks {
            show_sink(self.sinks.entry(sink.sink.clone()).or_insert_with(|| metrics::Sink::new(&sink.sink)), sink);
        }
        for credential in &status.credentials {
            let CredentialStatus { tenant, credential: name, .. } = credential;
            let shown = self.credentials.entry((tenant.clone(), name.clone()));
            let shown = shown.or_insert_with(|| metrics::Credential::new(tenant, name));
            show_credential(shown, credential, status.at);
        }
    }

    fn fade(&self, status: &Status) {
        let sources: BTreeSet<_> = status.sources.iter().map(|it| (&it.tenant, &it.source)).collect();
        let gone = self.sources.iter().filter(|((tenant, name), _)| !sources.contains(&(tenant, name)));
        gone.for_each(|(_, source)| source.problem.set_known(None));
        let feeds: BTreeSet<_> = status.feeds.iter().filter(|it| is_shown(it)).map(|it| &it.feed).collect();
        for (_, feed) in self.feeds.iter().filter(|(name, _)| !feeds.contains(name)) {
            feed.figures.fade();
            feed.lanes.values().for_each(|lane| lane.in_flight.set_known(None));
        }
        let sinks: BTreeSet<_> = status.sinks.iter().map(|it| &it.sink).collect();
        let gone = self.sinks.iter().filter(|(name, _)| !sinks.contains(name));
        gone.for_each(|(_, sink)| sink.fade());
        let credentials: BTreeSet<_> = status.credentials.iter().map(|it| (&it.tenant, &it.credential)).collect();
        let gone = self.credentials.iter().filter(|((tenant, name), _)| !credentials.contains(&(tenant, name)));
        gone.for_each(|(_, credential)| credential.expiry.set_known(None));
    }
}

/// A feed's figures come from the node that reads it, and what nobody reads is shown by all.
fn is_shown(feed: &FeedStatus) -> bool {
    feed.state != FeedState::Elsewhere
}

fn show_feed(shown: &mut Feed, feed: &FeedStatus) {
    let figures = &mut shown.figures;
    figures.read.tell(feed.read);
    figures.quarantined.tell(feed.quarantined);
    figures.lost.tell(feed.lost);
    figures.unaccounted.tell(feed.unaccounted);
    figures.freshness.set_known(feed.freshness.map(|span| span.as_secs_f64()));
    figures.lag.set_known(feed.lag.map(|span| span.as_secs_f64()));
    figures.cursor_age.set_known(feed.cursor_age.map(|span| span.as_secs_f64()));
    match feed.lag_messages {
        Some(lag) => figures.lag_messages.set_count(lag),
        None => figures.lag_messages.set_known(None),
    }
    figures.epoch.set_count(feed.epoch.0);
    figures.state.set_count(match feed.state {
        FeedState::Reading => 0,
        FeedState::Waiting => 1,
        FeedState::Retrying => 2,
        FeedState::Held => 3,
        FeedState::Starting => 4,
        FeedState::Stopped => 5,
        FeedState::Elsewhere => 6,
        FeedState::Unowned => 7,
    });

    let lanes: BTreeSet<_> = feed.lanes.iter().map(|lane| &lane.sink).collect();
    let gone = shown.lanes.iter().filter(|(sink, _)| !lanes.contains(sink));
    gone.for_each(|(_, lane)| lane.fade());
    for lane in &feed.lanes {
        let new = || metrics::Lane::new(&feed.feed, &lane.sink);
        let figures = shown.lanes.entry(lane.sink.clone()).or_insert_with(new);
        figures.delivered.tell(lane.delivered);
        figures.filtered.tell(lane.filtered);
        figures.shortened.tell(lane.shortened);
        figures.refused.tell(lane.refused);
        figures.expired.tell(lane.expired);
        figures.in_flight.set_count(lane.in_flight);
        figures.lags.set_count(u64::from(lane.lags));
        figures.catching_up.set_count(u64::from(lane.state == LaneState::CatchingUp));
        figures.oldest.set_known(lane.oldest.map(|span| span.as_secs_f64()));
        figures.time_to_loss.set_known(lane.time_to_loss.map(|span| span.as_secs_f64()));
    }
}

fn show_sink(shown: &mut metrics::Sink, sink: &SinkStatus) {
    shown.sent.tell(sink.sent);
    shown.acknowledged.tell(sink.acknowledged);
    shown.retries.tell(sink.retries);
    shown.perhaps_lost.tell(sink.perhaps_lost);
    shown.in_flight.set_count(sink.in_flight);
    shown.state.set_count(match sink.state {
        SinkState::Healthy => 0,
        SinkState::Retrying => 1,
        SinkState::Suspended => 2,
        SinkState::Starting => 3,
        SinkState::Paused => 4,
        SinkState::Waiting => 5,
    });
}

fn show_credential(shown: &mut metrics::Credential, credential: &CredentialStatus, at: Timestamp) {
    // Signed: how long ago it ended matters too.
    let left = |expires: Timestamp| expires.since(at).as_secs_f64() - at.since(expires).as_secs_f64();
    shown.expiry.set_known(credential.expires.map(left));
    shown.requests.tell(credential.token_requests);
    for (class, count) in &credential.token_failures {
        shown.failures(class).tell(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::status;
    use super::*;
    use crate::metrics::Recorder;

    #[test]
    fn what_the_status_says_is_what_metrics_say() {
        let recorder = Recorder::install();
        let mut figures = Figures::default();
        let mut shown = status();
        for feed in &mut shown.feeds {
            feed.feed.tenant = "figures".parse().unwrap();
        }
        shown.credentials[0].tenant = "figures".parse().unwrap();
        shown.sources[0].tenant = "figures".parse().unwrap();
        shown.sinks[0].sink = "figures".parse().unwrap();
        figures.show(&shown);
        let text = recorder.render();
        let series = r#"{tenant="figures",source="defender",part="0""#;
        for expected in [
            format!("siemgate_feed_records_read_total{series}}} 1234567"),
            format!("siemgate_feed_freshness_seconds{series}}} 1.234"),
            format!("siemgate_feed_lag_messages{series}}} 12"),
            format!("siemgate_feed_state{series}}} 0"),
            "siemgate_source_problem{tenant=\"figures\",source=\"archive\"} 1".to_owned(),
            "siemgate_faulty_resources 1".to_owned(),
            format!("siemgate_feed_lag_seconds{series}}} 300"),
            format!("siemgate_lane_records_delivered_total{series},sink=\"archive\"}} 1234000"),
            "siemgate_sink_events_acknowledged_total{sink=\"figures\"} 9".to_owned(),
            "siemgate_credential_expiry_seconds{tenant=\"figures\",credential=\"app\"} 864000".to_owned(),
            "siemgate_credential_token_requests_total{tenant=\"figures\",credential=\"app\"} 12".to_owned(),
            "siemgate_credential_token_failures_total{tenant=\"figures\",credential=\"app\",class=\"fix\"} 2"
                .to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected}\nin\n{text}");
        }

        let (feeds, sources, sinks, credentials) = Default::default();
        let gone = Status { feeds, sources, sinks, credentials, ..shown.clone() };
        figures.show(&gone);
        let text = recorder.render();
        for expected in [
            format!("siemgate_feed_freshness_seconds{series}}} NaN"),
            format!("siemgate_feed_records_read_total{series}}} 1234567"),
            "siemgate_source_problem{tenant=\"figures\",source=\"archive\"} NaN".to_owned(),
            format!("siemgate_lane_in_flight_records{series},sink=\"archive\"}} NaN"),
            "siemgate_sink_state{sink=\"figures\"} NaN".to_owned(),
            "siemgate_credential_expiry_seconds{tenant=\"figures\",credential=\"app\"} NaN".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected}\nin\n{text}");
        }
    }

    #[test]
    fn a_feed_that_counts_anew_does_not_hold_its_counter_back() {
        let recorder = Recorder::install();
        let mut figures = Figures::default();
        let mut shown = status();
        shown.feeds.truncate(1);
        shown.feeds[0].feed.tenant = "anew".parse().unwrap();
        let mut read = |records| {
            shown.feeds[0].read = records;
            figures.show(&shown);
            let text = recorder.render();
            let start = r#"siemgate_feed_records_read_total{tenant="anew",source="defender",part="0"} "#;
            text.lines().find_map(|line| line.strip_prefix(start)).unwrap().parse::<u64>().unwrap()
        };
        assert_eq!([read(100), read(100), read(3), read(5), read(0)], [100, 100, 103, 105, 105]);
    }

    #[test]
    fn a_credential_that_has_ended_reads_negative() {
        let recorder = Recorder::install();
        let mut shown = status();
        shown.credentials[0].tenant = "ended".parse().unwrap();
        shown.credentials[0].expires = Some(shown.at.minus(std::time::Duration::from_secs(60)));
        let mut figures = Figures::default();
        figures.show(&shown);
        let expected = "siemgate_credential_expiry_seconds{tenant=\"ended\",credential=\"app\"} -60\n";
        assert!(recorder.render().contains(expected));
    }
}
