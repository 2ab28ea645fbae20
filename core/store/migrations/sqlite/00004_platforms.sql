-- +goose Up
-- Where a task stands, for those who look for it: columns that are NULL most of
-- the time cost a task nothing.
ALTER TABLE tasks ADD COLUMN queue TEXT;             -- service in lower case, while the task is queued or offered
ALTER TABLE tasks ADD COLUMN rank  INTEGER;          -- in that queue: priority, then how long it waits
ALTER TABLE tasks ADD COLUMN agent TEXT;             -- who works on it, in lower case, while it is connected
CREATE INDEX tasks_queue ON tasks (tenant, queue, rank, id) WHERE queue IS NOT NULL;
CREATE INDEX tasks_agent ON tasks (tenant, agent) WHERE agent IS NOT NULL;

-- The names that tasks have on other platforms.
CREATE TABLE aliases (
    tenant   TEXT NOT NULL,
    platform TEXT NOT NULL,              -- webex, cxone
    alias    TEXT NOT NULL,
    task_id  TEXT NOT NULL,
    PRIMARY KEY (tenant, platform, alias)
) WITHOUT ROWID;
CREATE INDEX aliases_task ON aliases (task_id);

-- What is to be done outside for a task, written together with it.
CREATE TABLE outbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    lane       TEXT   NOT NULL,          -- items of a lane are done one after the other
    task_id    TEXT   NOT NULL,          -- '' if none
    payload    BLOB    NOT NULL,
    due_ms     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    lease      TEXT   NOT NULL DEFAULT '',
    lease_ms   INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX outbox_due  ON outbox (due_ms);
CREATE INDEX outbox_lane ON outbox (lane, id);
CREATE INDEX outbox_share ON outbox (tenant, kind);

-- How long tasks waited that were answered.
CREATE TABLE queue_times (
    task_id   TEXT   NOT NULL,
    seq       INTEGER NOT NULL,            -- of the event that ended the wait
    tenant    TEXT   NOT NULL,
    queue     TEXT   NOT NULL,
    left_ms   INTEGER NOT NULL,
    waited_ms INTEGER NOT NULL,
    PRIMARY KEY (task_id, seq)
) WITHOUT ROWID;
CREATE INDEX queue_times_queue ON queue_times (tenant, queue, left_ms);
CREATE INDEX queue_times_left  ON queue_times (left_ms);

-- What other platforms said of their tasks, by the name that these have there.
CREATE TABLE remote_events (
    tenant      TEXT   NOT NULL,
    platform    TEXT   NOT NULL,
    key         BLOB    NOT NULL,          -- of the event: it counts once
    remote_id   TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    at_ms       INTEGER NOT NULL,
    agent       TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    variables   TEXT   NOT NULL,         -- JSON; '' if none
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, platform, key)
) WITHOUT ROWID;
-- By remote_id alone: SQLite never takes an index that begins as the primary key does.
CREATE INDEX remote_events_task ON remote_events (remote_id);
CREATE INDEX remote_events_age  ON remote_events (received_ms);

-- Where other platforms send what happens there.
CREATE TABLE subscriptions (
    id           TEXT   NOT NULL PRIMARY KEY, -- in its address
    tenant       TEXT   NOT NULL UNIQUE,
    remote_id    TEXT   NOT NULL,         -- at the other platform; '' before it was made
    org          TEXT   NOT NULL,         -- organization there; '' until the first answer tells
    url          TEXT   NOT NULL,         -- as it was last told to the other platform
    secret       BLOB    NOT NULL,         -- sealed
    old_secret   BLOB ,                    -- sealed, while it is still taken
    old_until_ms INTEGER NOT NULL DEFAULT 0,
    status       TEXT   NOT NULL,         -- pending, active, inactive, failed
    error        TEXT   NOT NULL,
    checked_ms   INTEGER NOT NULL DEFAULT 0,
    event_ms     INTEGER NOT NULL DEFAULT 0, -- of the last event
    compared_ms  INTEGER NOT NULL DEFAULT 0, -- when open tasks were last compared
    compared     TEXT   NOT NULL,         -- what came of it
    created_ms   INTEGER NOT NULL
) WITHOUT ROWID;

-- What customers and agents say to each other, over several tasks.
CREATE TABLE conversations (
    id         TEXT   NOT NULL PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    match_key  BLOB    NOT NULL,           -- hash of what makes two messages of one conversation
    task_id    TEXT   NOT NULL,
    messages   INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX conversations_match ON conversations (tenant, match_key);
CREATE INDEX conversations_age ON conversations (updated_ms);

-- The messages of conversations, so that one that comes twice counts once and a
-- reply finds what it answers.
CREATE TABLE messages (
    tenant          TEXT   NOT NULL,
    key             BLOB    NOT NULL,      -- hash: of the transaction, or of the Message-ID of an e-mail
    conversation_id TEXT   NOT NULL,
    operation       TEXT   NOT NULL,      -- created, reopened, appended; '' of a Message-ID
    task_id         TEXT   NOT NULL,
    created_ms      INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX messages_conversation ON messages (conversation_id);
