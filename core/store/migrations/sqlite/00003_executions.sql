-- +goose Up
-- What ran, for people: the newest are kept.
CREATE TABLE executions (
    id          TEXT    NOT NULL,              -- correlation id
    tenant      TEXT    NOT NULL,
    platform    TEXT    NOT NULL,              -- cxone, webex, console
    title       TEXT    NOT NULL,              -- what ran, in the platform's words
    integration TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,              -- branch or outcome
    failed      INTEGER NOT NULL,              -- 0 or 1
    code        TEXT    NOT NULL,
    contact     TEXT    NOT NULL,
    caller      TEXT    NOT NULL,
    search      TEXT    NOT NULL,              -- title and contact in lower case: databases know ASCII only
    duration_us INTEGER NOT NULL,
    began_ms    INTEGER NOT NULL,
    detail      TEXT    NOT NULL,              -- JSON: message, steps, redacted input and result
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX executions_tenant ON executions (tenant, began_ms, id);

-- The first answer to a request that writes, for those that come again.
CREATE TABLE first_answers (
    key        BLOB    NOT NULL PRIMARY KEY,   -- SHA-256 of tenant and what makes two requests the same
    owner      TEXT    NOT NULL,               -- the run that answers
    answer     BLOB,                           -- JSON; absent while it runs
    ends_ms    INTEGER NOT NULL                -- while it runs: of the owner's lease; then: of the answer's life
) WITHOUT ROWID;
CREATE INDEX first_answers_ends ON first_answers (ends_ms);

-- Results under their cacheKey.
CREATE TABLE cached_results (
    key     BLOB    NOT NULL PRIMARY KEY,      -- SHA-256 of tenant and key
    tenant  TEXT    NOT NULL,
    made_ms INTEGER NOT NULL,
    life_ms INTEGER NOT NULL,                  -- by which keepAlive moves the end
    ends_ms INTEGER NOT NULL,
    value   BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX cached_results_ends ON cached_results (ends_ms);
CREATE INDEX cached_results_made ON cached_results (tenant, made_ms);
