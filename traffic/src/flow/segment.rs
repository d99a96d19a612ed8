//! What a TCP segment does to its flow.

use khien_core::event::{Application, Direction};

use super::{entry::Entry, key::From, scene::Scene, stream::Stream, talk::Talk};
use crate::{decode::Segment, sink::Trick};

/// Tells whether a segment of no known flow opens one.
pub(super) fn opens(segment: &Segment<'_>) -> bool {
    (segment.flags.syn || segment.flags.ack && !segment.payload.is_empty()) && !segment.flags.rst
}

/// Returns who is the client: who sends the SYN; without one, the end with the higher port.
pub(super) fn client(from: From, segment: &Segment<'_>) -> From {
    let is_from_client = match (segment.flags.syn, segment.flags.ack) {
        (true, is_answer) => !is_answer,
        (false, _) => segment.source.port() >= segment.destination.port(),
    };
    match (from, is_from_client) {
        (from, true) => from,
        (From::Low, false) => From::High,
        (From::High, false) => From::Low,
    }
}

/// Takes a segment of a flow.
pub(super) fn handle(scene: &mut Scene<'_>, direction: Direction, segment: &Segment<'_>) {
    if segment.flags.rst {
        return reset(scene, direction, segment);
    }
    let first = segment.seq.wrapping_add(u32::from(segment.flags.syn));
    if is_dropped(scene.entry, direction, segment) {
        scene.counts.refused += u64::from(!segment.payload.is_empty() || segment.flags.fin);
        return;
    }
    begin(scene, direction, segment, first);
    let entry = &mut *scene.entry;
    if segment.flags.ack {
        entry.side(opposite(direction)).stream.acknowledge(segment.ack);
    }
    note_answer(entry, direction, segment);
    if segment.payload.is_empty() && !segment.flags.fin {
        return;
    }
    if entry.is_deaf {
        entry.side(direction).stream.skim(first, segment.payload.len(), segment.flags.fin);
        return;
    }
    let before = entry.side(direction).stream.length();
    read(scene, direction, segment);
    let entry = &mut *scene.entry;
    if entry.side(direction).stream.length() > before {
        // Who goes on to talk was not reset.
        entry.was_reset = false;
    }
    if entry.is_closed() {
        // More may follow if an end was none: it is not deaf to that.
        finish(scene);
    }
}

/// Tells whether the receiver drops a segment: without ACK (RFC 9293, section 3.10.7.4), or a SYN amid a connection.
fn is_dropped(entry: &mut Entry, direction: Direction, segment: &Segment<'_>) -> bool {
    match segment.flags.syn {
        true => entry.side(direction).stream.is_other(segment.seq.wrapping_add(1)),
        false => !segment.flags.ack,
    }
}

fn begin(scene: &mut Scene<'_>, direction: Direction, segment: &Segment<'_>, first: u32) {
    if !segment.flags.syn {
        return;
    }
    scene.entry.saw_syn = true;
    let stream = &mut scene.entry.side(direction).stream;
    let is_first = !stream.has_begin();
    stream.begin(first);
    if segment.flags.ack && is_first {
        let knows = stream.is_acknowledged(first);
        answered(scene, opposite(direction), (segment.ack, knows));
    }
}

/// A SYN is answered: where the other side's stream begins is what the answer says. What that side sent before it could know the
/// answer was not taken if it is not acknowledged: data on the SYN, or behind it.
fn answered(scene: &mut Scene<'_>, direction: Direction, (ack, knows): (u32, bool)) {
    let stream = &mut scene.entry.side(direction).stream;
    if knows || stream.is_at(ack) {
        return;
    }
    if stream.length() > 0 || stream.has_hole() {
        finish(scene);
        (scene.entry.application, scene.entry.name) = (Application::Unknown, None);
        scene.entry.is_deaf = false;
    }
    scene.entry.side(direction).stream.restart(ack);
}

