//! `firewall.rule`, `kernel.cmdline` and `file.xml` from exposed to reverted; the rule also in a real packet filter, in a network
//! namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::fs::Tree;
use agent::host::{Host, Server};
use agent::kinds::{self, Workspace};
use agent::state::StateDir;
use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use protocol::order::OrderKind;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn rule(name: &str, rest: &str) -> String {
    format!(
        "[[action]]\nkind = \"firewall.rule\"\nname = \"{name}\"\nprotocol = \"tcp\"\naction = \"drop\"\n{rest}\n\n"
    )
}

#[test]
fn below_another_root_a_rule_waits_for_the_boot() {
    let world = World::new(vec![entry(
        "linux-rule",
        &rule("no-wsus", "direction = \"in\"\nports = [\"8530-8531\"]\nremote = \"any\""),
    )]);
    assert_eq!(world.apply("linux-rule", 1).outcome, Outcome::Failed, "nothing would load it");
    world.write("etc/systemd/system/.keep", "");
    let before = world.snapshot();
    let applied = world.apply("linux-rule", 2);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Configured), "{applied:#?}");
    let script = world.read("etc/quell/firewall/no-wsus.nft");
    assert!(
        script.contains("add rule inet quell input meta l4proto tcp tcp dport { 8530-8531 } counter drop comment"),
        "{script}"
    );
    assert_eq!(world.apply("linux-rule", 3).outcome, Outcome::Unchanged);
    assert_eq!(world.revert("linux-rule", 4).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    assert_eq!(world.apply("linux-rule", 5).outcome, Outcome::Succeeded);
    world.write("etc/quell/firewall/no-wsus.nft", "# off\n");
    assert_eq!(world.check("linux-rule", 6).state, ControlState::Drifted);
    assert_eq!(world.revert("linux-rule", 7).outcome, Outcome::DriftedSinceApply);
    // What an apply writes over is kept, in a file of ours too: a revert gives the owner's text back.
    let again = world.apply("linux-rule", 8);
    assert_eq!((again.outcome, again.state), (Outcome::Succeeded, ControlState::Configured), "{again:#?}");
    assert_eq!(world.read("etc/quell/firewall/no-wsus.nft"), script);
    let reverted = world.revert("linux-rule", 9);
    assert_eq!(reverted.outcome, Outcome::Reverted, "{reverted:#?}");
    assert_eq!(world.read("etc/quell/firewall/no-wsus.nft"), "# off\n");
    assert!(!world.exists("etc/systemd/system/quell-firewall-no-wsus.service"), "nothing loads it");
}

/// What planning a rule says on a host whose agent talks to this server and whose sshd listens at 2222, too.
fn planned(server: &str, rest: &str) -> Result<(), String> {
    planned_on(&World::new(Vec::new()), server, &rule("a-rule", rest))
}

