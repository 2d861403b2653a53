//! `EmailEvents`: a message reached the mail service. It has no `ActionType`; what became of it stands in
//! `DeliveryAction`.

use super::To::Field as To;
use super::{
    ALLOWED, Action, BLOCKED, CORRECTED, Column, FAILURE, Nested, QUARANTINED, SUCCESS, TAGGED, Table, common,
};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "EmailEvents",
    class: Class::Email,
    activity: Activity::Other,
    columns: &[common::RECORD, MESSAGE, THREATS, COLUMNS],
    nested: Nested { inside: Field::MailAuthentication, members: AUTHENTICATION },
    action_from: Some(Field::MailAction),
    follows: &[
        (Field::MailDirection, DIRECTIONS),
        (Field::MailAction, DELIVERED),
        (Field::MailLocation, PLACED),
        (Field::MailAction, JUNKED),
    ],
    unmapped: &[
        (
            common::NO_WORD,
            &[
                "EmailClusterId",
                "EmailLanguage",
                "Connectors",
                "BulkComplaintLevel",
                "To",
                "Cc",
                "IsFirstContact",
                "ForwardingInformation",
                "DistributionList",
                "ExchangeTransportRule",
                "Context",
            ],
        ),
        (common::SAYS_AGAIN, &["SenderMailFromDomain", "RecipientDomain"]),
        (common::JUDGEMENT, &["ConfidenceLevel", "ThreatClassification"]),
        (
            "names the policies of others than the one that acted",
            &["OrgLevelAction", "OrgLevelPolicy", "UserLevelAction", "UserLevelPolicy"],
        ),
    ],
    ..Table::PLAIN
};

/// What the tables about one message share.
pub(super) const MESSAGE: &[Column] = &[
    ("NetworkMessageId", To(Field::MailNetworkId)),
    ("SenderFromAddress", To(Field::MailSender)),
    ("SenderDisplayName", To(Field::MailSenderName)),
    ("SenderObjectId", To(Field::MailSenderObjectId)),
    ("RecipientEmailAddress", To(Field::MailRecipient)),
    ("RecipientObjectId", To(Field::MailRecipientObjectId)),
];

pub(super) const THREATS: &[Column] = &[
    ("ThreatTypes", To(Field::ThreatTypes)),
    ("ThreatNames", To(Field::ThreatNames)),
    ("DetectionMethods", To(Field::ThreatDetection)),
];

const COLUMNS: &[Column] = &[
    ("InternetMessageId", To(Field::MailInternetId)),
    ("SenderMailFromAddress", To(Field::MailReturnPath)),
    ("SenderFromDomain", To(Field::MailSenderDomain)),
    ("SenderIPv4", To(Field::MailSenderIp)),
    ("SenderIPv6", To(Field::MailSenderIp6)),
    ("Subject", To(Field::MailSubject)),
    ("EmailDirection", To(Field::MailDirection)),
    ("DeliveryAction", To(Field::MailAction)),
    ("DeliveryLocation", To(Field::MailLocation)),
    ("EmailAction", To(Field::MailPolicyAction)),
    ("EmailActionPolicy", To(Field::MailPolicy)),
    ("EmailActionPolicyGuid", To(Field::MailPolicyId)),
    ("AuthenticationDetails", To(Field::MailAuthentication)),
    ("AttachmentCount", To(Field::MailAttachments)),
    ("UrlCount", To(Field::MailUrls)),
    ("EmailSize", To(Field::MailSize)),
];

const AUTHENTICATION: &[Column] =
    &[("SPF", To(Field::MailSpf)), ("DKIM", To(Field::MailDkim)), ("DMARC", To(Field::MailDmarc))];

const DIRECTIONS: &[Action] = &[
    Action::is("Inbound", Activity::Receive, &[]),
    Action::is("Intra-org", Activity::Receive, &[]),
    Action::is("Outbound", Activity::Send, &[]),
];

pub(super) const DELIVERED: &[Action] = &[
    Action::only("Delivered", &[SUCCESS, ALLOWED]),
    Action::only("Junked", &[SUCCESS]),
    Action::only("Replaced", &[SUCCESS, CORRECTED]),
    Action::only("Blocked", &[FAILURE, BLOCKED]),
];

/// Junk lies in quarantine or, with a mark, in a folder. A blocked message can lie in quarantine, too, and is blocked.
pub(super) const PLACED: &[Action] = &[Action::only("Quarantine", &[QUARANTINED])];
pub(super) const JUNKED: &[Action] = &[Action::only("Junked", &[TAGGED])];
