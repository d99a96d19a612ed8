//! Every way to write a phrase is found, other words are not, and the committed rule is what the lists make.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use khien_core::Timestamp;
use khien_rules::{
    Engine, Scope, base_pack,
    vietnamese::{Forms, Phrase, gambling},
};
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

/// Words beside those of the gambling rule: tone places, `y` for `i`, three marks, capitals with Đ.
const MORE: [&str; 6] = ["hoà bình", "thủy triều", "đăng ký", "nghiễng", "đổi thưởng", "Đường ƯỢC"];
const ACUTE: char = '\u{301}';
const TONES: [char; 5] = ['\u{300}', ACUTE, '\u{303}', '\u{309}', '\u{323}'];

static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| gambling::words().chain(MORE).collect());
static ALL: LazyLock<yara_x::Rules> = LazyLock::new(|| compiled(&WORDS, Forms::ALL));

#[test]
fn the_committed_rule_is_what_the_word_lists_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/base/seo.yar");

    let committed = fs::read_to_string(path).unwrap();

    assert!(
        committed == gambling::source().unwrap(),
        "run `cargo run --example gambling_rule` and raise the pack's version"
    );
}

#[test]
fn each_form_of_each_word_is_found() {
    for word in WORDS.iter() {
        for (form, bytes) in forms(word) {
            for page in framed(&form, &bytes) {
                assert!(found(&page, word), "{word}: {form}: {}", page.escape_ascii());
            }
        }
    }
}

#[test]
fn the_forms_of_a_word_are_those_that_pages_were_seen_with() {
    for page in [
        &b"nh&agrave; c&aacute;i"[..],
        b"NH&Agrave; C&Aacute;I",
        b"nh&#224; c&#0225;i",
        b"nh&#224 c&#225i",
        b"nh&#xE0; c&#x00e1;i",
        b"nha&#768; ca&#769;i",
        b"/tim?q=nh%C3%A0+c%c3%a1i&page=2",
        b"/tim?q=nh%25C3%25A0%2520c%25C3%25A1i",
        b"{\"t\":\"\\nnh\\u00e0 c\\u00e1i\\u201d\"}",
        b"{\"t\":\"{\\\"t\\\":\\\"nh\\\\u00E0 c\\\\u00e1i\\\"}\"}",
        b"/nha-cai-uy-tin",
        b"/nha_cai_1",
        b"nha%20cai",
        b"nh\xC3\xA0&nbsp;c\xC3\xA1i",
        b"nh\xC3\xA0\xC2\xA0\xE2\x80\x8Bc\xC3\xA1i",
        b"n\xC2\xADh\xC3\xA0 c&shy;\xC3\xA1i",
        b"<b>nh\xC3\xA0</b> <i>c\xC3\xA1i</i>",
        b"&#110;&#104;&#224;&#32;&#99;&#225;&#105;",
        b"n\0h\0\xE0\0 \0c\0\xE1\0i\0",
        b"\0N\0H\0\xC0\0 \0C\0\xC1\0I",
        b"nh\xB5 c\xB8i",
        b"Nha\xF8 ca\xF9i",
        b"nh\xE0 c\xE1i",
        b"nha\xCC ca\xECi",
    ] {
        assert!(found(page, "nhà cái"), "{}", page.escape_ascii());
    }
}

#[test]
fn the_place_of_the_tone_and_the_last_letter_may_differ() {
    for (page, word) in [
        ("hòa bình", "hoà bình"),
        ("HOÀ BÌNH", "hoà bình"),
        ("thuỷ triều", "thủy triều"),
        ("Đăng kí", "đăng ký"),
        ("ĐĂNG KÝ", "đăng ký"),
        ("dang-ki", "đăng ký"),
    ] {
        assert!(found(page.as_bytes(), word), "{page}");
    }
}

