//! Groups of columns that many device tables share.

use super::catalogue::Program;
use super::json::Row;
use super::world::{Device, Image, Process, World};

/// The columns of the account a row is about.
pub const OWN_ACCOUNT: [&str; 5] = ["AccountDomain", "AccountName", "AccountSid", "AccountUpn", "AccountObjectId"];
const INITIATING_ACCOUNT: [&str; 5] = [
    "InitiatingProcessAccountDomain",
    "InitiatingProcessAccountName",
    "InitiatingProcessAccountSid",
    "InitiatingProcessAccountUpn",
    "InitiatingProcessAccountObjectId",
];

/// The columns of what a program's file says of itself.
pub const OWN_VERSION: [&str; 6] = [
    "ProcessVersionInfoCompanyName",
    "ProcessVersionInfoProductName",
    "ProcessVersionInfoProductVersion",
    "ProcessVersionInfoInternalFileName",
    "ProcessVersionInfoOriginalFileName",
    "ProcessVersionInfoFileDescription",
];
const INITIATING_VERSION: [&str; 6] = [
    "InitiatingProcessVersionInfoCompanyName",
    "InitiatingProcessVersionInfoProductName",
    "InitiatingProcessVersionInfoProductVersion",
    "InitiatingProcessVersionInfoInternalFileName",
    "InitiatingProcessVersionInfoOriginalFileName",
    "InitiatingProcessVersionInfoFileDescription",
];

pub fn device(row: &mut Row<'_>, device: &Device, report: u64) {
    row.text("DeviceId", &device.id);
    row.text("DeviceName", &device.dns);
    row.maybe("MachineGroup", device.group);
    row.number("ReportId", report);
    // The same column is empty in one row and null in the next.
    row.maybe("AppGuardContainerId", report.is_multiple_of(2).then_some(""));
}

pub fn image(row: &mut Row<'_>, image: &Image) {
    row.text("SHA1", &image.sha1);
    row.text("SHA256", &image.sha256);
    row.text("MD5", &image.md5);
    row.number("FileSize", image.bytes);
}

pub fn version(row: &mut Row<'_>, program: &Program, keys: &[&str; 6]) {
    let file = program.vendor.map(|_| program.file);
    let stem = file.map(|file| file.rsplit_once('.').map_or(file, |(stem, _)| stem));
    let values = [program.vendor, program.product, program.version, stem, file, program.about];
    for (key, value) in keys.iter().zip(values) {
        row.maybe(key, value);
    }
}

pub fn account(row: &mut Row<'_>, world: &World, user: Option<usize>, keys: &[&str; 5]) {
    let values = match user.map(|user| &world.users[user]) {
        Some(user) => [
            Some(world.netbios.as_str()),
            Some(user.name.as_str()),
            Some(user.sid.as_str()),
            Some(user.principal.as_str()),
            Some(user.object.as_str()),
        ],
        None => [Some("nt authority"), Some("system"), Some("S-1-5-18"), None, None],
    };
    for (key, value) in keys.iter().zip(values) {
        row.maybe(key, value);
    }
}

/// Everything a row says of the process that did what the row tells.
pub fn initiating(row: &mut Row<'_>, world: &World, device: &Device, process: &Process) {
    let program = process.program();
    let image = &world.images[process.program];
    account(row, world, process.user, &INITIATING_ACCOUNT);
    row.text("InitiatingProcessIntegrityLevel", integrity(process));
    row.text("InitiatingProcessTokenElevation", elevation(process));
    row.text("InitiatingProcessSHA1", &image.sha1);
    row.text("InitiatingProcessSHA256", &image.sha256);
    row.text("InitiatingProcessMD5", &image.md5);
    row.text("InitiatingProcessFileName", program.file);
    row.number("InitiatingProcessFileSize", image.bytes);
    row.number("InitiatingProcessId", process.pid);
    row.text("InitiatingProcessCommandLine", &process.command);
    row.time("InitiatingProcessCreationTime", process.created);
    row.text("InitiatingProcessFolderPath", &path(program, &world.owner(device).name).to_lowercase());
    row.number("InitiatingProcessParentId", process.parent_pid);
    row.text("InitiatingProcessParentFileName", process.parent_file);
    row.time("InitiatingProcessParentCreationTime", process.parent_created);
    version(row, program, &INITIATING_VERSION);
    row.number("InitiatingProcessSessionId", process.session);
    row.flag("IsInitiatingProcessRemoteSession", false);
    row.nulls(&["InitiatingProcessRemoteSessionDeviceName", "InitiatingProcessRemoteSessionIP"]);
    row.text("InitiatingProcessUniqueId", "");
}

/// The same columns of a row whose process is not known.
pub fn no_initiating(row: &mut Row<'_>) {
    row.nulls(&INITIATING_ACCOUNT);
    row.null("InitiatingProcessIntegrityLevel");
    row.text("InitiatingProcessTokenElevation", "None");
    row.nulls(&["InitiatingProcessSHA1", "InitiatingProcessSHA256", "InitiatingProcessMD5"]);
    row.nulls(&["InitiatingProcessFileName", "InitiatingProcessFileSize"]);
    row.number("InitiatingProcessId", 0);
    row.nulls(&["InitiatingProcessCommandLine", "InitiatingProcessCreationTime", "InitiatingProcessFolderPath"]);
    row.number("InitiatingProcessParentId", 0);
    row.nulls(&["InitiatingProcessParentFileName", "InitiatingProcessParentCreationTime"]);
    row.nulls(&INITIATING_VERSION);
    row.null("InitiatingProcessSessionId");
    row.flag("IsInitiatingProcessRemoteSession", false);
    row.nulls(&["InitiatingProcessRemoteSessionDeviceName", "InitiatingProcessRemoteSessionIP"]);
    row.text("InitiatingProcessUniqueId", "");
}

/// The whole path, which is what the stream puts into a column named after the folder.
pub fn path(program: &Program, user: &str) -> String {
    let folder = program.folder.replace("{u}", user);
    let separator = if folder.starts_with('/') { '/' } else { '\\' };
    format!("{folder}{separator}{}", program.file)
}

pub fn integrity(process: &Process) -> &'static str {
    if process.user.is_none() { "System" } else { "Medium" }
}

pub fn elevation(process: &Process) -> &'static str {
    if process.user.is_none() { "TokenElevationTypeDefault" } else { "TokenElevationTypeLimited" }
}

/// The logon session a process belongs to: 999 is the system's own.
pub fn logon_id(process: &Process) -> u64 {
    process.user.map_or(999, |user| 100_000 + user as u64)
}
