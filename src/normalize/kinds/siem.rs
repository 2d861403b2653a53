//! The retired interface for SIEMs: detections of Defender for Endpoint in flat columns, several for one alert.

use super::Kind;
use crate::event::Field;
use crate::normalize::object::Special;

pub(super) const DETECTION: Kind = Kind {
    paths: &[
        ("AlertId", Field::AlertId),
        ("AlertTitle", Field::AlertTitle),
        ("Description", Field::AlertDescription),
        ("Category", Field::AlertCategory),
        ("Actor", Field::AlertActor),
        ("ThreatName", Field::AlertThreatName),
        ("ThreatFamily", Field::AlertThreatFamily),
        ("ThreatFamilyName", Field::AlertThreatFamily),
        // Connectors of old put it where the service is. But all of these are Defender for Endpoint's, and what it says
        // is which of its sensors saw something (`EDR`, `Antivirus`, `CustomerTI`): what Microsoft's later interfaces,
        // and its own table for moving to them, call the detection source. So the product is told, and an alert says
        // the same of itself by whichever interface it came. One that does name a product is the service after all.
        ("Source", Field::AlertDetectionSource),
        ("IoaDefinitionId", Field::AlertDetectorId),
        // As the oldest records spell it.
        ("IoaDefinitiondId", Field::AlertDetectorId),
        ("AlertTime", Field::AlertCreated),
        ("LastProcessedTimeUtc", Field::AlertUpdated),
        ("LinkToMTP", Field::AlertUrl),
        ("IncidentLinkToMTP", Field::IncidentUrl),
        ("WasExecutingWhileDetected", Field::AlertWasExecuting),
        ("RemediationIsSuccess", Field::AlertIsRemediated),
        ("RemediationAction", Field::EvidenceRemediationDetails),
        ("DeviceID", Field::DeviceId),
        ("ComputerDnsName", Field::DeviceName),
        ("MachineName", Field::DeviceHost),
        ("MachineDomain", Field::DeviceDomain),
        ("MachineGroup", Field::DeviceGroup),
        ("LogOnUsers", Field::DeviceUsers),
        ("UserName", Field::UserName),
        ("UserDomain", Field::UserDomain),
        ("FileName", Field::FileName),
        ("FilePath", Field::FileFolder),
        ("Md5", Field::FileMd5),
        ("Sha1", Field::FileSha1),
        ("Sha256", Field::FileSha256),
        ("CommandLine", Field::ProcessCommand),
        ("IpAddress", Field::IpAddress),
        ("Url", Field::Url),
    ],
    specials: &[("Severity", Special::Severity)],
    means: &[
        (Field::RecordInterface, "alertexporter/api/alerts"),
        (Field::AlertServiceSource, "microsoftDefenderForEndpoint"),
    ],
    // The links of the retired portal, a hash that is one of the others, and columns that are lists in a text.
    second_best: &[
        ("LinkToWDATP", Field::AlertUrl),
        ("IncidentLinkToWDATP", Field::IncidentUrl),
        ("FileHash", Field::FileSha1),
        ("ThreatCategory", Field::Techniques),
        ("InternalIPv4List", Field::DeviceInterfaces),
        ("InternalIPv6List", Field::DeviceInterfaces),
        ("DeviceCreatedMachineTags", Field::EvidenceTags),
        ("CloudCreatedMachineTags", Field::EvidenceTags),
    ],
    unmapped: &[(
        "says which part of an alert this is, or names an indicator; no later interface of Microsoft's has it",
        &[
            "AlertPart",
            "CreatorIocName",
            "CreatorIocValue",
            "ExternalId",
            "FullId",
            "IocName",
            "IocUniqueId",
            "IocValue",
            "ReportID",
        ],
    )],
};
