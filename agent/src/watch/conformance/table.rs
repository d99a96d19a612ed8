//! The table itself. What the folders of a row hold before, what is done, and what sees it.

use super::{
    Act::{self, Call, CallInSteps, Mount, Sh, Stay, Steps},
    Seen::{self, Event, Walk},
    Way,
};

const fn way(name: &'static str, before: &'static str, act: Act) -> Way {
    Way { name, before, act, leaves: &[b"f"], fanotify: Event, notify: Event }
}

impl Way {
    const fn leaves(self, leaves: &'static [&'static [u8]]) -> Self {
        Self { leaves, ..self }
    }

    const fn seen(self, fanotify: Seen, notify: Seen) -> Self {
        Self { fanotify, notify, ..self }
    }
}

const LONG: &[u8] = &[b'n'; 255];

/// The ways.
pub(super) const TABLE: &[Way] = &[
    // Written.
    way("created and written", "", Sh(r#"printf %s "$M" > $I/f"#)),
    way("appended to", "echo old > $I/f", Sh(r#"printf %s "$M" >> $I/f"#)),
    way("emptied and written anew", "echo old > $I/f", Sh(r#"printf %s "$M" > $I/f"#)),
    way(
        "written in its middle",
        "head -c 100000 /dev/zero > $I/f",
        Sh(r#"printf %s "$M" | dd of=$I/f bs=1 seek=50000 conv=notrunc status=none"#),
    ),
    way(
        "cut to a size that can be scanned",
        r#"printf %s "$M" > $I/f; truncate -s 200M $I/f"#,
        Sh("truncate -s 1000 $I/f"),
    ),
    way("grown and written past its old end", "echo old > $I/f", Call("grow")),
    way(
        "sparse, written far behind its start",
        "",
        Sh(r#"printf %s "$M" | dd of=$I/f bs=1 seek=1M status=none"#),
    ),
    way("space reserved, then written", "", Call("fallocate")),
    way("written around the page cache (O_DIRECT)", "", Call("direct")),
    way("written synchronously (O_DSYNC)", "", Call("sync")),
    way("written by pwritev", "echo old > $I/f", Call("pwritev")),
    way("written by io_uring", "echo old > $I/f", Call("io_uring")),
    way("copied by copy_file_range", r#"printf %s "$M" > $O/f"#, Call("copy_file_range")),
    way("copied by sendfile", r#"printf %s "$M" > $O/f"#, Call("sendfile")),
    way("moved in from a pipe by splice", "", Call("splice")),
    // Kept open.
    way("written and kept open", "echo old > $I/f", Stay(r#"exec 3>> $I/f; printf %s "$M" >&3"#)),
    way("written to without end", "", Call("without end")),
    way("moved in while open, then written and kept open", "", CallInSteps("rename while open")),
    way(
        "given a second name while open, then written",
        "echo old > $I/f",
        CallInSteps("unlinked and linked again"),
    )
    .leaves(&[b"g"])
    .seen(Event, Walk),
    way("written through a mapping that is let go", "head -c 4096 /dev/zero > $I/f", Call("mmap")),
    way("written through a mapping that stays", "head -c 4096 /dev/zero > $I/f", Call("mmap and stay"))
        .seen(Walk, Walk),
    // Named.
    way("moved in", r#"printf %s "$M" > $O/f"#, Sh("mv $O/f $I/f")),
    way("moved over another file", r#"echo old > $I/f; printf %s "$M" > $O/f"#, Sh("mv -f $O/f $I/f")),
    way("exchanged with a file outside", r#"echo old > $I/f; printf %s "$M" > $O/f"#, Call("exchange")),
    way("moved out and in again", r#"printf %s "$M" > $O/f"#, Sh("mv $O/f $I/f; mv $I/f $O/f; mv $O/f $I/f")),
    way("moved within the folder", r#"printf %s "$M" > $O/f"#, Sh("mv $O/f $I/g; mv $I/g $I/f")),
    way(
        "in a tree that is moved in",
        r#"mkdir -p $O/t/a/b; printf %s "$M" > $O/t/a/b/f"#,
        Sh("mv $O/t $I/t"),
    )
    .leaves(&[b"t/a/b/f"]),
    way(
        "below a folder that is renamed",
        "mkdir -p $I/a/b",
        Sh(r#"printf %s "$M" > $I/a/b/f; mv $I/a $I/z"#),
    )
    .leaves(&[b"z/b/f"]),
    way("hard-linked in", r#"printf %s "$M" > $O/f"#, Sh("ln $O/f $I/f")),
    way("hard-linked over another file", r#"echo old > $I/f; printf %s "$M" > $O/f"#, Sh("ln -f $O/f $I/f")),
    way(
        "of two names inside, written under one",
        "echo old > $I/f; ln $I/f $I/g",
        Sh(r#"printf %s "$M" >> $I/f"#),
    ),
    way(
        "written under another name outside",
        "echo old > $O/f",
        Steps("ln $O/f $I/f", r#"printf %s "$M" >> $O/f"#),
    )
    .seen(Event, Walk),
    way("made without a name, then named (O_TMPFILE)", "", Call("tmpfile")),
    way("made without a name, named, then written", "", CallInSteps("tmpfile named first")).seen(Event, Walk),
    way("removed and made again", "echo old > $I/f", Sh(r#"rm $I/f; printf %s "$M" > $I/f"#)),
    // Symbolic links.
    way("a link to a file outside", r#"printf %s "$M" > $O/f"#, Sh("ln -s $O/f $I/f")),
    way(
        "a link to a file outside, moved in",
        r#"printf %s "$M" > $O/f; ln -s $O/f $O/l"#,
        Sh("mv $O/l $I/f"),
    ),
    way(
        "a link that is turned to a file outside",
        r#"echo old > $I/g; ln -s $I/g $I/f; printf %s "$M" > $O/f"#,
        Sh("ln -sfn $O/f $I/f"),
    ),
    way(
        "a link to a file outside, which is written to",
        "echo old > $O/f",
        Steps("ln -s $O/f $I/f", r#"printf %s "$M" >> $O/f"#),
    )
    .seen(Event, Walk),
    way("a link to nothing, where a file is made later", "ln -s $O/f $I/f", Sh(r#"printf %s "$M" > $O/f"#))
        .seen(Walk, Walk),
    way(
        "a file behind a link to a folder outside (it is said)",
        r#"printf %s "$M" > $O/f; ln -s $O $I/d"#,
        Sh(":"),
    )
    .leaves(&[b"d/f"])
    .seen(Seen::Never, Seen::Never),
    // In new folders.
    way("in a folder made a moment before", "", Sh(r#"mkdir $I/a; printf %s "$M" > $I/a/f"#))
        .leaves(&[b"a/f"]),
    way(
        "deep in folders made in a burst",
        "",
        Sh(r#"for n in 1 2 3; do mkdir -p $I/$n/a/b/c/d/e; printf %s "$M" > $I/$n/a/b/c/d/e/f; done"#),
    )
    .leaves(&[b"1/a/b/c/d/e/f", b"2/a/b/c/d/e/f", b"3/a/b/c/d/e/f"]),
    // By programs.
    way("copied with its times and owner (cp -a)", r#"printf %s "$M" > $O/f"#, Sh("cp -a $O/f $I/f")),
    way(
        "unpacked by tar with its old times",
        r#"mkdir $O/t; printf %s "$M" > $O/t/f; touch -d 2020-01-01 $O/t/f; tar -C $O -cf $O/t.tar t"#,
        Sh("tar -C $I -xf $O/t.tar"),
    )
    .leaves(&[b"t/f"]),
    way(
        "written beside and renamed, as rsync does",
        "echo old > $I/f",
        Sh(r#"printf %s "$M" > $I/.f.Xy12; mv $I/.f.Xy12 $I/f"#),
    ),
    way(
        "moved aside and written anew, as editors do",
        "echo old > $I/f",
        Sh(r#"mv $I/f $I/f~; printf %s "$M" > $I/f"#),
    ),
    way("edited in place by sed -i", "echo MARK > $I/f", Sh(r#"sed -i "s/MARK/$M/" $I/f"#)),
    way("installed with a mode", r#"printf %s "$M" > $O/f"#, Sh("install -m 400 $O/f $I/f")),
    way(
        "rotated and written anew",
        "echo old > $I/f",
        Sh(r#"mv $I/f $I/f.1; : > $I/f; printf %s "$M" >> $I/f"#),
    ),
    way("rotated by copying (copytruncate)", "", Sh(r#"printf %s "$M" > $I/g; cp $I/g $I/f; : > $I/g"#)),
    way("written by a process that is gone at once", "", Sh(r#"(printf %s "$M" > $I/f &)"#)),
    way("written, then its time set back", "", Sh(r#"printf %s "$M" > $I/f; touch -d 2001-01-01 $I/f"#)),
    way("written, then made read-only", "", Sh(r#"printf %s "$M" > $I/f; chmod 400 $I/f"#)),
    // What was there.
    way("there before the agent", r#"printf %s "$M" > $I/f"#, Sh(":")).seen(Walk, Walk),
    way("there before, its mode changed", r#"printf %s "$M" > $I/f"#, Sh("chmod 711 $I/f")).seen(Walk, Walk),
    way("there before, touched", r#"printf %s "$M" > $I/f"#, Sh("touch -d 2001-01-01 $I/f")),
    // Hostile names.
    way("a name with a line feed", "", Sh("printf %s \"$M\" > \"$I/a\nb\"")).leaves(&[b"a\nb"]),
    way("a name that is not UTF-8", "", Sh(r#"printf %s "$M" > "$I/$(printf '\377\376')""#))
        .leaves(&[b"\xff\xfe"]),
    way("a name of 255 bytes", "", Sh(r#"printf %s "$M" > $I/$(printf %0255d 0 | tr 0 n)"#)).leaves(&[LONG]),
    way("a name with quotes, blanks and a dash", "", Sh(r#"printf %s "$M" > "$I/- '\" x""#))
        .leaves(&[b"- '\" x"]),
    way("a name that turns the line around", "", Sh(r#"printf %s "$M" > "$I/$(printf 'a\342\200\256b')""#))
        .leaves(&[b"a\xe2\x80\xaeb"]),
    // Mounts.
    way("written through a bind mount outside", "", Mount(r#"mount --bind $I $O; printf %s "$M" > $O/f"#)),
    way(
        "in a folder that is bound in later",
        r#"mkdir $I/d; printf %s "$M" > $O/f"#,
        Mount("mount --bind $O $I/d"),
    )
    .leaves(&[b"d/f"]),
    way(
        "in a memory file system mounted later",
        "mkdir $I/d",
        Mount(r#"mount -t tmpfs none $I/d; printf %s "$M" > $I/d/f"#),
    )
    .leaves(&[b"d/f"]),
    way(
        "in an overlay mounted later",
        "mkdir $I/d $O/low; printf old > $O/low/g",
        Mount(
            r#"mount -t tmpfs none $O; mkdir $O/low $O/up $O/work; echo old > $O/low/g
            mount -t overlay none -o lowerdir=$O/low,upperdir=$O/up,workdir=$O/work $I/d
            printf %s "$M" > $I/d/f; printf %s "$M" >> $I/d/g"#,
        ),
    )
    .leaves(&[b"d/f", b"d/g"]),
    way(
        "written from another mount namespace under another path",
        "",
        Mount(r#"unshare --mount sh -ec 'mount --bind $I /mnt; printf %s "$M" > /mnt/f'"#),
    ),
];
