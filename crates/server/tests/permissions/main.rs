//! Who may do what: every row of `table.txt` over HTTP, and the same sentence on the page. A new action of `domain::access` without a
//! row, or a line saying where else it is tested, fails here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

mod acts;
mod table;
mod world;

use std::collections::BTreeSet;
use table::{Answer, Asked, ROLES, Table};
use testkit::server::{Client, Reply};
use world::World;

fn table() -> Table {
    Table::read(include_str!("table.txt"))
}

#[test]
fn every_action_has_rows() {
    let table = table();
    assert_eq!(table.mistakes(), Vec::<String>::new());
    let mut without = table;
    without.actions.retain(|action| action.permission != "import_run");
    assert_eq!(without.mistakes(), ["the action import_run has no row"], "a test that cannot fail is none");
}

fn heard(reply: &Reply) -> Answer {
    match reply.status {
        200..300 => Answer::Yes,
        status => Answer::No { status, code: reply.code().to_owned(), phrase: String::new() },
    }
}

/// The page as people read it: entities in words again.
fn read(page: &str) -> String {
    let page = page.replace("&#39;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    page.replace("&#x27;", "'").replace("&#34;", "\"").replace("&amp;", "&")
}

/// The sentence of a refusal begins like one on pages.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Every case of an action; what is wrong.
async fn ask(world: &mut World, table: &Table, asked: &Asked) -> Vec<String> {
    let (mut wrong, mut cases, mut compared) = (Vec::new(), 0, 0);
    let relations: BTreeSet<&String> = asked.who.keys().map(|(_, relation)| relation).collect();
    for of in &asked.states {
        let state = of.name.as_str();
        for (role, relation) in asked.who.keys() {
            let case = format!("{} {role} {relation} {state}", asked.name);
            let who = world.client(role, relation);
            let subject = acts::prepare(world, &asked.name, role, relation, state).await;
            let before = world.audited().await;
            let reply = acts::act(world, &asked.name, &who, &subject).await;
            let (mut expected, said) = (asked.expected(role, relation, of), heard(&reply));
            let mut phrase = asked.phrase.clone();
            if let Answer::No { phrase: other, .. } = &mut expected
                && !other.is_empty()
            {
                phrase = std::mem::take(other);
            }
            cases += 1;
            if expected != said {
                wrong.push(format!("{case}: expected {expected:?}, heard {said:?}: {}", reply.text));
                continue;
            }
            let Answer::No { code, .. } = &said else { continue };
            if world.audited().await != before {
                wrong.push(format!("{case}: refused, and yet something is in the audit"));
            }
            let detail = reply.json["detail"].as_str().unwrap_or_default();
            if let Some(reason) = table.reasons.get(code)
                && reason.replace("{phrase}", &phrase) != detail
            {
                wrong.push(format!("{case}: the sentence of {code} is not as in the table: {detail}"));
            }
            let unsaid = of.unsaid && said == of.answer;
            if let Some(path) = acts::page(&asked.name, &subject).filter(|_| !unsaid) {
                let page = who.get(&path).await;
                // Who may not even look sees no button.
                if page.status == 200 {
                    compared += 1;
                    if !read(&page.text).contains(&sentence(detail)) {
                        wrong.push(format!("{case}: {path} does not say: {}", sentence(detail)));
                    }
                }
            }
        }
        let subject = acts::prepare(world, &asked.name, "SU", relations.first().unwrap(), state).await;
        for (who, expected) in [(world.nobody(), (401, "sign_in_required")), (world.reader(), (403, "token_scope"))] {
            let reply = acts::act(world, &asked.name, &who, &subject).await;
            cases += 1;
            if (reply.status, reply.code()) != expected {
                wrong.push(format!("{} {state}: {expected:?} expected: {}", asked.name, reply.text));
            }
        }
    }
    eprintln!("{}: {cases} cases, {compared} compared with the page", asked.name);
    wrong
}

async fn all_of(mut world: World, of: impl Fn(&Asked) -> bool) {
    let table = table();
    let mut wrong = Vec::new();
    for asked in table.actions.iter().filter(|asked| of(asked)) {
        wrong.extend(ask(&mut world, &table, asked).await);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn of_items(asked: &Asked) -> bool {
    asked.name.starts_with("item_") || asked.name.starts_with("exception_")
}

fn of_rescans(asked: &Asked) -> bool {
    asked.permission == "rescan"
}

fn of_tasks(asked: &Asked) -> bool {
    asked.name.starts_with("task_") || asked.name.starts_with("note_")
}

testkit::both_servers!(tasks_notes_and_their_rules, |server| async move {
    all_of(World::new(server).await, of_tasks).await;
});

testkit::both_servers!(items_and_exceptions, |server| async move { all_of(World::new(server).await, of_items).await });

testkit::both_servers!(rescans, |server| async move { all_of(World::new(server).await, of_rescans).await });

testkit::both_servers!(scanners_imports_and_settings, |server| async move {
    all_of(World::new(server).await, |asked| !of_items(asked) && !of_rescans(asked) && !of_tasks(asked)).await;
});

/// What a client sends with.
pub type Who = Client;

/// The role of these letters.
pub fn role(letters: &str) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == letters).unwrap().1
}