fn note_answer(entry: &mut Entry, direction: Direction, segment: &Segment<'_>) {
    let takes = segment.flags.syn && segment.flags.ack;
    let speaks = !segment.payload.is_empty() || !entry.saw_syn;
    entry.was_answered |= direction == Direction::ToClient && (takes || speaks);
    let is_more = entry.saw_syn && !segment.flags.syn && !segment.payload.is_empty();
    entry.went_on |= direction == Direction::ToServer && is_more;
}

/// A reset is believed if its receiver would; what follows shows whether it did.
fn reset(scene: &mut Scene<'_>, direction: Direction, segment: &Segment<'_>) {
    if !scene.entry.side(direction).stream.obeys(segment.seq) {
        scene.counts.resets_ignored += 1;
        // A closed socket answers what is still on its way with numbers of before (RFC 9293, section 3.10.7.1): only one that
        // lies ahead is made up.
        if scene.entry.side(direction).stream.is_ahead(segment.seq) {
            scene.evaded(Trick::Reset, direction);
        }
        return;
    }
    scene.entry.was_reset = true;
    if let Some(mut talk) = scene.entry.talk.take() {
        talk.pause(scene);
        scene.entry.talk = Some(talk);
    }
}

/// Puts the bytes of a segment in order and hands on what is.
fn read(scene: &mut Scene<'_>, direction: Direction, segment: &Segment<'_>) {
    let stream = &mut scene.entry.side(direction).stream;
    let first = segment.seq.wrapping_add(u32::from(segment.flags.syn));
    let is_probe = is_probe(stream, first, segment.payload);
    let (known, at, was_whole) = (stream.known(first), stream.place_of(first), stream.is_whole());
    let taken = stream.take(first, segment.payload, segment.flags.fin);
    let ends = stream.is_whole() && !was_whole;
    let is_dropped = taken.refused || known.is_some();
    scene.counts.refused += u64::from(taken.refused);
    scene.counts.jumps += u64::from(taken.jumped);
    let is_new = !taken.is_empty() || stream.has_hole();
    let talk = scene.entry.talk.take().or_else(|| is_new.then(|| Box::new(Talk::of_stream())));
    let Some(mut talk) = talk else { return };
    let said_else = known
        .filter(|_| !is_probe)
        .is_some_and(|at| talk.differs(direction, scene.seed, at, segment.payload));
    if said_else || taken.differs {
        scene.counts.conflicts += 1;
        scene.evaded(Trick::Copy, direction);
    }
    if let Some(at) = known {
        talk.late(direction, at, segment.payload, scene);
    }
    scene.counts.odd += u64::from(segment.urgent.is_some());
    // Of what its receiver drops, or had before, no urgent byte is taken out.
    if let Some(pointer) = segment.urgent.filter(|_| !is_dropped) {
        talk.leave_out(direction, at.saturating_add(u64::from(pointer.saturating_sub(1))));
    }
    for piece in taken.now.into_iter().chain(taken.held) {
        talk.remember(direction, &piece, scene);
        talk.deliver(direction, &piece, scene);
    }
    if ends {
        talk.pause(scene);
    }
    scene.entry.talk = Some(talk);
    if scene.entry.talk.as_ref().is_some_and(|talk| talk.is_over(scene.wants)) {
        finish(scene);
        scene.entry.is_deaf = true;
    }
}

/// Tells whether bytes ask if the other end is still there: a zero in the place of the last byte (RFC 9293 3.8.4). Who hides
/// something behind it hides zeros.
fn is_probe(stream: &Stream, first: u32, payload: &[u8]) -> bool {
    payload == [0] && stream.known(first).is_some_and(|at| at + 1 == stream.length())
}

/// What was held is given out.
fn finish(scene: &mut Scene<'_>) {
    if let Some(mut talk) = scene.entry.talk.take() {
        talk.finish(scene);
    }
}

/// Returns the other way.
pub(super) fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}
