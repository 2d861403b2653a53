//! What each `ActionType` of `DeviceEvents` is about. Names come before families; what neither knows is something a
//! process did.

use super::{ALLOWED, AUDITED, Action, BLOCKED, DETECTED, FAILURE, INBOUND, OUTBOUND, SUCCESS, UNREMEDIATED};
use crate::event::{Activity, Class, Field};

const REMOTE_THREAD: (Field, &str) = (Field::ProcessInjection, "remote-thread");
const QUEUE_APC: (Field, &str) = (Field::ProcessInjection, "queue-apc");
const OTHER_INJECTION: (Field, &str) = (Field::ProcessInjection, "other");

pub(super) const ACTIONS: &[Action] = &[
    // Processes, and what is done to them and their memory.
    Action::of(Class::Process, "ProcessCreatedUsingWmiQuery", Activity::Start, &[]),
    Action::of(Class::Process, "OpenProcessApiCall", Activity::Open, &[]),
    Action::of(Class::Process, "CreateRemoteThreadApiCall", Activity::Inject, &[REMOTE_THREAD]),
    Action::of(Class::Process, "QueueUserApcRemoteApiCall", Activity::Inject, &[QUEUE_APC]),
    Action::of(Class::Process, "SetThreadContextRemoteApiCall", Activity::Inject, &[OTHER_INJECTION]),
    Action::of(Class::Process, "NtMapViewOfSectionRemoteApiCall", Activity::Inject, &[OTHER_INJECTION]),
    Action::of(Class::Process, "PTraceDetected", Activity::Inject, &[OTHER_INJECTION]),
    Action::of(Class::Process, "ProcessPrimaryTokenModified", Activity::SetUser, &[]),
    Action::of(Class::Memory, "NtAllocateVirtualMemoryApiCall", Activity::Allocate, &[]),
    Action::of(Class::Memory, "NtAllocateVirtualMemoryRemoteApiCall", Activity::Allocate, &[]),
    Action::of(Class::Memory, "NtProtectVirtualMemoryApiCall", Activity::Protect, &[]),
    Action::of(Class::Memory, "MemoryRemoteProtect", Activity::Protect, &[]),
    Action::of(Class::Memory, "ReadProcessMemoryApiCall", Activity::Read, &[]),
    Action::of(Class::Memory, "WriteProcessMemoryApiCall", Activity::Write, &[]),
    Action::of(Class::Memory, "WriteToLsassProcessMemory", Activity::Write, &[]),
    // Drivers, tasks, scripts, services.
    Action::of(Class::Driver, "DriverLoad", Activity::Load, &[]),
    Action::of(Class::Job, "ScheduledTaskCreated", Activity::Create, &[]),
    Action::of(Class::Job, "ScheduledTaskUpdated", Activity::Update, &[]),
    Action::of(Class::Job, "ScheduledTaskDeleted", Activity::Delete, &[]),
    Action::of(Class::Job, "ScheduledTaskEnabled", Activity::Enable, &[]),
    Action::of(Class::Job, "ScheduledTaskDisabled", Activity::Disable, &[]),
    Action::of(Class::Script, "PowerShellCommand", Activity::Execute, &[]),
    Action::of(Class::Script, "ScriptContent", Activity::Execute, &[]),
    Action::of(Class::Service, "ServiceInstalled", Activity::Create, &[]),
    // Peripherals.
    Action::of(Class::Peripheral, "PnpDeviceConnected", Activity::Connect, &[]),
    Action::of(Class::Peripheral, "PnpDeviceAllowed", Activity::Connect, &[ALLOWED]),
    Action::of(Class::Peripheral, "PnpDeviceBlocked", Activity::Connect, &[BLOCKED, FAILURE]),
    Action::of(Class::Peripheral, "UsbDriveMount*", Activity::Connect, &[]),
    Action::of(Class::Peripheral, "UsbDriveUnmount*", Activity::Disconnect, &[]),
    Action::of(Class::Peripheral, "UsbDriveDriveLetterChanged", Activity::Other, &[]),
    Action::of(Class::Peripheral, "BluetoothPolicyTriggered", Activity::Other, &[]),
    Action::of(Class::Peripheral, "RemovableStoragePolicyTriggered", Activity::Other, &[]),
    // Accounts, groups, rights.
    Action::of(Class::Account, "UserAccountCreated", Activity::Create, &[]),
    Action::of(Class::Account, "UserAccountDeleted", Activity::Delete, &[]),
    Action::of(Class::Account, "UserAccountModified", Activity::Update, &[]),
    Action::of(Class::Account, "PasswordChangeAttempt", Activity::ChangePassword, &[]),
    Action::of(Class::Group, "UserAccountAddedToLocalGroup", Activity::AddMember, &[]),
    Action::of(Class::Group, "UserAccountRemovedFromLocalGroup", Activity::RemoveMember, &[]),
    Action::of(Class::Group, "SecurityGroupCreated", Activity::Create, &[]),
    Action::of(Class::Group, "SecurityGroupDeleted", Activity::Delete, &[]),
    Action::of(Class::Privilege, "LogonRightsSettingEnabled", Activity::AssignPrivilege, &[]),
    // The network.
    Action::of(Class::Dns, "DnsQueryRequest", Activity::Query, &[OUTBOUND]),
    Action::of(Class::Dns, "DnsQueryResponse", Activity::Response, &[OUTBOUND]),
    Action::of(Class::Network, "RemoteDesktopConnection", Activity::Open, &[INBOUND]),
    Action::of(Class::Network, "NetworkShareObject*", Activity::Traffic, &[INBOUND]),
    Action::of(Class::Network, "FirewallInboundConnectionBlocked", Activity::Refuse, &[INBOUND, BLOCKED, FAILURE]),
    Action::of(Class::Network, "FirewallInboundConnectionToAppBlocked", Activity::Refuse, &[INBOUND, BLOCKED, FAILURE]),
    Action::of(Class::Network, "FirewallOutboundConnectionBlocked", Activity::Refuse, &[OUTBOUND, BLOCKED, FAILURE]),
    Action::of(Class::Network, "BrowserLaunchedToOpenUrl", Activity::Traffic, &[OUTBOUND]),
    Action::of(Class::Network, "SmartScreenUrlWarning", Activity::Traffic, &[OUTBOUND]),
    Action::of(Class::Network, "NetworkProtectionUserBypassEvent", Activity::Traffic, &[OUTBOUND, ALLOWED]),
    Action::of(Class::Network, "ExploitGuardNetworkProtectionBlocked", Activity::Refuse, &[OUTBOUND, BLOCKED, FAILURE]),
    Action::of(Class::Network, "ExploitGuardNetworkProtectionAudited", Activity::Traffic, &[OUTBOUND, AUDITED]),
    // Files.
    Action::of(Class::File, "FileTimestampModificationEvent", Activity::SetAttributes, &[]),
    Action::of(Class::File, "SensitiveFileRead", Activity::Read, &[]),
    Action::of(Class::File, "ShellLinkCreateFileEvent", Activity::Create, &[]),
    Action::of(Class::File, "RemovableStorageFileEvent", Activity::Other, &[]),
    // The antivirus. What it finds is an alert, even though no alert of the portal stands behind it.
    Action::of(Class::Scan, "AntivirusScanCompleted", Activity::Complete, &[SUCCESS]),
    Action::of(Class::Scan, "AntivirusScanCancelled", Activity::Cancel, &[]),
    Action::of(Class::Scan, "AntivirusScanFailed", Activity::Fail, &[FAILURE]),
    Action::of(Class::Alert, "AntivirusDetection", Activity::Create, &[DETECTED, FOUND, MALWARE, ANTIVIRUS, ENDPOINT]),
    Action::of(
        Class::Alert,
        "AntivirusMalwareBlocked",
        Activity::Create,
        &[BLOCKED, STOPPED, MALWARE, ANTIVIRUS, ENDPOINT],
    ),
    Action::of(
        Class::Alert,
        "AntivirusMalwareActionFailed",
        Activity::Create,
        &[UNREMEDIATED, FAILURE, LEFT, MALWARE, ANTIVIRUS, ENDPOINT],
    ),
    // What the controls of Windows let pass or stop: about a file where one is named, else about the process.
    Action::of(Class::File, "AppLockerBlock*", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "ControlledFolderAccessViolationBlocked", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "ControlledFolderAccessViolationAudited", Activity::Other, &[AUDITED]),
    Action::of(Class::File, "SmartScreen*Warning", Activity::Other, &[]),
    Action::of(Class::File, "Asr*Blocked", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "Asr*Audited", Activity::Other, &[AUDITED]),
    Action::of(Class::File, "ExploitGuard*Blocked", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "ExploitGuard*Enforced", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "ExploitGuard*Audited", Activity::Other, &[AUDITED]),
    Action::of(Class::File, "AppControl*Blocked", Activity::Other, &[BLOCKED, FAILURE]),
    Action::of(Class::File, "AppControl*Audited", Activity::Other, &[AUDITED]),
    // Whatever comes next, its last word tells how it ended.
    Action::only("*Blocked", &[BLOCKED, FAILURE]),
    Action::only("*Audited", &[AUDITED]),
    Action::only("*Allowed", &[ALLOWED]),
    Action::only("*Failed", &[FAILURE]),
];

/// An alert has a title, a category and a source; the antivirus names none of them.
const FOUND: (Field, &str) = (Field::AlertTitle, "Malware was detected");
const STOPPED: (Field, &str) = (Field::AlertTitle, "Malware was blocked");
const LEFT: (Field, &str) = (Field::AlertTitle, "Malware could not be removed");
const MALWARE: (Field, &str) = (Field::AlertCategory, "Malware");
const ANTIVIRUS: (Field, &str) = (Field::AlertDetectionSource, "Antivirus");
const ENDPOINT: (Field, &str) = (Field::AlertServiceSource, "Microsoft Defender for Endpoint");
