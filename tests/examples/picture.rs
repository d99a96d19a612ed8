//! Draws docs/ui.svg from the real program: `khien up` in a real terminal with a few findings, as it looks.
//!
//! `cargo build --release && cargo run --release -p khien-tests --example picture -- docs/ui.svg`

#![allow(clippy::unwrap_used, reason = "a drawing program for developers")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const COLUMNS: usize = 150;
const ROWS: usize = 40;
/// Width and height of a cell in the picture, in pixels.
const CELL: (usize, usize) = (8, 17);

fn main() {
    let target = std::env::args().nth(1).expect("usage: picture FILE.svg");
    let root = tempfile::Builder::new().prefix("khien-").tempdir().unwrap();
    let web = root.path().join("cong-thong-tin");
    fs::create_dir(&web).unwrap();
    let terminal = Terminal::start(root.path(), &web);
    terminal.until("it is ready", |s| {
        s.contains("KHIÊN") && s.contains("Không có cảnh báo") && !s.contains(" ! ")
    });
    for (name, call) in
        [("upload/anh-dai-dien.php", "system"), ("wp-cache.php", "passthru"), ("x.php", "assert")]
    {
        let path = web.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A program with a name that means something to a reader; `printf` keeps this file harmless.
        let line = format!("printf '<?php @{call}($_%s[\"c\"]); ?>' POST > '{}'", path.display());
        Command::new("sh").args(["-c", &line]).status().unwrap();
        terminal.shows(path.file_name().unwrap().to_str().unwrap());
    }
    fs::write(target, svg(&terminal.screen())).unwrap();
}

struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(root: &Path, web: &Path) -> Self {
        let khien = std::env::current_exe().unwrap().parent().unwrap().with_file_name("khien");
        let terminal = Self { socket: root.join("tmux").display().to_string() };
        let line = format!(
            "'{}' --home '{}' --lang vi up --agency 'Sở Y tế' --watch '{}' --interface lo",
            khien.display(),
            root.join("home").display(),
            web.display()
        );
        let (x, y) = (COLUMNS.to_string(), ROWS.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &x, "-y", &y, "-s", "k", &line]);
        terminal
    }

    fn shows(&self, text: &str) {
        self.until(text, |s| s.contains(text));
    }

    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !fits(&self.screen()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not on the screen");
        }
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-t", "k"])
    }

    fn tmux(&self, args: &[&str]) -> String {
        let out = Command::new("tmux")
            .args(["-S", &self.socket])
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// How a cell looks, by SGR parameters (ECMA-48 §8.3.117).
#[derive(Clone, Copy, PartialEq, Default)]
struct Look {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    reversed: bool,
}

impl Look {
    /// Reads the parameters of one sequence.
    fn read(&mut self, parameters: &str) {
        let mut numbers = parameters.split(';').map(|p| p.parse().unwrap_or(0));
        while let Some(number) = numbers.next() {
            // `38;5;N` and `48;5;N` name a colour of the palette.
            let mut named =
                || numbers.next().filter(|n| *n == 5).and_then(|_| numbers.next()).filter(|n| *n < 16);
            match number {
                38 => self.fore = named(),
                48 => self.back = named(),
                other => self.change(other),
            }
        }
    }

    fn change(&mut self, parameter: u8) {
        match parameter {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.dim = true,
            7 => self.reversed = true,
            22 => (self.bold, self.dim) = (false, false),
            27 => self.reversed = false,
            30..=37 => self.fore = Some(parameter - 30),
            90..=97 => self.fore = Some(parameter - 90 + 8),
            39 => self.fore = None,
            40..=47 => self.back = Some(parameter - 40),
            100..=107 => self.back = Some(parameter - 100 + 8),
            49 => self.back = None,
            _ => {}
        }
    }

    fn colours(self) -> (&'static str, &'static str) {
        const PALETTE: [&str; 16] = [
            "#1c1f26", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0",
            "#7f848e", "#ff7b86", "#b5e890", "#ffd68a", "#7cc4ff", "#dd8ef2", "#6fd3df", "#ffffff",
        ];
        let named = |c: Option<u8>, plain| c.map_or(plain, |c| PALETTE[usize::from(c)]);
        let (fore, back) = (named(self.fore, "#d7dae0"), named(self.back, "#1c1f26"));
        if self.reversed { (back, fore) } else { (fore, back) }
    }
}

/// Draws what a terminal holds.
fn svg(screen: &str) -> String {
    let (width, height) = (COLUMNS * CELL.0 + 16, ROWS * CELL.1 + 16);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" \
         font-size=\"13\" xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" fill=\"#1c1f26\" rx=\"6\"/>\n"
    );
    let mut look = Look::default();
    for (row, line) in screen.lines().enumerate() {
        let mut column = 0;
        for (text, now) in runs(line, &mut look) {
            draw(&mut out, row, column, &text, now);
            column += text.chars().count();
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Cuts a line where its look changes.
fn runs(line: &str, look: &mut Look) -> Vec<(String, Look)> {
    let mut runs = Vec::new();
    for (i, part) in line.split("\u{1b}[").enumerate() {
        let text = match part.split_once('m') {
            Some((parameters, text)) if i > 0 => {
                look.read(parameters);
                text
            }
            _ => part,
        };
        runs.push((text.to_owned(), *look));
    }
    runs
}

fn draw(out: &mut String, row: usize, column: usize, text: &str, look: Look) {
    let (x, y, length) = (8 + column * CELL.0, 8 + row * CELL.1, text.chars().count() * CELL.0);
    let (fore, back) = look.colours();
    if length > 0 && back != "#1c1f26" {
        writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{length}\" height=\"{}\" fill=\"{back}\"/>", CELL.1)
            .unwrap();
    }
    if text.trim().is_empty() {
        return;
    }
    // A renderer may swallow spaces at the ends.
    let indent = text.chars().take_while(|c| *c == ' ').count();
    let (x, length) = (x + indent * CELL.0, text.trim().chars().count() * CELL.0);
    let text = text.trim().replace('&', "&amp;").replace('<', "&lt;");
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.dim { " opacity=\".65\"" } else { "" };
    let base = y + 13;
    writeln!(
        out,
        "<text x=\"{x}\" y=\"{base}\" textLength=\"{length}\" fill=\"{fore}\"{weight}{dim}>{text}</text>"
    )
    .unwrap();
}
