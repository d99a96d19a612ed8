//! From an incident to the papers that the law asks for: clocks, forms, documents and exchange files.
//!
//! Law is data: deadlines, recipients and forms are dated files in `profiles/` and `forms/`. Nothing here reads a clock,
//! sends anything, or decides what only a person may decide; what is missing stays a visible blank and is listed.

pub mod clock;
pub mod document;
pub mod draft;
pub mod exchange;
pub mod form;
pub mod organization;
pub mod profile;
pub mod render;

pub use clock::{Clock, ClockState, clocks};
pub use draft::{Case, DraftError, Drafted, draft};
pub use form::{Answers, MissingField, Stage};
pub use organization::Organization;
pub use profile::Profile;
