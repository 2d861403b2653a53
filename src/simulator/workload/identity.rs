//! Rows of the tables that aren't about devices: sign-ins, mail, and the two that surprise readers by their types.

use std::sync::Arc;

use super::catalogue::{SENDER_DOMAINS, SUBJECTS};
use super::json::Row;
use super::stream::Stream;
use super::world::public_address;
use crate::clock::Timestamp;

impl Stream {
    pub(super) fn identity_logon(&mut self, mut row: Row<'_>, now: Timestamp) {
        let world = Arc::clone(&self.world);
        let index = self.random.index(world.devices.len());
        let device = &world.devices[index];
        let user = world.owner(device);
        let when = self.when(index, now);
        let random = &mut self.random;
        let (cloud, succeeds) = (random.chance(0.5), random.chance(0.85));
        row.time("Timestamp", when);
        row.text("ActionType", if succeeds { "LogonSuccess" } else { "LogonFailed" });
        row.text("Application", if cloud { "Microsoft 365" } else { "Active Directory" });
        row.text("LogonType", if cloud { "OAuth2:Token" } else { "Credentials validation" });
        row.maybe("Protocol", (!cloud).then_some("Kerberos"));
        row.maybe("FailureReason", (!succeeds).then_some("WrongPassword"));
        row.text("AccountName", &user.name);
        row.text("AccountDomain", &world.tenant.domain);
        row.text("AccountUpn", &user.principal);
        row.text("AccountSid", &user.sid);
        row.text("AccountObjectId", &user.object);
        row.free("AccountDisplayName", &user.display);
        row.maybe("DeviceName", (!cloud).then_some(device.dns.as_str()));
        row.text("DeviceType", "Workstation");
        row.text("OSPlatform", device.system.platform);
        row.address("IPAddress", if cloud { device.external } else { device.address });
        if cloud {
            row.nulls(&[
                "Port",
                "DestinationDeviceName",
                "DestinationIPAddress",
                "DestinationPort",
                "TargetDeviceName",
            ]);
        } else {
            row.number("Port", random.between(49_152, 65_535));
            row.text("DestinationDeviceName", &format!("dc-{:02}.{}", random.below(4), world.tenant.domain));
            row.address("DestinationIPAddress", [10, 1, 0, 10]);
            row.number("DestinationPort", 88);
            row.text("TargetDeviceName", &device.dns);
        }
        row.null("TargetAccountDisplayName");
        row.maybe("Location", cloud.then_some("CH"));
        // The documentation says `Isp`, the wire most often says otherwise.
        row.maybe(if random.chance(0.8) { "ISP" } else { "Isp" }, cloud.then_some("Example Telecom AG"));
        row.text("ReportId", &format!("{}_{}_{}", random.guid(), random.below(1 << 27), random.below(1 << 40)));
        row.raw("UncommonForUser", if cloud { r#"["ISP","CountryCode"]"# } else { "[]" });
        row.raw("LastSeenForUser", if cloud { r#"{"ISP":-1,"CountryCode":12}"# } else { "{}" });
        row.raw("AdditionalFields", if cloud { CLOUD_FIELDS } else { DIRECTORY_FIELDS });
        row.close();
    }

    pub(super) fn email(&mut self, mut row: Row<'_>, now: Timestamp) {
        let world = Arc::clone(&self.world);
        let random = &mut self.random;
        let (recipient, colleague) = (random.pick(&world.users), random.pick(&world.users));
        let (inbound, n) = (random.chance(0.7), random.below(100_000).to_string());
        let (bad, attachments) = (inbound && random.chance(0.08), random.below(4));
        let domain = if inbound { random.one_of(SENDER_DOMAINS) } else { world.tenant.domain.as_str() };
        let from = if inbound { format!("info{}@{domain}", random.below(999)) } else { colleague.principal.clone() };
        row.time("Timestamp", now);
        row.text("NetworkMessageId", &random.guid());
        row.text("InternetMessageId", &format!("<{}@{domain}>", random.guid()));
        row.text("SenderMailFromAddress", &from);
        row.text("SenderFromAddress", &from);
        row.free("SenderDisplayName", if inbound { "Info \"Desk\"" } else { &colleague.display });
        row.maybe("SenderObjectId", (!inbound).then_some(colleague.object.as_str()));
        row.text("SenderMailFromDomain", domain);
        row.text("SenderFromDomain", domain);
        row.address("SenderIPv4", public_address(random));
        match random.below(6) {
            0 => row.text("SenderIPv6", "2001:db8::25"),
            1 => row.text("SenderIPv6", "2001:db8:0:0:0:0:0:25"),
            _ => row.null("SenderIPv6"),
        }
        row.text("RecipientEmailAddress", &recipient.principal);
        row.text("RecipientObjectId", &recipient.object);
        row.free("Subject", &random.one_of(SUBJECTS).replace("{n}", &n));
        row.number("EmailClusterId", random.below(1 << 31));
        row.text("EmailDirection", if inbound { "Inbound" } else { "Intra-org" });
        row.text("DeliveryAction", if bad { "Blocked" } else { "Delivered" });
        row.text("DeliveryLocation", if bad { "Quarantine" } else { "Inbox/folder" });
        row.maybe("ThreatTypes", bad.then_some("Phish"));
        row.null("ThreatNames");
        row.maybe("DetectionMethods", bad.then_some(r#"{"Phish":["URL malicious reputation"]}"#));
        row.text("ConfidenceLevel", if bad { r#"{"Phish":"High"}"# } else { r#"{"Spam":"Skipped"}"# });
        row.number("BulkComplaintLevel", random.below(8));
        row.text("EmailAction", if bad { "Send to quarantine" } else { "No action taken" });
        row.maybe("EmailActionPolicy", bad.then_some("Antispam phishing"));
        row.maybe("EmailActionPolicyGuid", bad.then(|| random.guid()).as_deref());
        row.text("AuthenticationDetails", r#"{"SPF":"pass","DKIM":"pass","DMARC":"pass","CompAuth":"pass"}"#);
        row.number("AttachmentCount", attachments);
        row.number("UrlCount", random.below(20));
        row.text("EmailLanguage", random.one_of(&["de", "en", "fr", "it"]));
        row.nulls(&["Connectors", "OrgLevelAction", "OrgLevelPolicy", "UserLevelAction", "UserLevelPolicy"]);
        row.text("ReportId", &format!("{}-{}", random.guid(), random.below(1 << 62)));
        row.raw("To", &format!("[\"{}\"]", recipient.principal));
        row.raw("Cc", "[]");
        row.number("EmailSize", random.between(4_000, 9_000_000));
        row.null("AdditionalFields");
        row.close();
    }

    /// The heartbeat of a device. Its `ReportId` exceeds what a double holds exactly.
    pub(super) fn device_info(&mut self, mut row: Row<'_>, now: Timestamp) {
        let world = Arc::clone(&self.world);
        let index = self.random.index(world.devices.len());
        let (device, when) = (&world.devices[index], self.when(index, now));
        let user = world.owner(device);
        row.time("Timestamp", when);
        row.text("DeviceId", &device.id);
        row.text("DeviceName", &device.dns);
        row.text("ClientVersion", "10.8797.26100.1");
        row.address("PublicIP", device.external);
        row.text("OSArchitecture", "64-bit");
        row.text("OSPlatform", device.system.platform);
        row.number("OSBuild", device.system.build);
        row.flag("IsAzureADJoined", true);
        row.text("JoinType", "Hybrid Azure AD Join");
        row.text("AadDeviceId", &self.random.guid());
        let logged_on =
            format!(r#"[{{"UserName":"{}","DomainName":"{}","Sid":"{}"}}]"#, user.name, world.netbios, user.sid);
        row.text("LoggedOnUsers", &logged_on);
        row.null("RegistryDeviceTag");
        row.text("OSVersion", "10.0");
        row.maybe("MachineGroup", device.group);
        row.number("ReportId", 639_000_000_000_000_001 + self.random.below(1 << 40));
        row.text("OnboardingStatus", "Onboarded");
        row.text("AdditionalFields", "");
        row.text("DeviceCategory", "Endpoint");
        row.text("DeviceType", if device.system.prefix == "srv" { "Server" } else { "Workstation" });
        row.nulls(&["DeviceSubtype", "Model", "Vendor"]);
        row.text("OSDistribution", device.system.platform);
        row.text("OSVersionInfo", device.system.version);
        row.text("MergedDeviceIds", "");
        row.text("MergedToDeviceId", "");
        row.flag("IsInternetFacing", false);
        row.text("SensorHealthState", "Active");
        row.flag("IsExcluded", false);
        row.text("ExclusionReason", "");
        row.text("ExposureLevel", self.random.one_of(&["Low", "Medium", "High"]));
        row.nulls(&["AssetValue", "DeviceManualTags", "DeviceDynamicTags", "ConnectivityType", "HostDeviceId"]);
        row.nulls(&["AzureResourceId", "AwsResourceName", "GcpFullResourceName"]);
        row.close();
    }

    pub(super) fn unannounced(&mut self, mut row: Row<'_>, now: Timestamp) {
        let random = &mut self.random;
        row.time("Timestamp", now);
        row.text("PreviewId", &random.guid());
        row.number("ReportId", 9_007_199_254_740_993 + random.below(1 << 20));
        row.raw("Score", "0.1250");
        row.raw("Parts", r#"[{"Name":"a","Values":[1,2,3]},{"Name":"b","Values":[]}]"#);
        row.free("Note", "a table that nobody announced");
        row.null("Reserved");
        row.close();
    }
}

const CLOUD_FIELDS: &str = r#"{"ARG.CLOUD_SERVICE":"Microsoft 365","IsSatelliteProvider":false,"UserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"}"#;
const DIRECTORY_FIELDS: &str = r#"{"Count":"1","Category":"Initial Access","AttackTechniques":"Valid Accounts (T1078), Domain Accounts (T1078.002)","SourceComputerOperatingSystemType":"windows","TO.DEVICE":"DC-01"}"#;
