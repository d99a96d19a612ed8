//! The state of one walk: where it is, what it has spent, what went wrong. All limits are held here.

use std::io::{self, Read};

use khien_core::{
    Untrusted,
    event::{Inside, MAX_NAME, NotSeen, Unseen},
};

use super::{
    Flow, Limits, MAX_TROUBLES, Outcome, Visitor, ar, blob, cpio, edxml,
    kind::{self, Kind},
    mail, ole, pdf, rpm, rtf, seven, sfx,
    source::Source,
    squeeze, tar, unfold, wide, zip,
};

/// Read at a time; the visitor is asked in between whether to go on.
const PIECE: usize = 64 << 10;
/// Base64 in base64 in a script is decoded this many times.
const MAX_BLOBS_DEEP: usize = 2;

/// Walks through one outermost file.
pub(super) struct Walk<'w> {
    pub(super) limits: Limits,
    pub(super) outcome: Outcome,
    visitor: &'w mut dyn Visitor,
    outermost: Vec<u8>,
    way: Vec<Untrusted>,
    depth: usize,
    blobs: usize,
    entries: u64,
    held: u64,
    ended: bool,
    /// The visitor wants no more files.
    full: bool,
    /// Inside bytes that only looked as if a script carried a file: how many files there were with them.
    guessed: Option<u64>,
}

/// Unpacked bytes as they come, and what they are unpacked from.
pub(super) struct Stream<'r> {
    reader: &'r mut dyn Read,
    packed: u64,
    unpacked: u64,
}

/// What was read of a stream, and why not more, if there was more.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) short: Option<NotSeen>,
}

impl<'r> Stream<'r> {
    /// Unpacks from this many bytes.
    pub(super) fn new(reader: &'r mut dyn Read, packed: u64) -> Self {
        Self { reader, packed, unpacked: 0 }
    }

    /// Returns how many bytes came so far.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked
    }
}

impl<'w> Walk<'w> {
    pub(super) fn new(name: &[u8], limits: Limits, visitor: &'w mut dyn Visitor) -> Self {
        Self {
            limits,
            outcome: Outcome::default(),
            visitor,
            outermost: name.to_vec(),
            way: Vec::new(),
            depth: 0,
            blobs: 0,
            entries: 0,
            held: 0,
            ended: false,
            full: false,
            guessed: None,
        }
    }

    /// Tells whether nothing more is wanted or allowed.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns the name of the file that is looked into.
    pub(super) fn name(&self) -> &[u8] {
        self.way.last().map_or(&self.outermost, Untrusted::raw)
    }

    /// Looks into a file as every kind of container that it is: hostile files are often two at once.
    pub(super) fn look(&mut self, source: Source<'_>) {
        let kinds = match kind::all(source) {
            Ok(kinds) => kinds,
            Err(_) => return self.trouble(NotSeen::Unreadable),
        };
        if self.depth >= self.limits.depth {
            if !kinds.list.is_empty() {
                self.trouble(NotSeen::Depth);
            }
            return;
        }
        for kind in &kinds.list {
            self.look_as(*kind, source);
        }
        if kinds.may_be_script {
            self.look_for_script(source);
        }
        if let Some(form) = kinds.wide {
            self.whole(source, true, |walk, bytes| wide::walk(walk, form, bytes));
        }
    }

    /// Looks for what a script carries in another form.
    fn look_for_script(&mut self, source: Source<'_>) {
        if self.blobs < MAX_BLOBS_DEEP {
            self.whole(source, false, |walk, bytes| {
                blob::walk(walk, bytes);
                unfold::walk(walk, bytes);
            });
        }
    }

