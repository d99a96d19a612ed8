//! What a name says: script, document, page, upload folder. Pure; names are bytes from outside and only compared.

/// Extensions that web servers run.
const SCRIPTS: [&[u8]; 21] = [
    b"php", b"php3", b"php4", b"php5", b"php6", b"php7", b"php8", b"phtml", b"pht", b"phar", b"jsp", b"jspx",
    b"jspf", b"asp", b"aspx", b"ashx", b"asmx", b"cfm", b"cgi", b"pl", b"shtml",
];
/// Scripts whose extension passes filters that only know the usual ones.
const RARE: [&[u8]; 11] =
    [b"php3", b"php4", b"php5", b"php6", b"php7", b"php8", b"phtml", b"pht", b"phar", b"jspx", b"ashx"];
/// What runs under the usual names: these make a double extension.
const RUN_BY_NAME: [&[u8]; 12] = [
    b"php", b"php3", b"php4", b"php5", b"php7", b"phtml", b"phar", b"jsp", b"jspx", b"asp", b"aspx", b"ashx",
];
/// What visitors upload: such a name before or after a script's extension hides it.
const UPLOADED: [&[u8]; 25] = [
    b"jpg", b"jpeg", b"png", b"gif", b"bmp", b"webp", b"ico", b"svg", b"tif", b"tiff", b"pdf", b"doc",
    b"docx", b"xls", b"xlsx", b"ppt", b"pptx", b"odt", b"ods", b"zip", b"rar", b"7z", b"mp3", b"mp4", b"avi",
];
/// Folders into which visitors and editors upload.
const UPLOADS: [&[u8]; 22] = [
    b"upload",
    b"uploads",
    b"uploaded",
    b"uploadfiles",
    b"userfiles",
    b"files",
    b"file",
    b"images",
    b"image",
    b"img",
    b"media",
    b"attachments",
    b"attachment",
    b"avatars",
    b"avatar",
    b"photos",
    b"documents",
    b"tep-tin",
    b"teptin",
    b"tai-lieu",
    b"tailieu",
    b"hinh-anh",
];
/// Folders in which software keeps compiled templates and cached pages: the web server writes scripts there all day.
const CACHES: [&[u8]; 12] = [
    b"cache",
    b"caches",
    b"_cache",
    b".cache",
    b"templates_c",
    b"compile",
    b"compiled",
    b"smarty",
    b"twig",
    b"sessions",
    b"tmp",
    b"work",
];
/// Files by which a web server is configured from within a site.
const CONFIGS: [&[u8]; 3] = [b".htaccess", b"web.config", b".user.ini"];
/// Pages.
const PAGES: [&[u8]; 6] = [b"html", b"htm", b"shtml", b"php", b"jsp", b"aspx"];
/// Parts of the names that ransom notes carry.
const NOTES: [&[u8]; 14] = [
    b"readme",
    b"read_me",
    b"read-me",
    b"read me",
    b"decrypt",
    b"recover",
    b"restore",
    b"ransom",
    b"how_to",
    b"how-to",
    b"how to",
    b"unlock",
    b"your_files",
    b"your files",
];
/// Extensions of ransom notes.
const NOTE_KINDS: [&[u8]; 6] = [b"txt", b"html", b"htm", b"hta", b"rtf", b"url"];

/// Returns the last part of a path.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Returns the folder of a path.
pub(super) fn folder(path: &[u8]) -> &[u8] {
    path.iter().rposition(|b| *b == b'/').map_or(&[][..], |at| &path[..at])
}

