//! What is done on a device: processes, files, modules, the registry and the like.

use super::objects::{
    ACTOR, ACTOR_PROCESS, DEVICE, FILE, PREVIOUS_FILE, PROCESS, UNKNOWN_ACTOR, UNKNOWN_DEVICE, UNKNOWN_FILE,
};
use super::words::{INJECTION, PERIPHERAL, REGISTRY_TYPE, SCAN_TYPE, SERVICE_START, SIGNATURE as SIGNATURE_TYPE};
use super::words::{Words, number_of, same_word};
use super::writer::{Member, Object, Take, Writer};
use crate::event::{Activity, Class, Field};

use Take::{Code, First, Fixed, Made, Must};

/// Every class of the system category asks for these two.
pub(super) const DEVICE_AND_ACTOR: &[Member] =
    &[("device", Must(&DEVICE, UNKNOWN_DEVICE)), ("actor", Must(&ACTOR, UNKNOWN_ACTOR))];

pub(super) const PROCESS_ACTIVITY: &[Member] = &[
    ("process", Made(process)),
    ("injection_type_id", Code(Field::ProcessInjection, INJECTION, "injection_type")),
    ("launch_type_id", Made(launch_type)),
];
pub(super) const MEMORY_ACTIVITY: &[Member] = &[("process", Made(process))];
pub(super) const FILE_ACTIVITY: &[Member] = &[("file", Made(file)), ("file_result", Made(file_result))];
pub(super) const MODULE_ACTIVITY: &[Member] = &[("module", Take::Object(&MODULE))];
pub(super) const DRIVER_ACTIVITY: &[Member] = &[("driver", Take::Object(&DRIVER))];
pub(super) const JOB_ACTIVITY: &[Member] = &[("job", Take::Object(&JOB))];
pub(super) const SCRIPT_ACTIVITY: &[Member] = &[("script", Take::Object(&SCRIPT))];
pub(super) const PERIPHERAL_ACTIVITY: &[Member] = &[("peripheral_device", Take::Object(&PERIPHERAL_DEVICE))];
pub(super) const KEY_ACTIVITY: &[Member] = &[
    ("reg_key", Made(|writer| writer.object(&KEY) || writer.object(&PREVIOUS_KEY))),
    ("prev_reg_key", Take::Object(&PREVIOUS_KEY)),
];
pub(super) const VALUE_ACTIVITY: &[Member] = &[("reg_value", Take::Object(&VALUE)), ("prev_reg_value", Made(previous))];
pub(super) const SERVICE_ACTIVITY: &[Member] = &[("win_service", Take::Object(&SERVICE))];
pub(super) const SCAN_ACTIVITY: &[Member] = &[("scan", Must(&SCAN, r#"{"name":"unknown","type_id":0}"#))];

/// The process something is done to; where none is known, the one that acts.
fn process(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.object(&PROCESS) && !writer.object(&ACTOR_PROCESS) {
        writer.json.written_key(r#"{"name":"unknown","pid":0}"#);
    }
    true
}

/// A process of Windows is always spawned; which paths are of Windows is seen by their separators.
fn launch_type(writer: &mut Writer<'_, '_>) -> bool {
    let is_start = writer.event.class == Class::Process && writer.event.activity == Activity::Start;
    let is_windows = writer.text(Field::ProcessPath).is_some_and(|path| path.as_written().contains('\\'));
    if is_start {
        writer.json.integer(i64::from(is_windows));
    }
    is_start
}

/// In a change of name, `file` is the old one and `file_result` the new one.
fn file(writer: &mut Writer<'_, '_>) -> bool {
    let is_renamed = is_renamed(writer) && writer.object(&PREVIOUS_FILE);
    if !is_renamed && !writer.object(&FILE) && !writer.object(&PREVIOUS_FILE) {
        writer.json.written_key(UNKNOWN_FILE);
    }
    true
}

fn file_result(writer: &mut Writer<'_, '_>) -> bool {
    is_renamed(writer) && writer.object(&FILE)
}

fn is_renamed(writer: &Writer<'_, '_>) -> bool {
    writer.event.activity == Activity::Rename
        && (writer.fields.has(Field::FilePreviousName) || writer.fields.has(Field::FilePreviousPath))
}

static MODULE: Object = Object {
    one_of: &[("file", Take::Object(&FILE))],
    instead: None,
    also: &[],
    last: &[("load_type_id", Fixed("1"))],
};

static DRIVER: Object = Object { one_of: &[("file", Take::Object(&FILE))], instead: None, also: &[], last: &[] };

static JOB: Object = Object { one_of: &[("name", First(&[Field::JobName]))], instead: None, also: &[], last: &[] };

pub(super) static SCRIPT: Object = Object {
    one_of: &[("script_content", Take::Object(&LONG_TEXT))],
    instead: None,
    also: &[],
    last: &[("type_id", Made(script_type))],
};

static LONG_TEXT: Object =
    Object { one_of: &[("value", First(&[Field::ScriptContent]))], instead: None, also: &[], last: &[] };

/// Defender tells of commands and scripts of PowerShell in one action, and of any sort of script in another.
fn script_type(writer: &mut Writer<'_, '_>) -> bool {
    let is_power_shell = writer.event.action.is_some_and(|action| same_word(action, "powershellcommand"))
        || writer.text(Field::ActorProcessName).is_some_and(|name| same_word(name, "powershell.exe"));
    writer.json.integer(if is_power_shell { 2 } else { 0 });
    true
}

static PERIPHERAL_DEVICE: Object = Object {
    one_of: &[("name", First(&[Field::PeripheralName, Field::PeripheralId]))],
    instead: None,
    also: &[
        ("uid", First(&[Field::PeripheralId])),
        ("class", First(&[Field::PeripheralClass])),
        ("serial_number", First(&[Field::PeripheralSerial])),
    ],
    last: &[("type_id", Made(peripheral_type))],
};

fn peripheral_type(writer: &mut Writer<'_, '_>) -> bool {
    let number = writer.text(Field::PeripheralClass).and_then(|class| number_of(class, PERIPHERAL));
    writer.json.integer(number.unwrap_or(0));
    true
}

pub(super) static KEY: Object = Object { one_of: &[("path", Made(key_path))], instead: None, also: &[], last: &[] };

static PREVIOUS_KEY: Object =
    Object { one_of: &[("path", First(&[Field::RegistryPreviousPath]))], instead: None, also: &[], last: &[] };

/// The whole path, or hive and key joined.
pub(super) fn key_path(writer: &mut Writer<'_, '_>) -> bool {
    if writer.value(Field::RegistryPath) {
        return true;
    }
    match (writer.text(Field::RegistryHive), writer.text(Field::RegistryKey)) {
        (Some(hive), Some(key)) => {
            writer.more.clear();
            hive.append_to(writer.more);
            writer.more.push('\\');
            writer.more.push_str(key.read(writer.letters).trim_start_matches('\\'));
            writer.json.string(writer.more);
            writer.done(true, Field::RegistryHive) && writer.done(true, Field::RegistryKey)
        }
        _ => writer.value(Field::RegistryKey) || writer.value(Field::RegistryHive),
    }
}

/// A value without a name is the default one of its key.
pub(super) static VALUE: Object = Object {
    one_of: &[("path", Made(|writer| key_path(writer) || writer.value(Field::RegistryPreviousPath)))],
    instead: Some(r#""path":"unknown""#),
    also: &[
        ("name", First(&[Field::RegistryValueName, Field::RegistryPreviousValueName])),
        ("type_id", Code(Field::RegistryValueType, REGISTRY_TYPE, "type")),
        ("reg_string_data", Made(string_data)),
        ("reg_string_list_data", Made(|writer| of_type(writer, &[("multistring", 1)]) && in_array(writer))),
        ("reg_integer_data", Made(integer_data)),
        ("data", Made(|writer| !writer.shown.has(Field::RegistryValue) && writer.value(Field::RegistryValue))),
    ],
    last: &[("name", Made(default_name)), ("is_default", Made(is_default))],
};

fn in_array(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_array();
    let is_written = writer.value(Field::RegistryValue);
    writer.json.close_array();
    is_written
}

fn of_type(writer: &Writer<'_, '_>, types: Words) -> bool {
    writer.text(Field::RegistryValueType).is_some_and(|word| number_of(word, types).is_some())
}

fn string_data(writer: &mut Writer<'_, '_>) -> bool {
    of_type(writer, &[("string", 10), ("expandstring", 4), ("link", 5)]) && writer.value(Field::RegistryValue)
}

fn integer_data(writer: &mut Writer<'_, '_>) -> bool {
    if !of_type(writer, &[("dword", 2), ("qword", 8)]) {
        return false;
    }
    let number = writer.text(Field::RegistryValue).and_then(|text| text.as_written().parse().ok());
    number.map(|number: i64| writer.json.integer(number)).is_some() && writer.done(true, Field::RegistryValue)
}

fn has_name(writer: &Writer<'_, '_>) -> bool {
    writer.text(Field::RegistryValueName).or_else(|| writer.text(Field::RegistryPreviousValueName)).is_some()
}

fn default_name(writer: &mut Writer<'_, '_>) -> bool {
    let is_default = !has_name(writer);
    if is_default {
        writer.json.string("(Default)");
    }
    is_default
}

fn is_default(writer: &mut Writer<'_, '_>) -> bool {
    let is_default = !has_name(writer);
    if is_default {
        writer.json.flag(true);
    }
    is_default
}

/// What a value was before; its name and place are the new ones where upstream says nothing else.
fn previous(writer: &mut Writer<'_, '_>) -> bool {
    let names = [Field::RegistryPreviousValueName, Field::RegistryPreviousValue, Field::RegistryPreviousPath];
    if !names.iter().any(|field| writer.text(*field).is_some()) {
        return false;
    }
    writer.json.open_object();
    if !writer.member(&("name", First(&[Field::RegistryPreviousValueName, Field::RegistryValueName]))) {
        writer.json.known_key("name");
        writer.json.string("(Default)");
    }
    let has_path = writer.member(&("path", First(&[Field::RegistryPreviousPath]))) || writer.keyed("path", key_path);
    if !has_path {
        writer.json.known_key("path");
        writer.json.string("unknown");
    }
    writer.member(&("data", First(&[Field::RegistryPreviousValue])));
    writer.json.close_object();
    true
}

/// The name alone is not enough for OCSF.
static SERVICE: Object = Object {
    one_of: &[
        ("cmd_line", First(&[Field::ServiceCommand])),
        ("service_start_type_id", Code(Field::ServiceStart, SERVICE_START, "service_start_type")),
    ],
    instead: None,
    also: &[],
    last: &[("name", First(&[Field::ServiceName]))],
};

static SCAN: Object = Object {
    one_of: &[("type_id", Code(Field::ScanType, SCAN_TYPE, "type"))],
    instead: None,
    also: &[],
    last: &[("name", Fixed(r#""Microsoft Defender Antivirus""#))],
};

/// A signature is one only with the certificate behind it, which OCSF wants to know by issuer and number.
pub(super) static SIGNATURE: Object = Object {
    one_of: &[("certificate", Made(certificate))],
    instead: None,
    also: &[("state_id", Made(signature_state))],
    last: &[("algorithm_id", Made(signature_algorithm))],
};

fn certificate(writer: &mut Writer<'_, '_>) -> bool {
    let is_whole = writer.text(Field::FileIssuer).is_some() && writer.text(Field::CertificateSerial).is_some();
    is_whole && writer.object(&CERTIFICATE)
}

static CERTIFICATE: Object = Object {
    one_of: &[("issuer", First(&[Field::FileIssuer]))],
    instead: None,
    also: &[
        ("serial_number", First(&[Field::CertificateSerial])),
        ("subject", First(&[Field::FileSigner])),
        ("created_time", First(&[Field::CertificateCreated])),
        ("expiration_time", First(&[Field::CertificateExpires])),
    ],
    last: &[],
};

fn signature_state(writer: &mut Writer<'_, '_>) -> bool {
    let Some(is_trusted) = writer.fields.flag(Field::CertificateIsTrusted) else { return false };
    writer.json.integer(if is_trusted { 1 } else { 6 });
    writer.done(true, Field::CertificateIsTrusted)
}

fn signature_algorithm(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.code(Field::CertificateSignatureType, SIGNATURE_TYPE, "algorithm") {
        writer.json.integer(0);
    }
    true
}

/// A process in a container; OCSF knows containers by a profile.
pub(super) fn container(writer: &mut Writer<'_, '_>) -> bool {
    let is_written = writer.object(&CONTAINER);
    writer.announced.container |= is_written;
    is_written
}

static CONTAINER: Object = Object {
    one_of: &[("name", First(&[Field::ContainerName])), ("uid", First(&[Field::ContainerId]))],
    instead: None,
    also: &[("image", Take::Object(&IMAGE))],
    last: &[],
};

static IMAGE: Object =
    Object { one_of: &[("uid", First(&[Field::ContainerImage]))], instead: None, also: &[], last: &[] };
