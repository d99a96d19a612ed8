//! Reads.

use khien_core::{
    AgentId, AlertId, EvidenceId, IncidentId, Nonce, OrderId, RunId, Sha256, Timestamp,
    alert::{Alert, Status},
    evidence::{Custody, CustodyAction, Evidence},
    incident::Entry,
    order::Order,
    protocol::Mark,
    run::Run,
    signature::Signed,
};
use khien_playbooks::run::Input;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::row::{self, column, micros};
use crate::store::{
    CaptureRow, Filter, Host, IncidentRow, Operator, OrderRow, PackRow, Read, Stored, TokenRow,
};

/// Reads over one connection, inside whatever transaction it is in.
pub(crate) struct View<'a>(pub(super) &'a Connection);

type FromRow<T> = fn(&Row<'_>) -> rusqlite::Result<T>;

impl<'a> View<'a> {
    /// Reads over a connection that another program's part opened.
    pub(crate) fn of(conn: &'a Connection) -> Self {
        Self(conn)
    }

    fn one<T>(&self, sql: &str, params: impl Params, from: FromRow<T>) -> Stored<Option<T>> {
        Ok(self.0.prepare_cached(sql)?.query_row(params, from).optional()?)
    }

    fn many<T>(&self, sql: &str, params: impl Params, from: FromRow<T>) -> Stored<Vec<T>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map(params, from)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns a piece of evidence's custody record, first to last.
    fn custody(&self, evidence: EvidenceId) -> Stored<Vec<Custody>> {
        let sql = "SELECT body FROM custody WHERE order_id = ?1 ORDER BY id";
        let mut custody: Vec<Custody> = self.many(sql, [evidence.0], |r| column(r, 0))?;
        // The agent's word of when it read the bytes comes after them: put it where it belongs.
        custody.sort_by_key(|c| place(c.action));
        Ok(custody)
    }

    fn with_custody(&self, mut evidence: Evidence) -> Stored<Evidence> {
        evidence.custody = self.custody(evidence.origin.id())?;
        Ok(evidence)
    }
}

/// Returns the place of an act in a custody record.
fn place(action: CustodyAction) -> u8 {
    match action {
        CustodyAction::Ordered | CustodyAction::Brought => 0,
        CustodyAction::Collected => 1,
        CustodyAction::Received => 2,
        CustodyAction::Exported => 3,
    }
}

impl Read for View<'_> {
    fn revision(&self) -> Stored<u64> {
        let found = self.one("SELECT revision FROM meta", [], |r| r.get::<_, i64>(0))?;
        Ok(found.unwrap_or_default().cast_unsigned())
    }

    fn operators(&self) -> Stored<Vec<Operator>> {
        self.many("SELECT id, name, public, revoked FROM operators ORDER BY name", [], row::operator)
    }

    fn operator(&self, id: &Sha256) -> Stored<Option<Operator>> {
        self.one("SELECT id, name, public, revoked FROM operators WHERE id = ?1", [id.0], row::operator)
    }

    fn host(&self, id: AgentId) -> Stored<Option<Host>> {
        self.one("SELECT body, enrolled, revoked, silent_from FROM agents WHERE id = ?1", [id.0], row::host)
    }

    fn hosts(&self) -> Stored<Vec<Host>> {
        self.many("SELECT body, enrolled, revoked, silent_from FROM agents", [], row::host)
    }

    fn token(&self, hash: &Sha256) -> Stored<Option<TokenRow>> {
        self.one(
            "SELECT hash, agency, by, expires, used_by FROM tokens WHERE hash = ?1",
            [hash.0],
            row::token,
        )
    }

    fn acked(&self, agent: AgentId, epoch: Nonce) -> Stored<u64> {
        let sql = "SELECT acked FROM lanes WHERE agent = ?1 AND epoch = ?2";
        let found = self.one(sql, params![agent.0, epoch.0], |r| r.get::<_, i64>(0))?;
        Ok(found.unwrap_or_default().cast_unsigned())
    }

    fn event_hashes(&self, agent: AgentId, mark: Mark) -> Stored<Vec<Sha256>> {
        let sql = "SELECT hash FROM events WHERE agent = ?1 AND epoch = ?2 AND seq = ?3";
        let key = params![agent.0, mark.epoch.0, mark.seq.cast_signed()];
        self.many(sql, key, |r| Ok(Sha256(r.get(0)?)))
    }

    fn alert(&self, id: AlertId) -> Stored<Option<Alert>> {
        self.one("SELECT body FROM alerts WHERE id = ?1", [id.0], |r| column(r, 0))
    }

    fn alert_by_key(&self, key: &Sha256) -> Stored<Option<Alert>> {
        self.one("SELECT body FROM alerts WHERE key = ?1", [key.0], |r| column(r, 0))
    }

    fn alerts(&self, filter: &Filter) -> Stored<Vec<Alert>> {
        let sql =
            "SELECT body FROM alerts WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR last_seen >= ?2)
                   ORDER BY closed, severity DESC, last_seen DESC, id DESC LIMIT ?3";
        let params = params![filter.status.map(Status::as_str), filter.since.map(micros), filter.limit];
        self.many(sql, params, |r| column(r, 0))
    }

    fn changes(&self, after: u64, limit: u32) -> Stored<Vec<Alert>> {
        let sql = "SELECT body FROM alerts WHERE revision > ?1 ORDER BY revision LIMIT ?2";
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.many(sql, params![after, limit], |r| column(r, 0))
    }

    fn alerts_of(&self, incident: IncidentId) -> Stored<Vec<Alert>> {
        let sql = "SELECT body FROM alerts WHERE incident = ?1 ORDER BY id";
        self.many(sql, [incident.to_string()], |r| column(r, 0))
    }

    fn capture(&self, sha256: &Sha256) -> Stored<Option<CaptureRow>> {
        self.one("SELECT body FROM captures WHERE sha256 = ?1", [sha256.0], |r| column(r, 0))
    }

    fn incident(&self, id: IncidentId) -> Stored<Option<IncidentRow>> {
        let sql = "SELECT id, title, closed, opened, opened_by, revision FROM incidents WHERE id = ?1";
        self.one(sql, [id.to_string()], row::incident)
    }

    fn incidents(&self, limit: u32) -> Stored<Vec<IncidentRow>> {
        let sql = "SELECT id, title, closed, opened, opened_by, revision FROM incidents
                   ORDER BY year DESC, number DESC LIMIT ?1";
        self.many(sql, [limit], row::incident)
    }

    fn timeline(&self, id: IncidentId) -> Stored<Vec<Entry>> {
        let sql = "SELECT body FROM timeline WHERE incident = ?1 ORDER BY at, id";
        self.many(sql, [id.to_string()], |r| column(r, 0))
    }

    fn evidence_of(&self, id: IncidentId) -> Stored<Vec<Evidence>> {
        let sql = "SELECT body FROM evidence WHERE incident = ?1 ORDER BY rowid";
        let found = self.many(sql, [id.to_string()], |r| column(r, 0))?;
        found.into_iter().map(|e| self.with_custody(e)).collect()
    }

    fn evidence(&self, id: EvidenceId) -> Stored<Option<Evidence>> {
        let found = self.one("SELECT body FROM evidence WHERE order_id = ?1", [id.0], |r| column(r, 0))?;
        found.map(|e| self.with_custody(e)).transpose()
    }

    fn run(&self, id: RunId) -> Stored<Option<Run>> {
        self.one("SELECT body FROM runs WHERE id = ?1", [id.0], |r| column(r, 0))
    }

    fn runs(&self, limit: u32) -> Stored<Vec<Run>> {
        let sql = "SELECT body FROM runs ORDER BY started DESC, rowid DESC LIMIT ?1";
        self.many(sql, [limit], |r| column(r, 0))
    }

    fn runs_of(&self, id: IncidentId) -> Stored<Vec<Run>> {
        let sql = "SELECT body FROM runs WHERE incident = ?1 ORDER BY started, rowid";
        self.many(sql, [id.to_string()], |r| column(r, 0))
    }

    fn inputs(&self, id: RunId) -> Stored<Vec<Input>> {
        self.many("SELECT body FROM run_inputs WHERE run = ?1 ORDER BY id", [id.0], |r| column(r, 0))
    }

    fn mandate_run(&self, nonce: Nonce) -> Stored<Option<RunId>> {
        self.one("SELECT run FROM mandates WHERE nonce = ?1", [nonce.0], |r| Ok(RunId(r.get(0)?)))
    }

    fn newest_mandate(&self, run: RunId) -> Stored<Option<(Signed, String)>> {
        let sql = "SELECT body, by FROM mandates WHERE run = ?1 ORDER BY rowid DESC LIMIT 1";
        self.one(sql, [run.0], |r| Ok((column(r, 0)?, r.get(1)?)))
    }

    fn order(&self, id: OrderId) -> Stored<Option<OrderRow>> {
        let sql = from_orders(row::ORDER, "WHERE id = ?1");
        self.one(&sql, [id.0], row::order)
    }

    fn scan_orders(&self, limit: u32) -> Stored<Vec<OrderRow>> {
        let rest = "WHERE allowed ->> '$.verb' IN ('scan_path', 'scan_memory') ORDER BY rowid DESC LIMIT ?1";
        self.many(&from_orders(row::ORDER, rest), [limit], row::order)
    }

    fn stop_order(&self, scan: OrderId) -> Stored<Option<OrderRow>> {
        // It was given after the scan, so that only what is newer is looked through.
        let rest =
            "WHERE rowid > (SELECT rowid FROM orders WHERE id = ?1) AND allowed ->> '$.verb' = 'stop_scan'
                    AND allowed ->> '$.file.scan' = ?2 ORDER BY rowid LIMIT 1";
        self.one(&from_orders(row::ORDER, rest), params![scan.0, scan.to_string()], row::order)
    }

    fn open_orders(&self, agent: AgentId, now: Timestamp, bytes: usize) -> Stored<Vec<Order>> {
        let sql = "SELECT m.body, o.place FROM orders o JOIN mandates m USING (nonce)
                   WHERE o.agent = ?1 AND o.receipt IS NULL AND o.expires >= ?2 ORDER BY o.rowid";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![agent.0, micros(now)])?;
        let (mut orders, mut taken) = (Vec::new(), 0);
        while let Some(r) = rows.next()? {
            taken += r.get_ref(0)?.as_bytes().map_or(0, <[u8]>::len);
            if taken > bytes && !orders.is_empty() {
                break;
            }
            orders.push(Order { mandate: column(r, 0)?, index: r.get(1)? });
        }
        Ok(orders)
    }

    fn expired_orders(&self, before: Timestamp) -> Stored<Vec<OrderRow>> {
        let sql = from_orders(row::ORDER, "WHERE receipt IS NULL AND expires < ?1 ORDER BY rowid LIMIT 100");
        self.many(&sql, [micros(before)], row::order)
    }

    fn pack_version(&self) -> Stored<u64> {
        let found = self.one("SELECT MAX(version) FROM pack", [], |r| r.get::<_, Option<i64>>(0))?;
        Ok(found.flatten().unwrap_or_default().cast_unsigned())
    }

    fn pack(&self) -> Stored<Option<PackRow>> {
        self.one("SELECT version, sha256, body FROM pack ORDER BY version DESC LIMIT 1", [], row::pack)
    }
}

/// Puts a query on the table of orders together.
fn from_orders(columns: &str, rest: &str) -> String {
    format!("SELECT {columns} FROM orders {rest}")
}
