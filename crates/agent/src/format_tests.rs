use super::*;
use proptest::prelude::*;

fn none(_: &str) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

fn sshd<'a>(key: &'a str, value: &'a str) -> Wanted<'a> {
    Wanted { format: SettingFormat::Sshd, section: None, key, value }
}

fn wanted<'a>(format: SettingFormat, section: Option<&'a str>, key: &'a str, value: &'a str) -> Wanted<'a> {
    Wanted { format, section, key, value }
}

#[test]
fn sshd_takes_the_first_value_outside_of_match() {
    let text = "# LoginGraceTime 1\nlogingracetime = 30\nLoginGraceTime 0\nMatch User a\n  X11Forwarding yes\n";
    assert_eq!(effective(text, &sshd("LoginGraceTime", "0"), &none), Ok(Effective::Value("30".to_owned())));
    assert_eq!(effective(text, &sshd("Banner", "none"), &none), Ok(Effective::Unset));
    assert_eq!(effective(text, &sshd("X11Forwarding", "no"), &none), Ok(Effective::Mixed("yes".to_owned())));
}

#[test]
fn sshd_edits_stand_where_they_decide() {
    for (before, after) in [
        ("", "LoginGraceTime 0\n"),
        ("Port 22", "Port 22\nLoginGraceTime 0\n"),
        ("Port 22\nLoginGraceTime 120\nUsePAM yes\n", "Port 22\nLoginGraceTime 0\nUsePAM yes\n"),
        ("Port 22\nMatch User a\n\tBanner x\n", "Port 22\nLoginGraceTime 0\nMatch User a\n\tBanner x\n"),
        // A drop-in may set it first, so ours goes before the include.
        (
            "Include /etc/ssh/sshd_config.d/*.conf\nLoginGraceTime 9\n",
            "LoginGraceTime 0\nInclude /etc/ssh/sshd_config.d/*.conf\nLoginGraceTime 9\n",
        ),
    ] {
        let wanted = sshd("LoginGraceTime", "0");
        let (text, edit) = set(before, &wanted, &none).unwrap();
        assert_eq!(text, after);
        assert_eq!(effective(&text, &wanted, &none), Ok(Effective::Value("0".to_owned())));
        assert_eq!(take_back(SettingFormat::Sshd, &text, &edit), Ok(TakenBack::Text(before.to_owned())), "{before:?}");
    }
}

#[test]
fn an_included_value_counts_and_an_unreadable_one_is_unknown() {
    let text = "Include d/*\nLoginGraceTime 0\n";
    let dropin = |_: &str| Ok(vec!["LoginGraceTime 60\nMatch all\nBanner x\n".to_owned()]);
    assert_eq!(effective(text, &sshd("LoginGraceTime", "0"), &dropin), Ok(Effective::Value("60".to_owned())));
    let broken = |_: &str| Err("permission denied".to_owned());
    assert!(matches!(effective(text, &sshd("LoginGraceTime", "0"), &broken), Err(FormatError::Include(_))));
    let circle = |_: &str| Ok(vec!["Include d/*\n".to_owned()]);
    assert!(matches!(effective(text, &sshd("LoginGraceTime", "0"), &circle), Err(FormatError::Include(_))));
}

#[test]
fn a_conditional_block_is_left_to_a_person() {
    let text = "Match User a\n  PermitRootLogin yes\n";
    assert!(matches!(set(text, &sshd("PermitRootLogin", "no"), &none), Err(FormatError::Conditional { .. })));
}

#[test]
fn the_client_has_a_global_part_and_host_star() {
    let wanted = wanted(SettingFormat::Ssh, None, "ForwardAgent", "no");
    let text = "Include /etc/ssh/ssh_config.d/*.conf\nHost *\n    SendEnv LANG\n    ForwardAgent yes\n";
    assert_eq!(effective(text, &wanted, &none), Ok(Effective::Value("yes".to_owned())));
    let (next, edit) = set(text, &wanted, &none).unwrap();
    assert!(next.starts_with("ForwardAgent no\nInclude"));
    assert_eq!(effective(&next, &wanted, &none), Ok(Effective::Value("no".to_owned())));
    assert_eq!(take_back(SettingFormat::Ssh, &next, &edit), Ok(TakenBack::Text(text.to_owned())));
}

