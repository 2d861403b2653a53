//! The CEF dictionary: every key a producer may set, with the type and length the standard gives it, and our own keys.

/// What a key may hold, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Up to so many characters, counted before escaping.
    Text(u16),
    /// 32 bits with sign.
    Integer,
    Long,
    /// 32 bits in CEF:0, 64 in CEF:1.
    Count,
    Time,
    /// IPv4 in CEF:0; either in CEF:1.
    Address,
    /// IPv6, with a label that says whose.
    Address6,
    Mac,
}

macro_rules! keys {
    ($($key:ident $name:literal $type:expr,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Key { $(#[doc = $name] $key,)* }

        impl Key {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$key,)*];
            #[cfg(test)]
            pub(super) fn name(self) -> &'static str {
                self.before_value().trim_matches([' ', '='])
            }
            pub(super) const fn before_value(self) -> &'static str {
                BEFORE_VALUE[self as usize]
            }
            pub(super) const fn before_label(self) -> &'static str {
                BEFORE_LABEL[self as usize]
            }
            pub(super) const fn holds(self) -> Type {
                TYPES[self as usize]
            }
        }

        /// What follows the prefix in keys that a column's name could be mistaken for.

        /// A key and its label as they stand in a line, made once and not for every value.
        const BEFORE_VALUE: &[&str] = &[$(concat!(" ", $name, "="),)*];
        const BEFORE_LABEL: &[&str] = &[$(concat!(" ", $name, "Label="),)*];
        const TYPES: &[Type] = &[$($type,)*];
    };
}

use Type::{Address, Address6, Count, Integer, Long, Mac, Text, Time};

// The keys our tables use. A key of the standard that isn't here is added with the first field that needs it.
keys! {
    Act "act" Text(63),
    App "app" Text(31),
    C6a1 "c6a1" Address6,
    C6a2 "c6a2" Address6,
    C6a3 "c6a3" Address6,
    Cat "cat" Text(1023),
    Cn1 "cn1" Long,
    Cn2 "cn2" Long,
    Cn3 "cn3" Long,
    Cnt "cnt" Integer,
    Cs1 "cs1" Text(4000),
    Cs2 "cs2" Text(4000),
    Cs3 "cs3" Text(4000),
    Cs4 "cs4" Text(4000),
    Cs5 "cs5" Text(4000),
    Cs6 "cs6" Text(4000),
    DestinationServiceName "destinationServiceName" Text(1023),
    DeviceCustomDate1 "deviceCustomDate1" Time,
    DeviceCustomDate2 "deviceCustomDate2" Time,
    DeviceDirection "deviceDirection" Integer,
    DeviceDnsDomain "deviceDnsDomain" Text(255),
    DeviceExternalId "deviceExternalId" Text(255),
    DeviceFacility "deviceFacility" Text(1023),
    DeviceNtDomain "deviceNtDomain" Text(255),
    Dhost "dhost" Text(1023),
    Dmac "dmac" Mac,
    Dntdom "dntdom" Text(255),
    Dpid "dpid" Integer,
    Dpriv "dpriv" Text(1023),
    Dproc "dproc" Text(1023),
    Dpt "dpt" Integer,
    Dst "dst" Address,
    Duid "duid" Text(1023),
    Duser "duser" Text(1023),
    Dvc "dvc" Address,
    Dvchost "dvchost" Text(100),
    Dvcmac "dvcmac" Mac,
    End "end" Time,
    ExternalId "externalId" Text(40),
    FileHash "fileHash" Text(255),
    FileId "fileId" Text(1023),
    FilePath "filePath" Text(1023),
    FileType "fileType" Text(1023),
    FlexString1 "flexString1" Text(1023),
    FlexString2 "flexString2" Text(1023),
    Fname "fname" Text(1023),
    Fsize "fsize" Integer,
    In "in" Count,
    Msg "msg" Text(1023),
    OldFileName "oldFileName" Text(1023),
    OldFilePath "oldFilePath" Text(1023),
    Out "out" Count,
    Outcome "outcome" Text(63),
    Proto "proto" Text(31),
    Reason "reason" Text(1023),
    Request "request" Text(1023),
    RequestClientApplication "requestClientApplication" Text(1023),
    RequestContext "requestContext" Text(2048),
    RequestMethod "requestMethod" Text(1023),
    Rt "rt" Time,
    Shost "shost" Text(1023),
    Smac "smac" Mac,
    Sntdom "sntdom" Text(255),
    SourceDnsDomain "sourceDnsDomain" Text(255),
    SourceServiceName "sourceServiceName" Text(1023),
    Spid "spid" Integer,
    Spriv "spriv" Text(1023),
    Sproc "sproc" Text(1023),
    Spt "spt" Integer,
    Src "src" Address,
    Start "start" Time,
    Suid "suid" Text(1023),
    Suser "suser" Text(1023),

    // CEF 1.2.
    FrameworkName "frameworkName" Text(256),
    ReportedResourceId "reportedResourceID" Text(256),
    ReportedResourceName "reportedResourceName" Text(64),
    ReportedResourceType "reportedResourceType" Text(64),
    ThreatActor "threatActor" Text(40),
    ThreatAttackId "threatAttackID" Text(32),

    // Our own: vendor, product and meaning in one word, as the standard wants them.
    CommandLine "MicrosoftDefenderCommandLine" Text(4000),
    Directory "MicrosoftDefenderTenantId" Text(1023),
    Devices "MicrosoftDefenderDevices" Text(4000),
    Users "MicrosoftDefenderUsers" Text(4000),
    Files "MicrosoftDefenderFiles" Text(4000),
    Addresses "MicrosoftDefenderAddresses" Text(4000),
    Urls "MicrosoftDefenderUrls" Text(4000),
    Evidence "MicrosoftDefenderEvidence" Text(4000),
    Extra "MicrosoftDefenderAdditionalFields" Text(4000),
    MailSubject "MicrosoftDefenderMailSubject" Text(1023),
    MailId "MicrosoftDefenderMailId" Text(1023),
    RegistryPath "MicrosoftDefenderRegistryPath" Text(4000),
    RegistryValueName "MicrosoftDefenderRegistryName" Text(4000),
    RegistryValue "MicrosoftDefenderRegistryData" Text(4000),
    ResourceId "MicrosoftDefenderResource" Text(1023),
    Change "SiemgateChange" Text(63),
    Revision "SiemgateRevision" Text(63),
    Repaired "SiemgateRepaired" Integer,
    WholeBytes "SiemgateWholeBytes" Long,
    RecordDigest "SiemgateRecordDigest" Text(32),
    EventId "SiemgateEventId" Text(32),
}

/// What follows `MicrosoftDefender` in our own keys, which no column may be mistaken for; few columns have their names.
pub(super) const OWN: &[&str] = &[
    "CommandLine",
    "TenantId",
    "Devices",
    "Users",
    "Files",
    "Addresses",
    "Urls",
    "Evidence",
    "AdditionalFields",
    "MailSubject",
    "MailId",
    "RegistryPath",
    "RegistryName",
    "RegistryData",
    "Resource",
];

// One bit for each key says whether it has been written.
const _: () = assert!((Key::EventId as u8) < 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_alphanumeric_and_different_whatever_their_case() {
        let mut names: Vec<_> = Key::ALL.iter().map(|key| key.name().to_ascii_lowercase()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Key::ALL.len());
    }

    #[test]
    fn every_key_with_our_prefix_is_reserved() {
        let own = Key::ALL.iter().filter_map(|key| key.name().strip_prefix("MicrosoftDefender"));
        assert_eq!(own.collect::<Vec<_>>(), OWN);
    }
}
