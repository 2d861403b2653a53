//! Which field stands under which name, model by model. Where a model has no row for a field it stands under our own
//! name for it.

use super::model::Model;
use super::people::{ABOUT, ACCOUNT, ALERT, CHANGE, DATA, EMAIL, LOGON, MALWARE, TICKET};
use super::{made, reach};
use crate::encode::own;
use crate::encode::tree::{Row, Take, field, made, taken, text};
use crate::event::Field;

pub(super) fn rows_of(model: Model) -> [&'static [Row]; 5] {
    match model {
        Model::None => [BASE, NAMED_ENDS, ENDPOINT, ACTING, DOER],
        Model::Alerts => [BASE, ALERT, ABOUT, &[], &[]],
        Model::Malware => [BASE, MALWARE, ALERT, ABOUT, &[]],
        Model::Tickets => [BASE, TICKET, &[], &[], &[]],
        Model::Started => [BASE, ENDPOINT, STARTED, &[], &[]],
        Model::Processes => [BASE, ENDPOINT, ACTING, DOER, &[]],
        Model::Services => [BASE, ENDPOINT, SERVICE, ACTING, DOER],
        Model::Filesystem => [BASE, ENDPOINT, FILE, ACTING, DOER],
        Model::Registry => [BASE, ENDPOINT, REGISTRY, ACTING, DOER],
        Model::Traffic => [BASE, TRAFFIC, ACTING, DOER, &[]],
        Model::Ports => [BASE, PORTS, ACTING, DOER, &[]],
        Model::Resolution => [BASE, RESOLUTION, TRAFFIC, ACTING, DOER],
        Model::Web => [BASE, WEB, TRAFFIC, ACTING, DOER],
        Model::Authentication => [BASE, LOGON, ACTING, &[], &[]],
        Model::Changes => [BASE, ENDPOINT, CHANGE, ACTING, DOER],
        Model::Accounts => [BASE, ACCOUNT, CHANGE, ACTING, &[]],
        Model::Email => [BASE, EMAIL, &[], &[], &[]],
        Model::DataAccess => [BASE, DATA, TRAFFIC, &[], &[]],
        Model::Certificates => [BASE, ENDPOINT, CERTIFICATE, &[], &[]],
        Model::Inventory => [BASE, INVENTORY, &[], &[], &[]],
    }
}

const BASE: &[Row] = &[
    made("event_id", made::event_id),
    made("siemgate", own::object),
    made("cim_model", made::model),
    made("vendor_product", made::product),
    field("vendor_account", Field::TenantDirectory),
    made("table", made::table),
    made("action_type", made::action_type),
    made("action", made::action),
    made("severity", made::severity),
    field("report_id", Field::RecordSequence),
    field("publish_time", Field::RecordPublished),
    field("dvc", Field::DeviceName),
    field("dvc_id", Field::DeviceId),
    made("mitre_technique_id", made::techniques).when(&[Field::Techniques]),
];

const ENDPOINT: &[Row] = &[field("dest", Field::DeviceName), field("url", Field::NetRemoteUrl)];

/// Where upstream names both ends by themselves, the device is neither of them.
const NAMED_ENDS: &[Row] = &[
    made("src", reach::src).when(&[Field::NetSourceHost, Field::NetSourceIp]),
    made("src_ip", reach::src_ip).when(&[Field::NetSourceIp]),
    made("dest", reach::dest).when(&[Field::NetDestinationHost, Field::NetDestinationIp]),
    made("dest_ip", reach::dest_ip).when(&[Field::NetDestinationIp]),
];

/// The process that acts, in models where another thing is acted on.
const ACTING: &[Row] = &[
    field("process", Field::ActorProcessCommand),
    field("process_name", Field::ActorProcessName),
    field("process_exec", Field::ActorProcessName),
    field("process_path", Field::ActorProcessPath),
    field("process_id", Field::ActorProcessPid),
    field("process_guid", Field::ActorProcessUid),
    made("process_hash", made::actor_hash).when(&[
        Field::ActorProcessMd5,
        Field::ActorProcessSha1,
        Field::ActorProcessSha256,
    ]),
    taken("process_integrity_level", Take::Words(Field::ActorProcessIntegrity, INTEGRITY)),
    field("original_file_name", Field::ActorProcessOriginalName),
    field("parent_process_name", Field::ActorParentName),
    field("parent_process_id", Field::ActorParentPid),
    field("src_nt_domain", Field::ActorUserDomain),
];

