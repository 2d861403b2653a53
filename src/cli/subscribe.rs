//! `subscribe`: reads a subscription, one event a line, and acknowledges what was written. It is a small client of the
//! events API too, for whoever writes a larger one.

use std::io::IsTerminal as _;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::args::{Connection, Format, Output};
use super::client::{connect_events, refusal};
use super::{output, typed};
use crate::clock::Timestamp;
use crate::wire::v1;
use v1::subscribe_request::Message as Say;
use v1::subscribe_response::Message as Hear;

/// Reads a subscription and acknowledges what it has written
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate subscribe soc --token-file soc.token\n  \
    siemgate subscribe soc --member reader-2 -o json | jq .payload\n\n\
    The node's administrator token opens every subscription. What is written to a pipe that breaks is not acknowledged,\n\
    and comes again. Members of other names share the feeds; one of the same name takes this one's place.")]
pub struct Subscribe {
    /// The subscription's name
    name: String,
    /// Who reads
    #[arg(long, default_value = "default")]
    member: String,
    /// End after this many events
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Acknowledge nothing: everything comes again
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Events that may be on their way to us.
const CREDIT: u32 = 4_000;
/// Words to the node that wait to be sent. There are at most two for each delivery, and those use up the credit.
const WORDS_QUEUED: usize = 64;

pub async fn subscribe(args: Subscribe) -> anyhow::Result<()> {
    let mut events = connect_events(&args.connection).await?;
    let (say, words) = mpsc::channel(WORDS_QUEUED);
    let open = v1::Open { subscription: args.name.clone(), member: args.member.clone() };
    speak(&say, Say::Open(open)).await?;
    let mut news = events.subscribe(ReceiverStream::new(words)).await.map_err(refusal)?.into_inner();
    let mut reading = Reading { args, say, epoch: 0, typed: false, left: None };
    reading.left = reading.args.count;
    let stop = super::signal::stop();
    tokio::pin!(stop);
    loop {
        let heard = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            heard = news.message() => heard.map_err(refusal)?,
        };
        let Some(heard) = heard else { return Ok(()) };
        if !reading.take(heard).await? {
            return reading.finish(news).await;
        }
    }
}

struct Reading {
    args: Subscribe,
    say: mpsc::Sender<v1::SubscribeRequest>,
    /// Which connection this is; every acknowledgement repeats it.
    epoch: u64,
    /// Whether payloads are fields, and not text.
    typed: bool,
    left: Option<u64>,
}

impl Reading {
    /// Answers whether to go on.
    async fn take(&mut self, heard: v1::SubscribeResponse) -> anyhow::Result<bool> {
        match heard.message {
            Some(Hear::Opened(opened)) => {
                self.epoch = opened.subscription_epoch;
                self.typed = opened.format == "typed";
                let credit = self.left.map_or(CREDIT, |left| u32::try_from(left).unwrap_or(CREDIT).min(CREDIT));
                speak(&self.say, Say::Credit(v1::Credit { events: credit })).await?;
            }
            Some(Hear::Delivery(delivery)) => return self.deliver(delivery).await,
            Some(Hear::AckRefused(refused)) => {
                super::say(&format!("{}: an acknowledgement was refused: {}", refused.feed, refused.reason));
            }
            Some(Hear::Closing(closing)) => bail!("the node ends it: {}", closing.text),
            Some(Hear::Feeds(_) | Hear::Heartbeat(_)) | None => {}
        }
        Ok(true)
    }

    async fn deliver(&mut self, delivery: v1::Delivery) -> anyhow::Result<bool> {
        for event in delivery.batch.iter().flat_map(|batch| &batch.events) {
            output::print(&self.line(&delivery.feed, event))?;
        }
        let credit = match &mut self.left {
            None => delivery.count,
            Some(left) => {
                *left = left.saturating_sub(delivery.count.into());
                // What is left was granted at the beginning, unless it was more than can be granted at once.
                if *left >= u64::from(CREDIT) { delivery.count } else { 0 }
            }
        };
        if !self.args.keep {
            let v1::Delivery { feed, epoch, generation, through, .. } = delivery;
            let ack = v1::Ack { subscription_epoch: self.epoch, feed, epoch, generation, through };
            speak(&self.say, Say::Ack(ack)).await?;
        }
        if credit > 0 {
            speak(&self.say, Say::Credit(v1::Credit { events: credit })).await?;
        }
        Ok(self.left != Some(0))
    }

    /// Closes our side, so that the node ends the stream once it has heard the last word.
    async fn finish(self, mut news: tonic::Streaming<v1::SubscribeResponse>) -> anyhow::Result<()> {
        drop(self.say);
        while news.message().await.map_err(refusal)?.is_some() {}
        Ok(())
    }

    fn line(&self, feed: &str, event: &v1::Event) -> String {
        let fields = self.typed.then(|| typed::as_json(&event.payload)).flatten();
        let payload = fields.unwrap_or_else(|| json!(String::from_utf8_lossy(&event.payload)));
        match self.args.format.output {
            Output::Table => {
                let text = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
                // Others wrote it, and could repaint a terminal; a program gets it as it is.
                let is_shown = std::io::stdout().is_terminal();
                if is_shown { output::visible(text.trim_end()) } else { text.trim_end().replace('\n', " ") }
            }
            Output::Json => json!({
                "id": event.id, "tenant": event.tenant, "source": event.source, "feed": feed, "kind": event.kind,
                "severity": event.severity, "time": Timestamp::from_nanos(event.time_nanos).to_microsoft(),
                "record": event.record, "finding": event.finding, "payload": payload,
            })
            .to_string(),
        }
    }
}

async fn speak(say: &mpsc::Sender<v1::SubscribeRequest>, message: Say) -> anyhow::Result<()> {
    let said = say.send(v1::SubscribeRequest { message: Some(message) }).await;
    said.map_err(|_| anyhow!("the connection to the node has ended; start this again and it goes on"))
}
