//! The thread that looks: takes questions as they come, a few at a time, and asks again for what it did not find.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use khien_core::event::Process;

use super::{
    Answer, Named, Question,
    again::{Again, Hope},
    diag::{Diag, Found},
    holders::Holders,
    spaces::{Own, Spaces},
    table::Table,
};
use crate::{story::Stories, watch::process::Who};

/// Questions that are answered together: one walk over open files is for all of them.
const TOGETHER: usize = 256;
/// Where names are asked for.
const NAMES: u16 = 53;
/// Without `sock_diag` the whole list is read: so long it is good.
const LIST_FOR: Duration = Duration::from_millis(200);

/// What the thread knows.
#[derive(Debug)]
pub(super) struct Asker {
    stories: Stories,
    named: Named,
    way: Way,
    holders: Holders,
    own: Own,
    spaces: Spaces,
    who: Who,
    again: Again,
}

/// How sockets of our own namespace are looked up.
#[derive(Debug, Default)]
enum Way {
    #[default]
    Unopened,
    Kernel(Diag),
    List(Option<(Instant, Table)>),
}

impl Asker {
    /// Makes one that notes who connects, and what it finds out for those who do not ask.
    pub(super) fn new(stories: Stories, named: Named) -> Self {
        Self {
            stories,
            named,
            way: Way::default(),
            holders: Holders::default(),
            own: Own::default(),
            spaces: Spaces::default(),
            who: Who::default(),
            again: Again::default(),
        }
    }

    /// Returns where it notes what it finds out.
    #[cfg(test)]
    pub(super) fn names(&self) -> Named {
        self.named.clone()
    }

