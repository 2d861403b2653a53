//! Which field stands at which path of ECS. The dictionary keeps the process that acts apart from the one that is acted
//! on, and people likewise; ECS has one `process` and one `user`, so that a few sets of rows take turns.

use super::{files, hosts, made, reach, registry, related};
use crate::encode::own;
use crate::encode::tree::{Row, Take, field, made, taken, text};
use crate::event::{Class, Field};

/// Whose process stands in `process`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// The one that is acted on; the one that acts is its parent.
    Target,
    /// The one that acts.
    Actor,
}

/// Who stands in `user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    /// The one the record is about.
    Own,
    /// The one that acts, because the record names no other.
    Actor,
    /// The one that acts; the one the record is about is `user.target`.
    ActorOnTarget,
}

/// The rows for one combination.
pub(super) fn rows_of(process: Process, person: Person, class: Class) -> [&'static [Row]; 8] {
    let (processes, people_of_processes) = match (process, person) {
        (Process::Target, _) => (TARGET_PROCESS, PARENT_USER),
        (Process::Actor, Person::Own) => (ACTOR_PROCESS, PROCESS_USER),
        (Process::Actor, Person::Actor | Person::ActorOnTarget) => (ACTOR_PROCESS, &[][..]),
    };
    let people = match person {
        Person::Own => OWN_USER,
        Person::Actor => ACTOR_USER,
        Person::ActorOnTarget => ACTOR_ON_TARGET,
    };
    let file = if matches!(class, Class::Module) { LIBRARY } else { FILE };
    [BASE, HOST, processes, people_of_processes, people, file, NETWORK, OTHERS]
}

const BASE: &[Row] = &[
    taken("@timestamp", Take::Time),
    text("ecs.version", "9.4.0"),
    made("event.kind", made::kind),
    made("event.category", made::category),
    made("event.type", made::types),
    made("event.action", made::action),
    made("event.code", made::code),
    made("event.outcome", made::outcome),
    made("event.id", made::id),
    text("event.module", "defender"),
    made("event.dataset", made::dataset),
    field("event.provider", Field::AlertServiceSource),
    made("event.provider", made::provider).when(&[Field::IncidentServices]),
    made("event.severity", made::severity),
    field("event.risk_score", Field::IncidentPriority),
    field("event.created", Field::AlertCreated),
    field("event.created", Field::IncidentCreated),
    field("event.created", Field::RecordPublished),
    field("event.start", Field::AlertFirstActivity),
    field("event.start", Field::IncidentFirstActivity),
    field("event.start", Field::EventStart),
    field("event.end", Field::AlertLastActivity),
    field("event.end", Field::IncidentLastActivity),
    field("event.end", Field::EventEnd),
    field("event.reason", Field::AlertDescription),
    field("event.reason", Field::IncidentDescription),
    field("event.reason", Field::IncidentSummary),
    field("event.reason", Field::LogonFailure),
    field("event.reason", Field::GapReason),
    field("event.url", Field::AlertUrl),
    field("event.url", Field::IncidentUrl),
    field("message", Field::AlertTitle),
    field("message", Field::IncidentTitle),
    made("tags", made::tags).when(&[Field::IncidentTags, Field::IncidentSystemTags, Field::AlertTags]),
    field("rule.id", Field::AlertDetectorId),
    field("rule.id", Field::MailPolicyId),
    field("rule.name", Field::AlertTitle),
    field("rule.name", Field::IncidentTitle),
    field("rule.name", Field::MailPolicy),
    field("rule.description", Field::AlertDescription),
    made("rule.category", made::rule_category).when(&[Field::AlertCategory]),
    made("threat", made::threat).when(&[
        Field::Techniques,
        Field::AlertCategory,
        Field::AlertCategories,
        Field::AlertThreatName,
        Field::AlertThreatFamily,
        Field::AlertActor,
        Field::MalwareName,
        Field::ThreatNames,
    ]),
    made("siemgate", own::with_id),
    made("observer.vendor", made::vendor),
    field("observer.product", Field::AlertProduct),
    made("observer.product", made::product),
    field("observer.version", Field::DeviceAgentVersion),
    field("cloud.account.id", Field::TenantDirectory),
    field("cloud.service.name", Field::AppName),
    field("organization.id", Field::TenantDirectory),
];

