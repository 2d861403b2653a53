//! What tables have in common: the envelope, the device, the process that acts, and reasons to leave a column alone.

use super::To::{Action, Field as To, Severity, Time};
use super::{Column, Table};
use crate::event::Field;

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
];

/// The device that reports.
pub(super) const DEVICE: &[Column] = &[
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

/// Why a column has no field.
pub(super) const NO_WORD: &str = "no format has a word for it; those with room write it by its own name";
pub(super) const SAYS_AGAIN: &str = "another column says the same";
pub(super) const HABITS: &str = "is Microsoft's reckoning of how usual this is, not part of what happened";
pub(super) const JUDGEMENT: &str = "explains a judgement that another column names";
pub(super) const INVENTORY: &str = "is for an inventory of assets, not for a stream of events";
pub(super) const CLOUD_PLACE: &str = "says where in a cloud it is, in a form that no format shares";

/// A table we have no mapping for says only what all tables say; everything else of it is kept as unmapped.
pub(super) const ANY_OTHER: Table =
    Table { columns: &[RECORD, DEVICE, INITIATING_PROCESS, &[("Severity", Severity)]], ..Table::PLAIN };
