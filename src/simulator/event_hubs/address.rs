//! The addresses of links, parsed into what they name.

/// What a link is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Where tokens are put.
    Cbs,
    /// Where hubs and partitions describe themselves.
    Management,
    /// Where one partition is read under a consumer group.
    Reader { hub: String, group: String, partition: String },
    /// Where events are sent: to a hub, which chooses the partition, or to one partition.
    Writer { hub: String, partition: Option<String> },
}

impl Address {
    /// Reads an address, with or without scheme and host. `None` when it names nothing the service has.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => text.trim_start_matches('/'),
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match parts.as_slice() {
            ["$cbs"] => Some(Self::Cbs),
            ["$management"] => Some(Self::Management),
            [hub] if !hub.is_empty() => Some(Self::Writer { hub: (*hub).to_owned(), partition: None }),
            [hub, partitions, id] if partitions.eq_ignore_ascii_case("Partitions") => {
                Some(Self::Writer { hub: (*hub).to_owned(), partition: Some((*id).to_owned()) })
            }
            [hub, groups, group, partitions, id]
                if groups.eq_ignore_ascii_case("ConsumerGroups") && partitions.eq_ignore_ascii_case("Partitions") =>
            {
                Some(Self::Reader { hub: (*hub).to_owned(), group: (*group).to_owned(), partition: (*id).to_owned() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_host() {
        let reader = |partition: &str| Address::Reader {
            hub: "hub".into(),
            group: "$Default".into(),
            partition: partition.into(),
        };
        let writer =
            |partition: Option<&str>| Address::Writer { hub: "hub".into(), partition: partition.map(str::to_owned) };
        let cases = [
            ("$cbs", Address::Cbs),
            ("amqps://ns.example/$management", Address::Management),
            ("hub/ConsumerGroups/$Default/Partitions/0", reader("0")),
            ("amqps://ns.example:5671/hub/consumergroups/$Default/partitions/31/", reader("31")),
            ("hub", writer(None)),
            ("amqp://localhost/hub/Partitions/1", writer(Some("1"))),
        ];
        for (text, address) in cases {
            assert_eq!(Address::parse(text), Some(address), "{text}");
        }
        for bad in ["", "/", "hub/Topics/0", "hub/ConsumerGroups/g", "amqps://ns.example"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
