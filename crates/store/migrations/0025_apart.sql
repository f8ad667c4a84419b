-- Hosts that are kept apart: counted as they are, by the permits and slots that are out on hosts of a group, whichever run they are
-- of, and no more in a row of place for each group. `apart` of permit and restart_slot is no longer used.

-- the host that the start is permitted on; 0 for one that was given back before this
ALTER TABLE permit ADD COLUMN asset_id {whole} NOT NULL DEFAULT 0;
UPDATE permit SET asset_id = coalesce((SELECT t.asset_id FROM task t WHERE t.id = permit.task_id), 0) WHERE back_at IS NULL;
CREATE INDEX permit_asset ON permit (asset_id) WHERE back_at IS NULL;
-- the host that is restarted
ALTER TABLE restart_slot ADD COLUMN asset_id {whole} NOT NULL DEFAULT 0;
UPDATE restart_slot SET asset_id = coalesce((SELECT t.asset_id FROM task t WHERE t.id = restart_slot.task_id), 0)
WHERE back_at IS NULL;
CREATE INDEX restart_slot_asset ON restart_slot (asset_id) WHERE back_at IS NULL;
DELETE FROM place WHERE scope LIKE 'group/%' OR scope LIKE 'restarts/group/%';

-- what the policy of the run keeps apart: the beginning of a tag, empty for nothing, and how many hosts at once
ALTER TABLE run ADD COLUMN apart_tag {text} NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN apart_at_most {whole} NOT NULL DEFAULT 0;
CREATE INDEX run_apart ON run (id) WHERE apart_tag <> '' AND state <> 'ended';