const HOST: &[Row] = &[
    taken("host.name", Take::Lower(Field::DeviceName)),
    taken("host.name", Take::Lower(Field::DeviceHost)),
    // Where no device reports, the one a request came from is what people look for.
    taken("host.name", Take::Lower(Field::NetSourceHost)),
    taken("host.hostname", Take::Lower(Field::DeviceHost)),
    taken("host.hostname", Take::Lower(Field::DeviceName)),
    taken("host.hostname", Take::Lower(Field::NetSourceHost)),
    field("host.id", Field::DeviceId),
    field("host.domain", Field::DeviceDomain),
    field("host.domain", Field::DeviceNtDomain),
    field("host.type", Field::DeviceType),
    made("host.type", hosts::source_type).when(&[Field::NetSourceType]),
    field("host.architecture", Field::DeviceOsArchitecture),
    made("host.ip", hosts::host_ip).when(&[Field::DeviceIp, Field::DeviceExternalIp, Field::InterfaceAddresses]),
    taken("host.mac", Take::OneOf(Field::DeviceMac)),
    field("host.os.name", Field::DeviceOs),
    made("host.os.full", hosts::source_os).when(&[Field::NetSourceOs]),
    field("host.os.version", Field::DeviceOsVersion),
    field("host.os.kernel", Field::DeviceOsBuild),
    made("host.os.type", hosts::os_type).when(&[Field::DeviceOs, Field::NetSourceOs]),
    field("container.id", Field::ContainerId),
    field("container.id", Field::DeviceContainer),
    field("container.name", Field::ContainerName),
    field("container.image.name", Field::ContainerImage),
];

// `process.args` is left out: a Windows command line is one text, and how it comes apart is up to the program.
const TARGET_PROCESS: &[Row] = &[
    field("process.name", Field::ProcessName),
    field("process.executable", Field::ProcessPath),
    made("process.executable", files::process_path).when(&[Field::ProcessFolder]),
    field("process.pid", Field::ProcessPid),
    field("process.entity_id", Field::ProcessUid),
    field("process.command_line", Field::ProcessCommand),
    field("process.working_directory", Field::ProcessDirectory),
    field("process.start", Field::ProcessCreated),
    taken("process.hash.md5", Take::Lower(Field::ProcessMd5)),
    taken("process.hash.sha1", Take::Lower(Field::ProcessSha1)),
    taken("process.hash.sha256", Take::Lower(Field::ProcessSha256)),
    field("process.pe.company", Field::ProcessCompany),
    field("process.pe.product", Field::ProcessProduct),
    field("process.pe.file_version", Field::ProcessVersion),
    field("process.pe.original_file_name", Field::ProcessOriginalName),
    field("process.pe.description", Field::ProcessDescription),
    field("process.parent.name", Field::ParentName),
    field("process.parent.name", Field::ActorProcessName),
    made("process.parent.executable", files::parent_path).when(&[Field::ParentFolder]),
    field("process.parent.executable", Field::ActorProcessPath),
    field("process.parent.pid", Field::ParentPid),
    field("process.parent.pid", Field::ActorProcessPid),
    field("process.parent.entity_id", Field::ActorProcessUid),
    field("process.parent.command_line", Field::ActorProcessCommand),
    field("process.parent.start", Field::ParentCreated),
    field("process.parent.start", Field::ActorProcessCreated),
    taken("process.parent.hash.md5", Take::Lower(Field::ActorProcessMd5)),
    taken("process.parent.hash.sha1", Take::Lower(Field::ParentSha1)),
    taken("process.parent.hash.sha1", Take::Lower(Field::ActorProcessSha1)),
    taken("process.parent.hash.sha256", Take::Lower(Field::ParentSha256)),
    taken("process.parent.hash.sha256", Take::Lower(Field::ActorProcessSha256)),
    field("process.parent.pe.company", Field::ActorProcessCompany),
    field("process.parent.pe.product", Field::ActorProcessProduct),
    field("process.parent.pe.file_version", Field::ActorProcessVersion),
    field("process.parent.pe.original_file_name", Field::ActorProcessOriginalName),
    field("process.parent.pe.description", Field::ActorProcessDescription),
    field("process.parent.code_signature.status", Field::ActorProcessSignature),
    made("process.parent.code_signature.trusted", made::is_signature_valid).when(&[Field::ActorProcessSignature]),
];

const PARENT_USER: &[Row] =
    &[field("process.parent.user.name", Field::ActorUserName), field("process.parent.user.id", Field::ActorUserSid)];

