//! Teams: `MessageEvents`, `MessageUrlInfo` and `MessagePostDeliveryEvents`. A chat message isn't e-mail, though its
//! columns are named alike.

use super::To::Field as To;
use super::{Column, Table, common, email, email_parts};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "MessageEvents",
    class: Class::Message,
    activity: Activity::Create,
    columns: &[common::RECORD, MESSAGE],
    action_from: Some(Field::MailAction),
    follows: DELIVERY,
    unmapped: &[
        (
            "is another identifier of the message or of the talk around it",
            &["MessageId", "ParentMessageId", "ThreadId"],
        ),
        (
            common::NO_WORD,
            &[
                "LastEditedTime",
                "SenderType",
                "IsOwnedThread",
                "GroupId",
                "GroupName",
                "ThreadName",
                "ThreadType",
                "ThreadSubType",
                "IsExternalThread",
                "MessageType",
                "MessageSubtype",
                "MessageVersion",
            ],
        ),
        (common::JUDGEMENT, &["ConfidenceLevel", "SafetyTip"]),
    ],
    ..Table::PLAIN
};

const MESSAGE: &[Column] = &[
    ("TeamsMessageId", To(Field::MessageId)),
    ("SenderEmailAddress", To(Field::MailSender)),
    ("SenderDisplayName", To(Field::MailSenderName)),
    ("SenderObjectId", To(Field::MailSenderObjectId)),
    ("RecipientDetails", To(Field::MessageRecipients)),
    ("Subject", To(Field::MailSubject)),
    ("ThreatTypes", To(Field::ThreatTypes)),
    ("DetectionMethods", To(Field::ThreatDetection)),
    ("DeliveryAction", To(Field::MailAction)),
    ("DeliveryLocation", To(Field::MailLocation)),
];

const DELIVERY: &[(Field, &[super::Action])] =
    &[(Field::MailAction, email::DELIVERED), (Field::MailLocation, email::PLACED), (Field::MailAction, email::JUNKED)];

pub(super) const URLS: Table = Table {
    name: "MessageUrlInfo",
    class: Class::Message,
    activity: Activity::Create,
    columns: &[
        common::RECORD,
        &[("TeamsMessageId", To(Field::MessageId)), ("Url", To(Field::Url)), ("UrlDomain", To(Field::UrlDomain))],
    ],
    ..Table::PLAIN
};

/// Nobody documents its columns for the stream; these are the ones of `EmailPostDeliveryEvents`.
pub(super) const LATER: Table = Table {
    name: "MessagePostDeliveryEvents",
    class: Class::Message,
    activity: Activity::Delete,
    columns: &[common::RECORD, AFTERWARDS],
    follows: email_parts::AFTERWARDS,
    ..Table::PLAIN
};

const AFTERWARDS: &[Column] = &[
    ("TeamsMessageId", To(Field::MessageId)),
    ("Action", To(Field::MailLaterAction)),
    ("ActionResult", To(Field::MailLaterResult)),
    ("DeliveryLocation", To(Field::MailLocation)),
    ("ThreatTypes", To(Field::ThreatTypes)),
    ("DetectionMethods", To(Field::ThreatDetection)),
];
