//! How ECS sorts an event: its kind, categories and types. Only what its matrix of categories and types allows.

use crate::event::{Activity, Class, Event, Field};

/// `event.kind`, `event.category` and `event.type`. An empty list isn't written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Category {
    pub(super) kind: &'static str,
    pub(super) categories: &'static [&'static str],
    pub(super) types: &'static [&'static str],
}

/// What was decided about it, if anything was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    None,
    Allowed,
    /// It would have been denied.
    Audited,
    Denied,
}

impl Ruling {
    #[cfg(test)]
    pub(super) const ALL: &'static [Self] = &[Self::None, Self::Allowed, Self::Audited, Self::Denied];

    pub(super) fn of(event: &Event<'_>) -> Self {
        let Some(word) = event.fields.text(Field::Disposition) else { return Self::None };
        let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_case(known));
        if is(&["blocked", "denied", "prevented", "quarantined", "dropped"]) {
            Self::Denied
        } else if is(&["audited", "observed", "warned"]) {
            Self::Audited
        } else if is(&["allowed", "delivered"]) {
            Self::Allowed
        } else {
            Self::None
        }
    }
}

/// The types of what is made, changed and taken away, with a word for what is managed before them.
macro_rules! managed {
    ($activity:ident $(, $what:literal)?) => {
        match $activity {
            Activity::Create => &[$($what,)? "creation"],
            Activity::Delete => &[$($what,)? "deletion"],
            Activity::Other | Activity::Read | Activity::Query | Activity::Collect | Activity::Response => {
                &[$($what,)? "info"]
            }
            _ => &[$($what,)? "change"],
        }
    };
}

impl Category {
    const fn new(categories: &'static [&'static str], types: &'static [&'static str]) -> Self {
        Self { kind: "event", categories, types }
    }
    const fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// The category of telemetry. Findings get theirs from what they are about.
    pub(super) const fn of(class: Class, activity: Activity, ruling: Ruling) -> Self {
        match class {
            Class::Incident | Class::Alert => Self::new(&["intrusion_detection"], &["info"]).kind("alert"),
            Class::Behavior => Self::new(&["intrusion_detection"], &["info"]),
            Class::Gap => Self::new(&[], &[]).kind("pipeline_error"),
            Class::Generic => Self::new(&[], &[]),
            Class::Process => endpoint(ruling, Self::new(&["process"], run(activity)), PROCESS_RULED),
            Class::Memory => endpoint(ruling, Self::new(&["process"], memory(activity)), PROCESS_RULED),
            Class::Script => endpoint(ruling, Self::new(&["process"], &["info"]), PROCESS_RULED),
            Class::Module => endpoint(ruling, Self::new(&["library"], &["start"]), LIBRARY_RULED),
            Class::Driver => endpoint(ruling, Self::new(&["driver"], driver(activity)), DRIVER_RULED),
            Class::File => endpoint(ruling, Self::new(&["file"], stored(activity)), FILE_RULED),
            Class::Certificate => Self::new(&["file"], &["info"]),
            Class::Registry => endpoint(ruling, registry(activity), REGISTRY_RULED),
            Class::Job | Class::Service => {
                endpoint(ruling, Self::new(&["configuration"], stored(activity)), CONFIGURATION_RULED)
            }
            Class::Peripheral | Class::Scan => endpoint(ruling, Self::new(&["host"], &["info"]), HOST_RULED),
            Class::Network => Self::new(&["network"], connection(activity, ruling)),
            Class::Dns | Class::Http | Class::Ssh | Class::Ftp => Self::new(
                &["network"],
                match ruling {
                    Ruling::Denied => &["protocol", "denied"],
                    Ruling::Allowed => &["protocol", "allowed"],
                    Ruling::None | Ruling::Audited => &["protocol"],
                },
            ),
            Class::Logon => Self::new(
                &["authentication"],
                match activity {
                    Activity::Stop | Activity::Disconnect => &["end"],
                    Activity::Other | Activity::Query | Activity::Read => &["info"],
                    _ => &["start"],
                },
            ),
            Class::Account => Self::new(&["iam"], managed!(activity, "user")),
            Class::Group => Self::new(&["iam"], managed!(activity, "group")),
            Class::Privilege => Self::new(&["iam"], managed!(activity, "admin")),
            Class::Directory => Self::new(&["iam"], managed!(activity)),
            Class::Email => Self::new(&["email"], &["info"]),
            Class::Message => Self::new(&["api"], &["info"]),
            Class::Click => Self::new(
                &["web", "network"],
                match ruling {
                    Ruling::Denied => &["access", "denied"],
                    Ruling::Allowed => &["access", "allowed"],
                    Ruling::None | Ruling::Audited => &["access"],
                },
            ),
            Class::Cloud => Self::new(&["api"], interface(activity)),
            Class::CloudFile => Self::new(&["file", "api"], stored(activity)),
            Class::Device => Self::new(&["host"], &["info"]).kind("asset"),
            Class::Identity => Self::new(&["iam"], &["user", "info"]).kind("asset"),
        }
    }
}