    /// Answers until nobody asks any more.
    pub(super) fn run(mut self, asked: &Receiver<Question>, answers: &SyncSender<Answer>) {
        loop {
            let mut questions = self.again.due(Instant::now(), TOGETHER);
            let first = match questions.is_empty() {
                true => asked.recv_timeout(self.again.wait(Instant::now()).unwrap_or(Duration::MAX)),
                false => asked.try_recv().map_err(|_| RecvTimeoutError::Timeout),
            };
            match first {
                Ok(first) => questions.push((first, 0)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            questions.extend(asked.try_iter().take(TOGETHER).map(|question| (question, 0)));
            for answer in self.answer(&questions) {
                // An answer without room is none; whoever does not take them does not ask either.
                let _ = answers.try_send(answer);
            }
        }
    }

    /// Answers questions, each with how often it was asked before.
    fn answer(&mut self, questions: &[(Question, usize)]) -> Vec<Answer> {
        let found: Vec<Option<(Found, bool)>> = questions.iter().map(|(q, _)| self.socket(q)).collect();
        let inodes: HashSet<u32> =
            found.iter().flatten().map(|(f, _)| f.inode).filter(|inode| *inode > 0).collect();
        let holders = self.holders.find(&inodes);
        let mut answers = Vec::new();
        for ((question, tries), found) in questions.iter().zip(found) {
            let known = found.and_then(|(found, opened)| {
                let holder = holders.get(&found.inode)?;
                let process = self.who.is(holder.pid, || holder.has(found.inode));
                process.uid.is_some().then_some((process, opened))
            });
            let is_sure = known.is_some() && found.is_some_and(|(found, _)| !found.waits);
            let goes_on = !is_sure && self.ask_again(question, *tries, found.map(|(found, _)| found));
            match known {
                Some((process, opened)) => answers.push(self.tell(question, process, opened)),
                None if goes_on => {}
                None => self.named.nobodys(question.flow),
            }
        }
        answers
    }

    /// Asks again, a moment later; `false` if that is of no use.
    fn ask_again(&mut self, question: &Question, tries: usize, found: Option<Found>) -> bool {
        let now = Instant::now();
        let (hope, earliest) = match found {
            Some(found) if found.is_over => (Hope::Over, now),
            // Only who has it is not known: that is seen as soon as there is time to look.
            Some(found) if found.inode > 0 && !found.waits => (Hope::There, self.holders.next_walk()),
            Some(_) => (Hope::There, now),
            None if self.is_here(question) => (Hope::None, now),
            None => (Hope::OfOthers, now),
        };
        self.again.put(*question, tries, (now, earliest), hope)
    }

    fn is_here(&mut self, question: &Question) -> bool {
        let mut ends = question.sockets.iter().map(|socket| socket.local.ip());
        ends.any(|end| self.own.has(end) || self.spaces.has(end))
    }

    /// Notes whose flow it is, for all who want to know.
    pub(super) fn tell(&self, question: &Question, process: Arc<Process>, opened: bool) -> Answer {
        let server = question.sockets[0].remote;
        let name = self.named.of(question.flow, &process, opened);
        if opened && is_telling(server) {
            self.stories.connected(&process, server, name.as_ref(), question.at);
        }
        Answer { flow: question.flow, process, opened }
    }

    /// Looks for the socket: among our own, the client's first, then in other namespaces, which anybody may make and which have no
    /// say in what is ours. Tells whether it is the client's.
    fn socket(&mut self, question: &Question) -> Option<(Found, bool)> {
        let [client, server] = question.sockets;
        let mut own = Vec::new();
        for (socket, opened) in [(client, true), (server, false)] {
            let ours = self.own.has(socket.local.ip()).then(|| self.way.find(&socket)).flatten();
            own.extend(ours.map(|found| (found, opened)));
        }
        let first = |fits: fn(&Found) -> bool| own.iter().find(|(found, _)| fits(found));
        let held = first(|found| found.inode > 0).or(first(|found| !found.is_over)).or(own.first());
        let theirs = || {
            let mut ends = [(client, true), (server, false)].into_iter();
            ends.find_map(|(socket, opened)| {
                let found = (!self.own.has(socket.local.ip())).then(|| self.spaces.find(&socket))?;
                found.map(|found| (found, opened))
            })
        };
        held.copied().or_else(theirs)
    }
}

/// Tells whether it is worth telling that a process connects there: what stays on this host, and who is asked for names,
/// would crowd out to whom it speaks then.
pub(super) fn is_telling(server: SocketAddr) -> bool {
    !server.ip().is_loopback() && server.port() != NAMES
}

impl Way {
    fn find(&mut self, socket: &super::Socket) -> Option<Found> {
        if let Self::Unopened = self {
            *self = Diag::open().map_or(Self::List(None), Self::Kernel);
        }
        if let Self::Kernel(diag) = self {
            match diag.find(socket) {
                Ok(found) => return found,
                Err(error) => {
                    tracing::info!(%error, "the kernel does not say who owns sockets, its lists are read instead");
                    *self = Self::List(None);
                }
            }
        }
        let Self::List(list) = self else { return None };
        if list.as_ref().is_none_or(|(at, _)| at.elapsed() > LIST_FOR) {
            *list = Some((Instant::now(), Table::read(Path::new("/proc/net"))));
        }
        list.as_ref().and_then(|(_, table)| table.find(socket))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use khien_core::Timestamp;

    use super::*;
    use crate::sockets::Socket;

    fn asker() -> (Asker, Named) {
        let named = Named::new();
        (Asker::new(Stories::default(), named.clone()), named)
    }

    fn question(flow: u64, local: SocketAddr, remote: SocketAddr) -> Question {
        let sockets = [(local, remote), (remote, local)];
        let sockets = sockets.map(|(local, remote)| Socket { is_tcp: true, local, remote });
        Question { flow, sockets, at: Timestamp::now() }
    }

    fn connected() -> (TcpListener, TcpStream, TcpStream, Question) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let question = question(1, client.local_addr().unwrap(), client.peer_addr().unwrap());
        (listener, client, server, question)
    }

    #[test]
    fn who_has_a_socket_is_found_as_soon_as_there_is_time_to_look_and_is_not_given_up_before() {
        let (mut asker, named) = asker();
        let (_listener, _client, _server, question) = connected();
        let hour = Instant::now() + Duration::from_secs(3_600);
        asker.holders.rest_until(hour);

        let at_first = asker.answer(&[(question, 0)]);
        let early = asker.again.due(Instant::now() + Duration::from_secs(60), 9);
        let due = asker.again.due(hour, 9);
        asker.holders.rest_until(Instant::now());
        let then = asker.answer(&due);

        assert!(at_first.is_empty() && early.is_empty());
        assert_eq!((due.len(), then.len()), (1, 1), "it is asked again when there is time");
        assert!(then[0].opened && then[0].process.pid == std::process::id(), "{then:?}");
        assert!(matches!(named.get(1), Some(crate::sockets::Whose::Of { .. })));
    }

    #[test]
    fn a_connection_that_is_closed_is_nobodys_at_once_and_is_not_asked_for_again() {
        let (mut asker, named) = asker();
        let (listener, client, server, question) = connected();
        drop(listener);
        drop(client);
        drop(server);

        let answers = asker.answer(&[(question, 0)]);

        assert!(answers.is_empty(), "{answers:?}");
        assert!(matches!(named.get(1), Some(crate::sockets::Whose::Nobodys)));
        assert_eq!(asker.again.wait(Instant::now()), None);
    }

    #[test]
    fn a_flow_of_this_host_without_a_socket_is_given_up_when_lists_were_read_anew() {
        let (mut asker, named) = asker();
        let none = question(7, "127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let (mut tries, mut asked) = (vec![(none, 0)], 0);

        while !tries.is_empty() {
            assert!(named.get(7).is_none(), "it is not given up yet");
            asker.answer(&tries);
            asked += 1;
            tries = asker.again.due(Instant::now() + Duration::from_secs(60), 9);
        }

        assert_eq!(asked, 3);
        assert!(matches!(named.get(7), Some(crate::sockets::Whose::Nobodys)));
    }
}
