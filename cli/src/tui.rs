//! The terminal UI: what a responder looks at.
//!
//! `update` takes one thing that happened and changes the state, `view` draws the state, and this loop is all that is
//! between them and the world. The screen is drawn when something changed, and each second for the clocks.

mod app;
mod clean;
mod input;
mod keys;
mod msg;
mod outside;
mod plan;
mod queue;
#[cfg(test)]
mod samples;
mod terminal;
mod theme;
mod update;
mod view;

use anyhow::Result;
use khien_core::{IncidentId, Lang, Timestamp, text::trouble};
use tokio::sync::mpsc;

use self::{app::App, msg::Cmd, msg::Msg, outside::Outside, terminal::Screen, theme::Theme};
use crate::{client::Client, keys::Keys, told::Told};

/// Messages that may wait to be taken in; whoever sends more waits.
const INBOX: usize = 256;
/// Messages that are taken in before the screen is drawn again.
const MAX_BATCH: usize = 256;

/// How the UI begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct TuiOptions {
    /// The incident to show first, instead of the queue.
    pub(crate) incident: Option<IncidentId>,
}

/// Shows the UI until the operator leaves or the program is told to stop.
pub(crate) async fn run(client: Client, keys: Keys, lang: Lang, options: TuiOptions) -> Result<()> {
    let theme = Theme::from_no_color(std::env::var_os("NO_COLOR").as_deref());
    let mut app = App::new(lang, theme, keys.name(), Timestamp::now());
    let (send, inbox) = mpsc::channel(INBOX);
    let mut screen = Screen::enter(send.clone())?;
    let outside = Outside::start(client, keys, lang, send);
    if let Some(id) = options.incident {
        outside.ask(update::enter_case(&mut app, id));
    }
    walk(&mut app, &mut screen, &outside, inbox).await
}

/// Takes in what happens and draws, until it is time to leave.
async fn walk(
    app: &mut App,
    screen: &mut Screen,
    outside: &Outside,
    mut inbox: mpsc::Receiver<Msg>,
) -> Result<()> {
    if let Some((columns, rows)) = screen.size() {
        update::update(app, Msg::Resize(columns, rows));
    }
    loop {
        screen.draw(|frame| view::view(app, frame))?;
        let Some(first) = inbox.recv().await else {
            return Err(Told::new(trouble::TERMINAL_GONE, &[]).into());
        };
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(msg) = next {
            match update::update(app, msg) {
                Some(Cmd::Quit) => return Ok(()),
                cmd => outside.ask(cmd),
            }
            taken += 1;
            next = if taken < MAX_BATCH { inbox.try_recv().ok() } else { None };
        }
        if terminal::has_panicked() {
            return Err(Told::new(trouble::UI_FAILED, &[]).into());
        }
    }
}
