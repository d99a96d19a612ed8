//! The number and date rules of NĐ 30/2020/NĐ-CP that are easy to get wrong.

use jiff::civil::Date;
use khien_core::{Timestamp, time::in_vietnam};

use super::BLANK;

/// Writes `Đắk Lắk, ngày 05 tháng 01 năm 2027`: a day below 10 and the months 1 and 2 get a leading zero, the months
/// 3 to 9 do not.
#[must_use]
pub fn place_and_date(place: Option<&str>, day: Date) -> String {
    let place = place.unwrap_or(BLANK);
    format!("{place}, ngày {:02} tháng {} năm {}", day.day(), month(day.month()), day.year())
}

fn month(month: i8) -> String {
    if month < 3 { format!("{month:02}") } else { month.to_string() }
}

/// Writes `Số: 05/BC-ĐƯCSC`: a number below 10 gets a leading zero, the symbol has no spaces. What is not known is blank.
#[must_use]
pub fn document_number(number: Option<&str>, symbol: Option<&str>) -> String {
    let number = match number.map(str::parse::<u32>) {
        Some(Ok(n)) => format!("{n:02}"),
        _ => number.unwrap_or("……").to_owned(),
    };
    let symbol: String = symbol.unwrap_or("…………").split_whitespace().collect();
    format!("Số: {number}/{symbol}")
}

/// Writes a moment as the form asks for it: `10 giờ 07 phút, ngày 20/11/2026`, Vietnam time.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let t = in_vietnam(at);
    format!("{:02} giờ {:02} phút, ngày {:02}/{:02}/{}", t.hour(), t.minute(), t.day(), t.month(), t.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(day: &str) -> String {
        place_and_date(Some("Đắk Lắk"), day.parse().unwrap())
    }

    #[test]
    fn days_below_ten_and_the_first_two_months_get_a_zero() {
        assert_eq!(written("2027-01-05"), "Đắk Lắk, ngày 05 tháng 01 năm 2027");
        assert_eq!(written("2027-02-10"), "Đắk Lắk, ngày 10 tháng 02 năm 2027");
        assert_eq!(written("2027-03-09"), "Đắk Lắk, ngày 09 tháng 3 năm 2027");
        assert_eq!(written("2027-06-29"), "Đắk Lắk, ngày 29 tháng 6 năm 2027");
        assert_eq!(written("2026-11-22"), "Đắk Lắk, ngày 22 tháng 11 năm 2026");
    }

    #[test]
    fn a_document_number_below_ten_gets_a_zero_and_the_symbol_no_spaces() {
        assert_eq!(document_number(Some("5"), Some("BC-ĐƯCSC")), "Số: 05/BC-ĐƯCSC");
        assert_eq!(document_number(Some("05"), Some("BC - ĐƯCSC")), "Số: 05/BC-ĐƯCSC");
        assert_eq!(document_number(Some("112"), Some("BC-ĐƯCSC")), "Số: 112/BC-ĐƯCSC");
    }

    #[test]
    fn what_is_not_known_stays_blank() {
        assert_eq!(document_number(None, Some("BC-ĐƯCSC")), "Số: ……/BC-ĐƯCSC");
        assert!(place_and_date(None, "2026-11-22".parse().unwrap()).starts_with(BLANK));
    }

    #[test]
    fn a_moment_is_written_in_vietnam_time() {
        assert_eq!(moment("2026-11-19T20:07:00Z".parse().unwrap()), "03 giờ 07 phút, ngày 20/11/2026");
    }
}
