//! Writes.

use khien_core::AlertId;
use khien_core::{
    AgentId, EvidenceId, IncidentId, RunId, Sha256, Timestamp,
    alert::{Alert, Verdict},
    evidence::{Custody, Evidence},
    incident::{Entry, IncidentStatus},
    order::Receipt,
    protocol::Mark,
    run::Run,
};
use khien_playbooks::run::Input;
use rusqlite::params;

use super::{
    row::{is_closed, json, micros},
    writer::Session,
};
use crate::store::{
    CaptureRow, EventRow, HistoryLine, Host, IncidentRow, MandateRow, OrderRow, PackRow, Stored, TokenRow,
    Write,
};

impl Write for Session<'_> {
    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn wake_orders(&mut self) {
        self.orders = true;
    }

    fn put_host(&mut self, h: &Host) -> Stored<()> {
        let sql = "INSERT INTO agents (id, enrolled, revoked, silent_from, body) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (id) DO UPDATE SET enrolled = excluded.enrolled, revoked = excluded.revoked,
                       silent_from = excluded.silent_from, body = excluded.body";
        let body = json("agent", &h.agent)?;
        let silent = h.silent_from.map(micros);
        self.execute(sql, params![h.agent.id.0, micros(h.enrolled), h.revoked, silent, body])?;
        Ok(())
    }

    fn count_unreadable(&mut self, agent: AgentId) -> Stored<()> {
        self.execute("UPDATE agents SET unreadable = unreadable + 1 WHERE id = ?1", [agent.0])?;
        Ok(())
    }

    fn put_token(&mut self, t: &TokenRow) -> Stored<()> {
        let sql = "INSERT INTO tokens (hash, agency, by, expires) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![t.hash.0, t.agency, t.by, micros(t.expires)])?;
        Ok(())
    }

    fn use_token(&mut self, hash: &Sha256, by: AgentId, now: Timestamp) -> Stored<()> {
        let sql = "UPDATE tokens SET used = ?2, used_by = ?3 WHERE hash = ?1 AND used IS NULL";
        self.execute(sql, params![hash.0, micros(now), by.0])?;
        Ok(())
    }

    fn set_acked(&mut self, agent: AgentId, mark: Mark) -> Stored<()> {
        let sql = "INSERT INTO lanes (agent, epoch, acked) VALUES (?1, ?2, ?3)
                   ON CONFLICT (agent, epoch) DO UPDATE SET acked = excluded.acked";
        self.execute(sql, params![agent.0, mark.epoch.0, mark.seq.cast_signed()])?;
        Ok(())
    }

    fn put_event(&mut self, e: &EventRow<'_>) -> Stored<()> {
        let sql =
            "INSERT INTO events (agent, epoch, seq, hash, received, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT DO NOTHING";
        let (seq, received) = (e.mark.seq.cast_signed(), micros(e.received));
        self.execute(sql, params![e.agent.0, e.mark.epoch.0, seq, e.hash.0, received, e.body])?;
        Ok(())
    }

    fn add_alert(&mut self, key: &Sha256, alert: &mut Alert) -> Stored<()> {
        let sql = "INSERT INTO alerts (key, status, closed, severity, last_seen, revision, body)
                   VALUES (?1, '', 0, 0, 0, 0, '')";
        self.execute(sql, [key.0])?;
        alert.id = AlertId(self.view.0.last_insert_rowid());
        self.put_alert(alert)
    }

    fn put_alert(&mut self, a: &Alert) -> Stored<()> {
        let sql = "UPDATE alerts SET status = ?2, closed = ?3, severity = ?4, last_seen = ?5, incident = ?6,
                       revision = ?7, body = ?8 WHERE id = ?1";
        let incident = a.incident.map(|i| i.to_string());
        self.execute(
            sql,
            params![
                a.id.0,
                a.status.as_str(),
                is_closed(a.status),
                a.severity as i64,
                micros(a.last_seen),
                incident,
                a.revision.cast_signed(),
                json("alert", a)?
            ],
        )?;
        Ok(())
    }

    fn add_history(&mut self, h: &HistoryLine) -> Stored<()> {
        let sql = "INSERT INTO alert_history (alert, at, who, status, verdict, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let verdict = h.verdict.map(Verdict::as_str);
        self.execute(sql, params![h.alert.0, micros(h.at), h.who, h.status.as_str(), verdict, h.reason])?;
        Ok(())
    }

    fn put_capture(&mut self, c: &CaptureRow) -> Stored<()> {
        let sql = "INSERT INTO captures (sha256, body) VALUES (?1, ?2)
                   ON CONFLICT (sha256) DO UPDATE SET body = excluded.body";
        self.execute(sql, params![c.capture.sha256.0, json("capture", c)?])?;
        Ok(())
    }

    fn add_incident(&mut self, year: i16, i: &mut IncidentRow) -> Stored<()> {
        let sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM incidents WHERE year = ?1";
        let number = self.view.0.prepare_cached(sql)?.query_row([year], |r| r.get(0))?;
        i.id = IncidentId { year, number };
        let sql = "INSERT INTO incidents (id, year, number, title, closed, opened, opened_by, revision)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let closed = i.status == IncidentStatus::Closed;
        let title = json("title", &i.title)?;
        let (opened, revision) = (micros(i.opened), i.revision.cast_signed());
        self.execute(
            sql,
            params![i.id.to_string(), year, number, title, closed, opened, i.opened_by, revision],
        )?;
        Ok(())
    }

    fn set_incident_status(&mut self, id: IncidentId, status: IncidentStatus) -> Stored<()> {
        let closed = status == IncidentStatus::Closed;
        self.execute("UPDATE incidents SET closed = ?2 WHERE id = ?1", params![id.to_string(), closed])?;
        Ok(())
    }

    fn touch_incident(&mut self, id: IncidentId, revision: u64) -> Stored<()> {
        let sql = "UPDATE incidents SET revision = ?2 WHERE id = ?1";
        self.execute(sql, params![id.to_string(), revision.cast_signed()])?;
        Ok(())
    }

    fn add_entry(&mut self, id: IncidentId, entry: &Entry) -> Stored<()> {
        let sql = "INSERT INTO timeline (incident, at, body) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![id.to_string(), micros(entry.at), json("timeline entry", entry)?])?;
        Ok(())
    }

    fn put_run(&mut self, run: &Run) -> Stored<()> {
        let sql = "INSERT INTO runs (id, incident, started, body) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (id) DO UPDATE SET body = excluded.body";
        let body = json("run", run)?;
        self.execute(sql, params![run.id.0, run.incident.to_string(), micros(run.started), body])?;
        Ok(())
    }

    fn add_input(&mut self, run: RunId, input: &Input, who: &str, at: Timestamp) -> Stored<()> {
        let sql = "INSERT INTO run_inputs (run, at, who, body) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![run.0, micros(at), who, json("run input", input)?])?;
        Ok(())
    }

    fn add_mandate(&mut self, m: &MandateRow<'_>) -> Stored<()> {
        let sql = "INSERT INTO mandates (nonce, run, added, by, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(sql, params![m.nonce.0, m.run.0, micros(m.added), m.by, json("mandate", m.signed)?])?;
        Ok(())
    }

    fn add_order(&mut self, o: &OrderRow) -> Stored<()> {
        let sql = "INSERT INTO orders (id, run, nonce, place, agent, by, created, expires, allowed)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        self.execute(
            sql,
            params![
                o.id.0,
                o.run.0,
                o.nonce.0,
                o.place,
                o.allowed.agent.0,
                o.by,
                micros(o.created),
                micros(o.expires),
                json("order", &o.allowed)?
            ],
        )?;
        Ok(())
    }

    fn close_order(&mut self, receipt: &Receipt) -> Stored<()> {
        let sql = "UPDATE orders SET receipt = ?2 WHERE id = ?1 AND receipt IS NULL";
        self.execute(sql, params![receipt.order.0, json("receipt", receipt)?])?;
        Ok(())
    }

    fn replace_receipt(&mut self, receipt: &Receipt) -> Stored<()> {
        let sql = "UPDATE orders SET receipt = ?2 WHERE id = ?1 AND receipt IS NOT NULL";
        self.execute(sql, params![receipt.order.0, json("receipt", receipt)?])?;
        Ok(())
    }

    fn add_evidence(&mut self, e: &Evidence) -> Stored<()> {
        let bare = Evidence { custody: Vec::new(), ..e.clone() };
        let sql = "INSERT INTO evidence (order_id, sha256, incident, body) VALUES (?1, ?2, ?3, ?4)";
        self.execute(
            sql,
            params![e.origin.id().0, e.sha256.0, e.incident.to_string(), json("evidence", &bare)?],
        )?;
        e.custody.iter().try_for_each(|c| self.add_custody(e.origin.id(), c))
    }

    fn add_custody(&mut self, evidence: EvidenceId, custody: &Custody) -> Stored<()> {
        let sql = "INSERT INTO custody (order_id, body) VALUES (?1, ?2)";
        self.execute(sql, params![evidence.0, json("custody", custody)?])?;
        Ok(())
    }

    fn put_pack(&mut self, pack: &PackRow, by: &str, now: Timestamp) -> Stored<()> {
        let sql = "INSERT INTO pack (version, sha256, by, added, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let body = json("pack", &pack.signed)?;
        self.execute(sql, params![pack.version.cast_signed(), pack.sha256.0, by, micros(now), body])?;
        Ok(())
    }
}
