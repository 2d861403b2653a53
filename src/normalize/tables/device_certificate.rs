//! `DeviceFileCertificateInfo`: who signed a file that a device has seen. The file is named by its hash only.

use super::To::Field as To;
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceFileCertificateInfo",
    class: Class::Certificate,
    activity: Activity::Collect,
    columns: &[common::RECORD, common::DEVICE, COLUMNS],
    unmapped: &[(
        common::NO_WORD,
        &["CrlDistributionPointUrls", "CertificateCountersignatureTime", "IsRootSignerMicrosoft"],
    )],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("SHA1", To(Field::FileSha1)),
    ("IsSigned", To(Field::CertificateIsSigned)),
    ("IsTrusted", To(Field::CertificateIsTrusted)),
    ("SignatureType", To(Field::CertificateSignatureType)),
    ("Signer", To(Field::FileSigner)),
    ("SignerHash", To(Field::CertificateSignerHash)),
    ("Issuer", To(Field::FileIssuer)),
    ("IssuerHash", To(Field::CertificateIssuerHash)),
    ("CertificateSerialNumber", To(Field::CertificateSerial)),
    ("CertificateCreationTime", To(Field::CertificateCreated)),
    ("CertificateExpirationTime", To(Field::CertificateExpires)),
];
