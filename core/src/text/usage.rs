//! What is wrong with a command line. The parser words it in English; each of its phrases has one in Vietnamese here.

use super::Lang;

/// English as the parser writes it, and what stands in its place.
const PHRASES: &[(&str, &str)] = &[
    ("error: ", "lỗi: "),
    ("unexpected argument ", "không có tham số "),
    ("unexpected value ", "thừa giá trị "),
    (" found; no more were expected", ""),
    ("' found\n", "'\n"),
    ("unrecognized subcommand ", "không có lệnh "),
    ("the following required arguments were not provided:", "còn thiếu:"),
    (" requires a subcommand but one was not provided", " cần một lệnh theo sau"),
    ("a value is required for ", "cần một giá trị cho "),
    (" but none was supplied", ""),
    ("equal sign is needed when assigning values to ", "cần dấu bằng khi gán giá trị cho "),
    ("invalid value ", "giá trị không hợp lệ "),
    ("' for '", "' cho '"),
    ("the argument ", "tham số "),
    ("the subcommand ", "lệnh "),
    (" cannot be used multiple times", " chỉ được dùng một lần"),
    (
        " cannot be used with one or more of the other specified arguments",
        " không dùng được cùng các tham số khác",
    ),
    (" cannot be used with", " không dùng được cùng"),
    (" values required for ", " giá trị cần cho "),
    (" values required by ", " giá trị cần cho "),
    ("' but ", "', có "),
    ("'; only ", "', chỉ có "),
    (" were provided", ""),
    (" was provided", ""),
    ("invalid UTF-8 was detected in one or more arguments", "có tham số không phải UTF-8"),
    ("[possible values: ", "[một trong: "),
    ("[subcommands: ", "[lệnh: "),
    ("tip: ", "gợi ý: "),
    ("a similar argument exists: ", "có tham số gần giống: "),
    ("a similar subcommand exists: ", "có lệnh gần giống: "),
    ("a similar value exists: ", "có giá trị gần giống: "),
    ("some similar arguments exist: ", "có các tham số gần giống: "),
    ("some similar subcommands exist: ", "có các lệnh gần giống: "),
    ("some similar values exist: ", "có các giá trị gần giống: "),
    ("to pass ", "muốn dùng "),
    (" as a value, use ", " làm giá trị, hãy gõ "),
    ("unknown language, expected vi or en", "phải là vi hoặc en"),
    ("expected new, acknowledged or closed", "phải là new, acknowledged hoặc closed"),
    ("expected FIELD=VALUE", "phải là TRƯỜNG=GIÁ_TRỊ"),
    ("is not an incident id such as ", "không phải mã sự cố như "),
    ("is not an alert id such as ", "không phải mã cảnh báo như "),
    ("is not a SHA-256 (64 hex digits)", "không phải SHA-256 (64 chữ số hex)"),
    ("is not a run id (32 hex digits)", "không phải mã lần chạy (32 chữ số hex)"),
    ("invalid digit found in string", "phải là một số"),
    ("cannot parse integer from empty string", "phải là một số"),
    ("number too large to fit in target type", "số quá lớn"),
    (" is not in ", " không nằm trong "),
    ("Usage:", "Cách dùng:"),
    ("For more information, try ", "Xem thêm bằng "),
];

/// Says it in a language. What the person typed stands in it as it was typed, but for such a phrase.
#[must_use]
pub fn told(english: &str, lang: Lang) -> String {
    match lang {
        Lang::En => english.to_owned(),
        Lang::Vi => PHRASES.iter().fold(english.to_owned(), |text, (en, vi)| text.replace(en, vi)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_range_is_said_so() {
        let english = "error: invalid value '30' for '--minutes <MINUTES>': 30 is not in 1..=15\n";

        assert_eq!(
            told(english, Lang::Vi),
            "lỗi: giá trị không hợp lệ '30' cho '--minutes <MINUTES>': 30 không nằm trong 1..=15\n"
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_the_language_of_the_reader() {
        let english = "error: unexpected argument '--x' found\n\nUsage: khien up\n\nFor more information, try '--help'.\n";

        assert_eq!(told(english, Lang::En), english);
        assert_eq!(
            told(english, Lang::Vi),
            "lỗi: không có tham số '--x'\n\nCách dùng: khien up\n\nXem thêm bằng '--help'.\n"
        );
    }
}
