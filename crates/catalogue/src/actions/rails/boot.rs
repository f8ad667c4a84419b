//! Which parameters of the kernel's command line an entry may set: a list of what is allowed, because any other can choose what is
//! started, take memory, processors, disks or the network away, or switch a protection off, and the machine is restarted with it.

/// Parameters with the values that switch a protection on; an empty value stands for the name alone.
///
/// Each was looked up in `Documentation/admin-guide/kernel-parameters.txt` and `hw-vuln/` of Linux 6.1.192 (as Debian's
/// `linux-doc-6.1` 6.1.192-3 has them), in the spelling that is documented there. A value is in the list when it is never less than
/// what the kernel does without it, on any processor, and when what the documentation says of it does not end in a system that may
/// not work. Left out, with the reason:
///
/// - weaker than the default: `indirect_target_selection=vmexit`, `spec_rstack_overflow=microcode` and `ibpb-vmexit`,
///   `spectre_bhi=vmexit`, `tsa=user` and `vm` ("mitigate only …"), `tsx=auto` (the default is `off`), `l1tf=flush,nowarn`;
/// - weaker than what some kernels do: `spec_store_bypass_disable=prctl`, `spectre_v2_user=prctl…` (`seccomp` was the default
///   before 5.16), `proc_mem.force_override=ptrace` (a kernel may be built with `never`), `kvm-intel.vmentry_l1d_flush=cond`,
///   `l1tf=flush` (they take back an `l1tf=full`), `ssbd=kernel`;
/// - a method that is right on some processors and leaves others open: `spectre_v2=retpoline…`, `eibrs…`, `ibrs`;
///   `retbleed=ibpb` ("not suitable on Intel"), `unret` (AMD alone), `stuff`; `indirect_target_selection=force`, with which Zen 2
///   reports a Retbleed mitigation that it does not have, and `vmscape=force`, which likewise claims a bug the processor lacks;
/// - hardening that takes other hardening away: `slab_debug`, `slub_debug` (addresses of the kernel are printed as they are, and
///   poisoning takes precedence over `init_on_alloc`), `page_poison=on` (switches `init_on_alloc` and `init_on_free` off);
/// - "might break your system": `vsyscall=none`; no value of the kernel's: `srbds=on` (there is `off` alone).
const PROTECTIONS: [(&str, &[&str]); 35] = [
    ("debugfs", &["no-mount", "off"]),
    // The one that the catalogue's research asks for besides what protects processors (CVE-2022-40982). Where the microcode is
    // missing it takes AVX away, and programs that look for AVX in a wrong way crash: the entry says so.
    ("gather_data_sampling", &["force"]),
    ("hardened_usercopy", &["on"]),
    ("indirect_target_selection", &["on"]),
    ("init_on_alloc", &["1"]),
    ("init_on_free", &["1"]),
    // What registers AEAD ciphers for programs where that is built into the kernel (CVE-2026-31431); nothing boots by it. Any other
    // function, or two of them, could be the one that finds the disk.
    ("initcall_blacklist", &["algif_aead_init"]),
    ("kpti", &["1"]),
    ("kvm-intel.vmentry_l1d_flush", &["always"]),
    ("kvm.nx_huge_pages", &["force", "auto"]),
    ("l1d_flush", &["on"]),
    ("l1tf", &["full", "full,force", "flush,nosmt"]),
    ("mds", &["full", "full,nosmt"]),
    ("mitigations", &["auto", "auto,nosmt"]),
    ("mmio_stale_data", &["full", "full,nosmt"]),
    ("nosmt", &["", "force"]),
    ("page_alloc.shuffle", &["1"]),
    ("proc_mem.force_override", &["never"]),
    ("pti", &["on", "auto"]),
    ("randomize_kstack_offset", &["1"]),
    ("reg_file_data_sampling", &["on"]),
    ("retbleed", &["auto", "auto,nosmt"]),
    ("slab_nomerge", &[""]),
    ("slub_nomerge", &[""]),
    ("spec_rstack_overflow", &["safe-ret", "ibpb"]),
    ("spec_store_bypass_disable", &["on", "auto", "seccomp"]),
    ("spectre_bhi", &["on"]),
    ("spectre_v2", &["on", "auto"]),
    ("spectre_v2_user", &["on", "auto", "seccomp,ibpb"]),
    ("ssbd", &["force-on"]),
    ("tsa", &["on"]),
    ("tsx", &["off"]),
    ("tsx_async_abort", &["full", "full,nosmt"]),
    ("vmscape", &["ibpb"]),
    ("vsyscall", &["xonly"]),
];

