//! Rows of the device tables. What a row says of processes was said before by a row about each of them.

use std::sync::Arc;

use super::catalogue::{FILE_ENDINGS, FILE_STEMS, FOLDERS, HOSTS, KEYS, VALUES};
use super::columns::{self, OWN_ACCOUNT, OWN_VERSION};
use super::json::Row;
use super::stream::Stream;
use super::world::{private_address, public_address};
use crate::clock::Timestamp;

/// What the sensor saw in a connection it looked into.
const INSPECTED: &str = r#"{"SignatureName":"HTTP_Server","SignatureMatchedContent":"HTTP/1.1 200 OK","SamplePacketContent":"[\"HTTP/1.1 200 OK\\r\\nServer: edge|7\"]"}"#;

impl Stream {
    pub(super) fn process_event(&mut self, mut row: Row<'_>, now: Timestamp) {
        let index = self.device_for_process();
        let when = self.when(index, now);
        let (process, parent) = self.start_process(index, when);
        let world = Arc::clone(&self.world);
        let device = &world.devices[index];
        let program = process.program();
        row.time("Timestamp", when);
        columns::device(&mut row, device, self.report(index));
        row.text("ActionType", "ProcessCreated");
        row.text("FileName", program.file);
        row.text("FolderPath", &columns::path(program, &world.owner(device).name));
        columns::image(&mut row, &world.images[process.program]);
        columns::version(&mut row, program, &OWN_VERSION);
        row.number("ProcessId", process.pid);
        row.free("ProcessCommandLine", &process.command);
        row.text("ProcessIntegrityLevel", columns::integrity(&process));
        row.text("ProcessTokenElevation", columns::elevation(&process));
        row.time("ProcessCreationTime", process.created);
        columns::account(&mut row, &world, process.user, &OWN_ACCOUNT);
        row.number("LogonId", columns::logon_id(&process));
        row.number("InitiatingProcessLogonId", columns::logon_id(&parent));
        columns::initiating(&mut row, &world, device, &parent);
        row.maybe("InitiatingProcessSignerType", parent.program().vendor.map(|_| "OsVendor"));
        row.text(
            "InitiatingProcessSignatureStatus",
            if parent.program().vendor.is_some() { "Valid" } else { "Unknown" },
        );
        row.number("CreatedProcessSessionId", process.session);
        row.flag("IsProcessRemoteSession", false);
        row.nulls(&["ProcessRemoteSessionDeviceName", "ProcessRemoteSessionIP"]);
        row.text("ProcessUniqueId", "");
        row.null("AdditionalFields");
        row.close();
        self.alive[index].add(process, &mut self.random);
    }

    pub(super) fn network_event(&mut self, mut row: Row<'_>, now: Timestamp) {
        let (index, when, process) = self.actor(now);
        let world = Arc::clone(&self.world);
        let device = &world.devices[index];
        let random = &mut self.random;
        let action =
            random.one_of(&["ConnectionSuccess", "ConnectionSuccess", "ConnectionFailed", "HttpConnectionInspected"]);
        let inspected = action == "HttpConnectionInspected";
        let host = random.one_of(HOSTS);
        row.time("Timestamp", when);
        row.text("ActionType", action);
        row.address("RemoteIP", public_address(random));
        row.number("RemotePort", *random.pick(&[443, 443, 443, 80, 53, 8443]));
        match random.below(3) {
            0 => row.null("RemoteUrl"),
            1 => row.free("RemoteUrl", host),
            _ => row.free("RemoteUrl", &format!("https://{host}/v2/sync?client={}&x=1|2", random.hex(8))),
        }
        row.address("LocalIP", device.address);
        row.number("LocalPort", random.between(49_152, 65_535));
        row.text("Protocol", random.one_of(&["Tcp", "Tcp", "TcpV4", "Udp"]));
        row.text("LocalIPType", "Private");
        row.text("RemoteIPType", "Public");
        if inspected {
            row.text("AdditionalFields", INSPECTED);
        } else {
            row.null("AdditionalFields");
        }
        columns::device(&mut row, device, self.report(index));
        columns::initiating(&mut row, &world, device, &process);
        row.close();
    }

