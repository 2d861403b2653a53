//! What of the quarantine is shown, and what is written where nobody else reads it.

use super::*;

#[test]
fn s10_what_is_exported_is_for_its_owner_alone_also_in_a_file_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    std::fs::write(&path, "before").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    own(&path).unwrap().write_all(b"x").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
}

#[test]
fn a_node_that_does_not_answer_is_named_below_the_table() {
    let two = v1::QuarantineNode { node: 2, name: "two".into(), problem: "it is away".into(), ..Default::default() };
    let nodes = vec![v1::QuarantineNode { node: 1, name: "one".into(), ..Default::default() }, two];
    let text = table(&v1::QuarantineResponse { nodes, closed: 3, ..Default::default() });
    assert!(text.ends_with("Node two (2) is left out: it is away\n") && !text.contains("Node one"), "{text}");
    assert!(text.contains("3 more can't be opened"), "{text}");
}
