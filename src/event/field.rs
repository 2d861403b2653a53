//! The dictionary: every field an event can have, with its dotted name and the kind of value it holds. Sources map their
//! columns to these, formats map these to their keys: sources plus formats, never sources times formats.

/// What a field holds. A column whose value doesn't fit is kept as unmapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An identifier that upstream writes as a string here and as a number there; its digits are kept as they are.
    Id,
    Integer,
    Bool,
    Time,
    Ip,
    Mac,
    List,
    Json,
}

macro_rules! dictionary {
    ($($field:ident $name:literal $kind:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $name] $field,)* }

        impl Field {
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];
            pub const COUNT: usize = Self::ALL.len();

            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
            pub const fn kind(self) -> Kind {
                KINDS[self as usize]
            }
        }

        const KINDS: [Kind; Field::COUNT] = [$(Kind::$kind,)*];
    };
}

impl Field {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

dictionary! {
    // The record and what it says about itself.
    RecordPublished "record.published" Time,
    RecordServiceTime "record.service_time" Time,
    RecordOperation "record.operation" Text,
    RecordRing "record.ring" Text,
    RecordSequence "record.sequence" Id,
    TenantDirectory "tenant.id" Text,
    Outcome "event.outcome" Text,
    Disposition "event.disposition" Text,
    Extra "event.extra" Json,

    // The device that reports, or that an alert is about.
    DeviceId "device.id" Text,
    DeviceEntraId "device.entra_id" Text,
    DeviceName "device.name" Text,
    DeviceHost "device.host" Text,
    DeviceDomain "device.domain" Text,
    DeviceNtDomain "device.nt_domain" Text,
    DeviceGroup "device.group" Text,
    DeviceGroupId "device.group_id" Id,
    DeviceContainer "device.container_id" Text,
    DeviceType "device.type" Text,
    DeviceOs "device.os" Text,
    DeviceOsVersion "device.os_version" Text,
    DeviceOsBuild "device.os_build" Id,
    DeviceIp "device.ip" Ip,
    DeviceExternalIp "device.external_ip" Ip,
    DeviceInterfaces "device.interfaces" List,
    DeviceMac "device.mac" Mac,
    DeviceRisk "device.risk" Text,
    DeviceHealth "device.health" Text,
    DeviceOnboarding "device.onboarding" Text,
    DeviceAntivirus "device.antivirus" Text,
    DeviceFirstSeen "device.first_seen" Time,

    // The process that acts: in process events the parent of the new one.
    ActorProcessName "actor.process.name" Text,
    ActorProcessPath "actor.process.path" Text,
    ActorProcessPid "actor.process.pid" Integer,
    ActorProcessUid "actor.process.uid" Id,
    ActorProcessCommand "actor.process.command" Text,
    ActorProcessCreated "actor.process.created" Time,
    ActorProcessMd5 "actor.process.md5" Text,
    ActorProcessSha1 "actor.process.sha1" Text,
    ActorProcessSha256 "actor.process.sha256" Text,
    ActorProcessSize "actor.process.size" Integer,
    ActorProcessIntegrity "actor.process.integrity" Text,
    ActorProcessToken "actor.process.token" Text,
    ActorProcessCompany "actor.process.company" Text,
    ActorProcessProduct "actor.process.product" Text,
    ActorProcessVersion "actor.process.version" Text,
    ActorProcessInternalName "actor.process.internal_name" Text,
    ActorProcessOriginalName "actor.process.original_name" Text,
    ActorProcessDescription "actor.process.description" Text,
    ActorProcessSigner "actor.process.signer" Text,
    ActorProcessSignature "actor.process.signature" Text,
    ActorParentName "actor.parent.name" Text,
    ActorParentPid "actor.parent.pid" Integer,
    ActorParentCreated "actor.parent.created" Time,
    ActorSessionUid "actor.session.uid" Id,
    ActorSessionId "actor.session.id" Id,
    ActorSessionIsRemote "actor.session.is_remote" Bool,
    ActorSessionRemoteDevice "actor.session.remote_device" Text,
    ActorSessionRemoteIp "actor.session.remote_ip" Ip,
    ActorUserName "actor.user.name" Text,
    ActorUserDomain "actor.user.domain" Text,
    ActorUserSid "actor.user.sid" Text,
    ActorUserUpn "actor.user.upn" Text,
    ActorUserObjectId "actor.user.object_id" Text,

    // The process, its parent, the user and the session that something is done to.
    ProcessName "process.name" Text,
    ProcessFolder "process.folder" Text,
    ProcessPath "process.path" Text,
    ProcessPid "process.pid" Integer,
    ProcessUid "process.uid" Id,
    ProcessCommand "process.command" Text,
    ProcessCreated "process.created" Time,
    ProcessMd5 "process.md5" Text,
    ProcessSha1 "process.sha1" Text,
    ProcessSha256 "process.sha256" Text,
    ProcessSize "process.size" Integer,
    ProcessIntegrity "process.integrity" Text,
    ProcessToken "process.token" Text,
    ProcessCompany "process.company" Text,
    ProcessProduct "process.product" Text,
    ProcessVersion "process.version" Text,
    ProcessInternalName "process.internal_name" Text,
    ProcessOriginalName "process.original_name" Text,
    ProcessDescription "process.description" Text,
    ProcessDetection "process.detection" Text,
    ParentName "process.parent.name" Text,
    ParentFolder "process.parent.folder" Text,
    ParentPid "process.parent.pid" Integer,
    ParentCreated "process.parent.created" Time,
    ParentSha1 "process.parent.sha1" Text,
    ParentSha256 "process.parent.sha256" Text,
    UserName "user.name" Text,
    UserDomain "user.domain" Text,
    UserSid "user.sid" Text,
    UserUpn "user.upn" Text,
    UserObjectId "user.object_id" Text,
    UserDisplayName "user.display_name" Text,
    UserMail "user.mail" Text,
    UserIsAdmin "user.is_admin" Bool,
    SessionUid "session.uid" Id,
    SessionId "session.id" Id,
    SessionIsRemote "session.is_remote" Bool,
    SessionRemoteDevice "session.remote_device" Text,
    SessionRemoteIp "session.remote_ip" Ip,
    SessionStarted "session.started" Time,
    LogonType "logon.type" Text,
    LogonProtocol "logon.protocol" Text,
    LogonFailure "logon.failure" Text,
    LogonIsLocal "logon.is_local" Bool,

    // The network. Local is the reporting device, whichever way the traffic goes.
    NetDirection "net.direction" Text,
    NetTransport "net.transport" Text,
    NetLocalIp "net.local.ip" Ip,
    NetLocalPort "net.local.port" Integer,
    NetLocalIpType "net.local.ip_type" Text,
    NetRemoteIp "net.remote.ip" Ip,
    NetRemotePort "net.remote.port" Integer,
    NetRemoteIpType "net.remote.ip_type" Text,
    NetRemoteHost "net.remote.host" Text,
    NetRemoteUrl "net.remote.url" Text,
    NetSourceMac "net.source.mac" Mac,
    NetDestinationMac "net.destination.mac" Mac,
    NetSourceBytes "net.source.bytes" Integer,
    NetDestinationBytes "net.destination.bytes" Integer,
    DnsQuery "dns.query" Text,
    DnsQueryType "dns.query_type" Text,
    DnsResponse "dns.response" Text,
    DnsAnswers "dns.answers" Text,
    HttpHost "http.host" Text,
    HttpUri "http.uri" Text,
    HttpMethod "http.method" Text,
    HttpStatus "http.status" Id,
    HttpUserAgent "http.user_agent" Text,
    TlsServerName "tls.server_name" Text,
    TlsVersion "tls.version" Text,
    TlsCipher "tls.cipher" Text,

    // Incidents.
    IncidentId "incident.id" Id,
    IncidentTitle "incident.title" Text,
    IncidentDescription "incident.description" Text,
    IncidentSummary "incident.summary" Text,
    IncidentStatus "incident.status" Text,
    IncidentCreated "incident.created" Time,
    IncidentUpdated "incident.updated" Time,
    IncidentFirstActivity "incident.first_activity" Time,
    IncidentLastActivity "incident.last_activity" Time,
    IncidentUrl "incident.url" Text,
    IncidentRedirectId "incident.redirect_id" Id,
    IncidentTags "incident.tags" List,
    IncidentSystemTags "incident.system_tags" List,
    IncidentPriority "incident.priority_score" Integer,
    IncidentAlertCount "incident.alert_count" Integer,
    IncidentAlertIds "incident.alert_ids" List,
    IncidentServices "incident.service_sources" List,
    IncidentModifiedBy "incident.last_modified_by" Text,
    IncidentResolvingComment "incident.resolving_comment" Text,

    // Alerts; classification, techniques, comments and the person in charge are words of incidents too.
    AlertId "alert.id" Id,
    AlertProviderId "alert.provider_id" Id,
    AlertTitle "alert.title" Text,
    AlertDescription "alert.description" Text,
    AlertCategory "alert.category" Text,
    AlertCategories "alert.categories" List,
    AlertStatus "alert.status" Text,
    AlertServiceSource "alert.service_source" Text,
    AlertDetectionSource "alert.detection_source" Text,
    AlertDetectorId "alert.detector_id" Id,
    AlertPolicyId "alert.policy_id" Id,
    AlertInvestigation "alert.investigation_state" Text,
    AlertThreatName "alert.threat_name" Text,
    AlertThreatFamily "alert.threat_family" Text,
    AlertActor "alert.actor" Text,
    AlertCreated "alert.created" Time,
    AlertUpdated "alert.updated" Time,
    AlertFirstActivity "alert.first_activity" Time,
    AlertLastActivity "alert.last_activity" Time,
    AlertResolved "alert.resolved" Time,
    AlertUrl "alert.url" Text,
    AlertRecommendedActions "alert.recommended_actions" Text,
    AlertProduct "alert.product" Text,
    AlertTags "alert.tags" List,
    AlertCustom "alert.custom_details" Json,
    AlertAdditional "alert.additional_data" Json,
    AlertWasExecuting "alert.was_executing" Bool,
    AlertIsRemediated "alert.is_remediated" Bool,
    Classification "finding.classification" Text,
    Determination "finding.determination" Text,
    Techniques "finding.techniques" List,
    AssignedTo "finding.assigned_to" Text,
    Comments "finding.comments" Json,

    // Files, addresses, registry, mail, and the other things evidence is about.
    FileName "file.name" Text,
    FileFolder "file.folder" Text,
    FileSize "file.size" Integer,
    FileMd5 "file.md5" Text,
    FileSha1 "file.sha1" Text,
    FileSha256 "file.sha256" Text,
    FileSha256Authenticode "file.sha256_authenticode" Text,
    FilePublisher "file.publisher" Text,
    FileSigner "file.signer" Text,
    FileIssuer "file.issuer" Text,
    FileDetection "file.detection" Text,
    IpAddress "ip.address" Ip,
    IpCountry "ip.country" Text,
    Url "url.full" Text,
    RegistryHive "registry.hive" Text,
    RegistryKey "registry.key" Text,
    RegistryValueName "registry.value_name" Text,
    RegistryValue "registry.value" Text,
    RegistryValueType "registry.value_type" Text,
    MailNetworkId "mail.network_message_id" Text,
    MailInternetId "mail.internet_message_id" Text,
    MailSubject "mail.subject" Text,
    MailSender "mail.sender" Text,
    MailReturnPath "mail.return_path" Text,
    MailSenderIp "mail.sender_ip" Ip,
    MailRecipient "mail.recipient" Text,
    MailReceived "mail.received" Time,
    MailAction "mail.delivery_action" Text,
    MailLocation "mail.delivery_location" Text,
    MailDirection "mail.direction" Text,
    ResourceId "resource.id" Id,
    ResourceName "resource.name" Text,
    ResourceType "resource.type" Text,
    ResourceOwner "resource.owner" Text,
    MalwareName "malware.name" Text,
    MalwareCategory "malware.category" Text,

    EvidenceCreated "evidence.created" Time,
    EvidenceDetailedRoles "evidence.detailed_roles" List,
    EvidenceTags "evidence.tags" List,
    EvidenceRemediationDetails "evidence.remediation_details" Text,

    // Gap records.
    GapReason "gap.reason" Text,
    GapLost "gap.lost" Integer,
    GapAfter "gap.after_sequence" Integer,
    GapBefore "gap.before_sequence" Integer,
    GapGeneration "gap.generation" Integer,
    GapPart "gap.part" Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_dotted_and_belongs_to_one_field() {
        let mut names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
        assert!(names.iter().all(|name| name.contains('.')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Field::COUNT);
        for field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Some(*field));
        }
        assert_eq!(Field::parse("no.such"), None);
    }
}