/// Returns a name without its extension, and the extension in lower case; none if it has none or begins with its dot.
pub(super) fn split(name: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let dot = name.iter().rposition(|b| *b == b'.').filter(|dot| *dot > 0)?;
    Some((&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

/// Returns the extension in lower case; empty if there is none.
pub(super) fn extension(path: &[u8]) -> Vec<u8> {
    split(name(path)).map(|(_, extension)| extension).unwrap_or_default()
}

/// Tells whether the web server would run it by its name.
pub(super) fn is_script(path: &[u8]) -> bool {
    one_of(&SCRIPTS, &extension(path))
}

/// Tells whether it is a page by its name.
pub(super) fn is_page(path: &[u8]) -> bool {
    one_of(&PAGES, &extension(path))
}

/// Tells whether it configures the web server.
pub(super) fn is_config(path: &[u8]) -> bool {
    one_of(&CONFIGS, &name(path).to_ascii_lowercase())
}

/// Tells whether it is a list of a site's pages.
pub(super) fn is_sitemap(path: &[u8]) -> bool {
    let name = name(path).to_ascii_lowercase();
    let kind = extension(path);
    name == b"robots.txt" || (name.starts_with(b"sitemap") && (kind == b"xml" || kind == b"txt"))
}

/// Tells whether it is named like a ransom note.
pub(super) fn is_note(path: &[u8]) -> bool {
    let name = name(path).to_ascii_lowercase();
    one_of(&NOTE_KINDS, &extension(path))
        && NOTES.iter().any(|part| name.windows(part.len()).any(|w| w == *part))
}

/// Tells whether a path below a root lies in a folder into which visitors upload.
pub(super) fn in_uploads(below: &[u8]) -> bool {
    folders(below).any(|part| one_of(&UPLOADS, &part))
}

/// Tells whether a path below a root lies where software keeps what it compiled.
pub(super) fn in_cache(below: &[u8]) -> bool {
    // Laravel keeps its compiled templates in storage/framework/views.
    folders(below).any(|part| one_of(&CACHES, &part)) || has(below, b"framework/views/")
}

/// Tells whether a name hides that the file is a script: a second extension, a rare one, an end that file systems or
/// servers drop, or a character that turns the line around.
pub(super) fn hides_script(path: &[u8]) -> bool {
    let name = name(path).to_ascii_lowercase();
    has_dropped_end(&name)
        || has_turning_char(&name)
        || has_two_extensions(&name)
        || one_of(&RARE, &extension(path))
}

/// `a.php.`, `a.php `, `a.php;.jpg`, `a.php::$data`, `a.php%00.jpg`: the server may take it for `a.php`.
fn has_dropped_end(name: &[u8]) -> bool {
    RUN_BY_NAME.iter().any(|script| {
        let dotted = [b".", *script].concat();
        let after = position(name, &dotted).map(|at| &name[at + dotted.len()..]);
        after.is_some_and(|rest| {
            let blank = !rest.is_empty() && rest.iter().all(|b| matches!(b, b'.' | b' ' | b'\t'));
            blank || rest.starts_with(b";.") || rest.starts_with(b"::$") || rest.starts_with(b"%00")
        })
    })
}

/// U+202E and its kin are three bytes that begin with E2 80 or E2 81.
fn has_turning_char(name: &[u8]) -> bool {
    let turns = |w: &[u8]| matches!(w, [0xe2, 0x80, 0xaa..=0xae] | [0xe2, 0x81, 0xa6..=0xa9]);
    name.windows(3).any(turns)
}

/// A script's extension right before or right after that of what visitors upload: `a.php.jpg`, `a.jpg.php`.
fn has_two_extensions(name: &[u8]) -> bool {
    let Some((rest, last)) = split(name) else { return false };
    let Some((_, before)) = split(rest) else { return false };
    (one_of(&RUN_BY_NAME, &before) && one_of(&UPLOADED, &last))
        || (one_of(&UPLOADED, &before) && one_of(&RUN_BY_NAME, &last))
}

/// Returns the folders of a path below a root, in lower case.
fn folders(below: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    folder(below).split(|b| *b == b'/').map(<[u8]>::to_ascii_lowercase)
}

fn one_of(list: &[&[u8]], word: &[u8]) -> bool {
    list.contains(&word)
}

fn has(text: &[u8], part: &[u8]) -> bool {
    position(text, part).is_some()
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|w| w == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hide_a_script_are_known_and_names_of_software_are_not() {
        for name in [
            "/a.php.jpg",
            "/a.jpg.php",
            "/a.PHP.Pdf",
            "/a.php;.jpg",
            "/a.php.",
            "/a.php ",
            "/a.php::$DATA",
            "/a.php%00.jpg",
            "/a.phtml",
            "/a.phar",
            "/a.php5",
            "/a.jspx",
            "/a.ashx",
            "/gpj.\u{202e}php",
            "/cv.docx.aspx",
        ] {
            assert!(hides_script(name.as_bytes()), "{name}");
        }
        for name in [
            "/index.php",
            "/index.html.php",
            "/style.css.php",
            "/home.blade.php",
            "/db.class.php",
            "/a.inc.php",
            "/config.php.bak",
            "/index.php~",
            "/.index.php.Xa81bC",
            "/jquery.min.js",
            "/phpinfo.jpg",
            "/v1.2.jpg",
            "/a.php-old",
            "/ảnh.chụp.jpg",
            "/robots.txt",
            "/.htaccess",
            "/",
        ] {
            assert!(!hides_script(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn upload_folders_are_folders_not_files() {
        assert!(in_uploads(b"/wp-content/uploads/2026/a.php"));
        assert!(in_uploads(b"/Tai-Lieu/a.php"));
        assert!(!in_uploads(b"/uploads.php"));
        assert!(!in_uploads(b"/includes/a.php"));
        assert!(in_cache(b"/storage/framework/views/0a.php"));
        assert!(!in_cache(b"/cache.php"));
    }

    #[test]
    fn notes_are_known_by_name_and_kind() {
        assert!(is_note(b"/a/HOW_TO_DECRYPT.txt"));
        assert!(is_note(b"/a/!README_NOW!.hta"));
        assert!(!is_note(b"/a/README.md"));
        assert!(!is_note(b"/a/index.html"));
    }
}
