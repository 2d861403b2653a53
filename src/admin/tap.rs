//! Which passing events a reader wants to see. Pure.

use super::view::{Status, TapEvent};

/// Empty parts let everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub tenant: String,
    pub source: String,
    /// A class or a table's name, in any case.
    pub class: String,
}

impl Filter {
    pub fn wants(&self, event: &TapEvent) -> bool {
        (self.tenant.is_empty() || self.tenant == event.feed.tenant.as_str())
            && (self.source.is_empty() || self.source == event.feed.source.as_str())
            && (self.class.is_empty()
                || self.class.eq_ignore_ascii_case(&event.class)
                || self.class.eq_ignore_ascii_case(&event.kind))
    }
}

/// What is left of a status for somebody who asked about one tenant.
pub fn only_tenant(mut status: Status, tenant: &str) -> Status {
    if !tenant.is_empty() {
        status.sources.retain(|source| source.tenant.as_str() == tenant);
        status.faults.retain(|fault| fault.tenant.as_ref().is_none_or(|of| of.as_str() == tenant));
        status.feeds.retain(|feed| feed.feed.tenant.as_str() == tenant);
        status.credentials.retain(|credential| credential.tenant.as_str() == tenant);
    }
    status
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_reader_sees_what_it_asked_for() {
        let event = TapEvent {
            id: "00".into(),
            feed: "contoso/hub/0".parse().unwrap(),
            kind: "DeviceProcessEvents".into(),
            class: "process".into(),
            time: None,
            severity: "unknown".into(),
            record: Bytes::from_static(b"{}"),
        };
        let filter = |tenant: &str, source: &str, class: &str| Filter {
            tenant: tenant.into(),
            source: source.into(),
            class: class.into(),
        };
        assert!(Filter::default().wants(&event));
        assert!(filter("contoso", "hub", "process").wants(&event));
        assert!(filter("", "", "deviceprocessevents").wants(&event));
        for other in [filter("fabrikam", "", ""), filter("", "hub2", ""), filter("", "", "alert")] {
            assert!(!other.wants(&event), "{other:?}");
        }
    }
}
