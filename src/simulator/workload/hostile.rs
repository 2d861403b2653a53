//! What a hostile or broken sender writes: texts that break careless parsers, elements that aren't rows, torn bodies.

use super::random::Random;

/// Texts as they stand inside a JSON string: each attacks another assumption.
const POISONS: &[&[u8]] = &[
    b"\\nsecond line\\r\\nthird",
    b"|pipe|a=b \\\\ = \\\\| \\\\n",
    b"nul\\u0000after",
    b"\\u202egnp.exe\\u202c\\u200f\\u2066",
    b"\\n<134>1 2030-01-01T00:00:00Z forged - - - - CEF:0|x|y|1|1|forged|10|",
    b"\\u001b[31mred\\u0007\\u0008\\u007f\\u0085\\u2028\\u2029",
    b"\\\"quoted\\\" 'single' `tick` ]] \\\"]",
    b"$(id) ${jndi:ldap://x} %s%n {{7*7}} <script>",
    b"\\ud800 lone surrogate",
    b"\xff\xfe invalid \xc3\x28 bytes \xed\xa0\x80",
    b"\\ud83d\\ude00 \xf0\x9f\x98\x80 e\xcc\x81",
    b"\\u0009cs1Label=forged cs1=forged\\u0009cat=forged",
];
const LONG: usize = 4;

/// One poison, at most `room` bytes long. One in `POISONS.len() + LONG` of them are long texts up to all the room.
pub fn poison(random: &mut Random, room: usize) -> Vec<u8> {
    let drawn = random.index(POISONS.len() + LONG);
    if let Some(text) = POISONS.get(drawn) {
        return text.iter().copied().take(if text.len() <= room { text.len() } else { 0 }).collect();
    }
    let length = match drawn - POISONS.len() {
        0 => 8_192,
        1 => 70_000,
        2 => 300_000,
        _ => 1 << 20,
    };
    vec![b'A'; length.min(room)]
}

/// Whether `poison` makes a body that strict JSON readers refuse.
#[cfg(test)]
pub fn is_json(poison: &[u8]) -> bool {
    serde_json::from_slice::<String>(&[b"\"", poison, b"\""].concat()).is_ok()
}

/// Elements of `records` that are JSON but no rows.
const MALFORMED: &[&str] = &[
    "null",
    "42",
    "\"text\"",
    "[]",
    "{}",
    "{\"time\":\"2030-01-01T00:00:00Z\",\"category\":\"AdvancedHunting-DeviceProcessEvents\"}",
    "{\"category\":\"AdvancedHunting-DeviceProcessEvents\",\"properties\":\"{\\\"FileName\\\":\\\"a.exe\\\"}\"}",
    "{\"time\":true,\"category\":17,\"properties\":{\"Timestamp\":[]}}",
    "{\"category\":\"AdvancedHunting-AlertInfo\",\"properties\":null}",
    "{\"properties\":[1,2,3]}",
];
/// Deeper than any reader that recurses ought to follow.
const NESTING: usize = 300;

pub fn malformed(random: &mut Random, body: &mut Vec<u8>) {
    match MALFORMED.get(random.index(MALFORMED.len() + 1)) {
        Some(text) => body.extend_from_slice(text.as_bytes()),
        None => {
            body.extend_from_slice(b"{\"category\":\"AdvancedHunting-X\",\"properties\":{\"a\":");
            body.resize(body.len() + NESTING, b'[');
            body.resize(body.len() + NESTING, b']');
            body.extend_from_slice(b"}}");
        }
    }
}

/// Makes a body that isn't JSON any more.
pub fn break_body(random: &mut Random, body: &mut Vec<u8>) {
    match random.below(4) {
        0 => body.truncate(body.len() * 2 / 3),
        1 => body.clear(),
        2 => {
            body.clear();
            body.extend_from_slice(b"<html>503 Service Unavailable</html>");
        }
        _ => {
            let middle = body.len() / 2;
            body.truncate(middle);
            body.extend_from_slice(&[0, 1, 2, 3, 0xff]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisons_stay_within_their_room() {
        let mut random = Random::new(3);
        for room in [0, 10, 5_000, 1 << 20] {
            assert!((0..200).all(|_| poison(&mut random, room).len() <= room));
        }
        assert!((0..200).any(|_| poison(&mut random, 1 << 20).len() == 1 << 20));
    }

    #[test]
    fn only_the_invalid_bytes_and_the_lone_surrogate_are_not_json() {
        assert_eq!(POISONS.iter().filter(|text| !is_json(text)).count(), 2);
    }

    #[test]
    fn malformed_elements_are_json_and_broken_bodies_are_not() {
        let mut random = Random::new(4);
        for _ in 0..100 {
            let mut element = Vec::new();
            malformed(&mut random, &mut element);
            let nested = element.windows(2).any(|pair| pair == b"[[");
            assert!(nested || serde_json::from_slice::<serde_json::Value>(&element).is_ok());
            let mut body = br#"{"records":[{"a":"b"},{"c":"d"}]}"#.to_vec();
            break_body(&mut random, &mut body);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());
        }
    }
}