#[test]
fn words_that_only_look_alike_are_not_found() {
    for (page, word) in [
        ("nhà cải tạo", "nhà cái"),
        ("nhà cai quản", "nhà cái"),
        ("nha cái", "nhà cái"),
        ("nhà cá", "nhà cái"),
        ("nhà\ncáit", "nhà cái"),
        ("thanhà cái", "nhà cái"),
        ("cá độc", "cá độ"),
        ("cá đồ", "cá độ"),
        ("ca đo", "cá độ"),
        ("cadoc cado", "cá độ"),
        ("nợ hũ", "nổ hũ"),
        ("no huống", "nổ hũ"),
        ("no hu&#7889;ng", "nổ hũ"),
        ("no hu%E1%BB%91ng", "nổ hũ"),
        ("no hu\\u1ed1ng", "nổ hũ"),
        ("no hu\u{302}\u{301}ng", "nổ hũ"),
        ("lô đê", "lô đề"),
        ("lo đề phòng", "lô đề"),
        ("tái xíu", "tài xỉu"),
        ("bắn cả", "bắn cá"),
        ("đá gạch", "đá gà"),
        ("casinos", "casino"),
    ] {
        assert!(!found(page.as_bytes(), word), "{page} is not {word}");
        let wide: Vec<u8> = page.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!found(&wide, word), "{page} is not {word} in UTF-16");
    }
}

#[test]
fn syllables_touch_only_where_that_was_asked_for() {
    let phrase = ["tài xỉu"];
    let apart = compiled(&phrase, Forms::WEB);
    let joined = compiled(&phrase, Forms::WEB.and(Forms::JOINED));

    for page in [&b"https://taixiu.khien-test.example/"[..], b"vuataixiu taixiu88", "#TàiXỉu".as_bytes()] {
        assert!(matches(&joined, page, 0), "{}", page.escape_ascii());
        assert!(!matches(&apart, page, 0), "{}", page.escape_ascii());
    }
    assert!(!matches(&joined, b"taixiux", 0));
}

#[test]
fn who_warns_of_gambling_and_names_the_brands_is_left_alone_and_who_hides_links_is_not() {
    let pack = base_pack(Timestamp::UNIX_EPOCH);
    let engine = Engine::compile(&pack, Scope::File).unwrap();
    let [one, two] = [concat!("ku", "bet"), concat!("789", "bet")];
    let words = "nhà cái, tài xỉu, xóc đĩa, cá cược, nổ hũ, lô đề, soi cầu, đăng ký, nạp rút, khuyến mãi";
    let page = |text: &str| format!("<html><body><p>{text}</p></body></html>");
    let hits = |text: &str| engine.scan(text.as_bytes(), Duration::from_secs(20)).hits.len();

    assert_eq!(hits(&page(&format!("{one}, {two}: {words}"))), 1);
    for warning in [
        "Công an triệt phá, khởi tố, bắt giữ nhóm chơi qua",
        "Đã khởi tố; tòa tuyên phạt tù các bị cáo lập trang",
        "CANH GIAC! Trường nghiêm cấm tệ nạn trên",
    ] {
        assert_eq!(hits(&page(&format!("{warning} {one}, {two}: {words}"))), 0, "{warning}");
        let link = format!("{warning} <a href=\"https://{one}.khien-test.example/\">{two}</a>: {words}");
        assert_eq!(hits(&page(&link)), 1, "{warning}");
    }
    assert_eq!(hits(&page(&format!("{one}: nhà cái"))), 0, "one word proves nothing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_rendering_of_a_word_is_found(word in 0..WORDS.len(), dice in prop::collection::vec(any::<u8>(), 64)) {
        let page = rendered(WORDS[word], &dice);

        prop_assert!(matches(&ALL, &page, word), "{}: {}", WORDS[word], page.escape_ascii());
    }

    #[test]
    fn a_word_with_another_tone_is_another_word(word in 0..WORDS.len(), at in any::<prop::sample::Index>(), tone in 0_usize..5) {
        let Some(other) = with_other_tone(WORDS[word], at, TONES[tone]) else { return Ok(()) };

        prop_assert!(!matches(&ALL, format!(" {other} ").as_bytes(), word), "{other} is not {}", WORDS[word]);
        prop_assert!(!matches(&ALL, other.nfd().collect::<String>().as_bytes(), word));
    }

    #[test]
    fn a_longer_word_is_another_word(word in 0..WORDS.len(), more in "[a-zđêôơư]{1,3}") {
        let longer = format!("{}{more}", WORDS[word]);

        prop_assert!(!matches(&ALL, longer.as_bytes(), word), "{longer}");
    }

    #[test]
    fn any_text_is_a_phrase_or_refused(text: String) {
        let _ = text.parse::<Phrase>().and_then(|p| p.regex(Forms::ALL));
    }
}