/// As [`planned`], on a host with more in it.
fn planned_on(world: &World, server: &str, action: &str) -> Result<(), String> {
    world.write("etc/systemd/system/.keep", "");
    world.write("etc/ssh/sshd_config", "Port 22\nPort 2222\n");
    let mut host = Host::new(Tree::open(&world.host()).unwrap());
    host.server = Server::of_url(server);
    let entry = entry("linux-rule", action);
    let mut workspace = Workspace::new(&host.tree);
    kinds::plan(&entry.actions[0], &host, &mut workspace).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn nobody_is_cut_off() {
    let named = "https://quell.example.com:8443";
    for (server, rest, refused) in [
        (named, "direction = \"out\"\nports = [\"8443\"]\nremote = \"any\"", "its server"),
        (named, "direction = \"out\"\nports = [\"8000-9000\"]\nremote = \"10.0.0.0/8\"", "its server"),
        (named, "direction = \"out\"\nports = [\"445\"]\nremote = \"any\"", ""),
        ("https://192.0.2.7", "direction = \"out\"\nports = [\"443\"]\nremote = \"10.0.0.0/8\"", ""),
        ("https://10.0.0.7", "direction = \"out\"\nports = [\"443\"]\nremote = \"10.0.0.0/8\"", "its server"),
        (
            "https://[2001:db8::1]",
            "direction = \"out\"\nports = [\"443\"]\nremote = \"internet\"\nfamily = \"ipv6\"",
            "its server",
        ),
        ("https://[2001:db8::1]", "direction = \"out\"\nports = [\"443\"]\nremote = \"any\"\nfamily = \"ipv4\"", ""),
        (named, "direction = \"in\"\nports = [\"1-1024\"]\nremote = \"any\"", "port 22"),
        (named, "direction = \"in\"\nports = [\"2000-3000\"]\nremote = \"any\"", "port 2222"),
        (named, "direction = \"in\"\nports = [\"22\"]\nremote = \"internet\"\nfamily = \"ipv4\"", ""),
        (named, "direction = \"in\"\nports = []\nremote = \"any\"\nmatch = \"syn and mss 1-500\"", ""),
        // A match of usual sizes narrows nothing down.
        (
            named,
            "direction = \"in\"\nports = []\nremote = \"any\"\nmatch = \"syn and mss 1-65535\"",
            "every connection",
        ),
        (named, "direction = \"out\"\nports = []\nremote = \"any\"\nmatch = \"syn and mss 1-536\"", "every connection"),
        (
            named,
            "direction = \"out\"\nports = [\"8443\"]\nremote = \"any\"\nmatch = \"syn and mss 1-536\"",
            "its server",
        ),
        (named, "direction = \"out\"\nports = [\"8443\"]\nremote = \"any\"\nmatch = \"syn and mss 1-535\"", ""),
        (
            named,
            "direction = \"in\"\nports = [\"2000-3000\"]\nremote = \"any\"\nmatch = \"syn and mss 1-1460\"",
            "port 2222",
        ),
        // What sshd answers goes to such ports; a rule about new connections lets it pass.
        (named, "direction = \"out\"\nports = [\"10000-65535\"]\nremote = \"any\"", "what sshd answers"),
        (
            named,
            "direction = \"out\"\nports = [\"10000-65535\"]\nremote = \"any\"\nmatch = \"syn and mss 1-65535\"",
            "",
        ),
        // A part of them is enough, however it is put together.
        (
            named,
            "direction = \"out\"\nports = [\"1-442\", \"444-8442\", \"8444-40000\", \"40001-65535\"]\nremote = \"any\"",
            "what sshd answers",
        ),
        (named, "direction = \"out\"\nports = [\"49152-65535\"]\nremote = \"any\"", "what sshd answers"),
        (named, "direction = \"out\"\nports = [\"32768-60998\"]\nremote = \"any\"", "what sshd answers"),
        (named, "direction = \"out\"\nports = [\"20000-32768\"]\nremote = \"any\"", "what sshd answers"),
        (named, "direction = \"out\"\nports = [\"65534-65535\"]\nremote = \"any\"", "what sshd answers"),
        (named, "direction = \"out\"\nports = [\"40001\", \"40000\"]\nremote = \"any\"", "what sshd answers"),
        (named, "direction = \"out\"\nports = [\"20000-32767\"]\nremote = \"any\"", ""),
        (named, "direction = \"out\"\nports = [\"50000\", \"50002\", \"65535\"]\nremote = \"any\"", ""),
        (named, "direction = \"in\"\nports = [\"49152-65535\"]\nremote = \"any\"", ""),
    ] {
        match planned(server, rest) {
            Ok(()) => assert!(refused.is_empty(), "{rest} must be refused"),
            Err(why) => assert!(!refused.is_empty() && why.contains(refused), "{rest}: {why}"),
        }
    }
}

#[test]
fn a_server_known_by_its_name_is_not_lost_with_the_names() {
    const NAMED: &str = "https://quell.example.com:8443";
    let udp = |rest: &str| rule("a-rule", rest).replace("\"tcp\"", "\"udp\"");
    let out = "direction = \"out\"\nports = [\"53\"]\nremote = \"any\"";
    let far = "direction = \"out\"\nports = [\"50-60\"]\nremote = \"10.0.0.0/8\"";
    let stub = "direction = \"in\"\nports = [\"53\"]\nremote = \"any\"";
    let from_outside = "direction = \"in\"\nports = [\"53\"]\nremote = \"internet\"\nfamily = \"ipv4\"";
    for (resolvers, server, rest, refused) in [
        ("", NAMED, out, true),
        ("nameserver 192.0.2.53\n", NAMED, out, true),
        ("nameserver 192.0.2.53\n", "https://192.0.2.7", out, false),
        ("nameserver 192.0.2.53\n", NAMED, far, false),
        ("nameserver 10.0.0.53\n", NAMED, far, true),
        // Whom the stub asks is not known.
        ("nameserver 127.0.0.53\n", NAMED, far, true),
        ("nameserver 127.0.0.53\n", NAMED, stub, true),
        ("nameserver 127.0.0.53\n", NAMED, from_outside, false),
        ("nameserver 192.0.2.53\n", NAMED, stub, false),
        (
            "nameserver fe80::1%eth0\n",
            NAMED,
            "direction = \"out\"\nports = [\"53\"]\nremote = \"any\"\nfamily = \"ipv4\"",
            false,
        ),
        ("nameserver 192.0.2.53\n", NAMED, "direction = \"out\"\nports = [\"123\"]\nremote = \"any\"", false),
    ] {
        let world = World::new(Vec::new());
        world.write("etc/resolv.conf", resolvers);
        match planned_on(&world, server, &udp(rest)) {
            Ok(()) => assert!(!refused, "{resolvers}{rest} must be refused"),
            Err(why) => assert!(refused && why.contains("name resolution"), "{resolvers}{rest}: {why}"),
        }
    }
    let world = World::new(Vec::new());
    world.write("etc/resolv.conf", "nameserver 127.0.0.53\n");
    world.write("run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n");
    assert_eq!(planned_on(&world, NAMED, &udp(far)), Ok(()), "whom the stub asks is known");
}

/// What the kernel lists of a TCP socket: at this port, in this state, with this inode.
fn line(port: u16, state: &str, inode: u64) -> String {
    format!(
        "   0: 00000000:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"
    )
}

/// A process with this name that holds these sockets; without a list it cannot be looked into.
fn process(world: &World, number: u32, name: &str, sockets: Option<&[u64]>) {
    world.write(&format!("proc/{number}/comm"), &format!("{name}\n"));
    for (at, inode) in sockets.into_iter().flatten().enumerate() {
        world.write(&format!("proc/{number}/fd/.keep"), "");
        let link = world.host().join(format!("proc/{number}/fd/{at}"));
        std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).unwrap();
    }
}

