use super::*;
use crate::hosts::Fleet;
use crate::weakness::Comparison;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};

fn written(seed: u64, index: u32) -> (tempfile::TempDir, Plan) {
    let host = Fleet::new(seed, 8, 8).host(index);
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_root(folder.path(), seed, &host).expect("a root folder");
    (folder, Plan::of(seed, &host).expect("a Debian-family host"))
}

#[test]
fn every_weakness_of_a_plan_is_found_and_exposed_in_its_folder_and_no_other_is() {
    let mut seen = BTreeSet::new();
    for seed in 0..4 {
        for index in 0..8 {
            let (folder, plan) = written(seed, index);
            let planned: BTreeSet<u32> = plan.weaknesses().map(|weakness| weakness.qid).collect();
            let found: BTreeSet<u32> = weakness::all()
                .filter(|weakness| judge::scan(folder.path(), weakness).present)
                .map(|weakness| weakness.qid)
                .collect();
            assert_eq!(planned, found, "seed {seed}, host {index}");
            for qid in &found {
                assert!(is_exposed(folder.path(), *qid).expect("a demo qid"), "seed {seed}, host {index}, qid {qid}");
            }
            seen.extend(found);
        }
    }
    let never: Vec<u32> = weakness::all().map(|weakness| weakness.qid).filter(|qid| !seen.contains(qid)).collect();
    assert!(never.is_empty(), "no host ever has {never:?}");
}

#[test]
fn what_a_demo_relies_on_is_there_with_every_seed() {
    for seed in 0..40 {
        let fleet = Fleet::new(seed, 3, 3);
        let qids: Vec<BTreeSet<u32>> = fleet
            .iter()
            .map(|host| {
                Plan::of(seed, &host).expect("a Debian-family host").weaknesses().map(|weakness| weakness.qid).collect()
            })
            .collect();
        assert!(qids.iter().all(|host| host.contains(&900_002) && host.contains(&900_101)), "seed {seed}");
        assert!([0, 1].iter().all(|at| qids[*at].contains(&900_001)), "seed {seed}");
        assert!(qids[0].contains(&900_008) && qids[1].contains(&900_005) && qids[1].contains(&900_006), "seed {seed}");
        assert!(qids[2].contains(&900_004) && qids[2].contains(&900_007), "seed {seed}");
    }
}

#[test]
fn a_fix_by_other_means_makes_the_finding_go_and_a_second_one_changes_nothing() {
    for index in 0..8 {
        let (folder, plan) = written(3, index);
        for weakness in plan.weaknesses() {
            let already = !is_found(folder.path(), weakness.qid).expect("a demo qid");
            let changed = fix(folder.path(), weakness.qid).expect("a fix");
            assert!(changed || already, "qid {}", weakness.qid);
            assert!(!is_found(folder.path(), weakness.qid).expect("a demo qid"), "qid {}", weakness.qid);
            if !weakness.package.is_empty() {
                assert!(!fix(folder.path(), weakness.qid).expect("a fix"), "qid {} twice", weakness.qid);
            }
        }
    }
}

/// Puts the safeguard in place the way an administrator would.
fn mitigate(root: &Path, safeguard: Safeguard) {
    let append = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{old}{text}\n")).expect("a file");
    };
    match safeguard {
        Safeguard::None => {}
        Safeguard::SshdLoginGraceZero => files::set_sshd_first(root, "LoginGraceTime", "0").expect("sshd"),
        Safeguard::SshdNoTerrapin => {
            files::set_sshd_first(root, "Ciphers", "-chacha20-poly1305@openssh.com").expect("sshd");
            files::set_sshd_first(root, "MACs", "-*-etm@openssh.com").expect("sshd");
        }
        Safeguard::SshdKeyword(keyword, value) => files::set_sshd_first(root, keyword, value).expect("sshd"),
        Safeguard::SshClientKeyword(keyword, value) => append("etc/ssh/ssh_config", &format!("    {keyword} {value}")),
        Safeguard::ModulesBlocked(names) => {
            for name in names {
                append("etc/modprobe.d/zz-test.conf", &format!("install {name} /bin/false"));
            }
        }
        Safeguard::Sysctl(wanted) => {
            for (key, _, value) in wanted {
                append("etc/sysctl.d/90-test.conf", &format!("{key} = {value}"));
                std::fs::write(root.join("proc/sys").join(key.replace('.', "/")), format!("{value}\n")).expect("proc");
            }
        }
        Safeguard::ServiceOff(unit) => {
            symlink("/dev/null", root.join("etc/systemd/system").join(unit)).expect("a mask");
        }
        Safeguard::NoSetuid(path) => {
            std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        Safeguard::PackagesAbsent(names) => {
            for name in names {
                dpkg::remove(root, name).expect("dpkg");
            }
        }
        Safeguard::Says(folder, texts) => append(&format!("{folder}/90-test.conf"), &texts.join(" ")),
        Safeguard::PostfixNoSmuggling => append("etc/postfix/main.cf", "smtpd_forbid_bare_newline = yes"),
    }
}

