//! What `.htaccess`, `web.config` and `.user.ini` let a web server run. Pure.

use khien_core::Untrusted;

/// More of a line is not shown.
const MAX_LINE: usize = 200;
/// Words of handlers and types that run what they are given.
const RUNS: [&str; 9] =
    ["php", "cgi", "fcgi", "proxy:", "server-parsed", "jsp", "perl", "python", "includes"];
/// Directives that run a file beside or before each page, whatever it is called.
const ALWAYS: [&str; 4] = ["auto_prepend_file", "auto_append_file", "extension_dir", "allow_url_include"];

/// Returns the first line by which files that are no scripts are run, or another file with each page.
pub(super) fn runs_files(text: &[u8]) -> Option<Untrusted> {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let mut scripts_only = false;
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
        match section(line) {
            Some(pattern) => scripts_only = pattern.is_some_and(names_scripts),
            None if is_dangerous(line, scripts_only) => {
                return Some(Untrusted::cut(line.as_bytes(), MAX_LINE));
            }
            None => {}
        }
    }
    None
}

/// Returns the pattern of a section for certain files, or that one ends.
fn section(line: &str) -> Option<Option<&str>> {
    match line {
        _ if line.starts_with("</files") => Some(None),
        _ => line.strip_prefix("<files").map(Some),
    }
}

fn is_dangerous(line: &str, scripts_only: bool) -> bool {
    let mut words = line.split_whitespace();
    match words.next().unwrap_or_default() {
        "sethandler" | "forcetype" => !scripts_only && runs(line),
        "addhandler" | "addtype" => runs(line) && !words.skip(1).all(names_scripts),
        "action" => runs(line),
        "<add" => is_foreign_handler(line),
        _ => {
            ALWAYS.iter().any(|word| line.contains(word))
                && !line.trim_end_matches(['"', '\'']).ends_with("none")
        }
    }
}

/// IIS: `<add name="x" path="*.jpg" verb="*" modules="FastCgiModule" scriptProcessor="…php-cgi.exe" />`.
fn is_foreign_handler(line: &str) -> bool {
    let path = line.split("path=\"").nth(1).and_then(|rest| rest.split('"').next());
    path.is_some_and(|path| line.contains("verb=") && runs(line) && !names_scripts(path))
}

fn runs(line: &str) -> bool {
    RUNS.iter().any(|word| line.contains(word))
}

/// Tells whether an extension or a pattern is that of scripts: `.php`, `.php7`, `.phtml`, `"\.(php|phtml)$"`.
fn names_scripts(pattern: &str) -> bool {
    ["ph", "cgi", "pl", "jsp", "asp", "py", "shtml", "fcgi"].iter().any(|kind| {
        let before = |at: usize| pattern[..at].ends_with(['.', '(', '|', '?', '*', '[']) || at == 0;
        pattern.match_indices(kind).any(|(at, _)| before(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_run_pictures_or_a_file_before_each_page_are_found() {
        for text in [
            "AddType application/x-httpd-php .jpg",
            "Options +ExecCGI\nAddHandler php5-script .png .php",
            "<Files \"logo.gif\">\nSetHandler application/x-httpd-php\n</Files>",
            "<FilesMatch \"\\.php$\">\nRequire all granted\n</FilesMatch>\nSetHandler cgi-script",
            "php_value auto_prepend_file \"/tmp/.x\"",
            "auto_prepend_file=logo.jpg",
            "<add name=\"x\" path=\"*.jpg\" verb=\"*\" modules=\"FastCgiModule\" scriptProcessor=\"C:\\php-cgi.exe\" />",
        ] {
            assert!(runs_files(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn what_sites_usually_have_is_not() {
        for text in [
            "RewriteEngine On\nRewriteRule . /index.php [L]",
            "# AddType application/x-httpd-php .jpg",
            "AddHandler application/x-httpd-ea-php74 .php .php7 .phtml",
            "<FilesMatch \"\\.(php|phtml)$\">\nSetHandler \"proxy:unix:/run/php.sock|fcgi://localhost\"\n</FilesMatch>",
            "SetHandler Drupal_Security_Do_Not_Remove_See_SA_2006_006\nphp_flag engine off",
            "AddType image/webp .webp\nAddType application/javascript .js",
            "php_value upload_max_filesize 64M",
            "php_value auto_prepend_file none",
            "<staticContent><mimeMap fileExtension=\".woff2\" mimeType=\"font/woff2\" /></staticContent>",
            "",
        ] {
            assert_eq!(runs_files(text.as_bytes()), None, "{text}");
        }
    }
}