#[test]
fn a_shell_on_a_port_that_no_configuration_names_is_seen() {
    let closes = |world: &World, ports: &str| {
        let rest = format!("direction = \"in\"\nports = [\"{ports}\"]\nremote = \"any\"");
        planned_on(world, "https://192.0.2.7", &rule("a-rule", &rest))
    };
    let seen = |world: &World, port: u16| {
        let said = closes(world, &format!("{}-{}", port - 1, port + 1));
        assert!(said.as_ref().is_ok() || said.as_ref().unwrap_err().contains(&format!("port {port}")), "{said:?}");
        said.is_err()
    };
    let world = World::new(Vec::new());
    let (listen, talk, waits) = ("0A", "01", "06");
    world.write("proc/net/tcp", &(line(3022, listen, 11) + &line(8080, listen, 12) + &line(5022, waits, 0)));
    world.write("proc/net/tcp6", &(line(4022, talk, 13) + &line(40000, talk, 14)));
    process(&world, 100, "sshd", Some(&[11]));
    process(&world, 101, "nginx", Some(&[12, 14]));
    process(&world, 102, "sshd-session", Some(&[13]));
    assert!(seen(&world, 3022), "it listens there");
    assert!(seen(&world, 4022), "somebody is connected there, whatever listens now");
    for port in [8080, 5022, 40000] {
        assert!(!seen(&world, port), "{port} is another's");
    }
    assert_eq!(closes(&world, "3022"), Ok(()), "an entry that names the port by itself means it");

    // One sshd cannot be looked into: whatever nobody else holds may be its.
    let world = World::new(Vec::new());
    world.write("proc/net/tcp", &(line(3022, listen, 11) + &line(8080, listen, 12) + &line(4022, talk, 13)));
    process(&world, 100, "sshd", None);
    process(&world, 101, "nginx", Some(&[12]));
    assert!(seen(&world, 3022) && seen(&world, 4022) && !seen(&world, 8080));
}

#[test]
fn a_real_packet_filter_drops_and_lets_through_again() {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    const NAME: &str = "firewall::a_real_packet_filter_drops_and_lets_through_again";
    if std::env::var_os(INNER).is_some() {
        return inside();
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/nft").exists() {
        skip::skipped(NAME, "needs root and nft (package nftables)");
        return;
    }
    let script = "mount -t tmpfs -o mode=0755 none /etc && mkdir -p /etc/systemd/system && ip link set lo up && exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_real_packet_filter_drops_and_lets_through_again", "--nocapture"])
        .env(INNER, "1")
        .output();
    common::passed_inside(NAME, said);
}

