//! Secrets on their way through the admin API: sealed before what refers to them, shown by nothing.

use super::service_tests::{apply, credential, key, secret, served, tenant};
use crate::cluster::{AuditAction, AuditRecord, ResourceKey, SecretKey};
use crate::wire::v1;

#[tokio::test]
async fn a_secret_is_sealed_before_its_credential_and_a_changed_one_updates_it() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let resources = vec![tenant("contoso"), credential("contoso", "hub", "${env:HUB}")];
    let applied = |value: &str| apply(resources.clone(), vec![secret("contoso", "hub", value)]);
    let actions = |answer: v1::ApplyResponse| answer.changes.iter().map(|it| it.action()).collect::<Vec<_>>();
    client.apply(applied("canary-4711")).await.unwrap();
    let sealed = || {
        let credential = ResourceKey::credential(&"contoso".parse().unwrap(), "hub");
        let place = SecretKey::of(&credential, "connection_string").unwrap();
        served.backend.control.read(|state| state.secret(&place).cloned())
    };
    assert_eq!(sealed().unwrap().sealed.as_bytes(), b"1174-yranac", "what stands there went through the sealer");

    let again = client.apply(applied("canary-4711")).await.unwrap().into_inner();
    assert_eq!(actions(again), [v1::ChangeAction::Unchanged; 2]);
    let changed = client.apply(applied("canary-4712")).await.unwrap().into_inner();
    assert_eq!(actions(changed), [v1::ChangeAction::Unchanged, v1::ChangeAction::Updated]);
    assert_eq!(sealed().unwrap().generation, 2);

    let keys = vec![key(v1::ResourceKind::Credential, "contoso", "hub")];
    client.delete(v1::DeleteRequest { keys, ..Default::default() }).await.unwrap();
    assert_eq!(sealed(), None, "a secret goes with its credential");
}

#[tokio::test]
async fn secrets_and_references_must_come_together() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let resources = vec![tenant("contoso"), credential("contoso", "hub", "${env:HUB}")];
    let strange = v1::SecretValue { field: "secret".into(), ..secret("contoso", "hub", "canary-4711") };
    let cases = [
        (vec![], "what `connection_string` refers to did not come along"),
        (vec![secret("contoso", "hub", "canary-4711"), strange], "it does not refer to"),
        (
            vec![secret("contoso", "hub", "canary-4711"), secret("contoso", "other", "canary-4711")],
            "credential `contoso/other`: a secret came without what it is of",
        ),
        (vec![secret("contoso", "hub", "no")], "the secrets of credential `contoso/hub` can't be sealed"),
    ];
    for (secrets, expected) in cases {
        let wanted = apply(resources.clone(), secrets);
        assert!(!format!("{wanted:?}").contains("canary-4711"), "{wanted:?}");
        let refused = client.apply(wanted).await.unwrap_err();
        assert!(refused.message().contains(expected), "{refused}");
        assert!(!format!("{refused:?}").contains("canary-4711"), "{refused:?}");
    }
    assert_eq!(client.list(v1::ListRequest::default()).await.unwrap().into_inner().resources, []);
}

fn splunk(url: &str, paused: bool) -> v1::Resource {
    let mut body = serde_json::json!({"kind": "hec", "url": url, "token": "${env:TOKEN}", "format": "splunk"});
    if paused {
        body["paused"] = true.into();
    }
    v1::Resource { key: Some(key(v1::ResourceKind::Sink, "", "splunk")), body: body.to_string() }
}
fn token(value: &str) -> v1::SecretValue {
    let key = Some(key(v1::ResourceKind::Sink, "", "splunk"));
    v1::SecretValue { key, field: "token".into(), value: value.into() }
}