/// On a device, what was denied or would have been is intrusion detection, because its own category knows no ruling.
const fn endpoint(ruling: Ruling, plain: Category, ruled: &'static [&'static str]) -> Category {
    match ruling {
        Ruling::None | Ruling::Allowed => plain,
        Ruling::Audited => Category::new(ruled, &["info"]),
        Ruling::Denied => Category::new(ruled, &["denied"]),
    }
}

const PROCESS_RULED: &[&str] = &["intrusion_detection", "process"];
const LIBRARY_RULED: &[&str] = &["intrusion_detection", "library"];
const DRIVER_RULED: &[&str] = &["intrusion_detection", "driver"];
const FILE_RULED: &[&str] = &["intrusion_detection", "file"];
const REGISTRY_RULED: &[&str] = &["intrusion_detection", "registry"];
const CONFIGURATION_RULED: &[&str] = &["intrusion_detection", "configuration"];
const HOST_RULED: &[&str] = &["intrusion_detection", "host"];

const fn run(activity: Activity) -> &'static [&'static str] {
    match activity {
        Activity::Start | Activity::Create | Activity::Execute => &["start"],
        Activity::Stop => &["end"],
        Activity::Open | Activity::Read => &["access"],
        Activity::Inject | Activity::SetUser | Activity::Update | Activity::Write | Activity::SetAttributes => {
            &["change"]
        }
        _ => &["info"],
    }
}

const fn memory(activity: Activity) -> &'static [&'static str] {
    match activity {
        Activity::Read | Activity::Open => &["access"],
        Activity::Allocate | Activity::Protect | Activity::Write | Activity::Update | Activity::Delete => &["change"],
        _ => &["info"],
    }
}

const fn driver(activity: Activity) -> &'static [&'static str] {
    match activity {
        Activity::Load | Activity::Start => &["start"],
        Activity::Stop => &["end"],
        Activity::Update => &["change"],
        _ => &["info"],
    }
}

/// What is done to something that lasts: a file, a job, a service.
const fn stored(activity: Activity) -> &'static [&'static str] {
    match activity {
        Activity::Create | Activity::Upload => &["creation"],
        Activity::Delete => &["deletion"],
        Activity::Read | Activity::Open | Activity::Download => &["access"],
        Activity::Update
        | Activity::Write
        | Activity::Rename
        | Activity::SetAttributes
        | Activity::Enable
        | Activity::Disable
        | Activity::Protect
        | Activity::Share => &["change"],
        _ => &["info"],
    }
}

/// The registry knows no `info`; what isn't told is about configuration all the same.
const fn registry(activity: Activity) -> Category {
    match activity {
        Activity::Create => Category::new(&["registry"], &["creation"]),
        Activity::Delete => Category::new(&["registry"], &["deletion"]),
        Activity::Read | Activity::Open | Activity::Query => Category::new(&["registry"], &["access"]),
        Activity::Update | Activity::Write | Activity::Rename | Activity::SetAttributes => {
            Category::new(&["registry"], &["change"])
        }
        _ => Category::new(&["configuration", "registry"], &["info"]),
    }
}

const fn connection(activity: Activity, ruling: Ruling) -> &'static [&'static str] {
    match (activity, ruling) {
        (_, Ruling::Denied) | (Activity::Fail | Activity::Refuse, _) => &["connection", "denied"],
        (Activity::Open | Activity::Connect | Activity::Start, Ruling::Allowed) => &["connection", "start", "allowed"],
        (Activity::Open | Activity::Connect | Activity::Start, _) => &["connection", "start"],
        (Activity::Disconnect | Activity::Stop, _) => &["connection", "end"],
        (Activity::Listen, _) => &["start"],
        (_, Ruling::Allowed) => &["connection", "allowed"],
        (_, Ruling::None | Ruling::Audited) => &["connection", "info"],
    }
}

/// What is asked of a service. Its interface is told by `access` rather than `change` where something is only read.
const fn interface(activity: Activity) -> &'static [&'static str] {
    match activity {
        Activity::Read | Activity::Query | Activity::Download | Activity::Open | Activity::Logon => &["access"],
        Activity::Create | Activity::Upload => &["creation"],
        Activity::Delete => &["deletion"],
        Activity::Other | Activity::Collect | Activity::Response => &["info"],
        _ => &["change"],
    }
}
