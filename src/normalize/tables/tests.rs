//! The tables against Microsoft's lists of columns, and the rules that decide what a record is about.

use super::documented::DOCUMENTED;
use super::{Action, TABLES, Table, common};
use crate::event::batch::Shape;
use crate::event::{Activity, Class, Event, Field};
use crate::normalize::{Normalized, Normalizer, Origin};

/// Columns that any table may know: published records have carried them under a category that isn't theirs.
const ANYWHERE: &[&[super::Column]] = &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS];

/// Columns that other tables have and these were seen with.
const BEYOND: &[&str] = &["DeviceLogonEvents.AccountUpn", "DeviceLogonEvents.AccountObjectId"];

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Columns with a field, and columns with a reason to have none.
fn known(table: &Table) -> (Vec<&'static str>, Vec<&'static str>) {
    let mapped = table.columns.iter().copied().flatten().map(|(name, _)| *name).collect();
    let unmapped = table.unmapped.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    (mapped, unmapped)
}

#[test]
fn every_column_that_microsoft_sends_has_a_field_or_a_reason_and_none_is_invented() {
    assert_eq!(DOCUMENTED.len(), TABLES.len() - 1, "one list for each table");
    for (name, documented, observed) in DOCUMENTED {
        let table = TABLES.iter().find(|table| table.name == *name).expect(name);
        let (mapped, unmapped) = known(table);
        let columns: Vec<&str> = documented.split(' ').chain(observed.split(' ')).filter(|c| !c.is_empty()).collect();
        for column in &columns {
            let places = usize::from(is_among(&mapped, column)) + usize::from(is_among(&unmapped, column));
            assert_eq!(places, 1, "{name}.{column} has to have one place");
        }
        let anywhere: Vec<&str> = ANYWHERE.iter().copied().flatten().map(|(name, _)| *name).collect();
        for column in mapped.iter().filter(|column| !anywhere.contains(column)).chain(&unmapped) {
            let is_known = is_among(&columns, column) || BEYOND.contains(&format!("{name}.{column}").as_str());
            assert!(is_known, "{name}.{column} is no column of Microsoft's");
        }
    }
}

#[test]
fn one_row_speaks_for_a_family_of_actions() {
    let fits = |pattern, action| Action::only(pattern, &[]).fits(action);
    assert!(fits("LogonFailed", "logonfailed") && !fits("LogonFailed", "LogonFailedX"));
    assert!(fits("Inbound*", "InboundConnectionBlocked") && !fits("Inbound*", "Outbound"));
    assert!(fits("Asr*Blocked", "AsrOfficeBlocked") && !fits("Asr*Blocked", "AsrOfficeAudited"));
    assert!(fits("*delete*", "Soft Delete") && fits("*delete*", "deleted by ZAP") && !fits("*delete*", "dele"));
    assert!(fits("*", "") && !fits("ab*ba", "aba") && !fits("*x", "é"));
    for table in TABLES {
        let mut patterns: Vec<_> = table.actions.iter().map(|row| row.pattern.to_lowercase()).collect();
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), table.actions.len(), "{} has an action twice", table.name);
    }
}

