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
