//! Evidence that endpoints give: devices, processes, files, the registry, the network.

use serde_json::{Value, json};

use super::{Facts, Kind};

pub const KINDS: &[Kind] = &[
    DEVICE,
    ("processEvidence", process),
    FILE,
    USER,
    IP,
    URL,
    ("registryKeyEvidence", registry_key),
    ("registryValueEvidence", registry_value),
    ("fileHashEvidence", file_hash),
    ("malwareEvidence", malware),
    ("networkConnectionEvidence", connection),
    ("hostLogonSessionEvidence", session),
    ("dnsEvidence", dns),
    ("nicEvidence", nic),
    ("ioTDeviceEvidence", iot_device),
];

pub const DEVICE: Kind = ("deviceEvidence", device);
pub const FILE: Kind = ("fileEvidence", file);
pub const USER: Kind = ("userEvidence", user);
pub const IP: Kind = ("ipEvidence", ip);
pub const URL: Kind = ("urlEvidence", url);

fn device(facts: &mut Facts<'_>) -> Value {
    let device = facts.device();
    let dotted = |[a, b, c, d]: [u8; 4]| format!("{a}.{b}.{c}.{d}");
    json!({
        "azureAdDeviceId": facts.random.guid(),
        "defenderAvStatus": "updated",
        "deviceDnsName": device.dns,
        "dnsDomain": facts.world.tenant.domain,
        "firstSeenDateTime": "2029-06-01T08:00:00Z",
        "healthStatus": "active",
        "hostName": device.host,
        "ipInterfaces": [dotted(device.address), "fe80::1%4"],
        "lastExternalIpAddress": dotted(device.external),
        "lastIpAddress": dotted(device.address),
        "loggedOnUsers": [{ "accountName": facts.user().name, "domainName": facts.world.netbios }],
        "mdeDeviceId": device.id,
        "ntDomain": null,
        "onboardingStatus": "onboarded",
        "osBuild": device.system.build,
        "osPlatform": device.system.platform,
        "rbacGroupId": 7,
        "rbacGroupName": device.group,
        "resourceAccessEvents": [],
        "riskScore": "high",
        "version": device.system.version,
        "vmMetadata": null,
    })
}

fn process(facts: &mut Facts<'_>) -> Value {
    let details = facts.file_details();
    json!({
        "detectionStatus": "detected",
        "imageFile": details,
        "mdeDeviceId": facts.device().id,
        "parentProcessCreationDateTime": "2030-01-01T08:00:00.1234567Z",
        "parentProcessId": 4_196,
        "parentProcessImageFile": { "fileName": "explorer.exe", "filePath": r"C:\Windows" },
        "processCommandLine": facts.alert.command(facts.world),
        "processCreationDateTime": facts.created,
        "processId": facts.random.between(100, 16_000) * 4,
        "userAccount": facts.user_account(),
    })
}

fn file(facts: &mut Facts<'_>) -> Value {
    json!({
        "detectionStatus": facts.random.one_of(&["detected", "prevented", "blocked"]),
        "fileDetails": facts.file_details(),
        "mdeDeviceId": facts.device().id,
    })
}

fn user(facts: &mut Facts<'_>) -> Value {
    json!({ "stream": null, "userAccount": facts.user_account() })
}

fn ip(facts: &mut Facts<'_>) -> Value {
    json!({
        "countryLetterCode": "NL",
        "ipAddress": facts.ip(),
        "location": { "city": "Amsterdam", "countryName": "Netherlands", "latitude": 52.37, "longitude": 4.89, "state": null },
        "stream": null,
    })
}

fn url(facts: &mut Facts<'_>) -> Value {
    json!({ "url": format!("https://files.example/get?id={}&next=a|b", facts.random.hex(8)) })
}

fn registry_key(_: &mut Facts<'_>) -> Value {
    json!({ "registryHive": "HKEY_LOCAL_MACHINE", "registryKey": r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run" })
}

fn registry_value(facts: &mut Facts<'_>) -> Value {
    json!({
        "mdeDeviceId": facts.device().id,
        "registryHive": "HKEY_LOCAL_MACHINE",
        "registryKey": r"SYSTEM\CurrentControlSet\Services\upd",
        "registryValue": r"%SystemRoot%\upd.exe -k=1 | more",
        "registryValueName": "ImagePath",
        "registryValueType": "ExpandString",
    })
}

fn file_hash(facts: &mut Facts<'_>) -> Value {
    json!({ "algorithm": "sha256", "value": facts.random.hex(64) })
}

fn malware(facts: &mut Facts<'_>) -> Value {
    json!({
        "category": "Trojan",
        "files": [facts.nested(FILE)],
        "name": "Trojan:Win32/Example.A!ml",
        "processes": [facts.nested(("processEvidence", process))],
    })
}

fn connection(facts: &mut Facts<'_>) -> Value {
    json!({
        "destinationAddress": facts.nested(IP),
        "destinationPort": 443,
        "protocol": "tcp",
        "sourceAddress": null,
        "sourcePort": facts.random.between(49_152, 65_535),
    })
}

fn session(facts: &mut Facts<'_>) -> Value {
    json!({
        "account": facts.nested(USER),
        "endUtcDateTime": null,
        "host": facts.nested(DEVICE),
        "sessionId": "0x3e7",
        "startUtcDateTime": facts.created,
    })
}

fn dns(facts: &mut Facts<'_>) -> Value {
    json!({
        "dnsServerIp": null,
        "domainName": "c2.example.net",
        "hostIpAddress": null,
        "ipAddresses": [facts.nested(IP)],
    })
}

fn nic(facts: &mut Facts<'_>) -> Value {
    json!({ "ipAddress": facts.nested(IP), "macAddress": "00-15-5D-00-04-17", "vlans": ["12"] })
}

fn iot_device(facts: &mut Facts<'_>) -> Value {
    json!({
        "deviceId": facts.random.guid(),
        "deviceName": "hvac-3",
        "deviceType": "Building Automation",
        "importance": "normal",
        "ipAddress": facts.nested(IP),
        "isAuthorized": true,
        "isProgramming": false,
        "isScanner": false,
        "macAddress": "00:80:f4:00:00:01",
        "manufacturer": "Example Controls",
        "nics": [facts.nested(("nicEvidence", nic))],
        "owners": [],
        "protocols": ["BACnet"],
        "purdueLayer": "Level 2",
        "sensor": "sensor-1",
        "zone": "plant|east",
    })
}
