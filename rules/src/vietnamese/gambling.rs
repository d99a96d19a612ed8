//! Writes the rule `seo_gambling_vi` of the base pack from lists of words.
//!
//! The words alone prove nothing: the police, newspapers and courts write them too. The rule weighs how many different
//! ones a page has beside brands, calls to sign up, and what only an intruder does: blocks that nobody sees, pages that
//! only search engines get, links to the brands, site maps full of slugs.

use std::fmt::Write;

use super::{BadPhrase, Forms, Phrase};

/// A list of phrases: the names of the patterns begin with `prefix`.
struct List {
    prefix: &'static str,
    about: &'static str,
    phrases: &'static [(&'static str, &'static str, Forms)],
}

/// How every phrase is looked for.
const PLAIN: Forms = LIGHT.and(Forms::UTF16);
/// What only makes the rule more careful is not looked for in UTF-16.
const LIGHT: Forms = Forms::MARKED.and(Forms::BARE);
/// Long enough to be known with its syllables joined, as in names of hosts.
const JOINED: Forms = PLAIN.and(Forms::JOINED);
/// The words that no such page does without, also broken up by what is not seen.
const BROKEN: Forms = PLAIN.and(Forms::SPLIT);

const LISTS: [List; 3] = [
    List {
        prefix: "word",
        about: "What is on offer.",
        phrases: &[
            ("bookmaker", "nhà cái", BROKEN.and(JOINED)),
            ("match_bet", "cá độ", BROKEN),
            ("wager", "cá cược", BROKEN.and(JOINED)),
            ("odds", "soi kèo", JOINED),
            ("odds_table", "tỷ lệ kèo", JOINED),
            ("dice_high_low", "tài xỉu", BROKEN.and(JOINED)),
            ("coin_dish", "xóc đĩa", BROKEN.and(JOINED)),
            ("jackpot", "nổ hũ", BROKEN),
            ("fish", "bắn cá", PLAIN),
            ("cards_for_prizes", "game bài", JOINED),
            ("exchange", "đổi thưởng", JOINED),
            ("numbers", "lô đề", PLAIN),
            ("forecast", "soi cầu", JOINED),
            ("single_number", "bạch thủ", PLAIN),
            ("dragon_tiger", "rồng hổ", JOINED),
            ("cockfight", "đá gà", PLAIN),
            ("baccarat", "baccarat", PLAIN),
            ("casino", "casino", PLAIN),
        ],
    },
    List {
        prefix: "call",
        about: "What the reader shall do. Shops and offices say so too.",
        phrases: &[
            ("link_in", "link vào", PLAIN),
            ("deposit", "nạp rút", PLAIN),
            ("bonus", "khuyến mãi", JOINED),
            ("sign_up", "đăng ký", JOINED),
            ("reputable", "uy tín", PLAIN),
            ("get_app", "tải app", PLAIN),
            ("refund", "hoàn trả", PLAIN),
            ("gift", "tặng ngay", PLAIN),
        ],
    },
    List {
        prefix: "warn",
        about: "What only those say who warn of it.",
        phrases: &[
            ("prosecute", "khởi tố", LIGHT),
            ("bust", "triệt phá", LIGHT),
            ("arrest", "bắt giữ", LIGHT),
            ("accused", "bị cáo", LIGHT),
            ("prison", "phạt tù", LIGHT),
            ("vigilant", "cảnh giác", LIGHT),
            ("forbidden", "nghiêm cấm", LIGHT),
            ("evil", "tệ nạn", LIGHT),
        ],
    },
];

/// Brands, a letter of each in brackets so that no file of ours holds one.
const BRANDS: [&str; 6] = [
    "8[x]bet|f[u]n88|188[b]et",
    "k[u]bet|k[u]win|j[u]n88",
    "h[i]88|n[e]w88|s[h]bet",
    "789[b]et|f[i]ve88|s[u]nwin",
    "g[o]88|r[i]kvip|f[b]88",
    "v[n]88|a[e]888|o[k]vip",
];

const HEAD: &str = r#"/*
    Gambling pages and links put into Vietnamese sites. Made by `cargo run --example gambling_rule` from the lists in
    rules/src/vietnamese/gambling.rs: change those, not this file.

    Each $word, $call and $warn is one phrase in every form a page can carry. One phrase in ten forms counts once.
