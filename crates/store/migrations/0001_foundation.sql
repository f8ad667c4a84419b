-- What every feature stands on: settings, numbers, leases, the audit, effects to be carried out, answers given.

-- One value per key, edited in the interface. `version` counts edits, for If-Match.
CREATE TABLE setting (
    key {text} NOT NULL PRIMARY KEY,
    value {json} NOT NULL,
    version {whole} NOT NULL,
    changed_at {time} NOT NULL
) {keyed};

-- The next number of each kind of record that people call by number (MJ, VIT, …).
CREATE TABLE number_series (
    prefix {text} NOT NULL PRIMARY KEY,
    next {whole} NOT NULL
) {keyed};

-- Who runs a task of the engine, until when. `fence` grows with every change of hands.
CREATE TABLE lease (
    name {text} NOT NULL PRIMARY KEY,
    holder {uuid} NOT NULL,
    fence {whole} NOT NULL,
    until_at {time} NOT NULL
) {keyed};

-- What was done, as exact bytes. `leaf` is the hash that the seals are made of.
CREATE TABLE audit_entry (
    id {id},
    at {time} NOT NULL,
    actor {text} NOT NULL,
    action {text} NOT NULL,
    resource {text} NOT NULL,
    body {bytes} NOT NULL,
    leaf {bytes} NOT NULL,
    seal {whole}
) {strict};
CREATE INDEX audit_entry_resource ON audit_entry (resource, id);
CREATE INDEX audit_entry_actor ON audit_entry (actor, id);
CREATE INDEX audit_entry_unsealed ON audit_entry (id) WHERE seal IS NULL;
CREATE INDEX audit_entry_seal ON audit_entry (seal, id);

-- A signed Merkle root over the root before it and the entries it seals.
CREATE TABLE audit_seal (
    number {whole} NOT NULL PRIMARY KEY,
    at {time} NOT NULL,
    entries {whole} NOT NULL,
    previous {bytes} NOT NULL,
    root {bytes} NOT NULL,
    key_id {text} NOT NULL,
    signature {bytes} NOT NULL
) {strict};

-- Effects committed with the state that caused them and carried out later.
CREATE TABLE outbox (
    id {id},
    topic {text} NOT NULL,
    key {text} NOT NULL,
    body {json} NOT NULL,
    created_at {time} NOT NULL,
    due_at {time} NOT NULL,
    tries {whole} NOT NULL DEFAULT 0,
    claim {uuid},
    claimed_until_at {time},
    failed_at {time},
    failure {text}
) {strict};
CREATE UNIQUE INDEX outbox_key ON outbox (topic, key);
CREATE INDEX outbox_due ON outbox (topic, due_at, id) WHERE failed_at IS NULL;

-- The answer given to a request with an Idempotency-Key, so that a repetition gets the same one.
CREATE TABLE idempotency (
    actor {text} NOT NULL,
    key {text} NOT NULL,
    request {bytes} NOT NULL,
    status {whole},
    answer {bytes},
    created_at {time} NOT NULL,
    PRIMARY KEY (actor, key)
) {keyed};
CREATE INDEX idempotency_created ON idempotency (created_at);
