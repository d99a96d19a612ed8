//! Between rows and values.

use khien_core::{AgentId, Nonce, OrderId, RunId, Sha256};
use khien_core::{
    Timestamp, alert::Status, asset::Agent, incident::IncidentStatus, signature::OperatorKey, text::Words,
};
use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use crate::store::{Host, IncidentRow, Operator, OrderRow, PackRow, StoreError, Stored, TokenRow};

/// Microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The moment of microseconds since 1970; what is out of range is the nearest end of time.
pub(super) fn moment(micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

/// Writes a value's JSON.
pub(super) fn json<T: Serialize>(what: &'static str, value: &T) -> Stored<String> {
    serde_json::to_string(value).map_err(|source| StoreError::Unreadable { what, source })
}

/// Reads a value from a column with JSON.
pub(super) fn column<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(e)))
}

/// Reads words from a column; what is no JSON is one text for both languages.
fn words(row: &Row<'_>, at: usize) -> rusqlite::Result<Words> {
    let text = row.get_ref(at)?.as_str()?;
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Words::same(text)))
}

/// Reads a value from a column with its written form.
pub(super) fn parsed<T>(row: &Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(at)?.as_str()?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(e)))
}

/// `id, name, public, revoked`
pub(super) fn operator(r: &Row<'_>) -> rusqlite::Result<Operator> {
    let key = OperatorKey { name: r.get(1)?, public: r.get(2)? };
    Ok(Operator { id: Sha256(r.get(0)?), key, revoked: r.get(3)? })
}

/// `body, enrolled, revoked, silent_from`
pub(super) fn host(r: &Row<'_>) -> rusqlite::Result<Host> {
    let agent: Agent = column(r, 0)?;
    let silent_from = r.get::<_, Option<i64>>(3)?.map(moment);
    Ok(Host { agent, enrolled: moment(r.get(1)?), revoked: r.get(2)?, silent_from })
}

/// `hash, agency, by, expires, used_by`
pub(super) fn token(r: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        hash: Sha256(r.get(0)?),
        agency: r.get(1)?,
        by: r.get(2)?,
        expires: moment(r.get(3)?),
        used_by: r.get::<_, Option<[u8; 32]>>(4)?.map(AgentId),
    })
}

/// `id, title, closed, opened, opened_by, revision`
pub(super) fn incident(r: &Row<'_>) -> rusqlite::Result<IncidentRow> {
    Ok(IncidentRow {
        id: parsed(r, 0)?,
        title: words(r, 1)?,
        status: if r.get(2)? { IncidentStatus::Closed } else { IncidentStatus::Open },
        opened: moment(r.get(3)?),
        opened_by: r.get(4)?,
        revision: r.get::<_, i64>(5)?.cast_unsigned(),
    })
}

/// The columns of [`order`].
pub(super) const ORDER: &str = "id, run, nonce, place, allowed, by, created, expires, receipt";

/// See [`ORDER`].
pub(super) fn order(r: &Row<'_>) -> rusqlite::Result<OrderRow> {
    let answered = r.get::<_, Option<String>>(8)?.is_some();
    Ok(OrderRow {
        id: OrderId(r.get(0)?),
        run: RunId(r.get(1)?),
        nonce: Nonce(r.get(2)?),
        place: r.get(3)?,
        allowed: column(r, 4)?,
        by: r.get(5)?,
        created: moment(r.get(6)?),
        expires: moment(r.get(7)?),
        receipt: if answered { Some(column(r, 8)?) } else { None },
    })
}

/// `version, sha256, body`
pub(super) fn pack(r: &Row<'_>) -> rusqlite::Result<PackRow> {
    let version = r.get::<_, i64>(0)?.cast_unsigned();
    Ok(PackRow { version, sha256: Sha256(r.get(1)?), signed: column(r, 2)? })
}

/// Tells how a status sorts.
pub(super) fn is_closed(status: Status) -> bool {
    status == Status::Closed
}
