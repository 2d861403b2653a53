//! Secrets on their way through the admin API: sealed before what refers to them, shown by nothing.

use super::service_tests::{apply, credential, key, secret, served, tenant};
use crate::cluster::{ResourceKey, SecretKey};
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
        let place = SecretKey::of_credential(&credential, "connection_string").unwrap();
        served.backend.control.read(|state| state.secret(&place).cloned())
    };
    assert_eq!(sealed().unwrap().sealed.as_bytes(), b"1174-yranac", "what stands there went through the sealer");

    let again = client.apply(applied("canary-4711")).await.unwrap().into_inner();
    assert_eq!(actions(again), [v1::ChangeAction::Unchanged; 2]);
    let changed = client.apply(applied("canary-4712")).await.unwrap().into_inner();
    assert_eq!(actions(changed), [v1::ChangeAction::Unchanged, v1::ChangeAction::Updated]);
    assert_eq!(sealed().unwrap().generation, 2);

    let keys = vec![key(v1::ResourceKind::Credential, "contoso", "hub")];
    client.delete(v1::DeleteRequest { keys, dry_run: false }).await.unwrap();
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
            "credential `contoso/other`: a secret came without its credential",
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
