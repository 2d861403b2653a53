//! Any text in any field is one line, and readers that know only the published formats read the same text back.

mod cef;
mod columns;
mod every_field;
mod evidence;
mod leef;

use proptest::prelude::*;

/// Texts that look like what they aren't.
pub fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
        proptest::collection::vec(
            proptest::sample::select(vec![
                '\\', '=', '|', '^', '\n', '\r', '\t', ' ', '\0', 'n', 'a', 'é', '"', '\u{85}', '\u{2028}', '\u{202e}',
                '\u{7f}'
            ]),
            0..60
        )
        .prop_map(String::from_iter),
        (0usize..5000).prop_map(|length| "é\\".repeat(length)),
        proptest::sample::select(vec![
            " suser=root cs1=x",
            "CEF:0|a|b|c|d|e|9|",
            "\nCEF:0|a|b|c|d|e|9|suser=root",
            "x\r\n<134>Jan  1 00:00:00 h CEF:0|",
            "\tusrName=root\tsev=10",
            "\nLEEF:2.0|a|b|c|d|^|usrName=root^sev=10",
            "x09|cat=Alert",
            "\\",
            "\\n",
            "\\=",
        ])
        .prop_map(str::to_owned),
    ]
}

/// `SIEMGATE_CASES` makes it more.
fn cases(otherwise: u32) -> ProptestConfig {
    let wanted = std::env::var("SIEMGATE_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: wanted.unwrap_or(otherwise), failure_persistence: None, ..ProptestConfig::default() }
}
