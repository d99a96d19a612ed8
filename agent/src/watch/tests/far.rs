//! Mounts whose files lie on another host.

use super::*;

#[test]
fn a_mount_from_the_network_that_does_not_answer_is_left_out_and_holds_nothing() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_mount_from_the_network: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for backend in backends() {
            let far = std::cell::RefCell::new(None);
            let mut watched = Watched::start(backend, None, |at| {
                fs::create_dir_all(at.join("in/far")).unwrap();
                fs::write(at.join("in/near"), "x").unwrap();
                *far.borrow_mut() = Some(alone::Silent::mount(&at.join("in/far")));
            });
            let mut far = far.take().unwrap();

            let gap = watched.gap("in/far");
            assert_eq!(gap.reason, Some(Reason::NetworkMount { kind: "fuse.sshfs".into(), others: 0 }));
            watched.sh("printf x > out/page; ln -s ../out/page in/page; ln -s far/page in/away");
            watched.sees("in/page");
            watched.load(1);
            let looked_at = watched.looks_at(2);
            assert_eq!(looked_at, ["in/near", "in/page"].map(String::from).into());
            assert_eq!(watched.walked(1).unread, 0);
            assert!(far.is_silent(), "somebody waited for it");

            far.unmount();
            watched.no_gap("in/far");
        }
    });
}

#[test]
fn a_folder_that_leads_onto_a_mount_from_the_network_is_said_to_be_blind_and_holds_nothing() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_folder_that_leads_onto_a_mount_from_the_network: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for backend in backends() {
            let far = std::cell::RefCell::new(None);
            let watched = Watched::start(backend, None, |at| {
                fs::remove_dir_all(at.join("in")).unwrap();
                fs::create_dir(at.join("far")).unwrap();
                std::os::unix::fs::symlink("far", at.join("in")).unwrap();
                *far.borrow_mut() = Some(alone::Silent::mount(&at.join("far")));
            });
            let mut far = far.take().unwrap();

            let coverage = watched.coverage();
            assert_eq!(coverage.sight, Sight::Blind);
            let kind = "fuse.sshfs".into();
            assert_eq!(coverage.reason, Some(Reason::NetworkMount { kind, others: 0 }));
            assert!(far.is_silent(), "somebody waited for it");

            far.unmount();
            watched.until("it is watched", || (watched.coverage().sight != Sight::Blind).then_some(()));
        }
    });
}

#[test]
fn a_policy_may_have_mounts_from_the_network_watched() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_policy_may_have_mounts_from_the_network_watched: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for backend in backends() {
            let far = std::cell::RefCell::new(None);
            let watched = Watched::start(backend, None, |at| {
                fs::create_dir(at.join("in/far")).unwrap();
                *far.borrow_mut() = Some(alone::Silent::mount(&at.join("in/far")));
            });
            let mut far = far.take().unwrap();
            watched.gap("in/far");
            // Nothing would be seen of one that does not answer.
            far.end();

            watched.policy.send_replace(Some(Arc::new(Policy { network_mounts: true, ..Policy::default() })));

            watched.no_gap("in/far");
            far.unmount();
        }
    });
}
