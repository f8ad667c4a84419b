//! What a person may see as conditions of a list: the asset scope and the relations of `domain::access`, in SQL.
//!
//! Give the result to [`list::page`](crate::list::page) as its `scope`. `domain::access::may` is the same rule for one
//! record.

use crate::sql::Sql;
use domain::access::{Actor, AssetScope, Reach, Relations};

/// Rows whose asset, of which `asset_id` is the key's expression, is inside the scope; `None` for every asset.
#[must_use]
pub fn assets(scope: &AssetScope, asset_id: &'static str) -> Option<Sql> {
    match scope {
        AssetScope::All => None,
        AssetScope::Tags(tags) => {
            let tags: Vec<String> = tags.iter().cloned().collect();
            let sql =
                Sql::new("EXISTS (SELECT 1 FROM asset_tag AS scope_tag WHERE scope_tag.asset_id = ").text(asset_id);
            Some(sql.text(" AND scope_tag.tag {in ").bind(&tags).text("})"))
        }
    }
}

/// Rows the actor's roles reach, where `assignee` and `group` are the expressions of the assigned user's key and the
/// assigned group's name (an empty name is no group): `None` for all of them.
#[must_use]
pub fn assigned(actor: &Actor, reach: Reach, assignee: &'static str, group: &'static str) -> Option<Sql> {
    let groups: Vec<String> = actor.groups.iter().cloned().collect();
    let parts = |relations: Relations| {
        let mut sql = Sql::new("(false");
        if relations.assignee {
            sql = sql.text(" OR ").text(assignee).text(" = ").bind(&actor.user.0);
        }
        if relations.group_member {
            sql = sql.text(" OR ").text(group).text(" {in ").bind(&groups).text("}");
        }
        sql.text(")")
    };
    match reach {
        Reach::Everything => None,
        Reach::Nothing => Some(Sql::new("false")),
        Reach::Related(relations) => Some(parts(relations)),
    }
}

/// Both conditions.
#[must_use]
pub fn both(one: Option<Sql>, other: Option<Sql>) -> Option<Sql> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Sql::new("(").append(one).text(") AND (").append(other).text(")")),
        (one, None) => one,
        (None, other) => other,
    }
}