    /// Looks into a file of one kind.
    pub(super) fn look_as(&mut self, kind: Kind, source: Source<'_>) {
        if self.ended {
            return;
        }
        match kind {
            Kind::Zip => zip::walk(self, source),
            Kind::Tar => tar::walk_source(self, source),
            Kind::Ar => self.whole(source, true, ar::walk),
            Kind::Cpio => self.whole(source, true, cpio::walk),
            Kind::Rpm => self.whole(source, true, rpm::walk),
            Kind::Squeezed(how) => squeeze::walk(self, source, how),
            Kind::Seven => seven::walk(self, source),
            Kind::Ole => self.whole(source, true, ole::walk),
            Kind::Rtf => self.whole(source, true, rtf::walk),
            Kind::SelfOpening => self.whole(source, false, sfx::walk),
            Kind::Pdf => self.whole(source, true, pdf::walk),
            Kind::Mail => self.whole(source, true, mail::walk),
            Kind::Edxml => self.whole(source, true, edxml::walk),
            Kind::Unsupported => self.trouble(NotSeen::Unsupported),
        }
    }

    /// Gives a decoder that wants all bytes at once as many as may be held; says so if that are not all and it matters.
    fn whole(&mut self, source: Source<'_>, matters: bool, with: impl FnOnce(&mut Self, &[u8])) {
        let most = match source {
            Source::Bytes(bytes) => return self.start_of(bytes, matters, with),
            Source::File(..) => self.limits.entry.min(self.limits.held.saturating_sub(self.held)),
        };
        let Ok(bytes) = source.bytes(0, most) else { return self.trouble(NotSeen::Unreadable) };
        if matters && source.size() > most {
            self.trouble(NotSeen::Entry);
        }
        self.holding(bytes.len(), |walk| with(walk, &bytes));
    }

    /// Bytes may be a file that is seen and not held, of any size.
    fn start_of(&mut self, bytes: &[u8], matters: bool, with: impl FnOnce(&mut Self, &[u8])) {
        let most = usize::try_from(self.limits.entry).unwrap_or(usize::MAX).min(bytes.len());
        if matters && most < bytes.len() {
            self.trouble(NotSeen::Entry);
        }
        with(self, &bytes[..most]);
    }

    /// Counts an inner file. After the last one that is allowed the walk ends.
    pub(super) fn count(&mut self) -> bool {
        if !self.ended && self.entries >= self.limits.entries {
            self.end(NotSeen::Entries);
        }
        self.entries += 1;
        !self.ended
    }

    /// Asks whether to go on.
    pub(super) fn may_go_on(&mut self) -> bool {
        if !self.ended && !self.visitor.keep_going() {
            self.end(NotSeen::Time);
            self.full = true;
        }
        !self.ended
    }

    /// Hands an inner file to the visitor and looks into it.
    pub(super) fn enter(&mut self, name: &[u8], bytes: &[u8]) {
        self.inside(name, |walk| walk.hand_over(bytes, Self::look));
    }

    /// Does the same with a file whose kind is known.
    pub(super) fn enter_as(&mut self, kind: Kind, name: &[u8], bytes: &[u8]) {
        self.inside(name, |walk| {
            walk.hand_over(bytes, |walk, source| match walk.depth >= walk.limits.depth {
                true => walk.trouble(NotSeen::Depth),
                false => walk.look_as(kind, source),
            });
        });
    }

    /// Does the same with bytes that a script carries in another form.
    pub(super) fn enter_blob(&mut self, name: &[u8], bytes: &[u8]) {
        self.guessing(|walk| walk.enter(name, bytes));
    }

    /// Does the same with a script as it reads. It begins with what it began with, so no container is looked for again.
    pub(super) fn enter_view(&mut self, name: &[u8], bytes: &[u8]) {
        self.blobs += 1;
        self.inside(name, |walk| {
            walk.hand_over(bytes, |walk, source| match walk.depth >= walk.limits.depth {
                true => walk.trouble(NotSeen::Depth),
                false => walk.look_for_script(source),
            });
        });
        self.blobs -= 1;
    }

    /// Does the same with bytes that were deflated before.
    pub(super) fn enter_deflated(&mut self, name: &[u8], deflated: &[u8]) {
        let reader = Box::new(flate2::bufread::DeflateDecoder::new(deflated));
        self.guessing(|walk| walk.unpack(name, reader, deflated.len() as u64));
    }

    /// Goes into what may be a file. One that does not open was none: that it is damaged is no news.
    fn guessing(&mut self, with: impl FnOnce(&mut Self)) {
        let outer = self.guessed.replace(self.outcome.files + 1);
        self.blobs += 1;
        with(self);
        self.blobs -= 1;
        self.guessed = outer;
    }

