-- Remediation tasks, what they hold, the rules that make them, and notes.

-- what was set on the item itself; its state is the highest of this and of its tasks' states
ALTER TABLE vulnerable_item ADD COLUMN own_state {text} NOT NULL DEFAULT 'open';
UPDATE vulnerable_item SET own_state = state WHERE state <> 'open';

CREATE TABLE remediation_task (
    id {id},
    number {whole} NOT NULL,
    title {text} NOT NULL,
    description {text} NOT NULL,
    state {text} NOT NULL,
    substate {text} NOT NULL,
    -- the state before it was in review
    before_review {text} NOT NULL,
    owner_id {whole},
    group_name {text} NOT NULL,
    -- hand, rule, effort or split
    origin {text} NOT NULL,
    rule_id {whole},
    effort_id {whole},
    split_from {whole},
    -- over the rule or effort, the values grouped by and the group: what later items join it by; null where nothing joins
    key_digest {text},
    -- the earliest end of its items' deferrals
    until_at {time},
    -- the earliest due date of its open items
    due_at {time},
    -- met or missed, once it is closed and had a due date
    due_met {text} NOT NULL,
    resolved_at {time},
    closed_at {time},
    -- see domain::remediation::why
    state_cause {text} NOT NULL,
    -- counts of its items: all, not closed, deferred; and the highest score of those not closed, 0 for none
    items {whole} NOT NULL,
    items_open {whole} NOT NULL,
    items_deferred {whole} NOT NULL,
    score {whole} NOT NULL,
    -- a person did something with it, so that re-applying its rule leaves it
    touched {bool} NOT NULL,
    -- users/ada, a run's number or an engine's name
    created_by {text} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    -- counts what people change: the entity tag
    version {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX remediation_task_number ON remediation_task (number);
CREATE INDEX remediation_task_owner ON remediation_task (owner_id);
CREATE INDEX remediation_task_group ON remediation_task (group_name);
CREATE INDEX remediation_task_state ON remediation_task (state, due_at);
CREATE INDEX remediation_task_key ON remediation_task (key_digest, state);
CREATE INDEX remediation_task_rule ON remediation_task (rule_id, created_by);
CREATE INDEX remediation_task_effort ON remediation_task (effort_id);

-- Which items a task holds, each as the task's counts have it.
CREATE TABLE remediation_item (
    task_id {whole} NOT NULL REFERENCES remediation_task (id),
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    state {text} NOT NULL,
    substate {text} NOT NULL,
    -- 0 where it is closed
    score {whole} NOT NULL,
    -- null where it is closed or has none
    due_at {time},
    -- the item is assigned to whom the task is because the task is
    assigned {bool} NOT NULL,
    added_at {time} NOT NULL,
    PRIMARY KEY (task_id, item_id)
) {keyed};
CREATE INDEX remediation_item_item ON remediation_item (item_id);
CREATE INDEX remediation_item_score ON remediation_item (task_id, score);
CREATE INDEX remediation_item_due ON remediation_item (task_id, due_at);

-- How many items of a task are in which state.
CREATE TABLE remediation_count (
    task_id {whole} NOT NULL REFERENCES remediation_task (id),
    state {text} NOT NULL,
    substate {text} NOT NULL,
    n {whole} NOT NULL,
    PRIMARY KEY (task_id, state, substate)
) {keyed};

CREATE TABLE remediation_history (
    id {id},
    task_id {whole} NOT NULL REFERENCES remediation_task (id),
    at {time} NOT NULL,
    -- made, state, assignment, items, split, title
    what {text} NOT NULL,
    before {text} NOT NULL,
    after {text} NOT NULL,
    cause {text} NOT NULL
) {strict};
CREATE INDEX remediation_history_task ON remediation_history (task_id, id);

CREATE TABLE task_rule (
    id {id},
    name {text} NOT NULL,
    active {bool} NOT NULL,
    -- lower ones first
    position {whole} NOT NULL,
    -- in the items' query language
    condition {text} NOT NULL,
    -- list of texts, see domain::remediation::group::Field
    group_by {json} NOT NULL,
    -- item, fixed, or a field of the grouping
    assign {text} NOT NULL,
    assign_group {text} NOT NULL,
    assign_user {whole},
    title {text} NOT NULL,
    -- the run in which it had made as many tasks as one import may; empty for none
    stopped_run {text} NOT NULL,
    version {whole} NOT NULL,
    created_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX task_rule_name ON task_rule (name);
INSERT INTO task_rule (name, active, position, condition, group_by, assign, assign_group, title, stopped_run, version,
    created_at)
VALUES ('Vulnerability', FALSE, 100, '', '["vulnerability"]', 'item', '', '', '', 1, 0);

-- What people wrote about a record. Never changed.
CREATE TABLE note (
    id {id},
    -- items/VIT0000001, tasks/VUL0000001, efforts/REF0000001, exceptions/VCA0000001
    resource {text} NOT NULL,
    author_id {whole} NOT NULL,
    at {time} NOT NULL,
    body {text} NOT NULL
) {strict};
CREATE INDEX note_resource ON note (resource, id);
