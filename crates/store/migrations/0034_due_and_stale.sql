-- Due dates of items, and rules that close what nothing reports any more.

-- the band whose days count: critical, high, medium or low; null where nothing was reckoned yet
ALTER TABLE vulnerable_item ADD COLUMN due_band {text};
-- when these days began; null while a deferral stops them
ALTER TABLE vulnerable_item ADD COLUMN due_from_at {time};
-- the last moment in time, and from when on it is near; null for no date
ALTER TABLE vulnerable_item ADD COLUMN due_at {time};
ALTER TABLE vulnerable_item ADD COLUMN due_soon_at {time};
-- what it reached when it closed: met, missed or none; empty while it is open
ALTER TABLE vulnerable_item ADD COLUMN due_ending {text} NOT NULL DEFAULT '';
-- when people were told that it is overdue by its present date; null for not
ALTER TABLE vulnerable_item ADD COLUMN due_told_at {time};
-- the revision of the setting that it was reckoned by; 0 for none
ALTER TABLE vulnerable_item ADD COLUMN due_rev {whole} NOT NULL DEFAULT 0;
CREATE INDEX vulnerable_item_due ON vulnerable_item (due_at, id);
CREATE INDEX vulnerable_item_due_rev ON vulnerable_item (due_rev, id);

CREATE TABLE auto_close_rule (
    id {id},
    name {text} NOT NULL,
    active {bool} NOT NULL,
    -- rules are gone through in this order
    position {whole} NOT NULL,
    -- asset_last_scanned, detection_last_found or unseen_in_full
    kind {text} NOT NULL,
    -- days without a sign, or full pulls one after the other
    days {whole} NOT NULL,
    -- which items, in the query language; empty for all
    condition {text} NOT NULL,
    -- deferred items are left alone
    ignore_deferred {bool} NOT NULL,
    -- when it was last gone through by itself, or first seen; null for never
    ran_at {time},
    -- who wants it to be gone through now; null for nobody
    asked_by {text},
    -- without the bound
    asked_all {bool} NOT NULL,
    -- counts the changes: the entity tag
    version {whole} NOT NULL
) {strict};

-- What a rule did to an integration instance, each time.
CREATE TABLE auto_close_run (
    id {id},
    rule_id {whole} NOT NULL REFERENCES auto_close_rule (id),
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    at {time} NOT NULL,
    -- engine/stale or users/ada
    author {text} NOT NULL,
    -- items that the rule would close
    matched {whole} NOT NULL,
    closed {whole} NOT NULL,
    -- why none: the code of a refusal; empty where nothing is left
    held {text} NOT NULL,
    held_reason {text} NOT NULL
) {strict};
CREATE INDEX auto_close_run_rule ON auto_close_run (rule_id, id);

INSERT INTO auto_close_rule (name, active, position, kind, days, condition, ignore_deferred, asked_all, version)
VALUES ('Assets not scanned for 90 days', TRUE, 100, 'asset_last_scanned', 90, '', TRUE, FALSE, 1),
       ('Detections not found for 90 days', TRUE, 200, 'detection_last_found', 90, '', TRUE, FALSE, 1),
       ('Not shown by two full pulls', FALSE, 300, 'unseen_in_full', 2, '', TRUE, FALSE, 1);
