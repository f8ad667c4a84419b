-- Results people ask for: the status of an item and its last job, and what retention removes.

-- Which jobs are about a vulnerability, and about an item.
CREATE INDEX job_target_vulnerability ON job_target (vulnerability_id, asset_id);
-- The open tasks of an asset, for the status of its items.
CREATE INDEX task_asset ON task (asset_id, state);
-- The tasks that ended before some instant.
CREATE INDEX task_ended ON task (ended_at);
-- SHA-256 in hex of everything the agent said of the task, kept when that itself is no longer kept; empty before.
ALTER TABLE task ADD COLUMN evidence_digest {text} NOT NULL DEFAULT '';