#[test]
fn a_mitigation_ends_the_exposure_and_only_where_it_is_the_remedy_the_finding() {
    for index in 1..4 {
        for weakness in written(5, index).1.weaknesses() {
            let (folder, _) = written(5, index);
            mitigate(folder.path(), weakness.safeguard);
            let exposed = is_exposed(folder.path(), weakness.qid).expect("a demo qid");
            assert_eq!(exposed, weakness.safeguard == Safeguard::None, "qid {}", weakness.qid);
            let found = is_found(folder.path(), weakness.qid).expect("a demo qid");
            let is_remedy =
                weakness.judge == Judge::Setting || matches!(weakness.safeguard, Safeguard::PackagesAbsent(_));
            assert_eq!(found, !is_remedy, "qid {}", weakness.qid);
        }
    }
}

#[test]
fn half_a_kernel_setting_is_not_enough() {
    let (folder, _) = written(1, 2);
    let file = folder.path().join("proc/sys/user/max_user_namespaces");
    std::fs::write(&file, "0\n").expect("proc");
    let safeguard = Safeguard::Sysctl(&[("user.max_user_namespaces", Comparison::Equal, 0)]);
    assert!(!judge::is_safeguarded(folder.path(), safeguard), "in force but not persisted");
    mitigate(folder.path(), safeguard);
    assert!(judge::is_safeguarded(folder.path(), safeguard));
    std::fs::write(&file, "63434\n").expect("proc");
    assert!(!judge::is_safeguarded(folder.path(), safeguard), "persisted but not in force");
}

#[test]
fn a_module_that_is_loaded_is_not_blocked() {
    let (folder, _) = written(1, 0);
    let safeguard = Safeguard::ModulesBlocked(&["algif_aead"]);
    mitigate(folder.path(), safeguard);
    assert!(judge::is_safeguarded(folder.path(), safeguard));
    std::fs::remove_file(folder.path().join("proc/modules")).expect("a read-only stand-in for /proc");
    std::fs::write(folder.path().join("proc/modules"), "algif_aead 16384 0 - Live 0x0\n").expect("proc");
    assert!(!judge::is_safeguarded(folder.path(), safeguard));
}

#[test]
fn a_root_folder_names_the_host_and_its_scanner_agent() {
    let host = Fleet::new(4, 3, 3).host(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_root(folder.path(), 4, &host).expect("a root folder");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file").trim().to_owned();
    assert_eq!(read("etc/qualys/hostid"), host.agent_uuid.expect("an agent").to_string());
    assert_eq!(read("etc/machine-id"), host.machine_id);
    assert_eq!(read("sys/class/net/eth0/address"), host.mac);
    assert!(read("proc/net/fib_trie").contains(&format!("|-- {}\n              /32 host LOCAL", host.ip)));
    assert_ne!(read("proc/sys/kernel/random/boot_id"), read("etc/qualys/hostid"));
    assert!(folder.path().join("sys/fs/cgroup/system.slice/ssh.service/cgroup.procs").exists());
    assert!(!folder.path().join("sys/fs/cgroup/system.slice/cups-browsed.service").exists(), "enabled, but idle");
    assert_eq!(Os::under(folder.path()), Some(host.os));
    write_root(folder.path(), 4, &host).expect("writing it again is allowed");
}

#[test]
fn a_windows_host_has_no_root_folder() {
    let fleet = Fleet::new(1, 200, 0);
    let host = fleet.iter().find(|host| host.os.is_windows()).expect("a Windows host");
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(matches!(write_root(folder.path(), 1, &host), Err(WorldError::NotDebianFamily(_))));
}
