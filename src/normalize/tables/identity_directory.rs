//! `IdentityDirectoryEvents`: what a domain controller saw. The account is the doer, the target is whom it was done to.

use super::To::{Field as To, Switched, Told};
use super::{Action, Column, Nested, Table, common, identity};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "IdentityDirectoryEvents",
    class: Class::Directory,
    activity: Activity::Other,
    columns: &[common::RECORD, identity::DOER, identity::ENDS, identity::TARGET, &[("ISP", To(Field::GeoIsp))]],
    nested: Nested::extra(NESTED),
    actions: ACTIONS,
    needs: &[
        (Class::Job, &[Field::JobName]),
        (Class::Service, &[Field::ServiceName]),
        (Class::File, &[Field::FileName]),
        (Class::Account, TARGETS),
        (Class::Group, &[Field::GroupName]),
    ],
    ..Table::PLAIN
};

const TARGETS: &[Field] = &[Field::TargetUserUpn, Field::TargetUserDisplayName, Field::TargetDevice];

/// A change of membership names the group that was joined or left; other changes name the new value.
const NESTED: &[Column] = &[
    ("TO.GROUP", Told(Field::GroupName, Activity::AddMember)),
    ("FROM.GROUP", Told(Field::GroupName, Activity::RemoveMember)),
    ("TO Account Disabled", Switched(Activity::Disable, Activity::Enable)),
    ("TO Account Locked", Switched(Activity::Lock, Activity::Unlock)),
    ("TaskName", To(Field::JobName)),
    ("ServiceName", To(Field::ServiceName)),
    ("ServiceCommand", To(Field::ServiceCommand)),
    ("FileName", To(Field::FileName)),
];

const ACTIONS: &[Action] = &[
    Action::in_class(Class::Group, "Group Membership changed"),
    Action::of(Class::Account, "Account Password changed", Activity::ChangePassword, &[]),
    Action::in_class(Class::Account, "Account Disabled changed"),
    Action::in_class(Class::Account, "Account Locked changed"),
    Action::of(Class::Account, "Security Principal created", Activity::Create, &[]),
    Action::of(Class::Account, "Device Account Created", Activity::Create, &[]),
    Action::of(Class::Account, "Account Deleted changed", Activity::Delete, &[]),
    Action::of(Class::Account, "Security Principal deleted changed", Activity::Delete, &[]),
    Action::of(Class::Process, "PowerShell execution", Activity::Other, &[]),
    Action::of(Class::Process, "Wmi execution", Activity::Other, &[]),
    Action::of(Class::Service, "Service creation", Activity::Create, &[]),
    Action::of(Class::Job, "Task scheduling", Activity::Create, &[]),
    Action::of(Class::File, "SmbFileCopy", Activity::Create, &[]),
    Action::is("Directory Service replication", Activity::Read, &[]),
    Action::is("Directory Services replication", Activity::Read, &[]),
    Action::is("Private Data Retrieval", Activity::Read, &[]),
    Action::is("SMB session", Activity::Read, &[]),
    Action::of(Class::Account, "Account *", Activity::Update, &[]),
    Action::of(Class::Account, "Security Principal *", Activity::Update, &[]),
    Action::of(Class::Account, "User *", Activity::Update, &[]),
];
