//! The hand-written table against the code, and the narrowing rules.

use super::*;

const ME: UserId = UserId(7);
const OTHER: UserId = UserId(8);
const MY_GROUP: &str = "linux-team";

fn actor(roles: &[Role]) -> Actor {
    Actor {
        user: ME,
        name: "me".to_owned(),
        roles: roles.iter().copied().collect(),
        groups: BTreeSet::from([MY_GROUP.to_owned()]),
        scope: AssetScope::All,
        token_scopes: None,
    }
}

/// One record per relation, with the letter of the table; the first has none.
fn records() -> Vec<(char, Record)> {
    vec![
        (
            'n',
            Record { owner: Some(OTHER), assignee: Some(OTHER), group: Some("others".to_owned()), ..Record::default() },
        ),
        ('o', Record::owned_by(ME)),
        ('c', Record::owned_by(OTHER).shared_with([ME])),
        ('a', Record::assigned_to(Some(ME), None)),
        ('g', Record::assigned_to(Some(OTHER), Some(MY_GROUP))),
    ]
}

#[test]
fn every_role_action_and_relation_is_as_the_table_says() {
    let rows: Vec<Vec<&str>> = include_str!("tests.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    let named: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(named, ACTIONS.iter().map(|action| action.as_str()).collect::<Vec<_>>(), "one row per action, in order");
    for (row, action) in rows.iter().zip(ACTIONS) {
        assert_eq!(row.len(), 10, "{}", row[0]);
        for (cell, role) in row[1..9].iter().zip(ROLES) {
            for (letter, record) in records() {
                let expected = *cell == "yes" || cell.chars().all(|c| "ocag".contains(c)) && cell.contains(letter);
                let decision = may(&actor(&[role]), *action, &record);
                assert_eq!(decision.allowed(), expected, "{role} {} as {letter}: {decision:?}", row[0]);
                let scoped = Actor { scope: AssetScope::Tags(BTreeSet::from(["prod".to_owned()])), ..actor(&[role]) };
                let decision = may(&scoped, *action, &record);
                let expected = expected && row[9] == "yes";
                assert_eq!(decision.allowed(), expected, "scoped {role} {} as {letter}: {decision:?}", row[0]);
            }
        }
    }
}

#[test]
fn nobody_without_a_role_may_anything() {
    for action in ACTIONS {
        assert_eq!(may(&actor(&[]), *action, &Record::owned_by(ME)), Decision::Denied(Reason::RoleMissing(*action)));
    }
}

#[test]
fn roles_add_up() {
    let both = actor(&[Role::RemediationOwner, Role::JobAuthor]);
    assert!(may(&both, Action::Rescan, &Record::assigned_to(Some(ME), None)).allowed());
    assert!(may(&both, Action::JobCreate, &Record::default()).allowed());
    assert_eq!(reach(&both, Action::ItemsView), Reach::Everything);
    assert_eq!(reach(&actor(&[Role::RemediationOwner]), Action::ItemsView), Reach::Related(Relations::ASSIGNED));
}

#[test]
fn the_reason_names_the_missing_relation() {
    let other = Record::owned_by(OTHER).shared_with([UserId(9)]);
    let author = actor(&[Role::JobAuthor]);
    assert_eq!(may(&author, Action::JobEdit, &other), Decision::Denied(Reason::NotYours));
    assert_eq!(may(&author, Action::JobDelete, &other), Decision::Denied(Reason::OwnerOnly));
    let shared = Record::owned_by(OTHER).shared_with([ME]);
    assert_eq!(
        may(&author, Action::JobDelete, &shared),
        Decision::Denied(Reason::OwnerOnly),
        "a co-author never deletes"
    );
    assert_eq!(may(&author, Action::JobShare, &shared), Decision::Denied(Reason::OwnerOnly));
    let reader = may(&actor(&[Role::JobReader]), Action::JobEdit, &shared);
    assert_eq!(reader, Decision::Denied(Reason::RoleMissing(Action::JobEdit)), "co-authors act within their own role");
}

/// S2.07, and design section 7: "not assigned to you" stops remediation owners, not analysts or administrators.
#[test]
fn s2_07_a_rescan_needs_assignment_for_remediation_owners_only() {
    let item = Record::assigned_to(Some(OTHER), None);
    assert_eq!(may(&actor(&[Role::RemediationOwner]), Action::Rescan, &item), Decision::Denied(Reason::NotAssigned));
    assert_eq!(Reason::NotAssigned.to_string(), "this record is not assigned to you or to one of your groups");
    for role in [Role::VulnerabilityAnalyst, Role::VulnerabilityAdministrator, Role::Administrator, Role::SuperUser] {
        assert!(may(&actor(&[role]), Action::Rescan, &item).allowed(), "{role}");
    }
}

#[test]
fn a_token_narrows_and_never_widens() {
    let mut author = actor(&[Role::JobAuthor]);
    author.token_scopes = Some(BTreeSet::from([TokenScope::Read]));
    assert!(may(&author, Action::JobsView, &Record::default()).allowed());
    assert_eq!(
        may(&author, Action::JobCreate, &Record::default()),
        Decision::Denied(Reason::TokenScope(TokenScope::Jobs))
    );
    let mut reader = actor(&[Role::ReadOnly]);
    reader.token_scopes = Some(TOKEN_SCOPES.into_iter().collect());
    assert!(!may(&reader, Action::JobCreate, &Record::default()).allowed());
}

#[test]
fn the_asset_scope_hides_and_narrows() {
    let administrator = actor(&[Role::Administrator]);
    let record = |cover| Record::default().covered(cover);
    assert!(may(&administrator, Action::JobsView, &record(Cover::Part)).allowed());
    assert_eq!(
        may(&administrator, Action::JobEnable, &record(Cover::Part)),
        Decision::Denied(Reason::PartlyOutOfScope)
    );
    let hidden = may(&administrator, Action::JobsView, &record(Cover::Nothing));
    assert_eq!(hidden, Decision::Denied(Reason::OutOfScope));
    assert!(Reason::OutOfScope.hides());

    let scope = AssetScope::Tags(BTreeSet::from(["prod".to_owned()]));
    assert!(scope.sees(["lab", "prod"]) && !scope.sees(["lab"]) && !scope.sees([]));
    assert!(AssetScope::All.sees([]));
    assert_eq!(scope.cover([true, true]), Cover::Whole);
    assert_eq!(scope.cover([true, false]), Cover::Part);
    assert_eq!(scope.cover([false]), Cover::Nothing);
    assert_eq!(scope.cover([]), Cover::Whole);
    assert_eq!(AssetScope::All.cover([false]), Cover::Whole);
    assert!(scope.within(&AssetScope::All) && !AssetScope::All.within(&scope));
}

#[test]
fn the_account_of_a_super_user_is_guarded() {
    let record = Record { guarded: true, owner: Some(OTHER), ..Record::default() };
    assert_eq!(may(&actor(&[Role::Administrator]), Action::UserManage, &record), Decision::Denied(Reason::Guarded));
    assert!(may(&actor(&[Role::Administrator]), Action::UsersView, &record).allowed());
    assert!(may(&actor(&[Role::SuperUser]), Action::UserManage, &record).allowed());
}

#[test]
fn an_account_that_sees_more_is_not_changed() {
    let tags = |tags: &[&str]| AssetScope::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
    let wider = Decision::Denied(Reason::WiderScope);
    for (mine, theirs, inside) in [
        (AssetScope::All, AssetScope::All, true),
        (AssetScope::All, tags(&["lab"]), true),
        (tags(&["lab"]), AssetScope::All, false),
        (tags(&["lab"]), tags(&["lab", "prod"]), false),
        (tags(&["lab"]), tags(&["prod"]), false),
        (tags(&["lab"]), tags(&["lab"]), true),
        (tags(&["lab", "prod"]), tags(&["lab"]), true),
        (tags(&["lab"]), tags(&[]), true),
        (tags(&[]), tags(&["lab"]), false),
    ] {
        let record = Record { scope: Some(theirs.clone()), ..Record::owned_by(OTHER) };
        for action in [Action::UserManage, Action::TokenRevoke] {
            let administrator = Actor { scope: mine.clone(), ..actor(&[Role::Administrator]) };
            let expected = if inside { Decision::Allowed } else { wider.clone() };
            assert_eq!(may(&administrator, action, &record), expected, "{mine:?} changes {theirs:?}");
            // Who may hand scopes out is not held back by them, and one's own token is one's own.
            let super_user = Actor { scope: mine.clone(), ..actor(&[Role::SuperUser]) };
            assert!(may(&super_user, action, &record).allowed());
            let own = Record { owner: Some(ME), ..record.clone() };
            assert!(may(&administrator, action, &own).allowed());
        }
        let administrator = Actor { scope: mine, ..actor(&[Role::Administrator]) };
        assert!(may(&administrator, Action::UsersView, &record).allowed(), "looking is another matter");
    }
}

#[test]
fn words_survive_a_round_trip() {
    for role in ROLES {
        assert_eq!(role.as_str().parse(), Ok(role));
    }
    for scope in TOKEN_SCOPES {
        assert_eq!(scope.as_str().parse(), Ok(scope));
    }
    let refused = "root".parse::<Role>().unwrap_err().to_string();
    assert!(refused.starts_with("\"root\" is not a known role; known are: super_user, "), "{refused}");
}

#[test]
fn every_reason_has_a_code_of_the_list() {
    let reasons = [
        Reason::RoleMissing(Action::ItemsView),
        Reason::NotYours,
        Reason::OwnerOnly,
        Reason::NotAssigned,
        Reason::OutOfScope,
        Reason::PartlyOutOfScope,
        Reason::TokenScope(TokenScope::Read),
        Reason::Guarded,
        Reason::WiderScope,
        Reason::Scoped,
    ];
    assert_eq!(reasons.map(|reason| reason.code()), Reason::CODES);
}
