//! Which parameters of the kernel's command line an entry may set: a list of what is allowed, because any other can choose what is
//! started, take memory, processors, disks or the network away, or switch a protection off, and the machine is restarted with it.

/// Parameters with the values that switch a protection on, as `Documentation/admin-guide/kernel-parameters.txt` of the kernel has
/// them; an empty value stands for the name alone.
const PROTECTIONS: [(&str, &[&str]); 38] = [
    ("gather_data_sampling", &["force"]),
    ("hardened_usercopy", &["1", "on"]),
    ("indirect_target_selection", &["on", "force", "vmexit", "stuff"]),
    ("init_on_alloc", &["1", "on"]),
    ("init_on_free", &["1", "on"]),
    ("kpti", &["1", "on"]),
    ("kvm-intel.vmentry_l1d_flush", &["always", "cond"]),
    ("kvm.nx_huge_pages", &["force", "auto"]),
    ("l1d_flush", &["on"]),
    ("l1tf", &["full", "full,force", "flush", "flush,nosmt", "flush,nowarn"]),
    ("mds", &["full", "full,nosmt"]),
    ("mitigations", &["auto", "auto,nosmt"]),
    ("mmio_stale_data", &["full", "full,nosmt"]),
    ("nosmt", &["", "force"]),
    ("page_alloc.shuffle", &["1"]),
    ("page_poison", &["1", "on"]),
    ("proc_mem.force_override", &["ptrace", "never"]),
    ("pti", &["on", "auto"]),
    ("randomize_kstack_offset", &["1", "on"]),
    ("reg_file_data_sampling", &["on"]),
    ("retbleed", &["auto", "auto,nosmt", "ibpb", "ibpb,nosmt", "unret", "unret,nosmt", "stuff"]),
    ("slab_nomerge", &[""]),
    ("slub_nomerge", &[""]),
    ("spec_rstack_overflow", &["microcode", "safe-ret", "ibpb", "ibpb-vmexit"]),
    ("spec_store_bypass_disable", &["on", "auto", "prctl", "seccomp"]),
    ("spectre_bhi", &["on", "vmexit"]),
    (
        "spectre_v2",
        &[
            "on",
            "auto",
            "retpoline",
            "retpoline,generic",
            "retpoline,lfence",
            "retpoline,amd",
            "eibrs",
            "eibrs,retpoline",
            "eibrs,lfence",
            "ibrs",
        ],
    ),
    ("spectre_v2_user", &["on", "auto", "prctl", "prctl,ibpb", "seccomp", "seccomp,ibpb"]),
    ("srbds", &["on"]),
    ("ssbd", &["force-on", "kernel"]),
    ("tsa", &["on", "user", "vm"]),
    ("tsx", &["off", "auto"]),
    ("tsx_async_abort", &["full", "full,nosmt"]),
    ("vmscape", &["on", "ibpb", "force"]),
    ("vsyscall", &["xonly", "none"]),
    ("debugfs", &["no-mount", "off"]),
    ("slab_debug", &["P", "Z", "F", "FZ", "FZP"]),
    ("slub_debug", &["P", "Z", "F", "FZ", "FZP"]),
];

/// Whether a parameter, `name` or `name=value`, is one that switches a protection on.
pub(super) fn switches_protection_on(param: &str) -> bool {
    let (name, value) = param.split_once('=').unwrap_or((param, ""));
    PROTECTIONS.iter().any(|(known, values)| *known == name && values.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(!switches_protection_on(param), "{param}");
        }
    }
}