fn seen<T>(table: &str, columns: &str, mut see: impl FnMut(&Event<'_>) -> T) -> T {
    let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: None };
    let record = format!(r#"{{"category":"AdvancedHunting-{table}","properties":{{{columns}}}}}"#);
    let mut seen = None;
    Normalizer::new().normalize(&origin, Shape::Streaming, record.as_bytes(), &mut |normalized| match normalized {
        Normalized::Event(event) => seen = Some(see(event)),
        Normalized::Rejected(rejected) => panic!("{record}: {}", rejected.reason),
    });
    seen.unwrap()
}

/// Class, activity, outcome and disposition.
fn gist(table: &str, columns: &str) -> (Class, Activity, String, String) {
    seen(table, columns, |event| {
        let text = |field| event.fields.text(field).map_or_else(String::new, |text| text.to_string());
        (event.class, event.activity, text(Field::Outcome), text(Field::Disposition))
    })
}

fn check(table: &str, cases: &[(&str, Class, Activity, &str, &str)]) {
    for (columns, class, activity, outcome, disposition) in cases {
        let expected = (*class, *activity, (*outcome).to_owned(), (*disposition).to_owned());
        assert_eq!(gist(table, columns), expected, "{table} {columns}");
    }
}

#[test]
fn a_device_event_is_about_what_its_action_names_if_that_is_there() {
    let cases = [
        (r#""ActionType":"DriverLoad","FileName":"a.sys""#, Class::Driver, Activity::Load, "", ""),
        (r#""ActionType":"DriverLoad""#, Class::Process, Activity::Other, "", ""),
        (
            r#""ActionType":"ScheduledTaskUpdated","AdditionalFields":"{\"TaskName\":\"\\\\Nightly\"}""#,
            Class::Job,
            Activity::Update,
            "",
            "",
        ),
        (
            r#""ActionType":"ScheduledTaskUpdated","AdditionalFields":"{\"Task""#,
            Class::Process,
            Activity::Other,
            "",
            "",
        ),
        (
            r#""ActionType":"AsrOfficeChildBlocked","FileName":"a.exe""#,
            Class::File,
            Activity::Other,
            "failure",
            "blocked",
        ),
        (r#""ActionType":"AsrOfficeChildAudited""#, Class::Process, Activity::Other, "", "audited"),
        (r#""ActionType":"SomethingNewBlocked""#, Class::Process, Activity::Other, "failure", "blocked"),
        (r#""ActionType":"AntivirusMalwareBlocked""#, Class::Alert, Activity::Create, "", "blocked"),
        (r#""ActionType":"LdapSearch","FileName":"a""#, Class::Process, Activity::Other, "", ""),
    ];
    check("DeviceEvents", &cases);
}

#[test]
fn where_something_is_done_to_a_process_the_file_is_its_program() {
    let names = |action: &str| {
        let columns = format!(r#""ActionType":"{action}","FileName":"lsass.exe","ProcessId":4"#);
        seen("DeviceEvents", &columns, |event| {
            let text = |field| event.fields.text(field).map(|text| text.to_string());
            (text(Field::ProcessName), text(Field::FileName), text(Field::ProcessInjection))
        })
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(names("CreateRemoteThreadApiCall"), (text("lsass.exe"), None, text("remote-thread")));
    assert_eq!(names("ReadProcessMemoryApiCall"), (text("lsass.exe"), None, None));
    assert_eq!(names("NamedPipeEvent"), (None, text("lsass.exe"), None));
}

#[test]
fn mail_is_sorted_by_its_direction_and_its_delivery() {
    let email = |direction: &str, action: &str, location: &str| {
        format!(r#""EmailDirection":{direction},"DeliveryAction":{action},"DeliveryLocation":{location}"#)
    };
    let cases = [
        (email("\"Inbound\"", "\"Delivered\"", "\"Inbox/folder\""), Activity::Receive, "success", "allowed"),
        (email("\"Intra-org\"", "\"Junked\"", "\"Quarantine\""), Activity::Receive, "success", "quarantined"),
        (email("\"Inbound\"", "\"Junked\"", "\"Junk folder\""), Activity::Receive, "success", "tagged"),
        (email("\"Outbound\"", "\"Blocked\"", "\"Quarantine\""), Activity::Send, "failure", "blocked"),
        (email("null", "null", "null"), Activity::Other, "", ""),
    ];
    for (columns, activity, outcome, disposition) in cases {
        check("EmailEvents", &[(&columns, Class::Email, activity, outcome, disposition)]);
    }
    let columns = r#""DeliveryAction":"Junked","AuthenticationDetails":"{\"SPF\":\"pass\",\"DMARC\":\"none\"}""#;
    seen("EmailEvents", columns, |event| {
        assert!(event.action.unwrap() == *"Junked");
        assert!(event.fields.text(Field::MailSpf).unwrap() == *"pass");
        assert!(event.fields.text(Field::MailDmarc).unwrap() == *"none");
        assert!(!event.fields.has(Field::MailDkim) && event.fields.has(Field::MailAuthentication));
    });
    let later = [
        (
            r#""Action":"Moved to quarantine","ActionResult":"Success""#,
            Class::Email,
            Activity::Other,
            "success",
            "quarantined",
        ),
        (r#""Action":"Soft delete","ActionResult":"Error""#, Class::Email, Activity::Other, "failure", "deleted"),
        (r#""Action":"Moved to inbox""#, Class::Email, Activity::Other, "", "corrected"),
    ];
    check("EmailPostDeliveryEvents", &later);
}

#[test]
fn what_was_done_in_a_directory_is_told_by_the_new_value() {
    let group = |members: &str| format!(r#""ActionType":"Group Membership changed","AdditionalFields":{members}"#);
    let account = |what: &str, to: &str| {
        format!(r#""ActionType":"{what} changed","TargetAccountUpn":"a@contoso.example","AdditionalFields":{{{to}}}"#)
    };
    let cases = [
        (group(r#"{"TO.GROUP":"Admins"}"#), Class::Group, Activity::AddMember),
        (group(r#"{"FROM.GROUP":"Admins"}"#), Class::Group, Activity::RemoveMember),
        (group("null"), Class::Directory, Activity::Other),
        (account("Account Disabled", r#""TO Account Disabled":"True""#), Class::Account, Activity::Disable),
        (account("Account Disabled", r#""TO Account Disabled":"False""#), Class::Account, Activity::Enable),
        (account("Account Locked", r#""Note":"x""#), Class::Account, Activity::Other),
        (account("Account Display Name", ""), Class::Account, Activity::Update),
        (account("Account Password", ""), Class::Account, Activity::ChangePassword),
    ];
    for (columns, class, activity) in cases {
        check("IdentityDirectoryEvents", &[(&columns, class, activity, "", "")]);
    }
}

#[test]
fn a_cloud_event_is_sorted_by_the_verb_of_its_action() {
    let cases = [
        (r#""ActionType":"UserLoggedIn""#, Class::Logon, Activity::Logon, "success", ""),
        (r#""ActionType":"UserLoginFailed""#, Class::Logon, Activity::Logon, "failure", ""),
        (r#""ActionType":"FileDownloaded","ObjectName":"a.docx""#, Class::CloudFile, Activity::Download, "", ""),
        (r#""ActionType":"FileDownloaded""#, Class::Cloud, Activity::Other, "", ""),
        (r#""ActionType":"New-InboxRule""#, Class::Cloud, Activity::Create, "", ""),
        (r#""ActionType":"Consent to application.""#, Class::Cloud, Activity::Other, "", ""),
    ];
    check("CloudAppEvents", &cases);
    for (action, field) in [("UserLoggedIn", Field::UserObjectId), ("Set-Mailbox", Field::ActorUserObjectId)] {
        let columns = format!(r#""ActionType":"{action}","AccountObjectId":"0a""#);
        assert!(seen("CloudAppEvents", &columns, |event| event.fields.has(field)), "{action}");
    }
}

#[test]
fn a_column_goes_where_the_rest_of_its_record_says_it_belongs() {
    let places = |table: &str, columns: &str, fields: &[Field]| {
        seen(table, columns, |event| fields.iter().map(|field| event.fields.has(*field)).collect::<Vec<_>>())
    };
    let versions = [Field::TlsVersion, Field::NetProtocolVersion];
    for (action, expected) in [("Ssl", [true, false]), ("Http", [false, true]), ("Ssh", [false, true])] {
        let columns = format!(r#""ActionType":"{action}ConnectionInspected","AdditionalFields":{{"version":"1"}}"#);
        assert_eq!(places("DeviceNetworkEvents", &columns, &versions), expected, "{action}");
    }
    let names = [Field::FileName, Field::ProcessName, Field::ProcessFolder];
    for (kind, expected) in [("File", [true, false, false]), ("process", [false, true, true])] {
        let columns = format!(r#""EntityType":"{kind}","FileName":"a.exe","FolderPath":"C:\\Temp""#);
        assert_eq!(places("AlertEvidence", &columns, &names), expected, "{kind}");
        assert_eq!(places("BehaviorEntities", &columns, &names), expected, "{kind}");
    }
    // A port that listens has no other end, and so no port of it; a connection has.
    let zero = r#""ActionType":"ListeningConnectionCreated","LocalPort":80,"RemotePort":0"#;
    assert_eq!(places("DeviceNetworkEvents", zero, &[Field::NetLocalPort, Field::NetRemotePort]), [true, false]);
    let zero = format!(r#"{zero},"RemoteIP":"192.0.2.1""#);
    assert_eq!(places("DeviceNetworkEvents", &zero, &[Field::NetRemotePort]), [true]);
    let asks = r#""ActionType":"SAMR query","AccountName":"bea","TargetAccountUpn":"adm@contoso.example""#;
    assert_eq!(places("IdentityQueryEvents", asks, &[Field::ActorUserName, Field::UserName]), [true, false]);
    assert_eq!(places("UrlClickEvents", r#""UrlChain":"[]""#, &[Field::UrlChain]), [false]);
}

#[test]
fn an_operation_in_a_cloud_is_sorted_by_its_verb_wherever_it_stands() {
    let cases = [
        ("Microsoft.Compute/virtualMachines/delete", Activity::Delete),
        ("Microsoft.KeyVault/vaults/write", Activity::Update),
        ("storage.buckets.list", Activity::Read),
        ("CreateUser", Activity::Create),
        ("Microsoft.Compute/virtualMachines/start/action", Activity::Other),
    ];
    for (operation, activity) in cases {
        let columns = format!(r#""OperationName":"{operation}""#);
        check("CloudAuditEvents", &[(&columns, Class::Cloud, activity, "", "")]);
    }
}

#[test]
fn who_clicks_through_a_warning_arrives() {
    let cases = [
        (r#""ActionType":"ClickBlockedByTenantPolicy""#, Class::Click, Activity::Open, "failure", "blocked"),
        (r#""ActionType":"ClickBlocked","IsClickedThrough":"1""#, Class::Click, Activity::Open, "success", "allowed"),
        (r#""ActionType":"ClickAllowed","IsClickedThrough":false"#, Class::Click, Activity::Open, "success", "allowed"),
        (r#""ActionType":"UrlErrorPage""#, Class::Click, Activity::Open, "", ""),
    ];
    check("UrlClickEvents", &cases);
}

#[test]
fn a_query_for_a_name_is_dns_whichever_table_tells_it() {
    let query = r#""ActionType":"DNS query","QueryTarget":"host.contoso.example","QueryType":"AAAA""#;
    seen("IdentityQueryEvents", query, |event| {
        assert_eq!((event.class, event.activity), (Class::Dns, Activity::Query));
        assert!(event.fields.text(Field::DnsQuery).unwrap() == *"host.contoso.example");
        assert!(!event.fields.has(Field::QueryTarget));
    });
    let ldap = r#""ActionType":"LDAP query","QueryTarget":"Admins","Port":"0""#;
    seen("IdentityQueryEvents", ldap, |event| {
        assert_eq!((event.class, event.activity), (Class::Network, Activity::Traffic));
        assert!(event.fields.has(Field::QueryTarget) && !event.fields.has(Field::NetSourcePort));
    });
    let answers = [
        (r#"{\"answers\":\"[\\\"192.0.2.1\\\"]\"}"#, Activity::Response),
        (r#"{\"answers\":\"[]\"}"#, Activity::Traffic),
        ("", Activity::Traffic),
    ];
    for (extra, activity) in answers {
        let columns = format!(r#""ActionType":"DnsConnectionInspected","AdditionalFields":"{extra}""#);
        check("DeviceNetworkEvents", &[(&columns, Class::Dns, activity, "", "")]);
    }
}