#[tokio::test]
async fn a_sinks_token_is_sealed_shown_by_nothing_and_goes_with_it() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let sink = || splunk("https://splunk:8088", false);
    client.apply(apply(vec![sink()], vec![token("canary-4711")])).await.unwrap();
    let place = SecretKey::of(&ResourceKey::sink(&"splunk".parse().unwrap()), "token").unwrap();
    let sealed = || served.backend.control.read(|state| state.secret(&place).cloned());
    assert_eq!(sealed().unwrap().sealed.as_bytes(), b"1174-yranac", "what stands there went through the sealer");
    let shown = client.list(v1::ListRequest::default()).await.unwrap().into_inner().resources;
    assert_eq!(shown, [sink()], "it is shown as it was written");

    let again = client.apply(apply(vec![sink()], vec![token("canary-4711")])).await.unwrap().into_inner();
    assert_eq!(again.changes[0].action(), v1::ChangeAction::Unchanged);
    let exchanged = client.apply(apply(vec![sink()], vec![token("canary-4712")])).await.unwrap().into_inner();
    assert_eq!(exchanged.changes[0].action(), v1::ChangeAction::Updated, "what sends with it begins anew");
    assert_eq!(sealed().unwrap().generation, 2);

    let keys = vec![key(v1::ResourceKind::Sink, "", "splunk")];
    client.delete(v1::DeleteRequest { keys, ..Default::default() }).await.unwrap();
    assert_eq!(sealed(), None);
}

#[tokio::test]
async fn a_sink_is_paused_without_its_token_but_sends_nowhere_else_without_it() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let here = "https://splunk:8088";
    client.apply(apply(vec![splunk(here, false)], vec![token("canary-4711")])).await.unwrap();
    for paused in [true, false] {
        let answer = client.apply(apply(vec![splunk(here, paused)], vec![])).await.unwrap().into_inner();
        assert_eq!(answer.changes[0].action(), v1::ChangeAction::Updated);
        let key = ResourceKey::sink(&"splunk".parse().unwrap());
        let body = served.backend.control.read(|state| state.resource(&key).unwrap().body.clone());
        assert!(body.contains(r#""sealed":{"token":1}"#), "{body}");
    }
    let elsewhere = client.apply(apply(vec![splunk("https://evil:8088", false)], vec![])).await.unwrap_err();
    assert!(elsewhere.message().contains("what `token` refers to did not come along"), "{elsewhere}");
}

#[tokio::test]
async fn the_audit_says_who_changed_which_resources_and_why_but_no_secret() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let resources = vec![tenant("contoso"), credential("contoso", "hub", "${env:HUB}")];
    let applied = |value: &str| v1::ApplyRequest {
        operator: "ann".into(),
        reason: "CHG-7".into(),
        ..apply(resources.clone(), vec![secret("contoso", "hub", value)])
    };
    let dry = v1::ApplyRequest { dry_run: true, ..applied("canary-4711") };
    for wanted in [dry, applied("canary-4711"), applied("canary-4711"), applied("canary-4712")] {
        client.apply(wanted).await.unwrap();
    }
    let keys = vec![key(v1::ResourceKind::Credential, "contoso", "hub")];
    client.delete(v1::DeleteRequest { keys, ..Default::default() }).await.unwrap();
    let told = served.backend.control.read(|state| {
        let words = |(_, record): (u64, &AuditRecord)| match &record.action {
            AuditAction::Noted { what } => format!("{}: {what} ({})", record.by, record.reason),
            AuditAction::MovedCursor { .. } => panic!("no cursor was moved"),
        };
        state.audit().map(words).collect::<Vec<_>>()
    });
    let expected = [
        "administrator (ann): create tenant `contoso`, create credential `contoso/hub` (CHG-7)",
        "administrator (ann): update credential `contoso/hub` (CHG-7)",
        "administrator: delete credential `contoso/hub` (no reason was given)",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn resources_can_be_changed_before_every_node_keeps_an_audit() {
    let served = served().await;
    let mut client = served.admin().await;
    client.apply(apply(vec![tenant("contoso")], vec![])).await.unwrap();
    assert_eq!(served.backend.control.read(|state| state.audit().count()), 0);
}
