//! The status as metrics: one truth for people and for machines, and nothing counted twice.

use std::collections::BTreeMap;

use super::view::{CredentialStatus, FeedStatus, SinkState, SinkStatus, Status};
use crate::ids::{CredentialId, FeedId, SinkId, TenantId};
use crate::metrics;

/// Handles of everything that the last status showed. What a later one doesn't show any more, reads as unknown.
#[derive(Default)]
pub struct Figures {
    feeds: BTreeMap<FeedId, Feed>,
    sinks: BTreeMap<SinkId, metrics::Sink>,
    credentials: BTreeMap<(TenantId, CredentialId), metrics::Credential>,
}

struct Feed {
    figures: metrics::Feed,
    lanes: BTreeMap<SinkId, metrics::Lane>,
}

impl Figures {
    pub fn show(&mut self, status: &Status) {
        let mut feeds = std::mem::take(&mut self.feeds);
        for feed in &status.feeds {
            let new = || Feed { figures: metrics::Feed::new(&feed.feed), lanes: BTreeMap::new() };
            let mut shown = feeds.remove(&feed.feed).unwrap_or_else(new);
            show_feed(&mut shown, feed);
            self.feeds.insert(feed.feed.clone(), shown);
        }
        let mut sinks = std::mem::take(&mut self.sinks);
        for sink in &status.sinks {
            let shown = sinks.remove(&sink.sink).unwrap_or_else(|| metrics::Sink::new(&sink.sink));
            show_sink(&shown, sink);
            self.sinks.insert(sink.sink.clone(), shown);
        }
        let mut credentials = std::mem::take(&mut self.credentials);
        for credential in &status.credentials {
            let CredentialStatus { tenant, credential: name, expires, .. } = credential;
            let key = (tenant.clone(), name.clone());
            let shown = credentials.remove(&key).unwrap_or_else(|| metrics::Credential::new(tenant, name));
            shown.expiry.set_known(expires.map(|expires| expires.since(status.at).as_secs_f64()));
            self.credentials.insert(key, shown);
        }
    }
}

fn show_feed(shown: &mut Feed, feed: &FeedStatus) {
    let figures = &shown.figures;
    figures.read.absolute(feed.read);
    figures.quarantined.absolute(feed.quarantined);
    figures.lost.absolute(feed.lost);
    figures.freshness.set_known(feed.freshness.map(|span| span.as_secs_f64()));
    figures.lag.set_known(feed.lag.map(|span| span.as_secs_f64()));
    figures.cursor_age.set_known(feed.cursor_age.map(|span| span.as_secs_f64()));
    match feed.lag_messages {
        Some(lag) => figures.lag_messages.set_count(lag),
        None => figures.lag_messages.set_known(None),
    }
    figures.epoch.set_count(feed.epoch.0);

    let mut lanes = std::mem::take(&mut shown.lanes);
    for lane in &feed.lanes {
        let figures = lanes.remove(&lane.sink).unwrap_or_else(|| metrics::Lane::new(&feed.feed, &lane.sink));
        figures.delivered.absolute(lane.delivered);
        figures.filtered.absolute(lane.filtered);
        figures.in_flight.set_count(lane.in_flight);
        shown.lanes.insert(lane.sink.clone(), figures);
    }
}

fn show_sink(shown: &metrics::Sink, sink: &SinkStatus) {
    shown.sent.absolute(sink.sent);
    shown.acknowledged.absolute(sink.acknowledged);
    shown.retries.absolute(sink.retries);
    shown.in_flight.set_count(sink.in_flight);
    shown.state.set_count(match sink.state {
        SinkState::Healthy => 0,
        SinkState::Retrying => 1,
        SinkState::Suspended => 2,
        SinkState::Starting => 3,
    });
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
        figures.show(&shown);
        let text = recorder.render();
        let series = r#"{tenant="figures",source="defender",part="0""#;
        for expected in [
            format!("siemgate_feed_records_read_total{series}}} 1234567"),
            format!("siemgate_feed_freshness_seconds{series}}} 1.234"),
            format!("siemgate_feed_lag_messages{series}}} 12"),
            format!("siemgate_feed_lag_seconds{series}}} NaN"),
            format!("siemgate_lane_records_delivered_total{series},sink=\"archive\"}} 1234000"),
            "siemgate_sink_events_acknowledged_total{sink=\"siem\"} 9".to_owned(),
            "siemgate_credential_expiry_seconds{tenant=\"contoso\",credential=\"app\"} 864000".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected}\nin\n{text}");
        }

        shown.feeds.clear();
        figures.show(&shown);
        let text = recorder.render();
        assert!(text.contains(&format!("siemgate_feed_freshness_seconds{series}}} NaN")), "{text}");
        assert!(text.contains(&format!("siemgate_feed_records_read_total{series}}} 1234567")), "{text}");
    }
}
