//! Whom a firewall rule would cut off, as far as that can be seen before it is in force: the agent from its server or from the
//! names it is found by, administrators from where their shells come in.
//!
//! What cannot be seen here is what [`crate::proof`] is for.

use crate::fs::{Looked, OPEN_OF_ONE_MAX};
use crate::host::Host;
use crate::shells;
use catalogue::actions::FirewallRule;
use catalogue::actions::firewall::{Direction, Family, Ports, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where names are asked for.
const DNS: u16 = 53;
/// The lowest port from which this host and others usually open connections; answers go back to them.
const EPHEMERAL: u16 = 32_768;

/// Why a rule must not be: whom it would cut off.
pub(crate) fn cuts_off(action: &FirewallRule, host: &Host) -> Option<String> {
    if action.is_unusual_only() {
        return None;
    }
    match (action.protocol, action.direction) {
        (Transport::Tcp, Direction::Out) => cuts_server(action, host).or_else(|| cuts_answers(action)),
        (Transport::Tcp, Direction::In) => cuts_shells(action, host),
        (Transport::Udp, _) => cuts_names(action, host),
    }
}

fn covers(action: &FirewallRule, port: u16) -> bool {
    action.ports.is_empty() || action.ports.iter().any(|ports| ports.contains(port))
}

/// Whether the rule is about packets from or to an address.
fn concerns(action: &FirewallRule, address: IpAddr) -> bool {
    let family = action.family.is_none_or(|family| address.is_ipv4() == (family == Family::Ipv4));
    family && action.remote.contains(address)
}

/// The server's address, where it is known by one.
fn server_address(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

fn cuts_server(action: &FirewallRule, host: &Host) -> Option<String> {
    let server = host.server.as_ref()?;
    // A name may stand for any address.
    let there = server_address(&server.host).is_none_or(|address| concerns(action, address));
    let cut = covers(action, server.port) && there;
    cut.then(|| format!("it would cut this agent off from its server at port {}", server.port))
}

/// What sshd answers goes to a port of the other side's choice; only a rule about new connections leaves answers alone. A part of
/// those ports is enough: which one a client has is chance, and the next connection to the server has another one.
fn cuts_answers(action: &FirewallRule) -> Option<String> {
    let high = |ports: &Ports| ports.first != ports.last && ports.last >= EPHEMERAL;
    let cut = action.condition.is_none() && joined(&action.ports).iter().any(high);
    cut.then(|| "it would cut administrators off: what sshd answers them goes to ports of that range".to_owned())
}

/// The same ports in ranges that neither overlap nor touch.
fn joined(ports: &[Ports]) -> Vec<Ports> {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable_by_key(|range| (range.first, range.last));
    let mut joined: Vec<Ports> = Vec::new();
    for next in sorted {
        match joined.last_mut() {
            Some(last) if next.first <= last.last.saturating_add(1) => last.last = last.last.max(next.last),
            _ => joined.push(next),
        }
    }
    joined
}

fn cuts_shells(action: &FirewallRule, host: &Host) -> Option<String> {
    // An entry that names the port by itself means it.
    let meant = |port: u16| action.ports.contains(&Ports { first: port, last: port });
    let port = ssh_ports(host).into_iter().find(|port| covers(action, *port) && !meant(*port))?;
    Some(format!("it would cut administrators off from port {port}, where sshd listens or somebody is connected to it"))
}

/// A server that is known by its name is lost with the names. The stub on this host is asked through the packet filter, too.
fn cuts_names(action: &FirewallRule, host: &Host) -> Option<String> {
    let server = host.server.as_ref()?;
    if server_address(&server.host).is_some() || !covers(action, DNS) {
        return None;
    }
    let resolvers = resolvers(host);
    // Whom a stub asks in its turn may not be known: then it may be anybody.
    let hidden = resolvers.iter().all(IpAddr::is_loopback);
    let cut = match action.direction {
        Direction::Out => hidden || resolvers.iter().any(|address| concerns(action, *address)),
        Direction::In => resolvers.iter().any(|address| {
            let from: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            address.is_loopback() && concerns(action, from)
        }),
    };
    cut.then(|| {
        format!("it would cut off name resolution, and this agent knows its server by the name {}", server.host)
    })
}

/// Whom this host asks for names.
fn resolvers(host: &Host) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let asked = words.next() == Some("nameserver");
        // A link-local address may name its interface.
        words.next().filter(|_| asked)?.split('%').next()?.parse().ok()
    };
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].into_iter();
    let texts: Vec<String> = files.filter_map(|path| host.tree.fact(path)).collect();
    texts.iter().flat_map(|text| text.lines().filter_map(address)).collect()
}

