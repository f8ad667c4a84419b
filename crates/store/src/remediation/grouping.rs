//! Items read with what they are grouped by.

use crate::items::LIST as ITEMS;
use crate::record::Row;
use crate::{Record, Result, Sql, Transaction};
use domain::id::{ItemId, UserId};
use domain::remediation::group::{FIELDS_MAX, Field, Value};
use std::collections::BTreeMap;

/// An item, what it has in the fields, and the group that works on it.
pub(super) struct Grouped {
    pub(super) item: ItemId,
    pub(super) group: String,
    pub(super) values: Vec<Value>,
}

impl Record for Grouped {
    fn read(row: &Row<'_>) -> Result<Self> {
        let values = (0..FIELDS_MAX).map(|n| Ok(Value { key: row.at(2 + 2 * n)?, shown: row.at(3 + 2 * n)? }));
        let values = values.collect::<Result<Vec<Value>>>()?;
        Ok(Grouped { item: row.at(0)?, group: row.at(1)?, values })
    }
}

fn pair(key: &'static str, shown: &'static str) -> Sql {
    Sql::new(", ").text(key).text(", ").text(shown)
}

fn columns(field: &Field) -> Sql {
    const BAND: &str = "CASE WHEN i.residual >= 90 THEN 'Critical' WHEN i.residual >= 70 THEN 'High'
        WHEN i.residual >= 40 THEN 'Medium' ELSE 'Low' END";
    match field {
        Field::Asset => pair("CAST(i.asset_id AS TEXT)", "a.name"),
        Field::Vulnerability => pair("CAST(i.vulnerability_id AS TEXT)", "v.title"),
        Field::Category => pair("v.category", "v.category"),
        Field::Severity => pair("CAST(v.severity AS TEXT)", "CAST(v.severity AS TEXT)"),
        Field::Band => pair(BAND, BAND),
        Field::Group => pair("i.group_name", "i.group_name"),
        Field::Assignee => pair("coalesce(CAST(i.owner_id AS TEXT), '')", "coalesce(o.name, '')"),
        Field::Platform => pair("a.platform", "a.platform"),
        Field::Network => pair("a.network_id", "a.network_id"),
        Field::Instance => pair("CAST(i.instance_id AS TEXT)", "n.name"),
        Field::Tag(prefix) => tag(prefix).append(tag(prefix)),
    }
}

fn tag(prefix: &str) -> Sql {
    let sql = Sql::new(", coalesce((SELECT min(substr(g.tag, length(").bind(&prefix);
    let sql = sql.text(") + 1)) FROM asset_tag g WHERE g.asset_id = i.asset_id AND substr(g.tag, 1, length(");
    sql.bind(&prefix).text(")) = ").bind(&prefix).text("), '')")
}

/// The first open items of a condition on the items' list, with their values in these fields.
pub(super) fn grouped(tx: &mut Transaction<'_>, fields: &[Field], condition: Sql, most: i64) -> Result<Vec<Grouped>> {
    let mut sql = Sql::new("SELECT i.id, i.group_name");
    for n in 0..FIELDS_MAX {
        sql = sql.append(fields.get(n).map_or_else(|| pair("''", "''"), columns));
    }
    let sql = sql.text(" FROM ").text(ITEMS.from).text(" WHERE i.state <> 'closed' AND ").append(condition);
    tx.all_built(&sql.text(" ORDER BY i.id LIMIT ").bind(&most))
}

/// Items that belong together.
pub(super) struct Group {
    pub(super) values: Vec<(Field, Value)>,
    pub(super) owner: Option<UserId>,
    pub(super) group: String,
    pub(super) items: Vec<ItemId>,
}

/// Put items together by their values, and by who gets their task; in order of the values.
pub(super) fn together(
    rows: Vec<Grouped>,
    fields: &[Field],
    assignment: impl Fn(&Grouped) -> (Option<UserId>, String),
) -> Vec<Group> {
    let mut groups: BTreeMap<(Vec<String>, String, Option<UserId>), Group> = BTreeMap::new();
    for row in rows {
        let (owner, group) = assignment(&row);
        let keys: Vec<String> = row.values.iter().take(fields.len()).map(|value| value.key.clone()).collect();
        let entry = groups.entry((keys, group.clone(), owner)).or_insert_with(|| Group {
            values: fields.iter().cloned().zip(row.values.clone()).collect(),
            owner,
            group,
            items: Vec::new(),
        });
        entry.items.push(row.item);
    }
    groups.into_values().collect()
}
