//! Whose hand it was: the web server's, a tool that deploys, or anybody's. Pure.

use khien_core::event::Process;

use super::names;

/// Who did it, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// The web server, or what runs as its user.
    Server,
    /// A tool that brings files which were made elsewhere and keeps their times, not run by the web server's user.
    Deploy,
    /// A tool that copies or moves single files and may keep their times, not run by the web server's user.
    Copy,
    /// A program that is none of these.
    Other,
    /// The kernel did not tell.
    Unknown,
}

/// Users that web servers and their languages run as.
const SERVER_USERS: [&[u8]; 14] = [
    b"www-data",
    b"www",
    b"apache",
    b"apache2",
    b"nginx",
    b"httpd",
    b"http",
    b"tomcat",
    b"lighttpd",
    b"caddy",
    b"php-fpm",
    b"wwwrun",
    b"jetty",
    b"lsadm",
];
/// How names of web servers' programs begin.
const SERVER_PROGRAMS: [&[u8]; 11] = [
    b"php-fpm",
    b"php-cgi",
    b"apache2",
    b"httpd",
    b"nginx",
    b"lighttpd",
    b"caddy",
    b"litespeed",
    b"lsphp",
    b"openlitespeed",
    b"uwsgi",
];
/// Words in the command line of a Java that is a web server.
const JAVA_SERVERS: [&[u8]; 5] = [b"catalina", b"tomcat", b"jetty", b"jboss", b"wildfly"];
/// Tools that deploy or unpack.
const DEPLOYERS: [&[u8]; 22] = [
    b"rsync",
    b"git",
    b"git-remote-https",
    b"dpkg",
    b"dpkg-deb",
    b"apt",
    b"apt-get",
    b"rpm",
    b"dnf",
    b"yum",
    b"composer",
    b"tar",
    b"bsdtar",
    b"unzip",
    b"cpio",
    b"scp",
    b"sftp-server",
    b"internal-sftp",
    b"svn",
    b"hg",
    b"npm",
    b"snapd",
];
/// Tools that copy or move.
const COPIERS: [&[u8]; 3] = [b"cp", b"mv", b"install"];

impl Hand {
    /// Tells whether it brings what was made elsewhere.
    pub(super) fn brings(self) -> bool {
        matches!(self, Self::Deploy | Self::Copy)
    }
}

/// Says whose hand a process is.
pub(super) fn of(process: Option<&Process>) -> Hand {
    let Some(process) = process else { return Hand::Unknown };
    let program = program(process);
    if is_server(process, program) {
        return Hand::Server;
    }
    match program {
        b"" => Hand::Unknown,
        tool if DEPLOYERS.contains(&tool) => Hand::Deploy,
        tool if COPIERS.contains(&tool) => Hand::Copy,
        // Interpreted tools are known by what they run.
        _ if runs(process, b"composer") || runs(process, b"unattended-upgrade") => Hand::Deploy,
        _ => Hand::Other,
    }
}

fn is_server(process: &Process, program: &[u8]) -> bool {
    let user = process.user.as_ref().map_or(&[][..], |u| u.raw());
    SERVER_USERS.contains(&user)
        || user.starts_with(b"tomcat")
        || SERVER_PROGRAMS.iter().any(|server| program.starts_with(server))
        || (program == b"java" && JAVA_SERVERS.iter().any(|word| runs(process, word)))
}

/// Returns the name of its program; the kernel marks one that was replaced on disk.
fn program(process: &Process) -> &[u8] {
    let path = process.exe.as_ref().map_or(&[][..], |exe| exe.raw());
    names::name(path.strip_suffix(b" (deleted)").unwrap_or(path))
}

fn runs(process: &Process, word: &[u8]) -> bool {
    let command = process.command.as_ref().map_or(&[][..], |c| c.raw());
    command.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::{super::sample::process, *};

    #[test]
    fn the_web_servers_user_is_the_server_whatever_it_runs() {
        assert_eq!(of(Some(&process("/usr/sbin/php-fpm8.2", "root"))), Hand::Server);
        assert_eq!(of(Some(&process("/usr/bin/git", "www-data"))), Hand::Server);
        assert_eq!(of(Some(&process("/usr/bin/bash", "tomcat9"))), Hand::Server);
        assert_eq!(of(Some(&process("/usr/sbin/apache2 (deleted)", "root"))), Hand::Server);
    }

    #[test]
    fn tools_that_deploy_are_told_from_a_persons_editor() {
        assert_eq!(of(Some(&process("/usr/bin/rsync", "deploy"))), Hand::Deploy);
        assert_eq!(of(Some(&process("/usr/bin/dpkg", "root"))), Hand::Deploy);
        assert_eq!(of(Some(&process("/usr/bin/mv", "root"))), Hand::Copy);
        assert_eq!(of(Some(&process("/usr/bin/vim", "root"))), Hand::Other);
        assert_eq!(of(None), Hand::Unknown);
    }

    #[test]
    fn a_process_that_was_gone_before_it_was_asked_is_unknown() {
        let mut gone = process("/x", "root");
        gone.exe = None;
        gone.user = None;

        assert_eq!(of(Some(&gone)), Hand::Unknown);
    }
}