fn nft(arguments: &[&str]) -> String {
    let said = Command::new("/usr/sbin/nft").args(arguments).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

fn inside() {
    let listener = TcpListener::bind("127.0.0.1:18530").unwrap();
    let reaches = || TcpStream::connect_timeout(&listener.local_addr().unwrap(), Duration::from_millis(400)).is_ok();
    let one = rule("no-wsus", "direction = \"in\"\nports = [\"18530\"]\nremote = \"any\"");
    let two = rule(
        "low-mss",
        "direction = \"in\"\nports = []\nremote = \"any\"\nfamily = \"ipv4\"\nmatch = \"syn and mss 1-500\"",
    ) + &rule(
        "no-smb",
        "direction = \"out\"\nports = [\"445\", \"137-139\"]\nremote = \"internet\"\nfamily = \"ipv6\"",
    );
    let world = World::new(vec![entry("linux-one", &one), entry("linux-two", &two)]);
    let state = StateDir::open(&world.state()).unwrap();
    let mut executor = Executor::open(state, Host::new(Tree::open(Path::new("/")).unwrap()), false).unwrap();
    executor.handle(ToExecutor::Time { server: common::now() });
    executor.handle(ToExecutor::Index { envelope: world.index.clone() });
    let mut task = 0;
    let mut run = |kind, id: &str| -> TaskReport {
        task += 1;
        let order = world.order(kind, id, task, 1);
        executor.handle(ToExecutor::Order { envelope: common::sign(&order, common::ORDER) });
        let text = String::from_utf8(world.entries[id].to_json()).unwrap();
        executor.handle(ToExecutor::Content { digest: order.content_digest, text });
        while executor.step() {}
        let mut out = executor.take_out();
        let asked = out.iter().find_map(|frame| if let ToNet::Prove { n } = frame { Some(*n) } else { None });
        if let Some(n) = asked {
            // Nothing is begun before the proof, and an answer to another question is none.
            executor.handle(ToExecutor::Proven { n: n + 1 });
            assert!(!executor.has_work() && !executor.step());
            executor.handle(ToExecutor::Proven { n });
            out.extend(executor.take_out());
        }
        common::report(&common::events(&out))
    };
    let mine = "add table inet mine; add chain inet mine input { type filter hook input priority 0; }";
    assert_eq!(nft(&[mine]), "");
    let theirs = nft(&["list", "ruleset"]);
    assert_eq!(run(OrderKind::Check, "linux-one").state, ControlState::Exposed);
    assert!(reaches());
    let applied = run(OrderKind::Apply, "linux-one");
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert!(!reaches());
    assert_eq!(run(OrderKind::Apply, "linux-one").outcome, Outcome::Unchanged);
    let applied = run(OrderKind::Apply, "linux-two");
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(nft(&["list", "table", "inet", "quell"]).matches("comment \"quell:").count(), 3);

    // Each file alone loads its rule after a reboot.
    assert_eq!(nft(&["delete", "table", "inet", "quell"]), "");
    assert_eq!(run(OrderKind::Check, "linux-one").state, ControlState::Drifted, "somebody flushed it");
    for name in ["no-wsus", "low-mss", "no-smb"] {
        assert_eq!(nft(&["-f", &format!("/etc/quell/firewall/{name}.nft")]), "");
    }
    assert_eq!(run(OrderKind::Check, "linux-one").state, ControlState::Effective);
    assert_eq!(run(OrderKind::Check, "linux-two").state, ControlState::Effective);
    assert!(!reaches());

    // Somebody else's rule under our name is not ours to take away.
    let before = nft(&["list", "ruleset"]);
    nft(&["delete", "table", "inet", "quell"]);
    let foreign = "add table inet quell; add chain inet quell input { type filter hook input priority -10; }; add rule inet quell input accept comment \"quell:no-wsus:0000\"";
    assert_eq!(nft(&[foreign]), "");
    assert_eq!(run(OrderKind::Revert, "linux-one").outcome, Outcome::DriftedSinceApply);
    nft(&["delete", "table", "inet", "quell"]);
    for name in ["no-wsus", "low-mss", "no-smb"] {
        nft(&["-f", &format!("/etc/quell/firewall/{name}.nft")]);
    }
    let plain = |text: &str| text.lines().filter(|line| line.contains("quell:")).count();
    assert_eq!(plain(&nft(&["list", "ruleset"])), plain(&before));

    let reverted = run(OrderKind::Revert, "linux-one");
    assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{reverted:#?}");
    assert!(reaches());
    assert_eq!(run(OrderKind::Check, "linux-two").state, ControlState::Effective);
    assert_eq!(run(OrderKind::Revert, "linux-two").outcome, Outcome::Reverted);
    assert_eq!(nft(&["list", "ruleset"]), theirs, "nothing of us stays");
    // The folders went with the first entry that needed them, or are empty: the second could still have used them.
    for folder in ["/etc/quell/firewall", "/etc/systemd/system/sysinit.target.wants"] {
        assert_eq!(std::fs::read_dir(folder).map_or(0, Iterator::count), 0, "{folder}");
    }
}

const CMDLINE: &str = "[[action]]\nkind = \"kernel.cmdline\"\nparam = \"gather_data_sampling=force\"\n";

#[test]
fn kernel_cmdline() {
    let world = World::new(vec![entry("linux-cmdline", CMDLINE)]);
    assert_eq!(world.check("linux-cmdline", 1).state, ControlState::Unknown);
    world.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n");
    assert_eq!(world.apply("linux-cmdline", 2).outcome, Outcome::Failed, "no GRUB of this kind");
    world.write("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n");
    world.write("usr/sbin/update-grub", "");
    let before = world.snapshot();
    assert_eq!(world.check("linux-cmdline", 3).state, ControlState::Exposed);
    let applied = world.apply("linux-cmdline", 4);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Configured), "{applied:#?}");
    assert_eq!(applied.restart_needed.as_deref(), Some("reboot"));
    let dropin = world.read("etc/default/grub.d/99-quell-gather_data_sampling.cfg");
    assert!(dropin.contains("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX gather_data_sampling=force\""), "{dropin}");
    // After the restart.
    world.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet gather_data_sampling=force\n");
    assert_eq!(world.check("linux-cmdline", 5).state, ControlState::Effective);
    assert_eq!(world.apply("linux-cmdline", 6).outcome, Outcome::Unchanged);
    world.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n");
    assert_eq!(world.revert("linux-cmdline", 7).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    world.write("etc/default/grub", "GRUB_CMDLINE_LINUX=\"gather_data_sampling=off\"\n");
    let report = world.apply("linux-cmdline", 8);
    assert!(report.outcome == Outcome::Failed && report.message.contains("another value"), "{}", report.message);
}

const XML: &str = "[[action]]\nkind = \"file.xml\"\npath = \"/etc/tomcat9/server.xml\"\nelement = \"/Server/Service/Connector\"\nonly = { protocol = \"AJP/*\" }\nwant = \"absent\"\n\n[[action]]\nkind = \"file.xml\"\npath = \"/etc/tomcat9/server.xml\"\nelement = \"/Server\"\nwant = \"attribute\"\nattribute = \"port\"\nvalue = \"-1\"\n";
const SERVER: &str = "<Server port=\"8005\">\n  <Service>\n    <Connector port=\"8009\" protocol=\"AJP/1.3\"/>\n    <Connector port=\"8080\"/>\n  </Service>\n</Server>\n";

#[test]
fn file_xml() {
    let world = World::new(vec![entry("linux-xml", XML)]);
    assert_eq!(world.apply("linux-xml", 1).outcome, Outcome::NotApplicable);
    world.write("etc/tomcat9/server.xml", SERVER);
    let before = world.snapshot();
    let applied = world.apply("linux-xml", 2);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    let after = "<Server port=\"-1\">\n  <Service>\n    <Connector port=\"8080\"/>\n  </Service>\n</Server>\n";
    assert_eq!(world.read("etc/tomcat9/server.xml"), after);
    assert_eq!(world.apply("linux-xml", 3).outcome, Outcome::Unchanged);
    assert_eq!(world.revert("linux-xml", 4).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    // Something else changed meanwhile: it stays, and ours goes back.
    assert_eq!(world.apply("linux-xml", 5).outcome, Outcome::Succeeded);
    world.write("etc/tomcat9/server.xml", &after.replace("8080", "8081"));
    assert_eq!(world.revert("linux-xml", 6).outcome, Outcome::Reverted);
    let text = world.read("etc/tomcat9/server.xml");
    assert!(text.contains("port=\"8005\"") && text.contains("AJP/1.3") && text.contains("8081"), "{text}");
    // Our own setting changed: nothing is written.
    world.write("etc/tomcat9/server.xml", SERVER);
    assert_eq!(world.apply("linux-xml", 7).outcome, Outcome::Succeeded);
    world.write("etc/tomcat9/server.xml", &after.replace("\"-1\"", "\"9005\""));
    let before = world.snapshot();
    assert_eq!(world.check("linux-xml", 8).state, ControlState::Drifted);
    assert_eq!(world.revert("linux-xml", 9).outcome, Outcome::DriftedSinceApply);
    assert_eq!(world.snapshot(), before);
    world.write("etc/tomcat9/server.xml", "<!DOCTYPE x [<!ENTITY a \"b\">]><Server port=\"&a;\"/>");
    assert_eq!(world.check("linux-xml", 10).state, ControlState::Unknown);
}
