//! What a follower says, passed on: records, names, files, and what is to be scanned.

use khien_core::{
    Untrusted,
    event::{Direction, FlowFacts},
    traffic::What,
};

use super::{
    super::scene::Scene,
    BOTH, Talk,
    side::{About, Asked},
};
use crate::{
    application::{Answered, Carried, Said},
    sink::{Content, Named},
};

impl Talk {
    /// Passes on what the follower said.
    pub(super) fn say(&mut self, scene: &mut Scene<'_>) {
        if scene.said.is_empty() {
            return;
        }
        let mut said = std::mem::take(scene.said);
        said.drain(..).for_each(|said| self.heard(said, scene));
        *scene.said = said;
    }

    fn heard(&mut self, said: Said, scene: &mut Scene<'_>) {
        match said {
            Said::Exchange => {
                self.exchanges += 1;
                BOTH.into_iter().for_each(|way| self.enter(way, self.exchanges, None, scene));
            }
            Said::Request => {
                self.exchanges += 1;
                self.enter(Direction::ToServer, self.exchanges, Some(Asked::default()), scene);
            }
            Said::Answer(answered) => self.answer(*answered, scene),
            Said::Asked { name, url } => self.ask(name, url, scene),
            Said::Dns(dns) => scene.record(What::Dns(dns)),
            Said::Tls(tls) => scene.record(What::Tls(tls)),
            Said::Http(http) => scene.record(What::Http(http)),
            Said::Smtp(smtp) => scene.record(What::Smtp(smtp)),
            Said::Body { direction, offset, bytes } => self.body(direction, offset, &bytes, scene),
            Said::File(file) => self.file(*file, scene),
        }
    }

    /// What goes this way belongs to another exchange from now on.
    fn enter(&mut self, direction: Direction, exchange: u64, asked: Option<Asked>, scene: &mut Scene<'_>) {
        self.scan_all(direction, scene);
        let side = self.side(direction);
        (side.exchange, side.asked) = (exchange, asked);
        side.window.restart(0);
    }

    fn answer(&mut self, Answered { back, name, url }: Answered, scene: &mut Scene<'_>) {
        self.exchanges += u64::from(back.is_none());
        let exchange = self.exchanges.saturating_sub(back.unwrap_or(0));
        let asked = Asked { name, url: url.map(|url| whole(&url, scene)) };
        self.enter(Direction::ToClient, exchange, Some(asked), scene);
    }

    pub(super) fn ask(&mut self, name: Option<Untrusted>, url: Option<Untrusted>, scene: &mut Scene<'_>) {
        if name.is_none() && url.is_none() {
            return;
        }
        scene.entry.name = name.clone().map(Box::new);
        let asked = Asked { name, url: url.map(|url| whole(&url, scene)) };
        let exchange = self.side(Direction::ToServer).exchange;
        for side in self.sides.iter_mut().filter(|side| side.exchange == exchange) {
            side.asked = Some(asked.clone());
        }
        let (origin, facts) = (scene.origin(exchange), self.facts(Direction::ToServer, scene));
        scene.sink.named(Named { origin, facts });
    }

    /// Says what is known of the flow, and of the exchange in which it is this way.
    fn facts(&self, direction: Direction, scene: &Scene<'_>) -> FlowFacts {
        let side = &self.sides[direction as usize];
        About { direction, exchange: side.exchange, asked: side.asked.as_ref() }.facts(scene)
    }

    fn body(&mut self, direction: Direction, offset: u64, bytes: &[u8], scene: &mut Scene<'_>) {
        if !scene.wants.bodies {
            return;
        }
        if offset == 0 || offset != self.side(direction).window.end() {
            self.scan_all(direction, scene);
            self.side(direction).window.restart(offset);
        }
        self.push(direction, bytes, scene);
    }

    fn file(&mut self, file: Carried, scene: &mut Scene<'_>) {
        let content = Content {
            origin: scene.origin(self.side(file.direction).exchange),
            facts: self.facts(file.direction, scene),
            ends: scene.entry.ends(scene.interface),
            direction: file.direction,
            name: file.name,
            content_type: file.content_type,
            bytes: file.bytes,
            size: file.size,
            whole: file.whole,
        };
        scene.sink.content(content);
    }
}

/// Puts the server before a URL whose request names no host.
fn whole(url: &Untrusted, scene: &Scene<'_>) -> Untrusted {
    if !url.raw().starts_with(b"/") {
        return url.clone();
    }
    let server = scene.entry.server();
    Untrusted::new([format!("http://{server}").as_bytes(), url.raw()].concat())
}
