-- Which machine is which, and what nobody has to work on.

-- Detections that are kept without making work: conditions over them, in order.
CREATE TABLE exclusion_rule (
    id {id},
    name {text} NOT NULL,
    active {bool} NOT NULL,
    -- from 1, without gaps
    position {whole} NOT NULL,
    -- in the query language
    condition {text} NOT NULL,
    -- counts the changes: the entity tag
    version {whole} NOT NULL,
    updated_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX exclusion_rule_name ON exclusion_rule (name);

-- key of the rule that excludes it; 0 = its instance counts confirmed ones only; NULL = it is not excluded
ALTER TABLE detection ADD COLUMN excluded_by {whole};
CREATE INDEX detection_excluded ON detection (excluded_by, id) WHERE excluded_by IS NOT NULL;

-- Going through all that is known after what is excluded was changed.
CREATE TABLE exclusion_pass (
    id {id},
    -- running, complete, or superseded by a later one
    state {text} NOT NULL,
    -- users/ada
    asked_by {text} NOT NULL,
    asked_at {time} NOT NULL,
    -- key of the last detection that was looked at
    cursor_key {whole} NOT NULL,
    looked {whole} NOT NULL,
    -- detections that are excluded now and were not, and the other way round
    excluded {whole} NOT NULL,
    included {whole} NOT NULL,
    items_made {whole} NOT NULL,
    items_closed {whole} NOT NULL,
    -- NULL = it is not at its end
    ended_at {time}
) {strict};
CREATE INDEX exclusion_pass_state ON exclusion_pass (state, id);

-- a DNS name is a way of its own to find a machine; until now it stood in fqdn
ALTER TABLE source_host ADD COLUMN dns {text} NOT NULL DEFAULT '';
UPDATE source_host SET dns = fqdn;
CREATE INDEX source_host_dns ON source_host (dns);
CREATE INDEX source_host_asset_key ON source_host (instance_id, asset_key);
-- nothing but an address is known of it
ALTER TABLE asset ADD COLUMN placeholder {bool} NOT NULL DEFAULT FALSE;
-- the asset it was joined into; NULL = it stands for itself
ALTER TABLE asset ADD COLUMN merged_into {whole};
CREATE INDEX asset_merged_into ON asset (merged_into) WHERE merged_into IS NOT NULL;

-- Assets that people joined, and hosts that they gave to another asset.
CREATE TABLE asset_merge (
    id {id},
    from_id {whole} NOT NULL REFERENCES asset (id),
    into_id {whole} NOT NULL REFERENCES asset (id),
    -- all that was moved, and how it was before: what an undo needs
    moved {json} NOT NULL,
    -- users/ada
    by_name {text} NOT NULL,
    at {time} NOT NULL,
    -- NULL = it holds
    undone_at {time}
) {strict};
CREATE INDEX asset_merge_into ON asset_merge (into_id, id);
CREATE INDEX asset_merge_from ON asset_merge (from_id, id);