const ACTOR_PROCESS: &[Row] = &[
    field("process.name", Field::ActorProcessName),
    field("process.executable", Field::ActorProcessPath),
    field("process.pid", Field::ActorProcessPid),
    field("process.entity_id", Field::ActorProcessUid),
    field("process.command_line", Field::ActorProcessCommand),
    field("process.working_directory", Field::ProcessDirectory),
    field("process.start", Field::ActorProcessCreated),
    taken("process.hash.md5", Take::Lower(Field::ActorProcessMd5)),
    taken("process.hash.sha1", Take::Lower(Field::ActorProcessSha1)),
    taken("process.hash.sha256", Take::Lower(Field::ActorProcessSha256)),
    field("process.pe.company", Field::ActorProcessCompany),
    field("process.pe.product", Field::ActorProcessProduct),
    field("process.pe.file_version", Field::ActorProcessVersion),
    field("process.pe.original_file_name", Field::ActorProcessOriginalName),
    field("process.pe.description", Field::ActorProcessDescription),
    field("process.code_signature.status", Field::ActorProcessSignature),
    made("process.code_signature.trusted", made::is_signature_valid).when(&[Field::ActorProcessSignature]),
    field("process.parent.name", Field::ActorParentName),
    field("process.parent.pid", Field::ActorParentPid),
    field("process.parent.start", Field::ActorParentCreated),
];

const PROCESS_USER: &[Row] =
    &[field("process.user.name", Field::ActorUserName), field("process.user.id", Field::ActorUserSid)];

const OWN_USER: &[Row] = &[
    field("user.name", Field::UserName),
    field("user.name", Field::UserUpn),
    field("user.name", Field::UserMail),
    field("user.domain", Field::UserDomain),
    field("user.id", Field::UserSid),
    field("user.id", Field::UserObjectId),
    field("user.email", Field::UserUpn),
    field("user.email", Field::UserMail),
    field("user.full_name", Field::UserDisplayName),
    made("user.roles", made::roles).when(&[Field::UserIsAdmin]),
    field("user.target.name", Field::TargetUserDisplayName),
    field("user.target.name", Field::TargetUserUpn),
    field("user.target.email", Field::TargetUserUpn),
];

const ACTOR_USER: &[Row] = &[
    field("user.name", Field::ActorUserName),
    field("user.name", Field::ActorUserUpn),
    field("user.domain", Field::ActorUserDomain),
    field("user.id", Field::ActorUserSid),
    field("user.id", Field::ActorUserObjectId),
    field("user.id", Field::ActorUserAccountId),
    field("user.email", Field::ActorUserUpn),
    field("user.full_name", Field::ActorUserDisplayName),
    made("user.roles", made::roles).when(&[Field::ActorUserIsAdmin]),
    field("user.target.name", Field::TargetUserDisplayName),
    field("user.target.name", Field::TargetUserUpn),
    field("user.target.email", Field::TargetUserUpn),
];

const ACTOR_ON_TARGET: &[Row] = &[
    field("user.name", Field::ActorUserName),
    field("user.name", Field::ActorUserUpn),
    field("user.domain", Field::ActorUserDomain),
    field("user.id", Field::ActorUserSid),
    field("user.id", Field::ActorUserObjectId),
    field("user.id", Field::ActorUserAccountId),
    field("user.email", Field::ActorUserUpn),
    field("user.full_name", Field::ActorUserDisplayName),
    made("user.roles", made::roles).when(&[Field::ActorUserIsAdmin]),
    field("user.target.name", Field::UserName),
    field("user.target.name", Field::TargetUserDisplayName),
    field("user.target.name", Field::TargetUserUpn),
    field("user.target.domain", Field::UserDomain),
    field("user.target.id", Field::UserSid),
    field("user.target.id", Field::UserObjectId),
    field("user.target.email", Field::TargetUserUpn),
    field("user.target.email", Field::UserUpn),
    field("user.target.full_name", Field::UserDisplayName),
];

const FILE: &[Row] = &[
    field("file.name", Field::FileName),
    made("file.name", files::hosted_name).when(&[Field::ObjectName]),
    field("file.path", Field::FilePath),
    made("file.path", files::file_path).when(&[Field::FileFolder]),
    made("file.path", files::hosted_path).when(&[Field::ObjectName]),
    field("file.directory", Field::FileFolder),
    made("file.directory", files::file_directory).when(&[Field::FilePath]),
    field("file.extension", Field::FileExtension),
    made("file.extension", files::file_extension).when(&[Field::FileName]),
    field("file.size", Field::FileSize),
    taken("file.hash.md5", Take::Lower(Field::FileMd5)),
    taken("file.hash.sha1", Take::Lower(Field::FileSha1)),
    taken("file.hash.sha256", Take::Lower(Field::FileSha256)),
    field("file.origin_url", Field::FileOriginUrl),
    field("file.origin_referrer_url", Field::FileOriginReferrer),
    field("file.code_signature.subject_name", Field::FileSigner),
    field("file.code_signature.exists", Field::CertificateIsSigned),
    field("file.code_signature.trusted", Field::CertificateIsTrusted),
    field("file.x509.serial_number", Field::CertificateSerial),
    field("file.x509.not_before", Field::CertificateCreated),
    field("file.x509.not_after", Field::CertificateExpires),
    taken("file.x509.issuer.common_name", Take::OneOf(Field::FileIssuer)),
    field("file.pe.company", Field::FilePublisher),
];

