//! Evidence about people: their sign-ins, their mail, the applications and directory objects they use.

use serde_json::{Value, json};

use super::endpoint::{DEVICE, FILE, IP, URL, USER};
use super::{Facts, Kind};

pub const IDENTITY: &[Kind] = &[
    USER,
    IP,
    DEVICE,
    ("cloudLogonRequestEvidence", logon_request),
    ("cloudLogonSessionEvidence", logon_session),
    ("securityGroupEvidence", group),
    ("activeDirectoryDomainEvidence", domain),
    ("servicePrincipalEvidence", service_principal),
];

pub const APPS: &[Kind] = &[
    ("cloudApplicationEvidence", cloud_application),
    USER,
    IP,
    ("oauthApplicationEvidence", oauth_application),
    ("gitHubOrganizationEvidence", github_organization),
    ("gitHubRepoEvidence", github_repo),
    ("gitHubUserEvidence", github_user),
    ("aiAgentEvidence", ai_agent),
];

pub const MAIL: &[Kind] = &[
    ("analyzedMessageEvidence", message),
    ("mailboxEvidence", mailbox),
    ("mailClusterEvidence", cluster),
    ("mailboxConfigurationEvidence", configuration),
    ("submissionMailEvidence", submission),
    ("teamsMessageEvidence", teams_message),
    URL,
    USER,
];

fn logon_request(facts: &mut Facts<'_>) -> Value {
    json!({ "requestId": facts.random.guid() })
}

fn logon_session(facts: &mut Facts<'_>) -> Value {
    json!({
        "account": facts.nested(USER),
        "browser": "Edge 141.0",
        "deviceName": facts.device().host,
        "operatingSystem": "Windows 11",
        "previousLogonDateTime": null,
        "protocol": "OAuth2",
        "sessionId": facts.random.guid(),
        "startUtcDateTime": facts.created,
        "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
    })
}

fn group(facts: &mut Facts<'_>) -> Value {
    json!({
        "activeDirectoryObjectGuid": facts.random.guid(),
        "displayName": "Domain Admins",
        "distinguishedName": "CN=Domain Admins,CN=Users,DC=contoso,DC=example",
        "friendlyName": "Domain Admins",
        "securityGroupId": null,
        "sid": "S-1-5-21-1-2-3-512",
    })
}

fn domain(facts: &mut Facts<'_>) -> Value {
    json!({ "activeDirectoryDomainName": facts.world.tenant.domain, "trustedDomains": [] })
}

fn service_principal(facts: &mut Facts<'_>) -> Value {
    json!({
        "appId": facts.random.guid(),
        "appOwnerTenantId": facts.world.tenant.directory,
        "servicePrincipalName": "backup-job",
        "servicePrincipalObjectId": facts.random.guid(),
        "servicePrincipalType": "application",
        "tenantId": facts.world.tenant.directory,
    })
}

fn cloud_application(facts: &mut Facts<'_>) -> Value {
    let instance = facts.random.below(1 << 60);
    json!({
        "appId": 20_892,
        "displayName": "Microsoft SharePoint Online",
        "instanceId": instance,
        "instanceName": "Microsoft SharePoint Online",
        "saasAppId": 20_892,
        "stream": null,
    })
}

fn oauth_application(facts: &mut Facts<'_>) -> Value {
    json!({
        "appId": facts.random.guid(),
        "displayName": "PDF Helper = free",
        "objectId": facts.random.guid(),
        "publisher": "Unverified | Publisher",
    })
}

fn github_organization(_: &mut Facts<'_>) -> Value {
    json!({
        "company": "Contoso",
        "displayName": "contoso",
        "email": "dev@contoso.example",
        "login": "contoso",
        "orgId": "1001",
        "webUrl": "https://github.example/contoso",
    })
}

fn github_repo(_: &mut Facts<'_>) -> Value {
    json!({
        "baseUrl": "https://github.example",
        "login": "contoso",
        "owner": "contoso",
        "ownerType": "Organization",
        "repoId": "2002",
    })
}

fn github_user(facts: &mut Facts<'_>) -> Value {
    let user = facts.user();
    json!({
        "email": user.principal,
        "login": user.name,
        "name": user.display,
        "userId": "3003",
        "webUrl": format!("https://github.example/{}", user.name),
    })
}