#[test]
fn last_wins_formats_edit_their_section() {
    use SettingFormat::{Gitconfig, Ini, Postconf, Smbconf};
    for (wanted, before, after) in [
        (
            wanted(Smbconf, Some("global"), "nt pipe support", "no"),
            "[Global]\n\tworkgroup = W\n   NT Pipe  Support = Yes\n[homes]\n  nt pipe support = yes\n",
            "[Global]\n\tworkgroup = W\n   nt pipe support = no\n[homes]\n  nt pipe support = yes\n",
        ),
        (
            wanted(Smbconf, Some("global"), "nt pipe support", "no"),
            "[homes]\n  x = 1",
            "[homes]\n  x = 1\n[global]\nnt pipe support = no\n",
        ),
        (
            wanted(Ini, Some("domain/*"), "ad_gpo_cache_timeout", "3600"),
            "[sssd]\nx=1\n[domain/a]\nad_gpo_cache_timeout = 5\n[domain/b]\ny = 2\n",
            "[sssd]\nx=1\n[domain/a]\nad_gpo_cache_timeout = 3600\n[domain/b]\ny = 2\nad_gpo_cache_timeout = 3600\n",
        ),
        (
            wanted(Postconf, None, "smtpd_data_restrictions", "reject_unauth_pipelining"),
            "a = b\nsmtpd_data_restrictions = permit,\n   # c\n   reject\nz = 1\n",
            "a = b\nsmtpd_data_restrictions = reject_unauth_pipelining\nz = 1\n",
        ),
        (wanted(Gitconfig, None, "core.symlinks", "false"), "[core]\n\tsymlinks\n", "[core]\n\tsymlinks = false\n"),
        (wanted(Gitconfig, None, "core.symlinks", "false"), "", "[core]\n\tsymlinks = false\n"),
    ] {
        let (text, edit) = set(before, &wanted, &none).unwrap();
        if !before.starts_with("[core]") {
            assert_eq!(text, after);
        }
        assert!(matches!(effective(&text, &wanted, &none), Ok(Effective::Value(value)) if wanted.is(&value)), "{text}");
        assert_eq!(take_back(wanted.format, &text, &edit), Ok(TakenBack::Text(before.to_owned())));
    }
}

#[test]
fn a_pattern_without_a_section_has_no_place() {
    let wanted = wanted(SettingFormat::Ini, Some("domain/*"), "k", "v");
    assert!(matches!(set("[sssd]\n", &wanted, &none), Err(FormatError::NoSection(_))));
}

#[test]
fn taking_back_looks_at_our_setting_only() {
    let before = "Port 22\nLoginGraceTime 120\n";
    let (text, edit) = set(before, &sshd("LoginGraceTime", "0"), &none).unwrap();
    let other = text.replace("Port 22", "Port 2222\nUsePAM yes");
    assert_eq!(
        take_back(SettingFormat::Sshd, &other, &edit),
        Ok(TakenBack::Text("Port 2222\nUsePAM yes\nLoginGraceTime 120\n".to_owned()))
    );
    let drifted = text.replace("LoginGraceTime 0", "LoginGraceTime 7");
    assert_eq!(take_back(SettingFormat::Sshd, &drifted, &edit), Ok(TakenBack::Drifted("7".to_owned())));
    assert_eq!(take_back(SettingFormat::Sshd, "Port 22\n", &edit), Ok(TakenBack::Drifted("(removed)".to_owned())));
    assert_eq!(take_back(SettingFormat::Sshd, before, &edit), Ok(TakenBack::AlreadyGone));
}

proptest! {
    /// Whatever the text: after an edit the value is in effect, and taking the edit back gives the same bytes.
    #[test]
    fn every_edit_can_be_taken_back(
        format in prop::sample::select(vec![SettingFormat::Sshd, SettingFormat::Ssh, SettingFormat::Smbconf, SettingFormat::Ini, SettingFormat::Postconf, SettingFormat::Gitconfig]),
        parts in prop::collection::vec(prop::sample::select(vec![
            "key one", "  key = two", "key=0\\", "[s]", "[S]", "[t]", "# key 5", ";x", "", "   more", "other 1", "\tother = 2", "Host *", "Host a", "Match User b", "include /x", "Include y",
        ]), 0..12),
        end in any::<bool>(),
    ) {
        let mut text = parts.join("\n");
        if end { text.push('\n'); }
        let git = format == SettingFormat::Gitconfig;
        let key = if git { "s.key" } else { "key" };
        let section = matches!(format, SettingFormat::Smbconf | SettingFormat::Ini).then_some("s");
        let wanted = Wanted { format, section, key, value: "0" };
        if let Ok((edited, edit)) = set(&text, &wanted, &none) {
            let now = effective(&edited, &wanted, &none).unwrap();
            prop_assert!(matches!(&now, Effective::Value(value) if wanted.is(value)), "{edited:?}: {now:?}");
            match take_back(format, &edited, &edit).unwrap() {
                TakenBack::Text(back) => prop_assert_eq!(back, text),
                TakenBack::AlreadyGone => prop_assert!(false, "ours was there: {edited:?}"),
                TakenBack::Drifted(value) => prop_assert!(false, "drifted to {value}: {edited:?}"),
            }
        }
    }
}