const LIBRARY: &[Row] = &[
    field("dll.name", Field::FileName),
    field("dll.path", Field::FilePath),
    made("dll.path", files::file_path).when(&[Field::FileFolder]),
    taken("dll.hash.md5", Take::Lower(Field::FileMd5)),
    taken("dll.hash.sha1", Take::Lower(Field::FileSha1)),
    taken("dll.hash.sha256", Take::Lower(Field::FileSha256)),
    field("dll.code_signature.subject_name", Field::FileSigner),
    field("dll.pe.company", Field::FilePublisher),
];

const NETWORK: &[Row] = &[
    made("source", reach::source),
    made("destination", reach::destination),
    taken("network.transport", Take::Words(Field::NetTransport, TRANSPORTS)),
    taken("network.transport", Take::Lower(Field::NetTransport)),
    field("network.direction", Field::NetDirection),
    made("network.protocol", reach::protocol),
    made("network.protocol", reach::request_protocol).when(&[Field::RequestProtocol]),
    made("network.type", reach::network_type).when(&[
        Field::NetRemoteIp,
        Field::NetLocalIp,
        Field::NetDestinationIp,
        Field::NetSourceIp,
    ]),
    field("dns.question.name", Field::DnsQuery),
    field("dns.question.type", Field::DnsQueryType),
    field("dns.question.class", Field::DnsQueryClass),
    field("dns.response_code", Field::DnsResponse),
    made("dns.answers", reach::answers).when(&[Field::DnsAnswers]),
    made("dns.resolved_ip", reach::resolved).when(&[Field::DnsAnswers]),
    field("http.request.method", Field::HttpMethod),
    field("http.request.body.bytes", Field::HttpRequestBytes),
    made("http.response.status_code", reach::status).when(&[Field::HttpStatus]),
    field("http.response.body.bytes", Field::HttpResponseBytes),
    made("url", reach::url).when(&[Field::Url, Field::NetRemoteUrl, Field::HttpUri, Field::HttpHost, Field::UrlDomain]),
    field("user_agent.original", Field::HttpUserAgent),
    made("user_agent.os.name", hosts::agent_os).when(&[Field::HttpUserAgent]),
    field("tls.client.server_name", Field::TlsServerName),
    field("tls.version", Field::TlsVersion),
    field("tls.cipher", Field::TlsCipher),
    field("tls.server.subject", Field::TlsSubject),
    field("tls.server.issuer", Field::TlsIssuer),
];

/// `Tcp` is one connection over either version of IP, however Microsoft tells them apart.
const TRANSPORTS: &[(&str, &str)] = &[
    ("tcp", "tcp"),
    ("udp", "udp"),
    ("tcpv4", "tcp"),
    ("tcpv6", "tcp"),
    ("udpv4", "udp"),
    ("udpv6", "udp"),
    ("icmp", "icmp"),
    ("icmpv6", "ipv6-icmp"),
];

const OTHERS: &[Row] = &[
    made("related", related::related),
    made("registry", registry::registry).when(&[
        Field::RegistryPath,
        Field::RegistryPreviousPath,
        Field::RegistryKey,
        Field::RegistryValueName,
        Field::RegistryValue,
    ]),
    field("group.name", Field::GroupName),
    field("group.id", Field::GroupSid),
    field("group.domain", Field::GroupDomain),
    taken("email.from.address", Take::OneOf(Field::MailSender)),
    field("email.sender.address", Field::MailReturnPath),
    taken("email.to.address", Take::OneOf(Field::MailRecipient)),
    field("email.subject", Field::MailSubject),
    field("email.message_id", Field::MailInternetId),
    field("email.local_id", Field::MailNetworkId),
    field("email.delivery_timestamp", Field::MailReceived),
    made("email.attachments", files::attachments).when(&[Field::FileName]),
    taken(
        "email.direction",
        Take::Words(
            Field::MailDirection,
            &[
                ("inbound", "inbound"),
                ("outbound", "outbound"),
                ("intra-org", "internal"),
                ("intraorg", "internal"),
                ("unknown", "unknown"),
            ],
        ),
    ),
];
