//! Choosing a person where there are more people than one page names.

use super::world::{World, admin_browser, gist, version};
use domain::access::{AssetScope, Role};
use serde_json::json;
use std::collections::BTreeSet;
use store::accounts::{NewAccount, create};
use testkit::both_servers;

const MANY: usize = 520;

/// So many job authors, none of whom has to sign in; the one of this name comes last.
async fn crowd(world: &World, last: &'static str) {
    let now = world.server.app().clock.now();
    let made = world.server.app().database.write(move |tx| {
        for name in (0..MANY).map(|n| format!("author-{n:04}")).chain([last.to_owned()]) {
            let new = NewAccount {
                full_name: String::new(),
                email: String::new(),
                password_hash: String::new(),
                password_temporary: true,
                roles: BTreeSet::from([Role::JobAuthor]),
                scope: AssetScope::All,
                name,
            };
            create(tx, "users/admin", &new, now)?;
        }
        // One who may not sign in is nobody to choose, and is not counted.
        tx.execute("UPDATE account SET active = $1 WHERE name = 'author-0000'", &[&false])
    });
    assert_eq!(made.await.unwrap(), 1);
}

both_servers!(a_person_whom_no_page_names_is_chosen_by_name, |server| async move {
    let world = World::ready(server).await;
    let (qid, _) = world.mitigable().await;
    let new = json!({ "vulnerabilities": [{ "qid": qid }], "title": "T" });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let (access, owner) = (format!("/jobs/{number}/edit/access"), format!("/jobs/{number}/owner"));
    let me = admin_browser(&world.server).await;
    let page = me.page(&access).await;
    assert!(!page.contains("<datalist"), "nobody else is there: {}", gist(&page));

    crowd(&world, "zoe").await;
    let page = me.page(&access).await;
    // The administrator, 519 who may sign in and zoe, less the 500 that are named.
    assert!(page.contains("21 more people are not suggested here; type a sign-in name."), "{}", gist(&page));
    assert!(page.contains("list=\"list-add\"") && page.contains("<option value=\"author-0001\">"), "{}", gist(&page));
    assert!(!page.contains("<option value=\"zoe\">") && !page.contains("author-0000"), "{}", gist(&page));
    let nobody = me.post(&access, &[("version", version(&page)), ("add", "zo"), ("then", "stay")]).await;
    assert_eq!(nobody.status, 422);
    assert!(nobody.text.contains("There is no user `zo`.") && nobody.text.contains("value=\"zo\""), "{}", nobody.text);
    assert_eq!(me.leads(&access, &[("version", version(&page)), ("add", "zoe"), ("then", "stay")]).await, access);
    let page = me.page(&access).await;
    assert!(page.contains("name=\"author\" value=\"zoe\""), "{}", gist(&page));

    let page = me.page(&owner).await;
    assert!(page.contains("21 more people") && page.contains("list=\"list-owner\""), "{}", gist(&page));
    let nobody = me.post(&owner, &[("owner", "zo")]).await;
    assert_eq!(nobody.status, 422);
    assert!(nobody.text.contains("value=\"zo\""), "what was typed stays: {}", nobody.text);
    me.leads(&owner, &[("owner", "zoe")]).await;
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    assert_eq!(job["job"]["summary"]["owner"], "zoe", "{job}");
});
