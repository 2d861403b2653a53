//! A probe event on its way to each collector, as `siemgate sink test` sends it: asked for its health first, then sent.

use std::time::Instant;

use uuid::Uuid;

use super::answer::{self, Later, Verdict};
use super::client::{Client, Events};
use super::config::HecConfig;
use super::desk::NO_ACKS;
use super::{ACCEPTED, INDEXED};
use crate::sinks::journey::{Hop, Journey};

pub async fn travel(config: &HecConfig, probe: &[u8]) -> Vec<Journey> {
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            let hops = || vec![Hop::Failed { error: error.to_string() }];
            return config
                .collectors()
                .map(|it| Journey { address: it.at("event").to_string(), hops: hops() })
                .collect();
        }
    };
    let mut journeys = Vec::new();
    for collector in config.collectors() {
        let mut hops = Vec::new();
        let began = Instant::now();
        let health = client.health(collector.at("health")).await;
        match health.heard().map_err(str::to_owned).map(|answer| answer::of_health(&answer)) {
            Ok(Ok(())) => hops.push(answered("says that it is healthy", None, began)),
            Ok(Err(verdict)) => hops.push(Hop::Failed { error: why(&verdict) }),
            Err(cause) => hops.push(Hop::Failed { error: cause }),
        }
        if hops.iter().all(|hop| matches!(hop, Hop::Answered { .. })) {
            hops.extend(send(&client, config, collector.at("event"), probe).await);
        }
        journeys.push(Journey { address: collector.at("event").to_string(), hops });
    }
    journeys
}

async fn send(client: &Client, config: &HecConfig, url: reqwest::Url, probe: &[u8]) -> Vec<Hop> {
    let channel = (config.acknowledge != Some(false)).then(|| Uuid::new_v4().to_string());
    let began = Instant::now();
    let events = |channel| Events { url: url.clone(), channel, gzip: config.gzip, body: probe.to_vec() };
    let mut reply = client.send(events(channel)).await;
    let refuses_channels = reply.heard().is_ok_and(|answer| answer::of_events(&answer) == Verdict::WithoutAcks);
    if refuses_channels && config.acknowledge.is_none() {
        reply = client.send(events(None)).await; // As the sink itself does.
    }
    let sent = Hop::Sent { bytes: probe.len() };
    let last = match reply.heard().map_err(str::to_owned).map(|answer| answer::of_events(&answer)) {
        Ok(Verdict::Accepted { ack: Some(_), .. }) => {
            answered("took the event, and will say when it is indexed (`indexed`)", Some(INDEXED), began)
        }
        // Nothing less than indexed counts for such a sink, and this token never says so.
        Ok(Verdict::Accepted { ack: None, .. } | Verdict::WithoutAcks) if config.acknowledge == Some(true) => {
            Hop::Refused { reason: NO_ACKS.to_owned() }
        }
        Ok(Verdict::Accepted { ack: None, .. }) => answered(
            "took the event into its queue (`accepted`); turn on indexer acknowledgement for this token, and \
             deliveries count once they are indexed",
            Some(ACCEPTED),
            began,
        ),
        Ok(verdict) => Hop::Refused { reason: why(&verdict) },
        Err(error) => Hop::Failed { error },
    };
    vec![sent, last]
}

fn answered(answer: &str, assurance: Option<&'static str>, began: Instant) -> Hop {
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Hop::Answered { answer: answer.to_owned(), assurance, millis }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Later(Later { why, .. })
        | Verdict::Split { why, .. }
        | Verdict::TooLong { why }
        | Verdict::Stopped { why, .. } => why.clone(),
        Verdict::Uncompressed => "it does not take compressed requests: set `gzip = false`".to_owned(),
        Verdict::Accepted { .. } | Verdict::WithoutAcks => "it answered something unexpected".to_owned(),
    }
}
