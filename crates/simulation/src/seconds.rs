//! The second person, whose keys no server has, and those who would like to be one.

use crate::fleet::Fleet;
use crate::people::{Who, said};
use crate::replica::json;
use axum::http::Method;
use protocol::approval::MANIFEST_TYPE;
use protocol::signed::{Envelope, SigningKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

impl Fleet<'_> {
    /// Requests that wait; `None` without an answer.
    fn waiting(&mut self, to: usize) -> Option<Vec<i64>> {
        let list = self.ask(Who::Second, to, Method::GET, "/api/v1/approvals?state=pending", "", &Value::Null)?;
        let list = json(&list.body)["approvals"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<i64> = list.iter().filter_map(|approval| approval["id"].as_i64()).collect();
        ids.sort_unstable();
        Some(ids)
    }

    fn shown(&mut self, to: usize, id: i64) -> Option<Value> {
        let shown = self.ask(Who::Second, to, Method::GET, &format!("/api/v1/approvals/{id}"), "", &Value::Null)?;
        Some(json(&shown.body)["approval"].clone()).filter(|approval| approval["manifest"].is_string())
    }

    /// The second person reads and signs whatever waits.
    pub fn sign(&mut self, to: usize, key: usize) -> bool {
        let Some(ids) = self.waiting(to) else { return false };
        for id in ids {
            let Some(approval) = self.shown(to, id) else { continue };
            let plan: Value = serde_json::from_str(approval["plan"].as_str().unwrap_or_default()).unwrap_or_default();
            let id_of = |asset: &Value, name: &str| asset[name].as_str().and_then(|text| text.parse::<Uuid>().ok());
            let assets = plan["assets"].as_array().cloned().unwrap_or_default();
            let targets: BTreeSet<(Uuid, Uuid)> =
                assets.iter().filter_map(|asset| id_of(asset, "agent_id").zip(id_of(asset, "instance_id"))).collect();
            // Whether or not there is an answer, the signature may have been taken.
            let digest = approval["manifest_digest"].as_str().unwrap_or_default();
            self.watch.limits.signs(digest, key, targets);
            let signature = envelope(&approval, &self.template.organisation[key]);
            let path = format!("/api/v1/approvals/{id}/sign");
            let answer = self.ask(Who::Second, to, Method::POST, &path, "", &json!({ "envelope": signature }));
            let what = answer.as_ref().map(|answer| json(&answer.body)["code"].clone());
            self.note(&format!("request {id} is signed with key {key}: {} {what:?}", said(answer.as_ref())));
            self.look_soon(to);
        }
        true
    }

    /// The second person says no to the oldest request.
    pub fn reject(&mut self, to: usize) -> bool {
        let Some(ids) = self.waiting(to) else { return false };
        let Some(id) = ids.first() else { return true };
        let body = json!({ "reason": "simulation" });
        let answer = self.ask(Who::Second, to, Method::POST, &format!("/api/v1/approvals/{id}/reject"), "", &body);
        self.note(&format!("request {id} is rejected: {}", said(answer.as_ref())));
        self.look_soon(to);
        true
    }

    /// The author signs his own request with good keys, the second person with a stranger's, or one request's signature is sent
    /// for another. Nothing of it may be taken.
    pub fn cheat(&mut self, to: usize) -> bool {
        let Some(ids) = self.waiting(to) else { return false };
        let stranger = SigningKey::from_secret(&[9; 32]);
        for id in &ids {
            let Some(approval) = self.shown(to, *id) else { continue };
            let good = envelope(&approval, &self.template.organisation[0]);
            let other = ids.iter().find(|other| *other != id).copied();
            let mut tries = vec![(Who::Author, *id, good.clone()), (Who::Second, *id, envelope(&approval, &stranger))];
            tries.extend(other.map(|other| (Who::Second, other, good)));
            for (who, id, envelope) in tries {
                let path = format!("/api/v1/approvals/{id}/sign");
                let answer = self.ask(who, to, Method::POST, &path, "", &json!({ "envelope": envelope }));
                self.note(&format!("{who:?} cheats at request {id}: {}", said(answer.as_ref())));
                if answer.is_some_and(|answer| answer.status == 200) {
                    self.watch.breach(format!("S9: {who:?} signed request {id}, who must not"));
                }
            }
        }
        true
    }
}

/// The manifest of a request, signed.
fn envelope(approval: &Value, key: &SigningKey) -> String {
    let manifest = approval["manifest"].as_str().unwrap_or_default();
    let envelope = Envelope::sign(MANIFEST_TYPE, manifest.as_bytes(), &[key]);
    String::from_utf8(envelope.to_json()).expect("JSON is text")
}