/// Where sshd listens by its configuration, where it listens now, and where somebody is connected to it now.
fn ssh_ports(host: &Host) -> Vec<u16> {
    let mut ports = configured(host);
    ports.extend(open_now(host));
    // A socket unit may name others; the usual one is never cut off by accident.
    ports.push(22);
    ports
}

/// Every port that the configuration of sshd names.
fn configured(host: &Host) -> Vec<u16> {
    let mut ports = Vec::new();
    let mut files = vec!["/etc/ssh/sshd_config".to_owned()];
    let more = host.tree.names("/etc/ssh/sshd_config.d").unwrap_or_default();
    files.extend(more.iter().map(|name| format!("/etc/ssh/sshd_config.d/{name}")));
    for line in files
        .iter()
        .filter_map(|path| host.tree.fact(path))
        .flat_map(|text| text.lines().map(str::to_lowercase).collect::<Vec<_>>())
    {
        let mut words = line.split(|c: char| c.is_whitespace() || c == '=').filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("port"), Some(port)) => ports.extend(port.parse::<u16>().ok()),
            (Some("listenaddress"), Some(address)) => {
                ports.extend(address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()));
            }
            _ => {}
        }
    }
    ports
}

/// Where administrators come in by the configuration, and where they usually do.
pub(crate) fn configured_ports(host: &Host) -> BTreeSet<u16> {
    configured(host).into_iter().chain([22]).collect()
}

/// Ports at which something listens on this host, with the inodes of the sockets.
pub(crate) fn listening(host: &Host) -> Vec<(u16, u64)> {
    sockets(host).into_iter().filter(|socket| socket.listens).map(|socket| (socket.port, socket.inode)).collect()
}

/// The inodes of the sockets that a process holds; nothing where that cannot be read, or where it holds too many files to look at.
pub(crate) fn sockets_of(process: &str, host: &Host) -> Option<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    let looked = host.tree.look_at_open(process, OPEN_OF_ONE_MAX, &mut |target| {
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse::<u64>().ok());
        inodes.extend(inode);
        false
    });
    matches!(looked, Looked::At(_)).then_some(inodes)
}

/// A TCP socket of this host, as the kernel lists it.
struct Socket {
    port: u16,
    listens: bool,
    inode: u64,
}

/// Local ports at which an sshd listens or talks, by the sockets that its processes hold. Where its processes cannot be looked
/// into, everything counts that no other program holds.
fn open_now(host: &Host) -> BTreeSet<u16> {
    let sockets = sockets(host);
    if sockets.is_empty() {
        return BTreeSet::new();
    }
    let holders = Holders::of(host);
    let counts = |socket: &&Socket| {
        let ours = socket.listens || socket.port < EPHEMERAL;
        holders.sshd.contains(&socket.inode) || (holders.blind && ours && !holders.others.contains(&socket.inode))
    };
    sockets.iter().filter(counts).map(|socket| socket.port).collect()
}

/// Sockets that listen or are connected, of both families.
fn sockets(host: &Host) -> Vec<Socket> {
    let texts = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|path| host.tree.fact(path));
    texts.flat_map(|text| text.lines().filter_map(socket).collect::<Vec<_>>()).collect()
}

fn socket(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(words.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    let listens = match *words.get(3)? {
        "0A" => true,
        "01" => false,
        _ => return None,
    };
    Some(Socket { port, listens, inode: words.get(9)?.parse().ok()? })
}

/// Who holds which sockets, by their inodes.
struct Holders {
    sshd: BTreeSet<u64>,
    others: BTreeSet<u64>,
    /// An sshd could not be looked into, or no process at all.
    blind: bool,
}

impl Holders {
    fn of(host: &Host) -> Self {
        let mut holders = Self { sshd: BTreeSet::new(), others: BTreeSet::new(), blind: true };
        let mut unread = false;
        for process in host.tree.processes() {
            let is_sshd = shells::is_process(&process, host);
            let Some(inodes) = sockets_of(&process, host) else {
                unread |= is_sshd;
                continue;
            };
            holders.blind = false;
            if is_sshd { holders.sshd.extend(inodes) } else { holders.others.extend(inodes) }
        }
        holders.blind |= unread;
        holders
    }
}
