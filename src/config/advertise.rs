//! The address that other members are told: what can be wrong with it before anybody tries. Pure.

use std::net::{IpAddr, SocketAddr};

/// A host name of DNS and a port.
const BYTES_MAX: usize = 260;

/// What is wrong with the address that is told, or with the one that is listened on where none is given.
pub(super) fn fault(advertise: Option<&str>, peers: SocketAddr) -> Option<String> {
    let Some(advertise) = advertise else {
        return peers.ip().is_unspecified().then(|| {
            format!("no member can reach `{peers}`: set `advertise` under `[node]` to the address they are to use")
        });
    };
    let shape = || Some(format!("`{advertise}` is no address: give a host and a port, such as `siem-1.example:7444`"));
    let (host, port) = match advertise.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && advertise.len() <= BYTES_MAX => (host, port),
        _ => return shape(),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = bracketed.unwrap_or(host);
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let good = match bracketed {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => bare.bytes().all(known),
    };
    if !good || !port.parse::<u16>().is_ok_and(|port| port != 0) {
        return shape();
    }
    let unspecified = bare.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    unspecified.then(|| format!("no member can reach `{advertise}`: give an address of this host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_only_if_it_can_be_reached() {
        let peers = "127.0.0.1:7444".parse().unwrap();
        for good in ["siem-1.example:7444", "10.0.0.1:1", "[2001:db8::1]:7444", "n_1:65535"] {
            assert_eq!(fault(Some(good), peers), None, "{good}");
        }
        let long = format!("{}:1", "x".repeat(260));
        for bad in ["", "siem-1", ":7444", "a:0", "a:65536", "a b:1", "2001:db8::1:7444", "[x]:1", "[::1:7444", &long] {
            assert!(fault(Some(bad), peers).unwrap().contains("is no address"), "{bad}");
        }
        for nobody in ["0.0.0.0:7444", "[::]:7444"] {
            assert!(fault(Some(nobody), peers).unwrap().contains("no member can reach"), "{nobody}");
        }
        assert!(fault(None, "0.0.0.0:7444".parse().unwrap()).is_some());
        assert_eq!(fault(None, peers), None);
    }
}
