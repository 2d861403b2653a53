//! What hangs on a message: `EmailAttachmentInfo`, `EmailUrlInfo`, and `EmailPostDeliveryEvents` for what was done to it
//! later.

use super::To::Field as To;
use super::{Action, CORRECTED, Column, DELETED, FAILURE, QUARANTINED, SUCCESS, Table, common, email};
use crate::event::{Activity, Class, Field};

pub(super) const ATTACHMENTS: Table = Table {
    name: "EmailAttachmentInfo",
    class: Class::Email,
    activity: Activity::Scan,
    columns: &[common::RECORD, email::MESSAGE, email::THREATS, FILE],
    ..Table::PLAIN
};

const FILE: &[Column] = &[
    ("FileName", To(Field::FileName)),
    ("FileType", To(Field::FileType)),
    ("FileExtension", To(Field::FileExtension)),
    ("SHA256", To(Field::FileSha256)),
    ("FileSize", To(Field::FileSize)),
];

pub(super) const URLS: Table = Table {
    name: "EmailUrlInfo",
    class: Class::Email,
    activity: Activity::Scan,
    columns: &[
        common::RECORD,
        &[("NetworkMessageId", To(Field::MailNetworkId)), ("Url", To(Field::Url)), ("UrlDomain", To(Field::UrlDomain))],
    ],
    unmapped: &[(common::NO_WORD, &["UrlLocation", "UrlChainId", "UrlChainPosition"])],
    ..Table::PLAIN
};

pub(super) const LATER: Table = Table {
    name: "EmailPostDeliveryEvents",
    class: Class::Email,
    activity: Activity::Other,
    columns: &[common::RECORD, MESSAGE],
    follows: AFTERWARDS,
    unmapped: &[(common::NO_WORD, &["ActionTrigger"])],
    ..Table::PLAIN
};

const MESSAGE: &[Column] = &[
    ("NetworkMessageId", To(Field::MailNetworkId)),
    ("InternetMessageId", To(Field::MailInternetId)),
    ("SenderFromAddress", To(Field::MailSender)),
    ("RecipientEmailAddress", To(Field::MailRecipient)),
    ("EmailDirection", To(Field::MailDirection)),
    ("DeliveryLocation", To(Field::MailLocation)),
    ("Action", To(Field::MailLaterAction)),
    ("ActionResult", To(Field::MailLaterResult)),
    ("ThreatTypes", To(Field::ThreatTypes)),
    ("DetectionMethods", To(Field::ThreatDetection)),
];

/// How it ended, and what it came down to: laid into quarantine, deleted, or put right.
pub(super) const AFTERWARDS: &[(Field, &[Action])] =
    &[(Field::MailLaterResult, RESULTS), (Field::MailLaterAction, DEEDS)];

const RESULTS: &[Action] = &[Action::only("Success", &[SUCCESS]), Action::only("*", &[FAILURE])];

const DEEDS: &[Action] = &[
    Action::only("*quarantine*", &[QUARANTINED]),
    Action::only("*delete*", &[DELETED]),
    Action::only("*", &[CORRECTED]),
];
