-- Imports, whole: a schedule for each kind, and a queue of those that wait for their turn.

-- When imports of one kind come from an instance that has a connection.
CREATE TABLE integration (
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    -- knowledge_base, knowledge_base_full, host_detection, comprehensive, host_list, option_profiles, appliances, search_lists
    kind {text} NOT NULL,
    -- {"when":"off"}, {"when":"every","minutes":240}, {"when":"at", and what a recurring schedule of a job says}
    cadence {json} NOT NULL,
    -- NULL = it is off, or over
    next_at {time},
    -- since when it was due again while one was still waiting for its turn; NULL = it was not
    held_since_at {time},
    version {whole} NOT NULL,
    PRIMARY KEY (instance_id, kind)
) {keyed};
CREATE INDEX integration_next ON integration (next_at);

-- Until now one interval held for everything. Lists that a rescan needs come once a day; what is new comes when somebody says so.
INSERT INTO integration (instance_id, kind, cadence, next_at, version)
SELECT n.id, k.kind,
       CASE WHEN n.interval_minutes IS NULL OR k.pace = 'off' THEN '{"when":"off"}'
            WHEN k.pace = 'daily' AND n.interval_minutes < 1440 THEN '{"when":"every","minutes":1440}'
            ELSE '{"when":"every","minutes":' || n.interval_minutes || '}' END,
       CASE WHEN k.pace = 'off' THEN NULL ELSE n.next_import_at END, 1
FROM integration_instance n
CROSS JOIN (SELECT 'knowledge_base' AS kind, 'every' AS pace UNION ALL SELECT 'host_detection', 'every'
            UNION ALL SELECT 'option_profiles', 'daily' UNION ALL SELECT 'appliances', 'daily'
            UNION ALL SELECT 'knowledge_base_full', 'off' UNION ALL SELECT 'host_list', 'off'
            UNION ALL SELECT 'search_lists', 'off' UNION ALL SELECT 'comprehensive', 'off') k
WHERE n.auth <> 'files';

-- queued, running, complete, failed, cancelled; a queued one has begun when it says running
-- NULL = it began without waiting
ALTER TABLE import_run ADD COLUMN queued_at {time};
-- who asked that it stops: users/ada
ALTER TABLE import_run ADD COLUMN cancel_by {text} NOT NULL DEFAULT '';
CREATE INDEX import_run_state ON import_run (state, id);

-- What a run did one after the other, and how long each took.
CREATE TABLE import_step (
    run_id {whole} NOT NULL REFERENCES import_run (id),
    -- from 1
    ordinal {whole} NOT NULL,
    -- option_profiles, appliances, knowledge_base, host_list, detections, back_fill, hosts, file
    name {text} NOT NULL,
    pages {whole} NOT NULL,
    -- hosts, detections and entries that were read
    rows_read {whole} NOT NULL,
    bytes {whole} NOT NULL,
    -- milliseconds of waiting for the platform, its limits and second tries among them
    asked_ms {whole} NOT NULL,
    -- milliseconds of merging
    merged_ms {whole} NOT NULL,
    started_at {time} NOT NULL,
    -- NULL = it did not get to its end
    ended_at {time},
    PRIMARY KEY (run_id, ordinal)
) {keyed};

-- the line of the input at which the row ended; NULL = it has no lines
ALTER TABLE import_rejection ADD COLUMN line {whole};

-- when an entry that only detections name was last asked for and not given
ALTER TABLE vulnerability ADD COLUMN asked_at {time};

-- of a failed run: what kind of failure it was: sign_in, unreachable, limited ...
ALTER TABLE import_run ADD COLUMN failure {text} NOT NULL DEFAULT '';

-- What is wrong with imports now, and was told; a row goes when it is over.
CREATE TABLE import_trouble (
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    kind {text} NOT NULL,
    -- failed, too_long, held, sign_in
    what {text} NOT NULL,
    since_at {time} NOT NULL,
    -- ordinal of the run it was seen in; 0 = none
    run {whole} NOT NULL,
    detail {text} NOT NULL,
    PRIMARY KEY (instance_id, kind, what)
) {keyed};

-- Lists of vulnerabilities that option profiles look for or leave out, as the scanner keeps them.
CREATE TABLE search_list (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    -- static, dynamic
    kind {text} NOT NULL,
    -- the scanner's key
    key {text} NOT NULL,
    title {text} NOT NULL,
    -- the scanner told what it holds
    told {bool} NOT NULL,
    seen_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX search_list_key ON search_list (instance_id, kind, key);
CREATE TABLE search_list_qid (
    list_id {whole} NOT NULL REFERENCES search_list (id),
    qid {whole} NOT NULL,
    PRIMARY KEY (list_id, qid)
) {keyed};
-- Which lists an option profile names, by title.
CREATE TABLE option_profile_list (
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    profile_key {text} NOT NULL,
    title {text} NOT NULL,
    -- it leaves them out; else it looks for them only
    excluded {bool} NOT NULL,
    PRIMARY KEY (instance_id, profile_key, title, excluded)
) {keyed};

-- Full pulls: when a host was last shown by one, and which open weaknesses of a host that was shown were not.
ALTER TABLE source_host ADD COLUMN full_at {time};
-- NULL = the last full pull that showed its host showed it
ALTER TABLE detection ADD COLUMN unseen_since_at {time};
-- how many full pulls, one after the other, did not show it
ALTER TABLE detection ADD COLUMN unseen {whole} NOT NULL DEFAULT 0;
-- the run at work that did not show it, until it is known whether that counts; 0 = none
ALTER TABLE detection ADD COLUMN unseen_run {whole} NOT NULL DEFAULT 0;
CREATE INDEX detection_unseen_run ON detection (unseen_run);
