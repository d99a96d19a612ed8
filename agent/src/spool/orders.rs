//! Which orders were begun and which were answered: what makes a repeated order harmless and a replayed one visible.
//!
//! An order's row is written before the host is touched; its receipt and the row's end are one transaction. `acked`
//! holds the poll during which the hub acknowledged the receipt: an answer to that same poll may still name the order,
//! an answer to a later poll may not.

use khien_core::{
    OrderId, Timestamp,
    order::{Order, Receipt},
    protocol::Report,
    reason::Reason,
};
use rusqlite::{OptionalExtension, params};

use super::{
    SpoolError,
    store::{Store, int},
};

/// Answered orders are forgotten after this: by then their mandates are long expired.
const KEEP_SECONDS: i64 = 90 * 86_400;

/// Stands for a value that is no text at all.
const UNREADABLE: &[u8] = b"?";

/// What is known of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It was begun and has no receipt yet.
    Begun,
    /// It has a receipt that may still be on its way to the hub.
    Answered,
    /// The hub had its receipt before it was asked this time.
    Settled,
}

impl Store {
    /// Begins a poll for orders and returns its number.
    pub(crate) fn begin_poll(&mut self) -> u64 {
        self.poll += 1;
        self.poll
    }

    /// Returns what is known of an order that came in answer to `poll`.
    pub(crate) fn known(&self, id: OrderId, poll: u64) -> Result<Known, SpoolError> {
        let mut query = self.db.prepare_cached("SELECT receipt, acked FROM orders WHERE id = ?")?;
        let row: Option<(Option<i64>, Option<i64>)> =
            query.query_row([id.0], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        Ok(match row {
            None => Known::New,
            Some((None, _)) => Known::Begun,
            Some((Some(_), Some(acked))) if acked < int(poll) => Known::Settled,
            Some((Some(_), _)) => Known::Answered,
        })
    }

    /// Notes that an order is about to be carried out.
    pub(crate) fn begin_order(
        &mut self,
        id: OrderId,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.db
            .prepare_cached(
                "INSERT INTO orders (id, text, at) VALUES (?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET text = excluded.text WHERE receipt IS NULL",
            )?
            .execute(params![id.0, serde_json::to_string(order)?, now.as_second()])?;
        Ok(())
    }

    /// Notes that an order is answered and appends the receipt.
    pub(crate) fn end_order(&mut self, receipt: &Receipt, now: Timestamp) -> Result<(), SpoolError> {
        let seq = self.append(&Report::Receipt(receipt.clone()), now)?.map(int);
        self.db
            .prepare_cached(
                "INSERT INTO orders (id, text, receipt, at) VALUES (?1, '', ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET text = '', receipt = excluded.receipt, at = excluded.at",
            )?
            .execute(params![receipt.order.0, seq.unwrap_or(0), now.as_second()])?;
        Ok(())
    }

    /// Returns the orders that were begun and have no receipt: the agent died over them. A row that cannot be read is
    /// told of, and stays as an order that was begun: if the hub repeats it, it is taken up then.
    pub(crate) fn unanswered(&mut self, now: Timestamp) -> Result<Vec<Order>, SpoolError> {
        let mut orders = Vec::new();
        for (row, text) in self.begun()? {
            match serde_json::from_slice(&text) {
                Ok(order) => orders.push(order),
                Err(error) => self.set_row_aside(row, &error, now)?,
            }
        }
        Ok(orders)
    }

    fn begun(&self) -> Result<Vec<(i64, Vec<u8>)>, SpoolError> {
        let mut query = self
            .db
            .prepare("SELECT rowid, text FROM orders WHERE receipt IS NULL AND text <> '' ORDER BY at, id")?;
        // As bytes: what is damaged need not even be text.
        let read =
            |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get_ref(1)?.as_bytes().unwrap_or(UNREADABLE).to_vec()));
        Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    fn set_row_aside(
        &mut self,
        row: i64,
        error: &serde_json::Error,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        tracing::error!(%error, row, "the note of an order that was begun cannot be read, it is set aside");
        self.db.execute("UPDATE orders SET text = '' WHERE rowid = ?", [row])?;
        let (scope, cause) = ("orders".into(), Reason::OrderNoteUnreadable);
        self.append(&Report::Blind { scope, cause, from: now, until: now, lost: Some(1) }, now)?;
        Ok(())
    }

    /// Polls are counted per life, so what was acknowledged in an earlier one lies before them all.
    pub(super) fn forget_polls(&mut self) -> Result<(), SpoolError> {
        self.db.execute("UPDATE orders SET acked = 0 WHERE acked IS NOT NULL", [])?;
        self.db.execute(
            "DELETE FROM orders WHERE acked IS NOT NULL AND at < (SELECT max(at) FROM orders) - ?",
            [KEEP_SECONDS],
        )?;
        Ok(())
    }

    pub(super) fn ack_receipts(&mut self, seq: i64) -> Result<(), SpoolError> {
        self.db
            .prepare_cached("UPDATE orders SET acked = ? WHERE acked IS NULL AND receipt <= ?")?
            .execute([int(self.poll), seq])?;
        Ok(())
    }

    pub(super) fn shift_receipts(&mut self, shift: i64) -> Result<(), SpoolError> {
        self.db.execute(
            "UPDATE orders SET receipt = receipt - ? WHERE acked IS NULL AND receipt IS NOT NULL",
            [shift],
        )?;
        Ok(())
    }
}
