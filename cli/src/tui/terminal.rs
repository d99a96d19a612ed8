//! The terminal while the UI has it: raw mode, the alternate screen, keys. It is given back on every way out.

use std::{
    io::{self, Stdout, stdout},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use khien_core::text::trouble;
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{
            self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
            KeyModifiers,
        },
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size},
    },
};
use tokio::sync::mpsc;

use super::msg::Msg;
use crate::told::Told;

/// How long the key thread sleeps at most before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(200);

static TAKEN: AtomicBool = AtomicBool::new(false);
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal, taken. Dropping it gives the terminal back.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    stop: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal and sends what is typed.
    pub(crate) fn enter(keys: mpsc::Sender<Msg>) -> Result<Self> {
        give_back_on_panic();
        enable_raw_mode().context(Told::new(trouble::NO_TERMINAL, &[]))?;
        TAKEN.store(true, Ordering::SeqCst);
        let taken = take();
        if taken.is_err() {
            give_back();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let screen = Self { terminal: taken?, stop: Arc::clone(&stop) };
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read_keys(&keys, &stop))
            .context(Told::new(trouble::NO_TERMINAL, &[]))?;
        Ok(screen)
    }

    /// Returns columns and rows.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        size().ok()
    }

    /// Draws one screen; only cells that changed are sent.
    pub(crate) fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> Result<()> {
        self.terminal.draw(view).context(Told::new(trouble::NO_TERMINAL, &[]))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        give_back();
    }
}

/// Tells whether some thread has panicked since the terminal was taken.
pub(crate) fn has_panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

fn take() -> Result<Terminal<CrosstermBackend<Stdout>>> {
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
        .context(Told::new(trouble::NO_TERMINAL, &[]))?;
    let mut terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
    terminal.clear()?;
    Ok(terminal)
}

/// Gives the terminal back, once. What fails here has nobody left to tell.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show).ok();
        disable_raw_mode().ok();
    }
}

/// Makes a panic give the terminal back before its message is printed.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if TAKEN.load(Ordering::SeqCst) {
                PANICKED.store(true, Ordering::SeqCst);
            }
            give_back();
            before(panic);
        }));
    });
}

/// Sends what is typed until told to stop. A terminal that is gone asks the UI to leave.
fn read_keys(send: &mpsc::Sender<Msg>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let msg = match next_event() {
            Ok(None) => continue,
            Ok(Some(event)) => match meaning(event) {
                Some(msg) => msg,
                None => continue,
            },
            Err(_) => Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)),
        };
        if send.blocking_send(msg).is_err() {
            return;
        }
    }
}

fn next_event() -> io::Result<Option<Event>> {
    match event::poll(LOOK)? {
        true => event::read().map(Some),
        false => Ok(None),
    }
}

fn meaning(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(columns, rows) => Some(Msg::Resize(columns, rows)),
        Event::Key(_) | Event::Mouse(_) | Event::FocusGained | Event::FocusLost => None,
    }
}