    /// Unpacks an inner file and goes into it. A tar goes by without ever being whole in memory.
    pub(super) fn unpack(&mut self, name: &[u8], mut reader: Box<dyn Read + '_>, packed: u64) {
        self.inside(name, |walk| {
            let mut stream = Stream::new(&mut *reader, packed);
            let head = walk.take(&mut stream, tar::BLOCK as u64);
            if head.short.is_none() && tar::is_header(&head.bytes) {
                return walk.unpack_tar(&head.bytes, &mut stream);
            }
            let taken = match head.short {
                None if head.bytes.len() == tar::BLOCK => walk.take_more(&mut stream, head.bytes),
                _ => head,
            };
            // Its memory is not needed while what came out of it is looked into.
            drop(reader);
            walk.hand_over_taken(&taken);
        });
    }

    fn unpack_tar(&mut self, head: &[u8], stream: &mut Stream<'_>) {
        if self.depth >= self.limits.depth {
            return self.trouble(NotSeen::Depth);
        }
        tar::walk(self, head, stream);
    }

    /// Hands over what was read of the file that the way leads to, and says why it is not all.
    pub(super) fn hand_over_taken(&mut self, taken: &Taken) {
        if let Some(why) = taken.short {
            self.trouble(why);
        }
        self.hand_over(&taken.bytes, Self::look);
    }

    fn hand_over(&mut self, bytes: &[u8], then: impl FnOnce(&mut Self, Source<'_>)) {
        if self.full {
            return;
        }
        // What is read in another way may be longer than what it is read from.
        let most = usize::try_from(self.limits.entry).unwrap_or(usize::MAX).min(bytes.len());
        if most < bytes.len() {
            self.trouble(NotSeen::Entry);
        }
        let bytes = &bytes[..most];
        self.outcome.files += 1;
        match self.visitor.file(&Inside::new(self.way.clone()), bytes) {
            Flow::Go => self.holding(bytes.len(), |walk| {
                if walk.may_go_on() {
                    then(walk, Source::Bytes(bytes));
                }
            }),
            Flow::Stop => (self.ended, self.full) = (true, true),
        }
    }

    fn holding(&mut self, len: usize, then: impl FnOnce(&mut Self)) {
        self.held += len as u64;
        then(self);
        self.held -= len as u64;
    }

    /// Does something one layer deeper. A wrapper of one file often has its name: it is shown once.
    pub(super) fn inside(&mut self, name: &[u8], then: impl FnOnce(&mut Self)) {
        let name = &name[..name.len().min(MAX_NAME)];
        let again = self.way.last().is_some_and(|last| last.raw() == name);
        if !again {
            self.way.push(Untrusted::new(name));
        }
        self.depth += 1;
        then(self);
        self.depth -= 1;
        if !again {
            self.way.pop();
        }
    }

    /// Reads up to `most` bytes.
    pub(super) fn take(&mut self, stream: &mut Stream<'_>, most: u64) -> Taken {
        let mut taken = Taken { bytes: Vec::new(), short: None };
        taken.short = self.fill(stream, &mut taken.bytes, most).err();
        taken
    }

    /// Reads all the rest.
    pub(super) fn take_all(&mut self, stream: &mut Stream<'_>) -> Taken {
        self.take_more(stream, Vec::new())
    }

    fn take_more(&mut self, stream: &mut Stream<'_>, had: Vec<u8>) -> Taken {
        let mut taken = Taken { bytes: had, short: None };
        taken.short = self.fill(stream, &mut taken.bytes, u64::MAX).err();
        taken
    }

    fn fill(&mut self, stream: &mut Stream<'_>, bytes: &mut Vec<u8>, most: u64) -> Result<(), NotSeen> {
        let mut piece = vec![0; PIECE.min(usize::try_from(most).unwrap_or(PIECE))];
        loop {
            let had = bytes.len() as u64;
            let want = usize::try_from(most.saturating_sub(had)).unwrap_or(PIECE).min(piece.len());
            if want == 0 {
                return Ok(());
            }
            let got = self.pull(stream, &mut piece[..want])?;
            if got == 0 {
                return Ok(());
            }
            let room = self.limits.entry.min(self.limits.held.saturating_sub(self.held)).saturating_sub(had);
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(got);
            if bytes.try_reserve(fits).is_err() {
                return Err(NotSeen::Memory);
            }
            bytes.extend_from_slice(&piece[..fits]);
            if fits < got {
                let is_entry = had + got as u64 > self.limits.entry;
                return Err(if is_entry { NotSeen::Entry } else { NotSeen::Memory });
            }
        }
    }

    /// Reads over `len` bytes; fewer only at the end.
    pub(super) fn skip(&mut self, stream: &mut Stream<'_>, mut len: u64) -> Result<u64, NotSeen> {
        let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        let all = len;
        while len > 0 {
            let want = usize::try_from(len).unwrap_or(PIECE).min(piece.len());
            match self.pull(stream, &mut piece[..want])? {
                0 => break,
                got => len -= got as u64,
            }
        }
        Ok(all - len)
    }

    /// Reads the next bytes; none is the end. Every unpacked byte comes through here.
    fn pull(&mut self, stream: &mut Stream<'_>, into: &mut [u8]) -> Result<usize, NotSeen> {
        if !self.may_go_on() {
            return Err(NotSeen::Time);
        }
        let got = read(stream.reader, into)?;
        stream.unpacked += got as u64;
        if !self.spend(got) {
            return Err(NotSeen::Total);
        }
        if stream.unpacked > self.limits.ratio_from
            && stream.unpacked / self.limits.ratio.max(1) > stream.packed
        {
            return Err(NotSeen::Ratio);
        }
        Ok(got)
    }

    /// Counts unpacked bytes. After the last one that is allowed the walk ends.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        self.outcome.bytes = self.outcome.bytes.saturating_add(bytes as u64);
        if !self.ended && self.outcome.bytes > self.limits.total {
            self.end(NotSeen::Total);
        }
        !self.ended
    }

