//! What tables have in common: the envelope, the device, and the process that acts.

use super::To::{Action, Field as To, Severity, Time};
use super::{Column, Table};
use crate::event::{Class, Field};

pub(super) const ENVELOPE: &[Column] = &[
    ("time", To(Field::RecordPublished)),
    ("tenantId", To(Field::TenantDirectory)),
    ("operationName", To(Field::RecordOperation)),
    ("Tenant", To(Field::RecordRing)),
    ("_TimeReceivedBySvc", To(Field::RecordServiceTime)),
];

pub(super) const RECORD: &[Column] = &[
    ("Timestamp", Time),
    ("ActionType", Action),
    ("ReportId", To(Field::RecordSequence)),
    ("AdditionalFields", To(Field::Extra)),
    ("DeviceId", To(Field::DeviceId)),
    ("DeviceName", To(Field::DeviceName)),
    ("MachineGroup", To(Field::DeviceGroup)),
    ("AppGuardContainerId", To(Field::DeviceContainer)),
];

/// In process events this is the parent of the new process, in all others the one that acted.
pub(super) const INITIATING_PROCESS: &[Column] = &[
    ("InitiatingProcessFileName", To(Field::ActorProcessName)),
    ("InitiatingProcessFolderPath", To(Field::ActorProcessPath)),
    ("InitiatingProcessId", To(Field::ActorProcessPid)),
    ("InitiatingProcessUniqueId", To(Field::ActorProcessUid)),
    ("InitiatingProcessCommandLine", To(Field::ActorProcessCommand)),
    ("InitiatingProcessCreationTime", To(Field::ActorProcessCreated)),
    ("InitiatingProcessMD5", To(Field::ActorProcessMd5)),
    ("InitiatingProcessSHA1", To(Field::ActorProcessSha1)),
    ("InitiatingProcessSHA256", To(Field::ActorProcessSha256)),
    ("InitiatingProcessFileSize", To(Field::ActorProcessSize)),
    ("InitiatingProcessIntegrityLevel", To(Field::ActorProcessIntegrity)),
    ("InitiatingProcessTokenElevation", To(Field::ActorProcessToken)),
    ("InitiatingProcessVersionInfoCompanyName", To(Field::ActorProcessCompany)),
    ("InitiatingProcessVersionInfoProductName", To(Field::ActorProcessProduct)),
    ("InitiatingProcessVersionInfoProductVersion", To(Field::ActorProcessVersion)),
    ("InitiatingProcessVersionInfoInternalFileName", To(Field::ActorProcessInternalName)),
    ("InitiatingProcessVersionInfoOriginalFileName", To(Field::ActorProcessOriginalName)),
    ("InitiatingProcessVersionInfoFileDescription", To(Field::ActorProcessDescription)),
    ("InitiatingProcessSignerType", To(Field::ActorProcessSigner)),
    ("InitiatingProcessSignatureStatus", To(Field::ActorProcessSignature)),
    ("InitiatingProcessParentFileName", To(Field::ActorParentName)),
    ("InitiatingProcessParentId", To(Field::ActorParentPid)),
    ("InitiatingProcessParentCreationTime", To(Field::ActorParentCreated)),
    ("InitiatingProcessLogonId", To(Field::ActorSessionUid)),
    ("InitiatingProcessSessionId", To(Field::ActorSessionId)),
    ("IsInitiatingProcessRemoteSession", To(Field::ActorSessionIsRemote)),
    ("InitiatingProcessRemoteSessionDeviceName", To(Field::ActorSessionRemoteDevice)),
    ("InitiatingProcessRemoteSessionIP", To(Field::ActorSessionRemoteIp)),
    ("InitiatingProcessAccountName", To(Field::ActorUserName)),
    ("InitiatingProcessAccountDomain", To(Field::ActorUserDomain)),
    ("InitiatingProcessAccountSid", To(Field::ActorUserSid)),
    ("InitiatingProcessAccountUpn", To(Field::ActorUserUpn)),
    ("InitiatingProcessAccountObjectId", To(Field::ActorUserObjectId)),
];

/// A table we have no mapping for says only what all tables say; everything else of it is kept as unmapped.
pub(super) const ANY_OTHER: Table = Table {
    name: "",
    class: Class::Generic,
    columns: &[RECORD, INITIATING_PROCESS, &[("Severity", Severity)]],
    nested: &[],
    actions: &[],
};
