//! khien-reports
