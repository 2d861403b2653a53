//! Ways in: keys, signatures and Entra tokens, what happens when they are wrong, and when they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use siemgate::clock::Clock;
use siemgate::identity::AccessToken;
use siemgate::secret::Secret;
use siemgate::simulator::event_hubs::{Audience, Options, self_signed, serve};
use siemgate::sources::event_hubs::{Authentication, ConnectionString, Hub, TokenSource};
use siemgate::sources::{Remedy, SourceError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::world::{KEY, PATIENCE, Reader, World, in_an_hour, settings};

const TOKEN_LIFE: Duration = Duration::from_secs(2);
/// Between two messages, while tokens live and end.
const PACE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_wrong_key_is_for_a_person_and_never_shown() {
    let world = World::start().await;
    for config in ["", "sasl = \"plain\""] {
        let wrong = "d3JvbmcgaHVudGVyMg==";
        let error = Reader::of(world.hub_with(config, wrong), 1, None).batch().await.unwrap_err();
        let Remedy::HoldForOperator(remedy) = error.remedy() else { panic!("{error}") };
        for shown in [remedy, error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains(wrong) && !shown.contains("sig="), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_key_may_be_shown_as_it_is_where_configured() {
    let world = World::start().await;
    world.write(0, 3);
    let mut reader = Reader::of(world.hub_with("sasl = \"plain\"", KEY), 1, None);
    reader.until(3).await;
}

#[tokio::test]
async fn a_short_token_is_renewed_without_losing_the_link() {
    let world = World::start().await;
    let hub = world.hub().signing_for(TOKEN_LIFE);
    let mut reader = Reader::of(hub, 1, None);
    // Three lives of a token; each read must come over the link that was there at first.
    let (end, mut pace) = (Instant::now() + 3 * TOKEN_LIFE, interval(PACE));
    let mut rounds = 0;
    while Instant::now() < end {
        pace.tick().await;
        world.write(0, 1);
        rounds += 1;
        while reader.sequences.len() < rounds {
            reader.batch().await.expect("the link ended with its token");
        }
    }
    reader.holds(0..i64::try_from(rounds).unwrap());
}

#[tokio::test]
async fn entra_tokens_are_asked_for_anew_before_they_end() {
    let jwt = Box::new(|text: &str, _: &Audience| match text {
        "good" => Ok(Clock::System.now().plus(TOKEN_LIFE)),
        _ => Err("unknown token".to_owned()),
    });
    let world = World::with(Options { jwt: Some(jwt), ..Options::default() }).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let tokens = TokenSource::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(AccessToken { text: Secret::new("good".into()), expires: Clock::System.now().plus(TOKEN_LIFE) }) }
    });
    let started = Instant::now();
    let config = settings(&format!("hub = \"logs\"\nnamespace = \"127.0.0.1:{}\"\nplaintext = true", world.port));
    let mut reader = Reader::of(Hub::new(&config, Authentication::Entra(tokens)).unwrap(), 1, None);
    let mut pace = interval(PACE);
    let renewed = async {
        let mut rounds = 0;
        while asked.load(Ordering::Relaxed) < 4 {
            pace.tick().await;
            world.write(0, 1);
            rounds += 1;
            while reader.sequences.len() < rounds {
                reader.batch().await.expect("the link ended with its token");
            }
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("no new token was asked for");
    // Renewed before its end, but not at every turn.
    assert!(started.elapsed() > TOKEN_LIFE, "four tokens within {:?}", started.elapsed());
}

#[tokio::test]
async fn an_error_of_the_token_source_is_handed_on_as_it_is() {
    let world = World::start().await;
    let tokens = TokenSource::new(|| async {
        Err(SourceError::Rejected { upstream: "entra".into(), cause: "expired".into(), remedy: "renew it".into() })
    });
    let config = settings(&format!("hub = \"logs\"\nnamespace = \"127.0.0.1:{}\"\nplaintext = true", world.port));
    let mut reader = Reader::of(Hub::new(&config, Authentication::Entra(tokens)).unwrap(), 1, None);
    assert_eq!(reader.batch().await.unwrap_err().remedy(), Remedy::HoldForOperator("renew it".into()));
    let wrong =
        TokenSource::new(|| async { Ok(AccessToken { text: Secret::new("bad".into()), expires: in_an_hour() }) });
    let mut reader = Reader::of(Hub::new(&config, Authentication::Entra(wrong)).unwrap(), 1, None);
    assert!(matches!(reader.batch().await, Err(SourceError::Rejected { .. })));
}

#[tokio::test]
async fn tls_trusts_the_authority_it_was_told_of_and_no_other() {
    let world = World::start().await;
    world.write(0, 5);
    let certificate = self_signed(&["localhost"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    let tls = Some(Arc::clone(&certificate.server));
    serving.spawn(serve(world.namespace.clone(), listener, tls, CancellationToken::new()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &certificate.pem).unwrap();

    let string =
        format!("Endpoint=sb://localhost:{port}/;SharedAccessKeyName=listen;SharedAccessKey={KEY};EntityPath=logs");
    let authentication = Authentication::SharedAccess(ConnectionString::parse(&string).unwrap());
    let config = settings(&format!("ca_file = {path:?}"));
    let mut reader = Reader::of(Hub::new(&config, authentication.clone()).unwrap(), 1, None);
    reader.until(5).await;

    let mut distrusting = Reader::of(Hub::new(&settings(""), authentication).unwrap(), 2, None);
    let error = distrusting.batch().await.unwrap_err();
    assert!(error.to_string().contains("ca_file"), "{error}");
}
