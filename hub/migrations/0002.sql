-- Files of packets that operators looked at; `body` is hub/src/store's `CaptureRow`.

CREATE TABLE captures (
    sha256 BLOB PRIMARY KEY,
    body   TEXT NOT NULL
);