    pub(super) fn file_event(&mut self, mut row: Row<'_>, now: Timestamp) {
        let (index, when, process) = self.actor(now);
        let world = Arc::clone(&self.world);
        let device = &world.devices[index];
        let owner = world.owner(device);
        let random = &mut self.random;
        let action = random.one_of(&["FileCreated", "FileCreated", "FileModified", "FileDeleted", "FileRenamed"]);
        let (renamed, fetched) = (action == "FileRenamed", action == "FileCreated" && random.chance(0.3));
        let folder = random.one_of(FOLDERS).replace("{u}", &owner.name);
        let file = format!("{}_{}.{}", random.one_of(FILE_STEMS), random.below(100_000), random.one_of(FILE_ENDINGS));
        row.time("Timestamp", when);
        row.text("ActionType", action);
        row.free("FileName", &file);
        row.text("FolderPath", &format!("{folder}\\{file}"));
        columns::image(&mut row, random.pick(&world.files));
        if fetched {
            let host = random.one_of(HOSTS);
            row.free("FileOriginUrl", &format!("https://{host}/get/{}", random.hex(16)));
            row.text("FileOriginReferrerUrl", &format!("https://{host}/"));
            row.address("FileOriginIP", public_address(random));
        } else {
            row.nulls(&["FileOriginUrl", "FileOriginReferrerUrl", "FileOriginIP"]);
        }
        row.maybe("PreviousFolderPath", renamed.then_some(folder.as_str()));
        row.maybe("PreviousFileName", renamed.then_some("~rename.tmp"));
        row.text("RequestProtocol", "Local");
        row.nulls(&["RequestSourceIP", "RequestSourcePort"]);
        row.text("RequestAccountName", &owner.name);
        row.text("RequestAccountDomain", &world.netbios);
        row.text("RequestAccountSid", &owner.sid);
        row.nulls(&["ShareName", "SensitivityLabel", "SensitivitySubLabel", "IsAzureInfoProtectionApplied"]);
        row.maybe("AdditionalFields", random.chance(0.2).then_some(r#"{"FileType":"PortableExecutable"}"#));
        columns::device(&mut row, device, self.report(index));
        columns::initiating(&mut row, &world, device, &process);
        row.close();
    }

    pub(super) fn logon_event(&mut self, mut row: Row<'_>, now: Timestamp) {
        let world = Arc::clone(&self.world);
        let index = self.random.index(world.devices.len());
        let device = &world.devices[index];
        let when = self.when(index, now);
        let random = &mut self.random;
        let kind = random.one_of(&["Interactive", "RemoteInteractive", "Unlock", "Network", "Network", "Batch"]);
        // Whoever sits before a device owns it; over the network anybody may come.
        let user = if matches!(kind, "Network" | "Batch") { random.index(world.users.len()) } else { device.owner };
        let user = &world.users[user];
        let succeeds = random.chance(0.85);
        let from = random.chance(0.5).then(|| &world.devices[random.index(world.devices.len())]);
        let admin = random.chance(0.1);
        row.time("Timestamp", when);
        row.text("ActionType", if succeeds { "LogonSuccess" } else { "LogonFailed" });
        row.text("LogonType", kind);
        row.text("AccountDomain", &world.netbios);
        row.free("AccountName", &user.name);
        row.maybe("AccountSid", succeeds.then_some(user.sid.as_str()));
        row.text("Protocol", random.one_of(&["NTLM", "Kerberos", "Negotiate"]));
        row.maybe("FailureReason", (!succeeds).then_some("InvalidUserNameOrPassword"));
        if succeeds {
            row.flag("IsLocalAdmin", admin);
            row.number("LogonId", random.below(1 << 30));
        } else {
            row.nulls(&["IsLocalAdmin", "LogonId"]);
        }
        row.maybe("RemoteDeviceName", from.map(|device| device.host.as_str()));
        match from {
            Some(device) => row.address("RemoteIP", device.address),
            None if random.chance(0.5) => row.text("RemoteIP", ""),
            None => row.address("RemoteIP", private_address(random)),
        }
        row.text("RemoteIPType", "Private");
        row.number("RemotePort", random.between(49_152, 65_535));
        row.text("AdditionalFields", r#"{"IsLocalLogon":false}"#);
        columns::device(&mut row, device, self.report(index));
        let process = self.running_on(index);
        match process {
            Some(process) => columns::initiating(&mut row, &world, device, &process),
            None => columns::no_initiating(&mut row),
        }
        row.close();
    }

    pub(super) fn registry_event(&mut self, mut row: Row<'_>, now: Timestamp) {
        let (index, when, process) = self.actor(now);
        let world = Arc::clone(&self.world);
        let device = &world.devices[index];
        let random = &mut self.random;
        let before = random.chance(0.4);
        row.time("Timestamp", when);
        row.text("ActionType", random.one_of(&["RegistryValueSet", "RegistryKeyCreated", "RegistryValueDeleted"]));
        row.text("RegistryKey", &random.one_of(KEYS).replace("{sid}", &world.owner(device).sid));
        row.text("RegistryValueType", random.one_of(&["String", "Dword", "Binary", "ExpandString"]));
        row.text("RegistryValueName", random.one_of(VALUES));
        row.free("RegistryValueData", &format!(r"%SystemRoot%\System32\drv{}.exe -k=1 | more", random.below(99_999)));
        row.null("PreviousRegistryKey");
        row.maybe("PreviousRegistryValueName", before.then_some("ImagePath"));
        row.maybe("PreviousRegistryValueData", before.then_some(""));
        columns::device(&mut row, device, self.report(index));
        columns::initiating(&mut row, &world, device, &process);
        row.close();
    }
}
