//! Who acts and whom it is done to are two people: no format may put the name of one beside the id of the other.

use super::json_tests::encoded;
use super::{Encoder, Format, Options};
use crate::event::{Activity, Class, Field, Fields, Value};

const DOER: &[(Field, &str)] = &[
    (Field::ActorUserName, "doer-name"),
    (Field::ActorUserUpn, "doer-upn"),
    (Field::ActorUserDomain, "doer-domain"),
    (Field::ActorUserSid, "doer-sid"),
    (Field::ActorUserObjectId, "doer-object"),
];
const OTHER: &[(Field, &str)] = &[
    (Field::UserName, "other-name"),
    (Field::UserUpn, "other-upn"),
    (Field::UserSid, "other-sid"),
    (Field::UserObjectId, "other-object"),
    (Field::UserDomain, "other-domain"),
];

/// What stands before a value, for each set of keys that speak of one person.
const ONE: &[(Format, &[&[&str]])] = &[
    (Format::Cef, &[&[" suser=", " suid=", " sntdom="], &[" duser=", " duid=", " dntdom="]]),
    (
        Format::Leef,
        &[
            &["\tusrName=", "\tuserSid=", "\tuserId=", "\tdomain="],
            &["\ttargetUser=", "\ttargetUserSid=", "\ttargetUserDomain="],
            &["\trequestUser=", "\trequestUserSid=", "\trequestUserDomain="],
        ],
    ),
    (Format::Splunk, &[&["\"user\":\"", "\"user_id\":\""], &["\"src_user\":\"", "\"src_user_id\":\""]]),
];

#[test]
fn a_name_and_an_id_are_of_one_person() {
    for (format, sets) in ONE {
        let mut encoder = Encoder::new(*format, Options::default());
        for class in Class::ALL {
            for activity in [Activity::Start, Activity::Create, Activity::Read, Activity::Other] {
                // Each choice of what is known of the other, and of its domain only with something else.
                for known in 0..16 {
                    let mut fields = Fields::default();
                    DOER.iter().for_each(|(field, word)| assert!(fields.insert(*field, Value::plain(word))));
                    for (place, (field, word)) in OTHER.iter().enumerate() {
                        if known >> place & 1 == 1 || (place == 4 && known > 0) {
                            fields.insert(*field, Value::plain(word));
                        }
                    }
                    let line = encoded(&mut encoder, (*class, activity), fields, vec![], vec![]);
                    let line = String::from_utf8(line).unwrap();
                    for set in *sets {
                        let people: Vec<&str> = set.iter().filter_map(|key| line.split_once(key)).map(start).collect();
                        assert!(
                            people.windows(2).all(|two| two[0] == two[1]),
                            "{format} {class:?} {known:04b}: {line}"
                        );
                    }
                }
            }
        }
    }
}

/// `doer` or `other`.
fn start<'l>((_, value): (&'l str, &'l str)) -> &'l str {
    value.split('-').next().unwrap_or_default()
}
