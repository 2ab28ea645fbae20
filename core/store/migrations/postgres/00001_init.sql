-- +goose Up
-- Times are integer milliseconds UTC everywhere.
CREATE TABLE tasks (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    modality   TEXT    NOT NULL,
    version    BIGINT NOT NULL,
    workflow   TEXT    NOT NULL,              -- hash of its text
    cursor     BYTEA    NOT NULL,              -- JSON: where the task stands in the workflow
    due_ms     BIGINT,                       -- when the workflow wants to be woken
    events     BIGINT NOT NULL,              -- how many events the task has
    failures   BIGINT NOT NULL DEFAULT 0,      -- in a row, of its workflow
    ended_ms   BIGINT,
    data       BYTEA    NOT NULL               -- JSON: core.Task
);
CREATE INDEX tasks_due   ON tasks (due_ms)   WHERE due_ms IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (ended_ms) WHERE ended_ms IS NOT NULL;

CREATE TABLE events (
    task_id TEXT    NOT NULL,
    seq     BIGINT NOT NULL,
    name    TEXT    NOT NULL,
    at_ms   BIGINT NOT NULL,
    data    BYTEA    NOT NULL,                 -- JSON: core.Event
    PRIMARY KEY (task_id, seq)
);

CREATE TABLE open_tasks (
    tenant   TEXT    NOT NULL,
    modality TEXT    NOT NULL,
    shard    TEXT    NOT NULL,
    open     BIGINT NOT NULL,
    PRIMARY KEY (tenant, modality, shard)
);

CREATE TABLE workflows (
    hash TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    text BYTEA NOT NULL
);

CREATE TABLE triggers (
    id           TEXT    NOT NULL PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    owner        TEXT    NOT NULL,            -- UPN
    flow         TEXT    NOT NULL,            -- workflow id and trigger name of the callback; '' if it has none
    address_hash BYTEA    NOT NULL UNIQUE,     -- SHA-256 of the unguessable part of its address
    host         TEXT    NOT NULL,            -- of the callback, for people
    url          BYTEA    NOT NULL,            -- the callback, sealed
    services     TEXT    NOT NULL,            -- JSON array of UPNs
    events       BIGINT NOT NULL,            -- bit sets, 0 = all
    modalities   BIGINT NOT NULL,
    directions   BIGINT NOT NULL,
    state        TEXT    NOT NULL,            -- active, suspended, ended
    reason       TEXT    NOT NULL,
    misses       BIGINT NOT NULL DEFAULT 0,  -- answers 404 in a row
    created_ms   BIGINT NOT NULL,
    ended_ms     BIGINT,
    lease_owner  TEXT    NOT NULL DEFAULT '',
    lease_ms     BIGINT NOT NULL DEFAULT 0
);
-- A flow has one trigger: of two that are made at once, the later ends the earlier.
CREATE UNIQUE INDEX triggers_flow ON triggers (tenant, owner, flow) WHERE ended_ms IS NULL AND flow <> '';

CREATE TABLE trigger_services (
    tenant     TEXT NOT NULL,
    service    TEXT NOT NULL,                 -- UPN in lower case
    trigger_id TEXT NOT NULL,
    PRIMARY KEY (tenant, service, trigger_id)
);

CREATE TABLE deliveries (
    trigger_id TEXT    NOT NULL,
    task_id    TEXT    NOT NULL,
    seq        BIGINT NOT NULL,              -- of the event
    due_ms     BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    status     BIGINT NOT NULL DEFAULT 0,    -- HTTP status of the last attempt
    error      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (trigger_id, task_id, seq)
);
CREATE INDEX deliveries_due ON deliveries (trigger_id, due_ms);

CREATE TABLE dead_letters (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    trigger_id TEXT    NOT NULL,
    task_id    TEXT    NOT NULL,
    seq        BIGINT NOT NULL,
    event      TEXT    NOT NULL,
    attempts   BIGINT NOT NULL,
    status     BIGINT NOT NULL,
    error      TEXT    NOT NULL,
    created_ms BIGINT NOT NULL,
    died_ms    BIGINT NOT NULL
);
CREATE INDEX dead_letters_tenant ON dead_letters (tenant, id);
CREATE INDEX dead_letters_task ON dead_letters (task_id);

CREATE TABLE api_keys (
    hash       BYTEA    NOT NULL PRIMARY KEY,  -- SHA-256 of the key
    id         TEXT    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    adapter    TEXT    NOT NULL,
    upn        TEXT    NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

CREATE TABLE replays (
    tenant     TEXT    NOT NULL,
    key        TEXT    NOT NULL,              -- operation, caller and Idempotency-Key
    body_hash  BYTEA    NOT NULL,
    answer     BYTEA    NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX replays_age ON replays (created_ms);

CREATE TABLE business_keys (
    tenant     TEXT    NOT NULL,
    service    TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    task_id    TEXT    NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, service, key)
);
CREATE INDEX business_keys_age ON business_keys (created_ms);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

