-- Integration instances: switched off, how far back the first import goes, the last test of the connection, what is known of
-- versions and limits of the platform.

-- no imports and no rescans; its records stay
ALTER TABLE integration_instance ADD COLUMN disabled {bool} NOT NULL DEFAULT FALSE;
-- days that the first import of detections goes back; NULL = everything
ALTER TABLE integration_instance ADD COLUMN first_days {whole};
-- end points whose configured version is gone: JSON list of {endpoint, from, to, since}; empty = none
ALTER TABLE integration_instance ADD COLUMN versions_seen {text} NOT NULL DEFAULT '';
-- the last test of the connection as JSON; empty where what is set was not tested
ALTER TABLE integration_instance ADD COLUMN tested {text} NOT NULL DEFAULT '';

-- What the platform said of its limits, by end point: kept over restarts, read by every replica.
CREATE TABLE platform_quota (
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    endpoint {text} NOT NULL,
    limit_calls {whole},
    window_seconds {whole},
    remaining {whole},
    wait_until_at {time},
    concurrency {whole},
    seen_at {time} NOT NULL,
    refused_at {time},
    refused {text} NOT NULL,
    PRIMARY KEY (instance_id, endpoint)
) {keyed};

-- Which appliance serves which addresses: one row for each appliance, for each asset group with a default appliance and
-- addresses, and for each row that people made. Takes the place of the table appliance, which older servers still write.
CREATE TABLE appliance_row (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    -- what the row stands for: appliance:KEY, group:ID, manual:UUID
    place {text} NOT NULL,
    -- the scanner's key of the appliance; 0 for the platform's own scanners
    key {text} NOT NULL,
    name {text} NOT NULL,
    status {text} NOT NULL,
    group_name {text} NOT NULL,
    network_id {text} NOT NULL,
    -- ranges served: JSON list of [low, high] addresses
    addresses {text} NOT NULL,
    -- made by people; imports change its status only
    manual {bool} NOT NULL,
    -- a query over assets whose addresses it serves, too; empty for none
    condition {text} NOT NULL,
    profile {text},
    precedence {whole} NOT NULL,
    -- whether it is chosen by address
    active {bool} NOT NULL,
    version {whole} NOT NULL,
    seen_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX appliance_row_place ON appliance_row (instance_id, place);
INSERT INTO appliance_row (instance_id, place, key, name, status, group_name, network_id, addresses, manual, condition, profile,
    precedence, active, version, seen_at)
SELECT instance_id, 'appliance:' || key, key, name, status, '', network_id, addresses, FALSE, '', profile, precedence, TRUE, 1,
    seen_at
FROM appliance;
