//! Users: the one who acts and the one something is done to.

use super::words::{USER_TYPE, number_of};
use super::writer::{Object, Take, Writer};
use crate::event::Field;

use Take::{First, Made, Mail, Second};

/// The members of a user, for each of the users that an event can speak of.
macro_rules! user {
    ($object:ident, $account:ident, $kind:ident, name $name:expr, uid $uid:expr, mail $mail:expr, upn $upn:ident,
     entra $entra:ident, type $type:ident, admin $admin:ident, sid $sid:ident, also [$($also:expr),*],
     account $off:expr) => {
        pub(super) static $object: Object = Object {
            one_of: &[("name", First($name)), ("uid", First($uid))],
            instead: None,
            also: &[
                ("uid_alt", Second($uid)),
                ("email_addr", Mail($mail)),
                ("account", Take::Object(&$account)),
                $($also),*
            ],
            last: &[("type_id", Made($kind))],
        };
        static $account: Object = Object {
            one_of: &[("name", First(&[Field::$upn]))],
            instead: None,
            also: $off,
            last: &[("type_id", Made(|writer| {
                writer.json.integer(if writer.fields.has(Field::$entra) { 6 } else { 2 });
                true
            }))],
        };
        fn $kind(writer: &mut Writer<'_, '_>) -> bool {
            user_type(writer, Field::$type, Field::$admin, Field::$sid)
        }
    };
}

user!(ACTOR_USER, ACTOR_ACCOUNT, actor_user_type,
    name &[Field::ActorUserName, Field::ActorUserUpn, Field::ActorUserDisplayName],
    uid &[Field::ActorUserSid, Field::ActorUserObjectId, Field::ActorUserAccountId],
    mail &[Field::ActorUserUpn], upn ActorUserUpn, entra ActorUserObjectId, type ActorUserType,
    admin ActorUserIsAdmin, sid ActorUserSid,
    also [("domain", First(&[Field::ActorUserDomain])), ("display_name", First(&[Field::ActorUserDisplayName]))],
    account &[]);

user!(USER, ACCOUNT, target_user_type,
    name &[Field::UserName, Field::UserUpn, Field::UserMail, Field::UserDisplayName],
    uid &[Field::UserSid, Field::UserObjectId],
    mail &[Field::UserMail, Field::UserUpn], upn UserUpn, entra UserObjectId, type UserType,
    admin UserIsAdmin, sid UserSid,
    also [("domain", First(&[Field::UserDomain])), ("display_name", First(&[Field::UserDisplayName])),
          ("ldap_person", Take::Object(&LDAP_PERSON))],
    account &[("is_disabled", Made(is_disabled))]);

fn is_disabled(writer: &mut Writer<'_, '_>) -> bool {
    let Some(is_enabled) = writer.fields.flag(Field::UserIsEnabled) else { return false };
    writer.json.flag(!is_enabled);
    writer.done(true, Field::UserIsEnabled)
}

static LDAP_PERSON: Object = Object {
    one_of: &[],
    instead: None,
    also: &[
        ("given_name", First(&[Field::UserGivenName])),
        ("surname", First(&[Field::UserSurname])),
        ("department", First(&[Field::UserDepartment])),
        ("job_title", First(&[Field::UserJobTitle])),
        ("ldap_dn", First(&[Field::UserDistinguishedName])),
        ("manager", Take::Object(&MANAGER)),
    ],
    last: &[],
};

static MANAGER: Object =
    Object { one_of: &[("name", First(&[Field::UserManager]))], instead: None, also: &[], last: &[] };

/// An administrator by the flag, the system by its well-known numbers, else by the word upstream has for the sort.
fn user_type(writer: &mut Writer<'_, '_>, kind: Field, admin: Field, sid: Field) -> bool {
    let is_system =
        writer.text(sid).is_some_and(|sid| matches!(sid.as_written(), "S-1-5-18" | "S-1-5-19" | "S-1-5-20"));
    match (writer.fields.flag(admin), is_system) {
        (Some(true), _) => writer.json.integer(2),
        (_, true) => writer.json.integer(3),
        (flag, false) => match writer.text(kind) {
            Some(word) => match number_of(word, USER_TYPE) {
                Some(number) => writer.json.integer(number),
                None => {
                    writer.json.integer(99);
                    writer.json.known_key("type");
                    writer.json.text(word);
                }
            },
            None => writer.json.integer(if flag.is_some() || writer.fields.has(sid) { 1 } else { 0 }),
        },
    }
    if writer.text(kind).is_some_and(|word| writer.fields.flag(admin) != Some(true) && !is_system && !word.is_empty()) {
        writer.shown.add(kind);
    }
    if writer.fields.has(admin) {
        writer.shown.add(admin);
    }
    true
}
