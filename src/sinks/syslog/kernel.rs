//! Tells a receiver's answer to our half-close from a close that crossed it.
//!
//! A receiver that closes just before our last bytes arrive also sends an end-of-stream, and its kernel then resets
//! what it never read. The two differ in the state our side is left in: an answer leaves TIME-WAIT, a crossing close
//! leaves LAST-ACK or CLOSING (or a pending error). The states are read from the kernel's own table, because no safe
//! interface offers them on the socket.

use std::net::SocketAddr;

/// The states of Linux' socket table in which the peer ended its side before it had acknowledged our end.
const CLOSE_WAIT: &str = "08";
const LAST_ACK: &str = "09";
const CLOSING: &str = "0B";

/// Whether the connection ended by a close that crossed our half-close. Without a table to look at the answer is no:
/// then the pending error of the socket is all there is to go by.
pub fn closes_crossed(local: SocketAddr, peer: SocketAddr) -> bool {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .any(|table| state_of(&table, local.port(), peer.port()).is_some_and(crossed))
}

fn crossed(state: &str) -> bool {
    matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING)
}

/// The state column of the row with these two ports. Addresses are left out: a local port of an outgoing connection
/// is unique towards one remote port, but for other peers, which can only make us more careful.
fn state_of(table: &str, local: u16, peer: u16) -> Option<&str> {
    let (local, peer) = (format!(":{local:04X}"), format!(":{peer:04X}"));
    table.lines().skip(1).find_map(|row| {
        let mut columns = row.split_ascii_whitespace().skip(1);
        let here = columns.next()?;
        let there = columns.next()?;
        (here.ends_with(&local) && there.ends_with(&peer)).then(|| columns.next()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n\
         0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000\n\
         1: 0100007F:D431 0100007F:0BB8 06 00000000:00000000 03:000004D2\n\
         2: 0100007F:D432 0100007F:0BB8 09 00000010:00000000 01:000004D2\n";

    #[test]
    fn the_state_is_found_by_its_ports() {
        assert_eq!(state_of(TABLE, 0xD431, 3000), Some("06"));
        assert_eq!(state_of(TABLE, 0xD432, 3000), Some("09"));
        assert_eq!(state_of(TABLE, 0xD433, 3000), None);
        assert!(crossed("09") && crossed("0B") && !crossed("06"));
    }
}