/// Named forms of a word, the page's own bytes.
fn forms(word: &str) -> Vec<(String, Vec<u8>)> {
    let nfc: String = word.nfc().collect();
    let marked = |f: &dyn Fn(char) -> String| {
        nfc.chars().map(|c| if c.is_ascii() { c.to_string() } else { f(c) }).collect::<String>()
    };
    let number = |c: char| u32::from(c);
    let utf8 = |c: char| c.to_string().bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let tone_first = |c: char| {
        let parts: Vec<char> = c.to_string().nfd().collect();
        if let [base, a, b] = parts[..] {
            [base, b, a].iter().collect()
        } else {
            parts.iter().collect::<String>()
        }
    };
    let bare: String = nfc.nfd().filter(char::is_ascii_or_stroke).map(char::without_stroke).collect();
    let texts = [
        ("nfc", nfc.clone()),
        ("upper", nfc.to_uppercase()),
        ("nfd", nfc.nfd().collect()),
        ("nfd upper", nfc.to_uppercase().nfd().collect()),
        ("tone first", marked(&tone_first)),
        ("decimal", marked(&|c| format!("&#{};", number(c)))),
        ("decimal with zeros", marked(&|c| format!("&#00{};", number(c)))),
        ("decimal, upper", marked(&|c| format!("&#{};", number(c.to_uppercase().next().unwrap())))),
        ("hex", marked(&|c| format!("&#x{:x};", number(c)))),
        ("hex with zeros", marked(&|c| format!("&#X000{:X};", number(c)))),
        ("percent", marked(&utf8).replace(' ', "%20")),
        ("json", marked(&|c| format!("\\u{:04x}", number(c)))),
        ("nbsp", nfc.replace(' ', "\u{A0}")),
        ("nbsp entity", nfc.replace(' ', "&nbsp;")),
        ("zero width", nfc.replace(' ', "\u{200B} \u{200D}")),
        ("line break", nfc.replace(' ', "\r\n      ")),
        ("bare", bare.clone()),
        ("slug", bare.replace(' ', "-").to_lowercase()),
        ("snake", bare.replace(' ', "_")),
        ("bare percent", bare.replace(' ', "%20")),
        ("bare upper", bare.to_uppercase()),
    ];
    let mut all: Vec<_> = texts.map(|(form, text)| (form.to_owned(), text.into_bytes())).into();
    for (form, text) in [("nfc", nfc.clone()), ("nfd", nfc.nfd().collect()), ("bare", bare)] {
        let units: Vec<u16> = text.encode_utf16().collect();
        all.push((format!("utf-16le {form}"), units.iter().flat_map(|u| u.to_le_bytes()).collect()));
        all.push((format!("utf-16be {form}"), units.iter().flat_map(|u| u.to_be_bytes()).collect()));
    }
    all
}

/// A form alone, and in what pages put around it.
fn framed(form: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let frames: &[(&str, &str)] =
        &[("", ""), (" ", "."), ("<b>", "</b>"), ("\"", "\""), ("(", ")"), ("#", "\n")];
    let encoded = |text: &str| -> Vec<u8> {
        match form {
            f if f.starts_with("utf-16le") => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            f if f.starts_with("utf-16be") => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => text.as_bytes().to_vec(),
        }
    };
    frames.iter().map(|(before, after)| [encoded(before), bytes.to_vec(), encoded(after)].concat()).collect()
}