*/
rule seo_gambling_vi
{
    strings:
        $html = /<(a|html|head|title|meta|body|div|h1)[\s>]/i ascii wide
        $hidden = /(style\s{0,4}=\s{0,4}["\x27][^"\x27>]{0,120}(display\s{0,4}:\s{0,4}none|visibility\s{0,4}:\s{0,4}hidden|(left|top|text-indent)\s{0,4}:\s{0,4}-[0-9]{3,5}|font-size\s{0,4}:\s{0,4}0[;"\x27p\s]|opacity\s{0,4}:\s{0,4}0[;"\x27\s])|<marquee[^>]{0,80}(height|width)\s{0,4}=\s{0,4}["\x27]?[01]["\x27\s>])/i
        $outward = /<a\s[^>]{0,120}href\s{0,4}=\s{0,4}["\x27]?(https?:)?\/\/[^>\s]{4,200}/i
        $sitemap = /<(urlset|sitemapindex)[\s>]/
        $cloak_server = /(HTTP_USER_AGENT|\$http_user_agent|HTTP_REFERER)[^\x00]{0,300}(g[o]ogle|b[i]ngbot|c[o]ccoc)/i
        $cloak_client = /(navigator\.userAgent|document\.referrer)[^\x00]{0,300}(g[o]ogle|b[i]ng|c[o]ccoc)/i
"#;

const CONDITION: &str = r"    condition:
        // A page made to be found. With warnings in it, it is about gambling and not for it, unless it links there.
        ($html and 3 of ($word*) and (not 3 of ($warn*) or $link_to_brand) and 3 of (
            4 of ($word*), 7 of ($word*), 2 of ($brand*), 2 of ($call*), 4 of ($call*), $link_to_brand
        ) and 1 of ($brand*))
        // A block that readers do not see, with links that leave the site.
        or for any i in (1..16) : (
            #outward in (@hidden[i]..@hidden[i] + 1200) >= 2
            and 3 of ($word*, $brand*) in (@hidden[i]..@hidden[i] + 1200)
            and 1 of ($brand*) in (@hidden[i]..@hidden[i] + 1200)
        )
        or for any i in (1..16) : (
            #outward in (@hidden[i]..@hidden[i] + 1200) >= 4
            and 4 of ($word*) in (@hidden[i]..@hidden[i] + 1200)
        )
        // A page that search engines see and readers do not: chosen by the server, or by a script.
        or ($html and $cloak_server and 2 of ($word*, $brand*) and not 3 of ($warn*))
        or ($html and $cloak_client and 2 of ($word*) and 2 of ($word*, $brand*) and 1 of ($brand*) and not 2 of ($warn*))
        // A site map that grew.
        or ($sitemap and 3 of ($word*) and (1 of ($brand*) or 3 of ($call*)) and not 2 of ($warn*))
}
";

/// Returns the YARA source.
///
/// # Errors
/// [`BadPhrase`] if a phrase of the lists is none, which a test rules out.
pub fn source() -> Result<String, BadPhrase> {
    let mut text = HEAD.to_owned();
    for list in &LISTS {
        let _ = writeln!(text, "        // {}", list.about);
        for (name, phrase, forms) in list.phrases {
            let regex = phrase.parse::<Phrase>()?.regex(*forms)?;
            let _ = writeln!(text, "        ${}_{name} = {regex}", list.prefix);
        }
    }
    for (number, brands) in BRANDS.iter().enumerate() {
        let _ = writeln!(text, "        $brand_{} = /[^0-9a-z]({brands})/i ascii wide", number + 1);
    }
    let any = BRANDS.join("|");
    let _ = writeln!(
        text,
        r#"        $link_to_brand = /href\s{{0,4}}=\s{{0,4}}["\x27]?(https?:)?\/\/([a-z0-9\-]{{1,30}}\.){{0,3}}({any})[a-z0-9\-]{{0,20}}\./i"#
    );
    text.push_str(CONDITION);
    Ok(text)
}

/// Returns the phrases of which the rule counts how many different ones a page has.
pub fn words() -> impl Iterator<Item = &'static str> {
    LISTS[0].phrases.iter().map(|(_, phrase, _)| *phrase)
}