/// Who acts. Models whose user is somebody else go without: a name and an id must be of one person.
const DOER: &[Row] = &[
    field("session_id", Field::ActorSessionUid),
    field("user", Field::ActorUserName),
    field("user", Field::ActorUserUpn),
    field("user_id", Field::ActorUserSid),
    field("user_id", Field::ActorUserObjectId),
];

const INTEGRITY: &[(&str, &str)] = &[
    ("protected process", "protected process"),
    ("protected", "protected process"),
    ("system", "system"),
    ("high", "high"),
    ("medium high", "medium high"),
    ("mediumplus", "medium high"),
    ("medium", "medium"),
    ("low", "low"),
    ("untrusted", "untrusted"),
];

/// A new process; the one that acts is its parent.
const STARTED: &[Row] = &[
    field("process", Field::ProcessCommand),
    field("process_name", Field::ProcessName),
    field("process_exec", Field::ProcessName),
    field("process_path", Field::ProcessPath),
    field("process_id", Field::ProcessPid),
    field("process_guid", Field::ProcessUid),
    field("process_current_directory", Field::ProcessDirectory),
    made("process_hash", made::process_hash).when(&[Field::ProcessMd5, Field::ProcessSha1, Field::ProcessSha256]),
    taken("process_integrity_level", Take::Words(Field::ProcessIntegrity, INTEGRITY)),
    field("original_file_name", Field::ProcessOriginalName),
    field("parent_process", Field::ActorProcessCommand),
    field("parent_process_name", Field::ActorProcessName),
    field("parent_process_name", Field::ParentName),
    field("parent_process_exec", Field::ActorProcessName),
    field("parent_process_path", Field::ActorProcessPath),
    field("parent_process_id", Field::ActorProcessPid),
    field("parent_process_id", Field::ParentPid),
    field("parent_process_guid", Field::ActorProcessUid),
    made("parent_process_hash", made::actor_hash).when(&[
        Field::ActorProcessMd5,
        Field::ActorProcessSha1,
        Field::ActorProcessSha256,
    ]),
    field("parent_user", Field::ActorUserName),
    field("user", Field::UserName),
    field("user", Field::UserUpn),
    field("user_id", Field::UserSid),
    field("user_id", Field::UserObjectId),
];

const SERVICE: &[Row] = &[
    field("service", Field::ServiceName),
    field("service_name", Field::ServiceName),
    field("service_exec", Field::FileName),
    field("service_path", Field::ServiceCommand),
    field("service_path", Field::FilePath),
    taken("start_mode", Take::Words(Field::ServiceStart, START_MODES)),
    made("status", made::service_status),
];

/// Windows has numbers for these, too.
const START_MODES: &[(&str, &str)] = &[
    ("auto", "auto"),
    ("automatic", "auto"),
    ("2", "auto"),
    ("manual", "manual"),
    ("3", "manual"),
    ("disabled", "disabled"),
    ("4", "disabled"),
];

const FILE: &[Row] = &[
    field("file_name", Field::FileName),
    field("file_path", Field::FilePath),
    made("file_path", reach::file_path).when(&[Field::FileFolder]),
    field("file_hash", Field::FileSha256),
    field("file_hash", Field::FileSha1),
    field("file_hash", Field::FileMd5),
    field("file_size", Field::FileSize),
    made("file_create_time", made::created),
    made("file_modify_time", made::modified),
    field("src_ip", Field::RequestIp),
];

const REGISTRY: &[Row] = &[
    made("registry_hive", reach::registry_hive),
    made("registry_path", reach::registry_path),
    made("registry_key_name", reach::registry_key_name),
    field("registry_value_name", Field::RegistryValueName),
    field("registry_value_name", Field::RegistryPreviousValueName),
    field("registry_value_data", Field::RegistryValue),
    taken("registry_value_type", Take::Words(Field::RegistryValueType, VALUE_TYPES)),
    taken("status", Take::Words(Field::Outcome, OUTCOMES)),
];

const VALUE_TYPES: &[(&str, &str)] = &[
    ("None", "REG_NONE"),
    ("Binary", "REG_BINARY"),
    ("Dword", "REG_DWORD"),
    ("Qword", "REG_QWORD"),
    ("String", "REG_SZ"),
    ("ExpandString", "REG_EXPAND_SZ"),
    ("MultiString", "REG_MULTI_SZ"),
    ("Link", "REG_LINK"),
];
pub(super) const OUTCOMES: &[(&str, &str)] = &[("success", "success"), ("failure", "failure")];

