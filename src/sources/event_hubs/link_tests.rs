use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::secret::Secret;
use crate::simulator::event_hubs::{Namespace, Options, Rights, Rule, serve};
use crate::sources::event_hubs::{Authentication, Config, ConnectionString, Hub};

const KEY: &str = "aHVudGVyMg==";

/// A service behind a way on which its answers may get lost.
struct Service {
    hub: Hub,
    deaf: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

async fn service() -> Service {
    let rule = Rule { name: "listen".into(), key: Secret::new(KEY.into()), rights: Rights::LISTEN };
    let namespace = Namespace::new(Options { name: "n".into(), rules: vec![rule], ..Options::default() });
    namespace.create_hub("logs", 1).unwrap();
    let (behind, before) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (to, port) = (behind.local_addr().unwrap(), before.local_addr().unwrap().port());
    let (mut tasks, deaf) = (JoinSet::new(), Arc::<AtomicBool>::default());
    tasks.spawn(async move { drop(serve(namespace, behind, None, CancellationToken::new()).await) });
    let silent = deaf.clone();
    tasks.spawn(async move {
        let (mut asked, mut asking) = before.accept().await.unwrap().0.into_split();
        let (mut answered, mut answering) = TcpStream::connect(to).await.unwrap().into_split();
        let there = tokio::io::copy(&mut asked, &mut answering);
        let back = async {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = answered.read(&mut bytes).await {
                if !silent.load(Ordering::Acquire) && asking.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        };
        drop(tokio::join!(there, back));
    });
    let string = format!(
        "Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=listen;SharedAccessKey={KEY};EntityPath=logs;\
         UseDevelopmentEmulator=true"
    );
    let config: Config = toml::from_str("credential = \"c\"").unwrap();
    let hub = Hub::new(&config, Authentication::SharedAccess(ConnectionString::parse(&string).unwrap())).unwrap();
    Service { hub, deaf, _tasks: tasks }
}

#[tokio::test]
async fn a_service_that_answers_nothing_any_more_holds_nobody_up() {
    let service = service().await;
    let place = &*service.hub.0;
    let mut opened = open(place, &Clock::System).await.unwrap();
    service.deaf.store(true, Ordering::Release);
    let patience = 40 * ATTACH_TIMEOUT;
    let management = tokio::time::timeout(patience, Management::attach(&mut opened, place)).await;
    let error = management.expect("it waits for ever").err().unwrap();
    assert!(matches!(error, SourceError::Disconnected { .. }), "{error}");
    assert!(error.to_string().contains("$management") && error.to_string().contains("firewall"), "{error}");
    let begun = tokio::time::timeout(patience, begin(&mut opened.connection)).await;
    let Some(Cause::Lost(why)) = begun.expect("it waits for ever").err() else { panic!("it was refused") };
    assert!(why.contains("session") && why.contains("firewall"), "{why}");
}