/// Whether a parameter, `name` or `name=value`, is one that switches a protection on.
pub(super) fn switches_protection_on(param: &str) -> bool {
    let (name, value) = param.split_once('=').unwrap_or((param, ""));
    PROTECTIONS.iter().any(|(known, values)| *known == name && values.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader of the list counts on.
    #[test]
    fn the_list_is_sorted_and_switches_nothing_off_but_features() {
        let names: Vec<&str> = PROTECTIONS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for (name, values) in PROTECTIONS {
            assert!(!values.is_empty(), "{name}");
            for value in values {
                // Of features that attacks use, being off is the protection.
                let feature = ["debugfs", "proc_mem.force_override", "tsx"].contains(&name);
                let off = ["off", "0", "never", "force-off"].contains(value);
                assert!(feature || !off, "{name}={value}");
            }
        }
    }

    #[test]
    fn only_what_switches_a_protection_on_is_set_at_boot() {
        for param in [
            "gather_data_sampling=force",
            "spec_store_bypass_disable=on",
            "mitigations=auto",
            "mitigations=auto,nosmt",
            "kvm.nx_huge_pages=force",
            "slab_nomerge",
            "nosmt",
            "nosmt=force",
            "initcall_blacklist=algif_aead_init",
            "l1tf=full,force",
            "tsa=on",
        ] {
            assert!(switches_protection_on(param), "{param}");
        }
        for param in [
            "module_blacklist=virtio_net",
            "modprobe.blacklist=ext4",
            "rd.driver.blacklist=nvme",
            "mem=64M",
            "memmap=1G",
            "maxcpus=0",
            "nr_cpus=1",
            "ipv6.disable=1",
            "net.ifnames=0",
            "biosdevname=0",
            "ip=off",
            "init=x",
            "rdinit=x",
            "root=x",
            "rootflags=ro",
            "ro",
            "single",
            "1",
            "s",
            "emergency",
            "rd.break",
            "systemd.unit=rescue.target",
            "systemd.mask=sshd.service",
            "acpi=off",
            "pci=off",
            "nomodule",
            "nokaslr",
            "nosmep",
            "selinux=0",
            "lockdown=confidentiality",
            "module.sig_enforce=1",
            "mitigations=off",
            "spectre_v2=off",
            "gather_data_sampling=off",
            "gather_data_sampling",
            "slab_nomerge=0",
            "panic=1",
            // A part of what the kernel does by itself.
            "indirect_target_selection=vmexit",
            "spec_rstack_overflow=microcode",
            "spec_rstack_overflow=ibpb-vmexit",
            "spectre_bhi=vmexit",
            "spectre_v2_user=prctl",
            "spec_store_bypass_disable=prctl",
            "proc_mem.force_override=ptrace",
            "tsa=user",
            "tsa=vm",
            "tsx=auto",
            "tsx=on",
            "l1tf=flush",
            "l1tf=flush,nowarn",
            // Right for some processors alone.
            "indirect_target_selection=force",
            "retbleed=unret",
            "retbleed=ibpb",
            "retbleed=stuff",
            "spectre_v2=retpoline,lfence",
            "spectre_v2=retpoline,amd",
            "spectre_v2=eibrs",
            "vmscape=force",
            // One hardening for another.
            "slab_debug=FZP",
            "slub_debug=P",
            "page_poison=on",
            "hash_pointers=never",
            "no_hash_pointers",
            "vsyscall=none",
            "vsyscall=emulate",
            "srbds=on",
            "initcall_blacklist=ext4_init_fs",
            "initcall_blacklist=algif_aead_init,ext4_init_fs",
            "initcall_blacklist",
        ] {
            assert!(!switches_protection_on(param), "{param}");
        }
    }
}
