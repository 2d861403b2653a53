//! What an event is about and what was done: the two words by which every format finds its own category.

/// A closed list of words that people write in routes and see in answers.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$about:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $type { $($(#[$about])* $variant,)* }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            pub const COUNT: usize = Self::ALL.len();

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == word)
            }
        }
    };
}

words! {
    /// What an event is about; it decides which fields can be there and which of them a format writes.
    Class {
        Incident "incident",
        Alert "alert",
        /// Something Microsoft noticed and doesn't call an alert.
        Behavior "behavior",
        Process "process",
        /// What is done to another process's memory.
        Memory "memory",
        Module "module",
        Driver "driver",
        Script "script",
        File "file",
        /// A file's signature and the certificate behind it.
        Certificate "certificate",
        Registry "registry",
        Job "job",
        Service "service",
        Peripheral "peripheral",
        Scan "scan",
        Network "network",
        Dns "dns",
        Http "http",
        Ssh "ssh",
        Ftp "ftp",
        Logon "logon",
        Account "account",
        Group "group",
        Privilege "privilege",
        /// Reading and changing a directory beyond accounts and groups.
        Directory "directory",
        Email "email",
        /// A chat message.
        Message "message",
        /// A link that somebody followed.
        Click "click",
        /// What is done in a cloud application or to a cloud resource.
        Cloud "cloud",
        /// What is done to a file in a cloud application.
        CloudFile "cloud-file",
        /// What a device is.
        Device "device",
        /// What an account is.
        Identity "identity",
        /// A streaming table without a mapping of its own.
        Generic "generic",
        /// The gateway's own statement that records were lost upstream.
        Gap "gap",
    }
}

impl Class {
    /// Whether people are to look at it: an incident, an alert, or a loss.
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::Incident | Self::Alert | Self::Gap)
    }
}

words! {
    /// What was done, as far as formats share a word for it.
    Activity {
        /// None of the words below; the event's `action` says more.
        Other "other",
        Create "create",
        Read "read",
        Update "update",
        Delete "delete",
        Rename "rename",
        Open "open",
        Write "write",
        SetAttributes "set-attributes",
        Start "start",
        Stop "stop",
        Inject "inject",
        SetUser "set-user",
        Allocate "allocate",
        Protect "protect",
        Load "load",
        Execute "execute",
        Enable "enable",
        Disable "disable",
        Connect "connect",
        Disconnect "disconnect",
        Fail "fail",
        Refuse "refuse",
        /// Something that goes on rather than begins or ends.
        Traffic "traffic",
        Listen "listen",
        Query "query",
        Response "response",
        Logon "logon",
        Send "send",
        Receive "receive",
        Scan "scan",
        Complete "complete",
        Cancel "cancel",
        ChangePassword "change-password",
        Lock "lock",
        Unlock "unlock",
        AddMember "add-member",
        RemoveMember "remove-member",
        AssignPrivilege "assign-privilege",
        Upload "upload",
        Download "download",
        Share "share",
        Collect "collect",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.name()), Some(*class));
        }
        for activity in Activity::ALL {
            assert_eq!(Activity::parse(activity.name()), Some(*activity));
        }
        assert_eq!(Class::parse("nonsense"), None);
    }
}
