//! The stock the tenant is furnished with: programs, systems, names, hosts, keys, subjects and kinds of alerts.

use super::world::System;

/// A program as its file describes itself. `{n}` in the arguments becomes a number and `{u}` the user's name.
pub struct Program {
    pub file: &'static str,
    pub folder: &'static str,
    pub vendor: Option<&'static str>,
    pub product: Option<&'static str>,
    pub version: Option<&'static str>,
    pub about: Option<&'static str>,
    pub arguments: &'static str,
    pub runs_as: RunsAs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RunsAs {
    System,
    Person,
}

/// Index of the parent of every service.
pub const SERVICES: usize = 0;
/// Index of the parent of everything a person starts.
pub const EXPLORER: usize = 1;
/// Index of what runs before the sensor does: the only process that is a parent without an event of its own.
pub const BOOT: usize = PROGRAMS.len() - 1;

const MICROSOFT: Option<&str> = Some("Microsoft Corporation");
const WINDOWS: Option<&str> = Some("Microsoft® Windows® Operating System");

pub const PROGRAMS: &[Program] = &[
    Program {
        file: "services.exe",
        folder: r"C:\Windows\System32",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.1"),
        about: Some("Services and Controller app"),
        arguments: "",
        runs_as: RunsAs::System,
    },
    Program {
        file: "explorer.exe",
        folder: r"C:\Windows",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.3624"),
        about: Some("Windows Explorer"),
        arguments: " /factory,{n} -Embedding",
        runs_as: RunsAs::Person,
    },
    Program {
        file: "svchost.exe",
        folder: r"C:\Windows\System32",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.3624"),
        about: Some("Host Process for Windows Services"),
        arguments: " -k LocalServiceNetworkRestricted -p -s EventLog{n}",
        runs_as: RunsAs::System,
    },
    Program {
        file: "chrome.exe",
        folder: r"C:\Program Files\Google\Chrome\Application",
        vendor: Some("Google LLC"),
        product: Some("Google Chrome"),
        version: Some("141.0.7390.55"),
        about: Some("Google Chrome"),
        arguments: " --type=renderer --lang=de --device-scale-factor=1.5 --num-raster-threads=4 --renderer-client-id={n} --time-ticks-at-unix-epoch=-1782801 --launch-time-ticks=8211 /prefetch:1",
        runs_as: RunsAs::Person,
    },
    Program {
        file: "msedge.exe",
        folder: r"C:\Program Files (x86)\Microsoft\Edge\Application",
        vendor: MICROSOFT,
        product: Some("Microsoft Edge"),
        version: Some("141.0.3537.57"),
        about: Some("Microsoft Edge"),
        arguments: r#" --profile-directory="Profile {n}" --single-argument https://portal.example/home?tab=1&view=all|compact"#,
        runs_as: RunsAs::Person,
    },
    Program {
        file: "powershell.exe",
        folder: r"C:\Windows\System32\WindowsPowerShell\v1.0",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.1"),
        about: Some("Windows PowerShell"),
        arguments: r#" -NoLogo -NonInteractive -ExecutionPolicy AllSigned -Command "& {Get-Service | Where-Object {$_.Status -eq 'Stopped'} | Select-Object Name,StartType; $env:TMP='C:\work\'; exit {n}}""#,
        runs_as: RunsAs::Person,
    },
    Program {
        file: "cmd.exe",
        folder: r"C:\Windows\System32",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.3323"),
        about: Some("Windows Command Processor"),
        arguments: r#" /d /c "dir /b \\files\share$\{u} | findstr /i "report=" > %TEMP%\list_{n}.txt 2>&1""#,
        runs_as: RunsAs::Person,
    },
    Program {
        file: "OUTLOOK.EXE",
        folder: r"C:\Program Files\Microsoft Office\root\Office16",
        vendor: MICROSOFT,
        product: Some("Microsoft Outlook"),
        version: Some("16.0.19231.20156"),
        about: Some("Microsoft Outlook"),
        arguments: " /recycle /sid={n}",
        runs_as: RunsAs::Person,
    },
    Program {
        file: "MsMpEng.exe",
        folder: r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.25090.3009-0",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("4.18.25090.3009"),
        about: Some("Antimalware Service Executable"),
        arguments: "",
        runs_as: RunsAs::System,
    },
    Program {
        file: "Code.exe",
        folder: r"C:\Users\{u}\AppData\Local\Programs\Microsoft VS Code",
        vendor: MICROSOFT,
        product: Some("Visual Studio Code"),
        version: Some("1.105.1"),
        about: Some("Visual Studio Code"),
        arguments: r#" --type=utility --utility-sub-type=node.mojom.NodeService --user-data-dir="C:\Users\{u}\AppData\Roaming\Code" --standard-schemes=vscode-webview,vscode-file --secure-schemes=vscode-webview --cors-schemes=vscode-webview --service-sandbox-type=none --inspect-port={n}"#,
        runs_as: RunsAs::Person,
    },
    Program {
        file: "python3.13",
        folder: "/usr/bin",
        vendor: None,
        product: None,
        version: None,
        about: None,
        arguments: " /srv/jobs/rotate.py --shard={n} --since=yesterday",
        runs_as: RunsAs::System,
    },
    Program {
        file: "rundll32.exe",
        folder: r"C:\Windows\System32",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.1"),
        about: Some("Windows host process (Rundll32)"),
        arguments: r" C:\Windows\System32\davclnt.dll,DavSetCookie files.example http://files.example/{n}",
        runs_as: RunsAs::Person,
    },
    Program {
        file: "wininit.exe",
        folder: r"C:\Windows\System32",
        vendor: MICROSOFT,
        product: WINDOWS,
        version: Some("10.0.26100.1"),
        about: Some("Windows Start-Up Application"),
        arguments: "",
        runs_as: RunsAs::System,
    },
];

pub const SYSTEMS: &[System] = &[
    System { platform: "Windows11", version: "24H2", build: 26_100, prefix: "lap" },
    System { platform: "Windows11", version: "23H2", build: 22_631, prefix: "wks" },
    System { platform: "Windows10", version: "22H2", build: 19_045, prefix: "vdi" },
    System { platform: "WindowsServer2022", version: "21H2", build: 20_348, prefix: "srv" },
];

pub const GROUPS: &[Option<&str>] = &[Some("Workstations-EMEA"), Some("Servers-Prod"), Some("UnassignedGroup"), None];

pub const FIRST_NAMES: &[&str] =
    &["Anna", "Beat", "Chloé", "Dimitri", "Elif", "Fatou", "Giulia", "Haruto", "Ines", "Jürg", "Kwame", "Łucja"];
pub const LAST_NAMES: &[&str] = &[
    "Ammann",
    "Brønsted",
    "Costa",
    "Dubois",
    "Eriksen",
    "Favre",
    "Götz",
    "Huang",
    "Ivanova",
    "Jansen",
    "Kaya",
    "O'Neil",
];

pub const HOSTS: &[&str] = &[
    "outlook.office365.example",
    "login.microsoftonline.example",
    "settings.data.microsoft.example",
    "api.github.example",
    "updates.vendor.example",
    "cdn.assets.example",
    "teams.microsoft.example",
    "intranet.sharepoint.example",
];

pub const FOLDERS: &[&str] = &[
    r"C:\Users\{u}\Downloads",
    r"C:\Users\{u}\AppData\Local\Temp",
    r"C:\Users\{u}\OneDrive - Company\Documents\Projects\2030 Q1",
    r"C:\Windows\Temp",
    r"D:\shares\finance\reports",
];
pub const FILE_STEMS: &[&str] = &["report", "Offerte für März", "~wrd", "setup", "data export", "invoice", "cache"];
pub const FILE_ENDINGS: &[&str] = &["docx", "xlsx", "pdf", "dll", "log", "json", "ps1", "zip", "tmp"];

pub const KEYS: &[&str] = &[
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run",
    r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\bam\State\UserSettings\{sid}",
    r"HKEY_CURRENT_USER\{sid}\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\ZoneMap",
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows Defender\Exclusions\Paths",
];
pub const VALUES: &[&str] = &["ImagePath", "SequenceNumber", "Version", "DisableAntiSpyware", "Shell"];

pub const SUBJECTS: &[&str] = &[
    "Invoice {n} is overdue",
    "RE: budget = final? | please review",
    "Parcel {n} could not be delivered",
    "Sitzungsnotizen Zürich {n}",
    "Action required: your password expires in {n} days",
    "Fwd: order {n}",
];
pub const SENDER_DOMAINS: &[&str] =
    &["fabrikam.example", "mailer.example.net", "adventure-works.example", "news.example.org"];

/// A kind of alert, in the words of the stream and of the REST interface.
pub struct AlertKind {
    pub title: &'static str,
    pub category: &'static str,
    /// As the stream spells it; the REST interface has it in lower case.
    pub severity: &'static str,
    /// Name and number of each technique.
    pub techniques: &'static [(&'static str, &'static str)],
    pub product: Product,
}

/// Who raised an alert.
pub struct Product {
    /// The two letters before the provider's own id.
    pub prefix: &'static str,
    pub name: &'static str,
    pub service: &'static str,
    pub detection: &'static str,
    pub stream_detection: &'static str,
}

const ENDPOINT: Product = Product {
    prefix: "da",
    name: "Microsoft Defender for Endpoint",
    service: "microsoftDefenderForEndpoint",
    detection: "microsoftDefenderForEndpoint",
    stream_detection: "EDR",
};
const OFFICE: Product = Product {
    prefix: "fa",
    name: "Microsoft Defender for Office 365",
    service: "microsoftDefenderForOffice365",
    detection: "microsoftDefenderForOffice365",
    stream_detection: "Microsoft Defender for Office 365",
};
const ENTRA: Product = Product {
    prefix: "ad",
    name: "AAD Identity Protection",
    service: "azureAdIdentityProtection",
    detection: "azureAdIdentityProtection",
    stream_detection: "AAD Identity Protection",
};
const IDENTITY: Product = Product {
    prefix: "aa",
    name: "Microsoft Defender for Identity",
    service: "microsoftDefenderForIdentity",
    detection: "microsoftDefenderForIdentity",
    stream_detection: "Microsoft Defender for Identity",
};
const APPS: Product = Product {
    prefix: "ca",
    name: "Microsoft Defender for Cloud Apps",
    service: "microsoftDefenderForCloudApps",
    detection: "cloudAppSecurity",
    stream_detection: "Cloud App Security",
};
const CLOUD: Product = Product {
    prefix: "dc",
    name: "Microsoft Defender for Cloud",
    service: "microsoftDefenderForCloud",
    detection: "microsoftDefenderForContainers",
    stream_detection: "Microsoft Defender for Containers",
};

pub const ALERT_KINDS: &[AlertKind] = &[
    AlertKind {
        title: "Suspicious PowerShell download",
        category: "Execution",
        severity: "Medium",
        techniques: &[("PowerShell", "T1059.001"), ("Ingress Tool Transfer", "T1105")],
        product: ENDPOINT,
    },
    AlertKind {
        title: "Credential dumping tool was prevented",
        category: "CredentialAccess",
        severity: "High",
        techniques: &[("OS Credential Dumping", "T1003")],
        product: ENDPOINT,
    },
    AlertKind {
        title: "Persistence through a service was set up",
        category: "Persistence",
        severity: "Low",
        techniques: &[("Windows Service", "T1543.003")],
        product: ENDPOINT,
    },
    AlertKind {
        title: "Messages with a malicious link removed after delivery",
        category: "InitialAccess",
        severity: "Informational",
        techniques: &[("Spearphishing Link", "T1566.002")],
        product: OFFICE,
    },
    AlertKind {
        title: "Anonymous IP address",
        category: "InitialAccess",
        severity: "Medium",
        techniques: &[("Valid Accounts", "T1078")],
        product: ENTRA,
    },
    AlertKind {
        title: "Suspected directory replication attack",
        category: "CredentialAccess",
        severity: "High",
        techniques: &[("DCSync", "T1003.006")],
        product: IDENTITY,
    },
    AlertKind {
        title: "Mass download by a single user",
        category: "Exfiltration",
        severity: "Medium",
        techniques: &[],
        product: APPS,
    },
    AlertKind {
        title: "Shell opened inside a container",
        category: "Execution",
        severity: "High",
        techniques: &[("Container Administration Command", "T1609")],
        product: CLOUD,
    },
];
