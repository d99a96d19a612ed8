-- Times are microseconds since 1970 (UTC). Ids are the raw bytes. `body` is the JSON of the type in khien-core that the
-- table is named after; columns beside it exist because a query needs them.

CREATE TABLE meta (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL
);
INSERT INTO meta VALUES (1, 0);

CREATE TABLE operators (
    id      BLOB PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    public  TEXT NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE tokens (
    hash    BLOB PRIMARY KEY,
    agency  TEXT NOT NULL,
    by      TEXT NOT NULL,
    expires INTEGER NOT NULL,
    used    INTEGER,
    used_by BLOB
);

CREATE TABLE agents (
    id          BLOB PRIMARY KEY,
    enrolled    INTEGER NOT NULL,
    revoked     INTEGER NOT NULL DEFAULT 0,
    silent_from INTEGER,
    unreadable  INTEGER NOT NULL DEFAULT 0,
    body        TEXT NOT NULL
);

CREATE TABLE lanes (
    agent BLOB NOT NULL,
    epoch BLOB NOT NULL,
    acked INTEGER NOT NULL,
    PRIMARY KEY (agent, epoch)
);

-- One number may carry two contents (a fork): both are kept.
CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    agent    BLOB NOT NULL,
    epoch    BLOB NOT NULL,
    seq      INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    received INTEGER NOT NULL,
    body     TEXT NOT NULL
);
CREATE UNIQUE INDEX events_once ON events (agent, epoch, seq, hash);

CREATE TABLE alerts (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    key       BLOB NOT NULL UNIQUE,
    status    TEXT NOT NULL,
    closed    INTEGER NOT NULL,
    severity  INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    incident  TEXT,
    revision  INTEGER NOT NULL,
    body      TEXT NOT NULL
);
CREATE INDEX alerts_triage ON alerts (closed, severity DESC, last_seen DESC, id DESC);
CREATE INDEX alerts_revision ON alerts (revision);
CREATE INDEX alerts_incident ON alerts (incident) WHERE incident IS NOT NULL;

CREATE TABLE alert_history (
    id      INTEGER PRIMARY KEY,
    alert   INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    status  TEXT NOT NULL,
    verdict TEXT,
    reason  TEXT
);
CREATE INDEX alert_history_alert ON alert_history (alert);

CREATE TABLE incidents (
    id        TEXT PRIMARY KEY,
    year      INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    title     TEXT NOT NULL,
    closed    INTEGER NOT NULL DEFAULT 0,
    opened    INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    UNIQUE (year, number)
);

CREATE TABLE timeline (
    id       INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    at       INTEGER NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX timeline_incident ON timeline (incident, at, id);

CREATE TABLE runs (
    id       BLOB PRIMARY KEY,
    incident TEXT NOT NULL,
    started  INTEGER NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX runs_incident ON runs (incident);

CREATE TABLE run_inputs (
    id   INTEGER PRIMARY KEY,
    run  BLOB NOT NULL,
    at   INTEGER NOT NULL,
    who  TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX run_inputs_run ON run_inputs (run, id);

CREATE TABLE mandates (
    nonce BLOB PRIMARY KEY,
    run   BLOB NOT NULL,
    added INTEGER NOT NULL,
    by    TEXT NOT NULL,
    body  TEXT NOT NULL
);
CREATE INDEX mandates_run ON mandates (run);

CREATE TABLE orders (
    id       BLOB PRIMARY KEY,
    run      BLOB NOT NULL,
    nonce    BLOB NOT NULL,
    place    INTEGER NOT NULL,
    agent    BLOB NOT NULL,
    by       TEXT NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    allowed  TEXT NOT NULL,
    receipt  TEXT
);
CREATE INDEX orders_open ON orders (agent, expires) WHERE receipt IS NULL;

CREATE TABLE evidence (
    order_id BLOB PRIMARY KEY,
    sha256   BLOB NOT NULL,
    incident TEXT NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX evidence_incident ON evidence (incident);

CREATE TABLE custody (
    id       INTEGER PRIMARY KEY,
    order_id BLOB NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX custody_order ON custody (order_id);

CREATE TABLE pack (
    version INTEGER PRIMARY KEY,
    sha256  BLOB NOT NULL,
    by      TEXT NOT NULL,
    added   INTEGER NOT NULL,
    body    TEXT NOT NULL
);
