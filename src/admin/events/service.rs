//! gRPC to subscribers: who asks, the first message, and then words one way and news the other.

use std::future::ready;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tonic::{Request, Response, Status as Answer, Streaming};

use super::convert::{news_to_wire, word_from_wire};
use super::{Asking, CloseReason, News, NotOpened, Shown, Subscriptions};
use crate::admin::access::{Permission, Tokens, bearer, may};
use crate::admin::limits::{SUBSCRIBER_TOKEN_LETTERS_MIN, SUBSCRIBERS_MAX, SUBSCRIPTION_OPEN_TIMEOUT};
use crate::metrics;
use crate::secret::Secret;
use crate::wire::v1;

/// The events API over one node.
pub struct Service {
    subscriptions: Arc<dyn Subscriptions>,
    tokens: Tokens,
    places: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

type NewsStream = BoxStream<'static, Result<v1::SubscribeResponse, Answer>>;

impl Service {
    /// Streams end once `stopping` turns true.
    pub fn new(subscriptions: Arc<dyn Subscriptions>, tokens: Tokens, stopping: watch::Receiver<bool>) -> Self {
        Self { subscriptions, tokens, places: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)), stopping }
    }

    async fn open(&self, request: Request<Streaming<v1::SubscribeRequest>>) -> Result<NewsStream, Answer> {
        let header = request.metadata().get("authorization").map(|value| value.as_bytes());
        let shown = shown(&self.tokens, header)?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| answer_of(&NotOpened::Full))?;
        let mut words = request.into_inner();
        let first = timeout(SUBSCRIPTION_OPEN_TIMEOUT, words.message()).await;
        let first = first.map_err(|_| Answer::deadline_exceeded("`open` did not come in time"))??;
        let Some(v1::subscribe_request::Message::Open(open)) = first.and_then(|first| first.message) else {
            return Err(Answer::invalid_argument("the first message must be `open`"));
        };
        let member = if open.member.is_empty() { "default" } else { &open.member };
        let named = |error: crate::ids::BadName| Answer::invalid_argument(error.to_string());
        let subscription = open.subscription.parse().map_err(named)?;
        let asking = Asking { subscription, member: member.parse().map_err(named)?, shown };
        // A client that went away or sends what can't be read says nothing more.
        let words = words
            .take_while(|word| ready(word.is_ok()))
            .filter_map(|word| ready(word.ok().map(word_from_wire)))
            .boxed();
        let news = timeout(SUBSCRIPTION_OPEN_TIMEOUT, self.subscriptions.subscribe(asking, words)).await;
        let news = news.map_err(|_| Answer::unavailable("the cluster takes too long to answer; try again"))?;
        Ok(until_stopping(news.map_err(|error| answer_of(&error))?, self.stopping.clone(), place))
    }
}

/// Holds the place as long as the stream lives, and says good-bye when the node stops.
fn until_stopping(
    news: BoxStream<'static, News>,
    stopping: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) -> NewsStream {
    let state = (news, stopping, Some(place));
    let told = stream::unfold(state, |(mut news, mut stopping, place)| async move {
        let place = place?;
        let next = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => None,
            next = news.next() => Some(next?),
        };
        Some(match next {
            Some(next) => (next, (news, stopping, Some(place))),
            None => {
                let text = "the node stops: connect to another one and go on".to_owned();
                (News::Closing { reason: CloseReason::NodeStops, text }, (news, stopping, None))
            }
        })
    });
    told.map(|news| Ok(news_to_wire(news))).boxed()
}

/// By what right somebody asks. The monitor may not see events.
fn shown(tokens: &Tokens, header: Option<&[u8]>) -> Result<Shown, Answer> {
    let unknown = || Answer::unauthenticated("no token was shown: send `authorization: Bearer <token>`");
    match tokens.role(header) {
        Some(role) if may(role, Permission::ReadEvents) => Ok(Shown::Administrator),
        Some(role) => Err(Answer::permission_denied(format!("a {} may not read events", role.name()))),
        None => {
            let token = header.and_then(bearer).and_then(|token| std::str::from_utf8(token).ok());
            let long = token.filter(|token| token.len() >= SUBSCRIBER_TOKEN_LETTERS_MIN);
            Ok(Shown::Token(Secret::new(long.ok_or_else(unknown)?.to_owned())))
        }
    }
}

fn answer_of(error: &NotOpened) -> Answer {
    let text = error.to_string();
    match error {
        NotOpened::Denied { .. } => Answer::permission_denied(text),
        NotOpened::Refused { .. } => Answer::failed_precondition(text),
        NotOpened::Unavailable { .. } => Answer::unavailable(text),
        NotOpened::Full => Answer::resource_exhausted(text),
    }
}

#[tonic::async_trait]
impl v1::events_server::Events for Service {
    type SubscribeStream = NewsStream;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SubscribeRequest>>,
    ) -> Result<Response<NewsStream>, Answer> {
        let opened = self.open(request).await;
        let outcome = match &opened {
            Ok(_) => "ok",
            Err(answer) => match answer.code() {
                tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => "denied",
                tonic::Code::InvalidArgument | tonic::Code::FailedPrecondition => "refused",
                _ => "failed",
            },
        };
        metrics::admin_call("Subscribe", outcome);
        opened.map(Response::new)
    }
}