/// The two ends, whichever way the traffic goes.
const TRAFFIC: &[Row] = &[
    made("src", reach::src),
    field("src", Field::IpAddress),
    made("src_ip", reach::src_ip),
    field("src_ip", Field::IpAddress),
    made("src_port", reach::src_port),
    made("src_mac", reach::src_mac),
    made("dest", reach::dest),
    made("dest_ip", reach::dest_ip),
    made("dest_port", reach::dest_port),
    made("dest_mac", reach::dest_mac),
    field("direction", Field::NetDirection),
    taken("transport", Take::Words(Field::NetTransport, TRANSPORTS)),
    taken("transport", Take::Lower(Field::NetTransport)),
    field("bytes_out", Field::NetSourceBytes),
    field("bytes_in", Field::NetDestinationBytes),
    field("packets_out", Field::NetSourcePackets),
    field("packets_in", Field::NetDestinationPackets),
    field("tcp_flag", Field::NetTcpFlags),
    field("url", Field::NetRemoteUrl),
    field("ssl_subject", Field::TlsSubject),
    field("ssl_issuer", Field::TlsIssuer),
    field("ssl_version", Field::TlsVersion),
];

/// A port that listens: the device is the destination of whatever comes.
const PORTS: &[Row] = &[
    field("dest", Field::DeviceName),
    field("dest_ip", Field::NetLocalIp),
    field("dest_port", Field::NetLocalPort),
    field("src_ip", Field::NetRemoteIp),
    field("src_port", Field::NetRemotePort),
    text("state", "listening"),
    taken("transport", Take::Words(Field::NetTransport, TRANSPORTS)),
    taken("transport", Take::Lower(Field::NetTransport)),
];

const TRANSPORTS: &[(&str, &str)] = &[
    ("tcp", "tcp"),
    ("udp", "udp"),
    ("tcpv4", "tcp"),
    ("tcpv6", "tcp"),
    ("udpv4", "udp"),
    ("udpv6", "udp"),
    ("icmp", "icmp"),
    ("icmpv6", "icmp"),
];

const RESOLUTION: &[Row] = &[
    made("message_type", made::message_type),
    field("query", Field::DnsQuery),
    field("record_type", Field::DnsQueryType),
    field("reply_code", Field::DnsResponse),
    field("answer", Field::DnsAnswers),
];

const WEB: &[Row] = &[
    field("url", Field::Url),
    field("url", Field::NetRemoteUrl),
    made("url", reach::inspected_url).when(&[Field::HttpUri, Field::HttpHost]),
    field("url_domain", Field::UrlDomain),
    made("url_domain", reach::url_domain),
    made("uri_path", reach::uri_path),
    made("uri_query", reach::uri_query),
    field("http_method", Field::HttpMethod),
    field("status", Field::HttpStatus),
    field("http_user_agent", Field::HttpUserAgent),
    field("bytes_out", Field::HttpRequestBytes),
    field("bytes_in", Field::HttpResponseBytes),
    field("app", Field::AppName),
    field("category", Field::ThreatTypes),
];

const CERTIFICATE: &[Row] = &[
    field("ssl_serial", Field::CertificateSerial),
    field("ssl_issuer_common_name", Field::FileIssuer),
    field("ssl_subject_common_name", Field::FileSigner),
    field("ssl_start_time", Field::CertificateCreated),
    field("ssl_end_time", Field::CertificateExpires),
    field("ssl_hash", Field::CertificateSignerHash),
    field("ssl_is_valid", Field::CertificateIsTrusted),
    field("file_hash", Field::FileSha1),
];

const INVENTORY: &[Row] = &[
    field("dest", Field::DeviceName),
    field("serial", Field::DeviceId),
    made("user", made::first_user).when(&[Field::DeviceUsers]),
    field("ip", Field::DeviceIp),
    field("ip", Field::DeviceExternalIp),
    made("ip", made::addresses).when(&[Field::InterfaceAddresses]),
    field("mac", Field::DeviceMac),
    field("os", Field::DeviceOs),
    field("version", Field::DeviceOsVersion),
    field("interface", Field::InterfaceName),
    field("status", Field::InterfaceStatus),
    field("dns", Field::InterfaceDns),
];