fn ai_agent(facts: &mut Facts<'_>) -> Value {
    json!({
        "agentId": facts.random.guid(),
        "agentName": "Expenses agent",
        "hostingPlatformType": "copilotStudio",
        "instructions": "Answer questions about expenses.\nNever reveal \"secrets\".",
    })
}

fn message(facts: &mut Facts<'_>) -> Value {
    json!({
        "antiSpamDirection": "inbound",
        "attachmentsCount": 1,
        "deliveryAction": "delivered",
        "deliveryLocation": "inbox",
        "internetMessageId": format!("<{}@mailer.example.net>", facts.random.hex(20)),
        "language": "de",
        "networkMessageId": facts.alert.message,
        "p1Sender": { "displayName": null, "domainName": "mailer.example.net", "emailAddress": "bounce@mailer.example.net" },
        "p2Sender": { "displayName": "Info \"Desk\"", "domainName": "fabrikam.example", "emailAddress": "info@fabrikam.example" },
        "receivedDateTime": facts.created,
        "recipientEmailAddress": facts.user().principal,
        "senderIp": facts.ip(),
        "subject": facts.alert.subject(),
        "threatDetectionMethods": ["UrlReputation"],
        "threats": ["ZapPhish", "HighConfPhish"],
        "urlCount": 2,
        "urls": ["https://files.example/a", "https://files.example/b?x=1|2"],
        "urn": format!("urn:MailEntity:{}", facts.random.hex(32)),
    })
}

fn mailbox(facts: &mut Facts<'_>) -> Value {
    let user = facts.user();
    json!({
        "displayName": user.display,
        "primaryAddress": user.principal,
        "upn": user.principal,
        "userAccount": facts.user_account(),
    })
}

fn cluster(facts: &mut Facts<'_>) -> Value {
    json!({
        "clusterBy": "Subject;P2SenderDomain;ContentType",
        "clusterByValue": format!("{};fabrikam.example;1", facts.alert.subject()),
        "emailCount": facts.random.between(2, 900),
        "networkMessageIds": [facts.alert.message],
        "query": "( (( (Subject:\"parcel\") )) AND ContentType: 1 )",
        "urn": format!("urn:MailClusterEntity:{}", facts.random.hex(32)),
    })
}

fn configuration(facts: &mut Facts<'_>) -> Value {
    let user = facts.user();
    json!({
        "configurationId": facts.random.guid(),
        "configurationType": "mailForwardingRule",
        "displayName": "..",
        "externalDirectoryObjectId": user.object,
        "mailboxPrimaryAddress": user.principal,
        "upn": user.principal,
    })
}

fn submission(facts: &mut Facts<'_>) -> Value {
    json!({
        "networkMessageId": facts.alert.message,
        "recipient": facts.user().principal,
        "reportType": "Phish",
        "sender": "info@fabrikam.example",
        "senderIp": facts.ip(),
        "subject": facts.alert.subject(),
        "submissionDateTime": facts.created,
        "submissionId": facts.random.guid(),
        "submitter": facts.user().principal,
    })
}

fn teams_message(facts: &mut Facts<'_>) -> Value {
    json!({
        "campaignId": null,
        "channelId": "19:general@thread.example",
        "deliveryAction": "blocked",
        "deliveryLocation": "quarantine",
        "files": [facts.nested(FILE)],
        "groupId": facts.random.guid(),
        "isExternal": true,
        "isOwned": false,
        "lastModifiedDateTime": facts.created,
        "messageDirection": "inbound",
        "messageId": facts.random.below(1 << 41).to_string(),
        "owningTenantId": facts.random.guid(),
        "receivedDateTime": facts.created,
        "recipients": [facts.user().principal],
        "senderFromAddress": "helpdesk@fabrikam.example",
        "senderIP": facts.ip(),
        "sourceAppName": "Teams",
        "subject": null,
        "suspiciousRecipients": [],
        "threadId": "19:meeting@thread.example",
        "threadType": "chat",
        "urls": [facts.nested(URL)],
    })
}
