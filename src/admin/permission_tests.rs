//! Every method against every role, over real connections.

use tonic::Code;

use super::access::{METHODS, Permission, Role as Access, may};
use super::service_tests::{Served, served, token};
use crate::wire::v1;

async fn call_replays(served: &Served, bearer: &str, method: &str) -> Result<(), tonic::Status> {
    let (channel, bearer) = served.reach(bearer).await;
    let mut client = v1::replays_client::ReplaysClient::with_interceptor(channel, bearer);
    match method {
        "StartReplay" => client.start_replay(v1::StartReplayRequest::default()).await.map(drop),
        "ListReplays" => client.list_replays(v1::ListReplaysRequest::default()).await.map(drop),
        "ChangeReplay" => client.change_replay(v1::ChangeReplayRequest::default()).await.map(drop),
        other => panic!("no call for {other}: add it here"),
    }
}

async fn call(served: &Served, bearer: &str, method: &str) -> Result<(), tonic::Status> {
    if method.contains("Replay") {
        return call_replays(served, bearer, method).await;
    }
    let (mut client, mut operations) = (served.client(bearer).await, served.operations_of(bearer).await);
    match method {
        "Version" => client.version(v1::VersionRequest {}).await.map(drop),
        "Status" => client.status(v1::StatusRequest::default()).await.map(drop),
        "Apply" => client.apply(v1::ApplyRequest::default()).await.map(drop),
        "Get" => client.get(v1::GetRequest::default()).await.map(drop),
        "List" => client.list(v1::ListRequest::default()).await.map(drop),
        "Delete" => client.delete(v1::DeleteRequest::default()).await.map(drop),
        "Tap" => client.tap(v1::TapRequest::default()).await.map(drop),
        "Invite" => client.invite(v1::InviteRequest::default()).await.map(drop),
        "Cluster" => client.cluster(v1::ClusterRequest {}).await.map(drop),
        "ChangeCluster" => client.change_cluster(v1::ChangeClusterRequest::default()).await.map(drop),
        "Cursors" => operations.cursors(v1::CursorsRequest::default()).await.map(drop),
        "MoveCursors" => operations.move_cursors(v1::MoveCursorsRequest::default()).await.map(drop),
        "Subscriptions" => operations.subscriptions(v1::SubscriptionsRequest::default()).await.map(drop),
        "Audit" => operations.audit(v1::AuditRequest::default()).await.map(drop),
        "Quarantine" => operations.quarantine(v1::QuarantineRequest::default()).await.map(drop),
        "ChangeQuarantine" => operations.change_quarantine(v1::ChangeQuarantineRequest::default()).await.map(drop),
        "TestSink" => operations.test_sink(v1::TestSinkRequest::default()).await.map(drop),
        other => panic!("no call for {other}: add it here"),
    }
}

#[tokio::test]
async fn every_method_is_denied_to_whoever_may_not() {
    let served = served().await;
    for (method, permission) in METHODS {
        for role in Access::ALL {
            let code = call(&served, &token(role), method).await.err().map(|it| it.code());
            assert_eq!(code == Some(Code::PermissionDenied), !may(role, *permission), "{method} {role:?} {code:?}");
            assert_ne!(code, Some(Code::Unauthenticated), "{method} {role:?}");
        }
        for stranger in ["", "wrong", &token(Access::Administrator)[1..]] {
            let code = call(&served, stranger, method).await.unwrap_err().code();
            assert_eq!(code, Code::Unauthenticated, "{method} `{stranger}`");
        }
    }
    assert!(METHODS.iter().any(|(_, permission)| *permission == Permission::ReadEvents));
}
