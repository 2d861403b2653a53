//! Tells a receiver's answer to our half-close from a close that crossed it.
//!
//! A receiver that closes just before our last bytes arrive also sends an end-of-stream, and its kernel then resets
//! what it never read. The two differ in the state our side is left in: an answer leaves TIME-WAIT, a crossing close
//! leaves LAST-ACK or CLOSING (or a pending error). The kernel is asked for this one connection, which takes it some
//! microseconds. Where it can't be asked, the state is read from its table of all connections, which takes milliseconds.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The states of Linux' sockets in which the peer ended its side before it had acknowledged our end.
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

/// The kernel answers before the request returns; more than this only keeps a surprise from hanging us.
const ANSWER: Duration = Duration::from_millis(100);
/// From Linux' headers: netlink's family, its protocol about sockets, and the words of a request.
const NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
const TCP: u8 = 6;
const NOT_FOUND: i32 = -2;
const REQUEST_BYTES: u32 = 72;

/// What the kernel knows of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    State(u8),
    Gone,
}

/// Whether the connection ended by a close that crossed our half-close. Of a connection that is not known any more the
/// answer is no: then the pending error of the socket is all there is to go by.
pub fn closes_crossed(local: SocketAddr, peer: SocketAddr) -> bool {
    match ask(local, peer) {
        Some(Known::State(state)) => crossed(state),
        Some(Known::Gone) => false,
        None => {
            let table = if local.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
            let table = std::fs::read_to_string(table).unwrap_or_default();
            state_of(&table, local.port(), peer.port()).is_some_and(crossed)
        }
    }
}

fn crossed(state: u8) -> bool {
    matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING)
}

/// Asks the kernel for one connection. Nothing where it does not answer as it should.
fn ask(local: SocketAddr, peer: SocketAddr) -> Option<Known> {
    let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG))).ok()?;
    socket.set_read_timeout(Some(ANSWER)).ok()?;
    socket.send(&request(local, peer)).ok()?;
    let mut answer = [0u8; 1024];
    let length = (&socket).read(&mut answer).ok()?;
    answered(&answer[..length])
}

fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(REQUEST_BYTES as usize);
    out.extend_from_slice(&REQUEST_BYTES.to_ne_bytes());
    out.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    out.extend_from_slice(&REQUEST.to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    let family = if local.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    out.push(u8::try_from(i32::from(family)).unwrap_or_default());
    out.extend_from_slice(&[TCP, 0, 0]);
    let (every_state, any_cookie) = ([0xFF; 4], [0xFF; 8]);
    out.extend_from_slice(&every_state);
    out.extend_from_slice(&local.port().to_be_bytes());
    out.extend_from_slice(&peer.port().to_be_bytes());
    address(local.ip(), &mut out);
    address(peer.ip(), &mut out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&any_cookie);
    out
}

fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            out.extend_from_slice(&ip.octets());
            out.extend_from_slice(&[0; 12]);
        }
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

fn answered(answer: &[u8]) -> Option<Known> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    match kind {
        BY_FAMILY => answer.get(17).copied().map(Known::State),
        ERROR => {
            let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
            (code == NOT_FOUND).then_some(Known::Gone)
        }
        _ => None,
    }
}

/// The state column of the row with these two ports. Addresses are left out: a local port of an outgoing connection
/// is unique towards one remote port, but for other peers, which can only make us more careful.
fn state_of(table: &str, local: u16, peer: u16) -> Option<u8> {
    let (local, peer) = (format!(":{local:04X}"), format!(":{peer:04X}"));
    table.lines().skip(1).find_map(|row| {
        let mut columns = row.split_ascii_whitespace().skip(1);
        let here = columns.next()?;
        let there = columns.next()?;
        let state = (here.ends_with(&local) && there.ends_with(&peer)).then(|| columns.next()).flatten()?;
        u8::from_str_radix(state, 16).ok()
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
        assert_eq!(state_of(TABLE, 0xD431, 3000), Some(6));
        assert_eq!(state_of(TABLE, 0xD432, 3000), Some(9));
        assert_eq!(state_of(TABLE, 0xD433, 3000), None);
        assert!(crossed(9) && crossed(11) && !crossed(6));
    }

    #[test]
    fn the_kernel_tells_an_answer_from_a_close_that_came_first() {
        use std::net::{Shutdown, TcpListener, TcpStream};
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may be without IPv6.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let connected = || {
                let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let theirs = listener.accept().unwrap().0;
                let ends = (ours.local_addr().unwrap(), ours.peer_addr().unwrap());
                (ours, theirs, ends)
            };
            let (mut ours, mut theirs, (local, peer)) = connected();
            ours.shutdown(Shutdown::Write).unwrap();
            assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
            drop(theirs);
            assert_eq!(ours.read(&mut [0]).unwrap(), 0);
            assert!(!closes_crossed(local, peer), "it answered");

            let (mut ours, theirs, (local, peer)) = connected();
            drop(theirs);
            assert_eq!(ours.read(&mut [0]).unwrap(), 0);
            assert_eq!(ask(local, peer), Some(Known::State(CLOSE_WAIT)));
            assert!(closes_crossed(local, peer), "it came first");
        }
    }
}
