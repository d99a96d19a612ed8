//! Which orders were begun and which were answered: what makes a repeated order harmless and a replayed one visible.
//!
//! An order's row is written before the host is touched; its receipt and the row's end are one transaction. `acked`
//! holds the poll during which the hub acknowledged the receipt: an answer to that same poll may still name the order,
//! an answer to a later poll may not.

use khien_core::{
    OrderId, Timestamp,
    order::{Order, Receipt},
    protocol::Report,
};
use rusqlite::{OptionalExtension, params};

use super::{
    SpoolError,
    store::{Store, int},
};

/// Answered orders are forgotten after this: by then their mandates are long expired.
const KEEP_SECONDS: i64 = 90 * 86_400;

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
            .prepare_cached("INSERT OR IGNORE INTO orders (id, text, at) VALUES (?, ?, ?)")?
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

    /// Returns the orders that were begun and have no receipt: the agent died over them.
    pub(crate) fn unanswered(&self) -> Result<Vec<Order>, SpoolError> {
        let mut query = self.db.prepare("SELECT text FROM orders WHERE receipt IS NULL ORDER BY at, id")?;
        let texts: Vec<String> = query.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
        texts.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
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
