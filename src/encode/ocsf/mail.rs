//! Mail: who sent what to whom, and by what it was judged.

use super::network::url;
use super::words::MAIL_DIRECTION;
use super::writer::{Member, Object, Take, Writer, document, is_mail};
use crate::event::{Class, Field, Raw, json};

use Take::{First, Made, Mail, Mails, Object as Of, One};

pub(super) const EMAIL_ACTIVITY: &[Member] = &[
    ("src_endpoint", Of(&MAIL_SOURCE)),
    ("direction_id", Made(mail_direction)),
    ("email", Made(email)),
    ("email_auth", Made(email_auth)),
    ("message_trace_uid", First(&[Field::MailNetworkId])),
    ("from", Mail(&[Field::MailReturnPath])),
    ("to", Mails(&[Field::MailRecipient])),
];

static MAIL_SOURCE: Object = Object {
    one_of: &[("ip", First(&[Field::MailSenderIp, Field::MailSenderIp6]))],
    instead: None,
    also: &[],
    last: &[],
};

fn mail_direction(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.code(Field::MailDirection, MAIL_DIRECTION, "direction") {
        writer.json.integer(0);
    }
    true
}

fn email(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.object(&EMAIL) {
        writer.json.written_key(r#"{"to":["unknown@unknown.invalid"]}"#);
    }
    true
}

/// A message without addresses that OCSF takes for such has one that can't exist.
pub(super) static EMAIL: Object = Object {
    one_of: &[("from", Mail(&[Field::MailSender])), ("to", Mails(&[Field::MailRecipient]))],
    instead: Some(r#""to":["unknown@unknown.invalid"]"#),
    also: &[
        ("from_mailbox", Made(from_mailbox)),
        ("return_path", Mail(&[Field::MailReturnPath])),
        ("subject", First(&[Field::MailSubject])),
        ("message_uid", First(&[Field::MailInternetId])),
        ("uid", First(&[Field::MailNetworkId])),
        ("size", First(&[Field::MailSize])),
        ("x_originating_ip", One(Field::MailSenderIp)),
        ("files", Made(attachment)),
        ("urls", Made(link)),
    ],
    last: &[],
};

/// `Name <address>`.
fn from_mailbox(writer: &mut Writer<'_, '_>) -> bool {
    let (Some(name), Some(address)) = (writer.text(Field::MailSenderName), writer.text(Field::MailSender)) else {
        return false;
    };
    if !is_mail(address) {
        return false;
    }
    writer.more.clear();
    writer.more.push_str(name.read(writer.letters));
    writer.more.push_str(" <");
    writer.more.push_str(address.as_written());
    writer.more.push('>');
    writer.json.string(writer.more);
    writer.done(true, Field::MailSenderName)
}

fn attachment(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_array();
    let is_written = writer.event.class == Class::Email && writer.object(&super::objects::FILE);
    writer.json.close_array();
    is_written
}

fn link(writer: &mut Writer<'_, '_>) -> bool {
    let fields = writer.fields;
    writer.json.open_array();
    let mut is_written = url(writer, Field::Url);
    let mut links = fields.list(Field::MailLinks).filter(|link| !link.is_empty()).peekable();
    if links.peek().is_some() {
        is_written = writer.done(true, Field::MailLinks);
    }
    for link in links {
        writer.json.open_object();
        writer.json.known_key("url_string");
        writer.json.text(link);
        writer.json.close_object();
    }
    writer.json.close_array();
    is_written
}

fn email_auth(writer: &mut Writer<'_, '_>) -> bool {
    writer.object(&EMAIL_AUTH) || authentication(writer)
}

static EMAIL_AUTH: Object = Object {
    one_of: &[],
    instead: None,
    also: &[
        ("spf", First(&[Field::MailSpf])),
        ("dkim", First(&[Field::MailDkim])),
        ("dmarc", First(&[Field::MailDmarc])),
    ],
    last: &[],
};

/// `{"SPF":"pass","DKIM":"none","DMARC":"pass"}`, which is JSON or a string that holds it.
fn authentication(writer: &mut Writer<'_, '_>) -> bool {
    let Some(Raw::Object(object)) = document(writer.fields, Field::MailAuthentication, writer.letters) else {
        return false;
    };
    let length = writer.json.length();
    let mut written = [false; 3];
    writer.json.open_object();
    let mut is_all = true;
    for member in json::members(object) {
        let place = ["spf", "dkim", "dmarc"].iter().position(|name| member.key.eq_ignore_case(name));
        match (place, member.value) {
            (Some(place), Raw::String(verdict)) if !verdict.is_empty() && !written[place] => {
                written[place] = true;
                writer.json.known_key(["spf", "dkim", "dmarc"][place]);
                writer.json.text(verdict);
            }
            _ => is_all = false,
        }
    }
    writer.json.close_object();
    if written == [false; 3] {
        writer.json.take_back(length);
        return false;
    }
    // What else it says is kept as it stands.
    if is_all {
        writer.shown.add(Field::MailAuthentication);
    }
    true
}
