//! Cloud tables that other collectors speak of and Microsoft doesn't list among those it sends. We map the columns that
//! are known; the rest is kept as unmapped.

use super::To::{Action as ToAction, Field as To, Time};
use super::{Action, Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const AUDIT: Table = Table {
    name: "CloudAuditEvents",
    class: Class::Cloud,
    activity: Activity::Other,
    columns: &[AUDIT_RECORD, RESOURCE, &[("Account", To(Field::ActorUserName)), ("IPAddress", To(Field::NetSourceIp))]],
    actions: VERBS,
    ..Table::PLAIN
};

/// Its action is called `OperationName`.
const AUDIT_RECORD: &[Column] = &[
    ("Timestamp", Time),
    ("OperationName", ToAction),
    ("ReportId", To(Field::RecordSequence)),
    ("AdditionalFields", To(Field::Extra)),
];

/// Azure and Google end an operation's name in its verb, Amazon begins it so.
const VERBS: &[Action] = &[
    Action::is("*/read", Activity::Read, &[]),
    Action::is("*/write", Activity::Update, &[]),
    Action::is("*/delete", Activity::Delete, &[]),
    Action::is("*.get", Activity::Read, &[]),
    Action::is("*.list", Activity::Read, &[]),
    Action::is("*.create", Activity::Create, &[]),
    Action::is("*.insert", Activity::Create, &[]),
    Action::is("*.update", Activity::Update, &[]),
    Action::is("*.patch", Activity::Update, &[]),
    Action::is("*.delete", Activity::Delete, &[]),
    Action::is("Create*", Activity::Create, &[]),
    Action::is("Add*", Activity::Create, &[]),
    Action::is("Get*", Activity::Read, &[]),
    Action::is("List*", Activity::Read, &[]),
    Action::is("Describe*", Activity::Read, &[]),
    Action::is("Update*", Activity::Update, &[]),
    Action::is("Put*", Activity::Update, &[]),
    Action::is("Set*", Activity::Update, &[]),
    Action::is("Delete*", Activity::Delete, &[]),
    Action::is("Remove*", Activity::Delete, &[]),
];

/// A resource is in one of the clouds.
const RESOURCE: &[Column] = &[
    ("AzureResourceId", To(Field::ResourceId)),
    ("AwsResourceName", To(Field::ResourceId)),
    ("GcpFullResourceName", To(Field::ResourceId)),
];

/// A pod is the host of its processes.
pub(super) const PROCESSES: Table = Table {
    name: "CloudProcessEvents",
    class: Class::Process,
    activity: Activity::Start,
    columns: &[common::RECORD, RESOURCE, PROCESS],
    unmapped: &[
        (common::SAYS_AGAIN, &["FileName"]),
        (common::CLOUD_PLACE, &["KubernetesNamespace", "KubernetesResource"]),
    ],
    ..Table::PLAIN
};

const PROCESS: &[Column] = &[
    ("ProcessName", To(Field::ProcessName)),
    ("FolderPath", To(Field::ProcessPath)),
    ("ProcessId", To(Field::ProcessPid)),
    ("ProcessCommandLine", To(Field::ProcessCommand)),
    ("ProcessCreationTime", To(Field::ProcessCreated)),
    ("ProcessCurrentWorkingDirectory", To(Field::ProcessDirectory)),
    ("ParentProcessName", To(Field::ParentName)),
    ("ParentProcessId", To(Field::ParentPid)),
    ("AccountName", To(Field::UserName)),
    ("LogonId", To(Field::SessionUid)),
    ("ContainerId", To(Field::ContainerId)),
    ("ContainerName", To(Field::ContainerName)),
    ("ContainerImageName", To(Field::ContainerImage)),
    ("KubernetesPodName", To(Field::DeviceName)),
];

pub(super) const STORAGE: Table = Table {
    name: "CloudStorageAggregatedEvents",
    class: Class::Cloud,
    activity: Activity::Read,
    columns: &[
        common::RECORD,
        &[
            ("OperationsCount", To(Field::NetCount)),
            ("DataAggregationStartTime", To(Field::EventStart)),
            ("DataAggregationEndTime", To(Field::EventEnd)),
        ],
    ],
    ..Table::PLAIN
};
