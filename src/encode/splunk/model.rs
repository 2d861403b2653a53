//! Which data model an event is for, and the word the model has for what was done.

use crate::event::{Activity, Class, Event, Field};

macro_rules! models {
    ($($(#[$about:meta])* $model:ident $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Model { $($(#[$about])* $model,)* }

        impl Model {
            pub(super) const ALL: &'static [Self] = &[$(Self::$model,)*];

            /// What `cim_model` says.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$model => $name,)* }
            }
        }
    };
}

models! {
    None "None",
    Alerts "Alerts",
    Malware "Malware",
    Tickets "Ticket_Management",
    /// A process that started another one; the other acts of processes are told without a parent.
    Started "Processes",
    Processes "Processes",
    Services "Services",
    Filesystem "Filesystem",
    Registry "Registry",
    Traffic "Network_Traffic",
    Ports "Ports",
    Resolution "Network_Resolution",
    Web "Web",
    Authentication "Authentication",
    Changes "Change",
    Accounts "Account_Management",
    Email "Email",
    DataAccess "Data_Access",
    Certificates "Certificates",
    Inventory "Compute_Inventory",
}

impl Model {
    pub(super) fn of(event: &Event<'_>) -> Self {
        match event.class {
            Class::Incident => Self::Tickets,
            Class::Alert if is_malware(event) => Self::Malware,
            Class::Alert | Class::Gap => Self::Alerts,
            Class::Process => match event.activity {
                Activity::Start => Self::Started,
                Activity::Stop | Activity::Execute => Self::Processes,
                _ if configuration(event).is_some() => Self::Changes,
                _ if event.fields.has(Field::Disposition) => Self::Processes,
                // The model counts processes: what one does to another is none.
                _ => Self::None,
            },
            Class::File => Self::Filesystem,
            Class::Registry => Self::Registry,
            Class::Service => Self::Services,
            Class::Job => Self::Changes,
            Class::Network if event.activity == Activity::Listen => Self::Ports,
            Class::Network | Class::Ssh | Class::Ftp => Self::Traffic,
            Class::Dns => Self::Resolution,
            Class::Http | Class::Click => Self::Web,
            Class::Logon => Self::Authentication,
            Class::Account | Class::Group | Class::Privilege => Self::Accounts,
            Class::Directory => match event.activity {
                Activity::Other | Activity::Read | Activity::Query | Activity::Collect => Self::None,
                _ => Self::Accounts,
            },
            Class::Email => Self::Email,
            Class::Cloud | Class::CloudFile => Self::DataAccess,
            Class::Certificate => Self::Certificates,
            Class::Device => Self::Inventory,
            Class::Behavior
            | Class::Memory
            | Class::Module
            | Class::Driver
            | Class::Script
            | Class::Peripheral
            | Class::Scan
            | Class::Message
            | Class::Identity
            | Class::Generic => Self::None,
        }
    }

    /// `action`, where the model has a word for it.
    pub(super) fn action(self, event: &Event<'_>) -> Option<&'static str> {
        let activity = event.activity;
        match self {
            Self::Started | Self::Processes => match (ruling(event), activity) {
                (Some(ruling), _) => Some(ruling),
                (None, Activity::Stop) => Some("stopped"),
                (None, _) => Some("created"),
            },
            Self::Filesystem | Self::Registry => stored(activity),
            Self::Traffic => match activity {
                Activity::Fail | Activity::Refuse => Some("blocked"),
                Activity::Disconnect | Activity::Stop => Some("teardown"),
                _ => Some(ruling(event).unwrap_or("allowed")),
            },
            Self::Web => Some(ruling(event).unwrap_or("allowed")),
            Self::Authentication => match event.fields.text(Field::Outcome) {
                Some(word) if word.eq_ignore_case("success") => Some("success"),
                Some(word) if word.eq_ignore_case("failure") => Some("failure"),
                _ => Some("pending"),
            },
            Self::Changes if event.class == Class::Process => configuration(event),
            Self::Changes | Self::Accounts => match activity {
                Activity::Create => Some("created"),
                Activity::Delete => Some("deleted"),
                Activity::Lock => Some("lockout"),
                Activity::Unlock => Some("unlocked"),
                Activity::Read | Activity::Query => Some("read"),
                Activity::Start => Some("started"),
                Activity::Stop => Some("stopped"),
                _ => Some("modified"),
            },
            Self::Email => email(event),
            Self::DataAccess => match activity {
                Activity::Upload => Some("uploaded"),
                Activity::Download => Some("downloaded"),
                Activity::Share => Some("shared"),
                Activity::Enable => Some("enabled"),
                Activity::Disable => Some("disabled"),
                Activity::Lock => Some("locked"),
                Activity::Unlock => Some("unlocked"),
                Activity::Start => Some("started"),
                Activity::Stop => Some("stopped"),
                _ => stored(activity),
            },
            Self::Malware => Some(event.fields.text(Field::Disposition).map_or("allowed", |state| {
                let is = |words: &[&str]| words.iter().any(|word| state.eq_ignore_case(word));
                if is(&["remediated", "prevented", "blocked"]) {
                    "blocked"
                } else if is(&["notFound", "pendingApproval", "running", "partiallyRemediated"]) {
                    "deferred"
                } else {
                    "allowed"
                }
            })),
            Self::None
            | Self::Alerts
            | Self::Tickets
            | Self::Services
            | Self::Ports
            | Self::Resolution
            | Self::Certificates
            | Self::Inventory => None,
        }
    }
}

/// What processes do to how a device is protected and watched, in the model's word for it.
fn configuration(event: &Event<'_>) -> Option<&'static str> {
    const ACTS: &[(&str, &str)] = &[
        ("SecurityLogCleared", "cleared"),
        ("FirewallServiceStopped", "stopped"),
        ("AntivirusDefinitionsUpdated", "updated"),
        ("AuditPolicyModification", "modified"),
        ("TamperingAttempt", "modified"),
    ];
    let action = event.action?;
    ACTS.iter().find(|(act, _)| action.eq_ignore_case(act)).map(|(_, word)| *word)
}

const fn stored(activity: Activity) -> Option<&'static str> {
    match activity {
        Activity::Create => Some("created"),
        Activity::Delete => Some("deleted"),
        Activity::Read | Activity::Open | Activity::Query => Some("read"),
        Activity::Update | Activity::Write | Activity::Rename | Activity::SetAttributes => Some("modified"),
        _ => None,
    }
}

/// What was decided, if it was; what was only audited was allowed.
fn ruling(event: &Event<'_>) -> Option<&'static str> {
    let word = event.fields.text(Field::Disposition)?;
    let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_case(known));
    if is(&["blocked", "denied", "prevented", "quarantined", "dropped"]) {
        Some("blocked")
    } else if is(&["allowed", "audited", "observed", "warned"]) {
        Some("allowed")
    } else {
        None
    }
}

fn email(event: &Event<'_>) -> Option<&'static str> {
    let word = event.fields.text(Field::MailLaterAction).or_else(|| event.fields.text(Field::MailAction))?;
    let has = |part: &str| word.has_ignoring_case(part);
    if has("quarantine") || has("junk") {
        Some("quarantined")
    } else if has("delete") {
        Some("deleted")
    } else if has("block") {
        Some("blocked")
    } else if has("deliver") || has("replace") || has("inbox") {
        Some("delivered")
    } else {
        None
    }
}

/// Whether an alert is about malware, by what it names.
fn is_malware(event: &Event<'_>) -> bool {
    let is = |text: crate::event::Text<'_>| text.eq_ignore_case("malware") || text.eq_ignore_case("ransomware");
    event.fields.has(Field::MalwareName)
        || event.fields.has(Field::AlertThreatName)
        || event.fields.has(Field::AlertThreatFamily)
        || event.fields.text(Field::AlertCategory).is_some_and(is)
        || event.fields.list(Field::AlertCategories).any(is)
}
