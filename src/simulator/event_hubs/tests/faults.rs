//! What goes wrong on purpose, and what ends with the service.

use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::Connection;
use fe2o3_amqp::sasl_profile::SaslProfile;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::{Ask, Client, KEY, PATIENCE, Service, next_text, options, stays_silent};
use crate::clock::{Clock, Timestamp};
use crate::simulator::event_hubs::{Namespace, Options, Patience, self_signed, serve};

#[tokio::test]
async fn throttling_detaches_and_refuses_until_it_is_over() {
    let clock = Clock::manual(Timestamp::from_millis(1_000_000));
    let service = Service::start(Options { clock: clock.clone(), ..options() }).await;
    let mut client = service.client().await;
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    service.namespace.throttle(Duration::from_secs(4));
    assert_eq!(next_text(&mut receiver).await, Err("com.microsoft:server-busy".into()));
    assert_eq!(client.receive(Ask::partition("0")).await.unwrap_err(), "com.microsoft:server-busy");
    clock.advance(Duration::from_secs(4));
    assert!(client.receive(Ask::partition("0")).await.is_ok());
}

#[tokio::test]
async fn receivers_can_be_refused_detached_and_let_in_again() {
    let service = Service::with_events(1).await;
    let mut client = service.client().await;
    service.namespace.refuse_attaches(true);
    assert_eq!(client.receive(Ask::partition("0")).await.unwrap_err(), "amqp:internal-error");
    service.namespace.refuse_attaches(false);
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    assert!(next_text(&mut receiver).await.is_ok());
    service.namespace.detach_all("hub").unwrap();
    assert_eq!(next_text(&mut receiver).await, Err("amqp:link:detach-forced".into()));
}

#[tokio::test]
async fn a_delayed_event_comes_late_but_by_itself() {
    let service = Service::with_events(0).await;
    let mut client = service.client().await;
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    service.namespace.delay_events(Duration::from_millis(400));
    service.append(1);
    stays_silent(&mut receiver).await;
    assert_eq!(next_text(&mut receiver).await, Ok("event 0".into()));
}

#[tokio::test]
async fn heartbeats_keep_a_quiet_connection_and_silence_ends_it() {
    let patience = Patience { idle: Duration::from_millis(600), ..Patience::default() };
    let service = Service::start(Options { patience, ..options() }).await;
    // This client wants a sign of life every 600 ms, and gives one whenever the service wants it.
    let mut client = service.login("all", KEY).await.unwrap();
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();

    // This peer says hello, and then nothing more.
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    silent.write_all(b"AMQP\x03\x01\x00\x00").await.unwrap();
    silent.write_all(b"\x00\x00\x00\x19\x02\x01\x00\x00\x00\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS").await.unwrap();
    silent.write_all(b"AMQP\x00\x01\x00\x00").await.unwrap();
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, silent.read_to_end(&mut heard)).await.expect("the service leaves a silent peer");
    assert!(ended.is_ok() && heard.ends_with(b"AMQP\x00\x01\x00\x00"), "{heard:?}");

    service.append(1);
    assert_eq!(next_text(&mut receiver).await, Ok("event 0".into()));
}

#[tokio::test]
async fn a_peer_that_skips_the_login_is_shown_how_and_left() {
    let service = Service::with_events(0).await;
    let mut hasty = TcpStream::connect(service.address).await.unwrap();
    hasty.write_all(b"AMQP\x00\x01\x00\x00").await.unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, hasty.read_to_end(&mut heard)).await.expect("the service leaves").unwrap();
    assert_eq!(heard, b"AMQP\x03\x01\x00\x00");
}

#[tokio::test]
async fn every_connection_can_be_cut_or_closed_and_comes_back() {
    let service = Service::with_events(1).await;
    for cut in [Namespace::disconnect_all, Namespace::close_all] {
        let mut client = service.client().await;
        let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
        assert!(next_text(&mut receiver).await.is_ok());
        cut(&service.namespace);
        assert!(next_text(&mut receiver).await.is_err());
    }
    assert!(service.client().await.receive(Ask::partition("0")).await.is_ok());
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_reads_over_tls_until_the_service_ends() {
    let certificate = self_signed(&["localhost"]).unwrap();
    let namespace = Namespace::new(options());
    namespace.create_hub("hub", 1).unwrap();
    namespace.append("hub", 0, vec![7; 600_000].into()).unwrap();
    namespace.append("hub", 0, "over tls".into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(serve(namespace, listener, Some(certificate.server), shutdown.clone()));

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let connection = Connection::builder()
        .container_id("test")
        .hostname("localhost")
        .sasl_profile(SaslProfile::Plain { username: "all".into(), password: KEY.into() })
        .open_with_stream(stream)
        .await
        .unwrap();
    let mut client = Client::over(connection).await;
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    assert_eq!(next_text(&mut receiver).await.unwrap().len(), 600_000);
    assert_eq!(next_text(&mut receiver).await, Ok("over tls".into()));

    shutdown.cancel();
    let ended = timeout(PATIENCE, tasks.join_next()).await.expect("the service ends");
    assert!(ended.unwrap().unwrap().is_ok());
    assert!(next_text(&mut receiver).await.is_err());
}