    /// Returns how many bytes may come out of so many.
    pub(super) fn most_of(&self, packed: usize) -> usize {
        let by_ratio = (packed as u64).saturating_mul(self.limits.ratio).max(self.limits.ratio_from);
        let most = by_ratio.min(self.limits.entry).min(self.limits.held.saturating_sub(self.held));
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Says that what the way leads to was not looked into, or not to its end.
    pub(super) fn trouble(&mut self, why: NotSeen) {
        let has_not_opened = self.guessed.is_some_and(|files| self.outcome.files <= files);
        let is_no_news = has_not_opened && why == NotSeen::Unreadable;
        if !self.ended && !is_no_news {
            self.tell(why);
        }
    }

    fn tell(&mut self, why: NotSeen) {
        let trouble = Unseen { inside: Inside::new(self.way.clone()), why };
        if self.outcome.troubles.contains(&trouble) {
            return;
        }
        if self.outcome.troubles.len() < MAX_TROUBLES {
            self.outcome.troubles.push(trouble);
        } else {
            self.outcome.untold += 1;
        }
    }

    /// Says the same of an inner file.
    pub(super) fn trouble_in(&mut self, name: &[u8], why: NotSeen) {
        self.inside(name, |walk| walk.trouble(why));
    }

    fn end(&mut self, why: NotSeen) {
        self.ended = true;
        // It is the walk that ends here: this is told even where much else went wrong.
        if self.outcome.troubles.len() >= MAX_TROUBLES {
            self.outcome.troubles.pop();
            self.outcome.untold += 1;
        }
        self.tell(why);
    }
}

fn read(reader: &mut dyn Read, into: &mut [u8]) -> Result<usize, NotSeen> {
    loop {
        match reader.read(into) {
            Ok(got) => return Ok(got.min(into.len())),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(cause(&e)),
        }
    }
}

/// Returns what a decoder's error means for the file.
pub(super) fn cause(error: &io::Error) -> NotSeen {
    match error.kind() {
        io::ErrorKind::Unsupported => NotSeen::Unsupported,
        io::ErrorKind::OutOfMemory => NotSeen::Memory,
        _ => NotSeen::Unreadable,
    }
}
