//! `IdentityQueryEvents`: somebody asked the directory for users, groups, devices or names.

use super::To::Field as To;
use super::{Action, Column, Table, common, identity};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "IdentityQueryEvents",
    class: Class::Network,
    activity: Activity::Traffic,
    columns: &[common::RECORD, identity::DOER, identity::ENDS, identity::TARGET, COLUMNS],
    actions: &[Action::of(Class::Dns, "DNS query", Activity::Query, &[])],
    needs: &[(Class::Dns, &[Field::QueryTarget])],
    moves: &[(Class::Dns, &[(Field::QueryTarget, Field::DnsQuery), (Field::QueryKind, Field::DnsQueryType)])],
    ..Table::PLAIN
};

const COLUMNS: &[Column] =
    &[("Query", To(Field::QueryText)), ("QueryType", To(Field::QueryKind)), ("QueryTarget", To(Field::QueryTarget))];