/// Renders a word as the dice fall, letter by letter.
fn rendered(word: &str, dice: &[u8]) -> Vec<u8> {
    let mut at = 0;
    let mut roll = |sides: usize| {
        at += 1;
        usize::from(dice[at % dice.len()]) % sides
    };
    let before = ["", " ", ">", "\"", "-", "_", "/", "(", "%20", "\u{201C}", "&nbsp;"][roll(11)];
    let after = ["", " ", "<", ".", "\"", "-", "!", "\n", "%20", "\u{201D}", "&nbsp;", "\\u0022"][roll(12)];
    let way = roll(8);
    let mut text = String::new();
    for c in word.nfc() {
        let c = if roll(4) == 0 { c.to_uppercase().next().unwrap() } else { c };
        if c == ' ' {
            for _ in 0..=roll(2) {
                text +=
                    [" ", "\u{A0}", "-", "_", "&nbsp;", "\u{200B}", "%20", "\r\n", "&#160;", "+"][roll(10)];
            }
            continue;
        }
        let spelled: Vec<char> = match (roll(4), c.to_string().nfd().collect::<Vec<_>>().as_slice()) {
            (1, parts) => parts.to_vec(),
            (2, [base, a, b]) => vec![*base, *b, *a],
            (3, [base, a, b]) => [*base, *a].into_iter().nfc().chain([*b]).collect(),
            _ => vec![c],
        };
        for c in spelled {
            text += &match way {
                _ if c.is_ascii() => c.to_string(),
                0 | 1 => c.to_string(),
                2 => format!("&#{:0>width$};", u32::from(c), width = 1 + roll(7)),
                3 => format!("&#x{:0>width$x};", u32::from(c), width = 1 + roll(7)),
                4 => c.to_string().bytes().map(|b| format!("%{b:02x}")).collect(),
                5 => format!("\\u{:04X}", u32::from(c)),
                _ => [c.to_string(), format!("&#{};", u32::from(c))][roll(2)].clone(),
            };
        }
        if way == 1 && roll(3) == 0 {
            text += ["\u{AD}", "\u{200B}", "&shy;"][roll(3)];
        }
    }
    // What is not seen stands between letters, and not before what ends the word.
    let text = ["\u{AD}", "\u{200B}", "&shy;"].iter().fold(text, |t, u| t.trim_end_matches(u).to_owned());
    format!("{before}{text}{after}").into_bytes()
}

/// Gives one toned letter of a word another tone, or returns nothing if that changes nothing.
fn with_other_tone(word: &str, at: prop::sample::Index, tone: char) -> Option<String> {
    let mut parts: Vec<char> = word.nfd().collect();
    let toned: Vec<usize> = (0..parts.len()).filter(|i| TONES.contains(&parts[*i])).collect();
    let place = *toned.get(at.index(toned.len().max(1)))?;
    (parts[place] != tone).then(|| {
        parts[place] = tone;
        parts.into_iter().nfc().collect()
    })
}

trait Stroke {
    fn is_ascii_or_stroke(&self) -> bool;
    fn without_stroke(self) -> char;
}

impl Stroke for char {
    fn is_ascii_or_stroke(&self) -> bool {
        self.is_ascii() || matches!(self, 'đ' | 'Đ')
    }

    fn without_stroke(self) -> char {
        match self {
            'đ' => 'd',
            'Đ' => 'D',
            c => c,
        }
    }
}

fn found(page: &[u8], word: &str) -> bool {
    matches(&ALL, page, WORDS.iter().position(|w| *w == word).unwrap())
}

fn matches(rules: &yara_x::Rules, page: &[u8], word: usize) -> bool {
    let name = format!("w{word}");
    yara_x::Scanner::new(rules).scan(page).unwrap().matching_rules().any(|r| r.identifier() == name)
}

fn compiled(words: &[&str], forms: Forms) -> yara_x::Rules {
    let mut compiler = yara_x::Compiler::new();
    compiler.error_on_slow_pattern(true);
    for (number, word) in words.iter().enumerate() {
        let regex = word.parse::<Phrase>().unwrap().regex(forms).unwrap();
        let rule = format!("rule w{number} {{ strings: $a = {regex} condition: $a }}");
        compiler.add_source(rule.as_str()).unwrap();
    }
    compiler.build()
}
