//! Whose hand it was: the web server's, a tool that deploys, or anybody's. Pure: callers say which programs are the
//! system's own.

use khien_core::event::Process;

use super::names;

/// Who did it, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// The web server, or what runs as its user.
    Server,
    /// A tool of the system that brings files which were made elsewhere and keeps their times, not run by the web server's
    /// user.
    Deploy,
    /// A tool of the system that copies or moves single files and may keep their times, not run by the web server's user.
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
/// Programs that deploy or unpack. An `sshd` that writes files is its own sftp server.
const DEPLOYERS: [&[u8]; 20] = [
    b"rsync",
    b"git",
    b"git-remote-https",
    b"dpkg",
    b"dpkg-deb",
    b"apt",
    b"apt-get",
    b"rpm",
    b"dnf5",
    b"microdnf",
    b"tar",
    b"bsdtar",
    b"unzip",
    b"cpio",
    b"scp",
    b"sftp-server",
    b"sshd",
    b"sshd-session",
    b"svn",
    b"snapd",
];
/// Programs that copy or move.
const COPIERS: [&[u8]; 3] = [b"cp", b"mv", b"install"];
/// How the names of interpreters begin; only a version follows.
const INTERPRETERS: [&[u8]; 3] = [b"php", b"python", b"platform-python"];
/// Tools that deploy and that an interpreter runs.
const INTERPRETED: [&[u8]; 6] = [b"composer", b"dnf", b"dnf-3", b"yum", b"hg", b"unattended-upgrade"];

impl Hand {
    /// Tells whether it brings what was made elsewhere.
    pub(super) fn brings(self) -> bool {
        matches!(self, Self::Deploy | Self::Copy)
    }
}

/// Says whose hand a process is. A tool counts as one only if its program, and what it interprets, is the system's own:
/// anybody can give any file a name. In mounts of its own a process can put any file under any path.
pub(super) fn of(process: Option<&Process>, mut is_the_systems: impl FnMut(&[u8]) -> bool) -> Hand {
    let Some(process) = process else { return Hand::Unknown };
    let path = program(process);
    let name = names::name(path);
    if is_server(process, name) {
        return Hand::Server;
    }
    if name.is_empty() {
        return Hand::Unknown;
    }
    let Some((hand, script)) = claim(process, name) else { return Hand::Other };
    let is_true = !process.own_mounts && is_the_systems(path) && script.is_none_or(&mut is_the_systems);
    if is_true { hand } else { Hand::Other }
}

/// Returns what a process would be by its names, and the script that must be the system's own for it.
fn claim<'a>(process: &'a Process, name: &[u8]) -> Option<(Hand, Option<&'a [u8]>)> {
    if DEPLOYERS.contains(&name) {
        return Some((Hand::Deploy, None));
    }
    if COPIERS.contains(&name) {
        return Some((Hand::Copy, None));
    }
    // What an interpreter runs is its first argument, with its whole path; options before it are not understood.
    let command = process.command.as_ref().filter(|_| is_interpreter(name))?;
    let script = command.raw().split(|b| *b == b' ').nth(1)?;
    let known = script.starts_with(b"/") && INTERPRETED.contains(&names::name(script));
    known.then_some((Hand::Deploy, Some(script)))
}

fn is_interpreter(name: &[u8]) -> bool {
    INTERPRETERS.iter().any(|interpreter| {
        let version = name.strip_prefix(*interpreter);
        version.is_some_and(|version| version.iter().all(|b| b.is_ascii_digit() || *b == b'.'))
    })
}

fn is_server(process: &Process, name: &[u8]) -> bool {
    let user = process.user.as_ref().map_or(&[][..], |u| u.raw());
    SERVER_USERS.contains(&user)
        || user.starts_with(b"tomcat")
        || SERVER_PROGRAMS.iter().any(|server| name.starts_with(server))
        || (name == b"java" && JAVA_SERVERS.iter().any(|word| runs(process, word)))
}

/// Returns the path of its program; the kernel marks one that was replaced on disk.
fn program(process: &Process) -> &[u8] {
    let path = process.exe.as_ref().map_or(&[][..], |exe| exe.raw());
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

fn runs(process: &Process, word: &[u8]) -> bool {
    let command = process.command.as_ref().map_or(&[][..], |c| c.raw());
    command.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use khien_core::Untrusted;

    use super::{
        super::sample::{process, systems},
        *,
    };

    fn whose(process: &Process) -> Hand {
        of(Some(process), systems)
    }

    fn running(exe: &str, command: &str) -> Process {
        Process { command: Some(Untrusted::from(command)), ..process(exe, "deploy") }
    }

    #[test]
    fn the_web_servers_user_is_the_server_whatever_it_runs() {
        assert_eq!(whose(&process("/usr/sbin/php-fpm8.2", "root")), Hand::Server);
        assert_eq!(whose(&process("/usr/bin/git", "www-data")), Hand::Server);
        assert_eq!(whose(&process("/usr/bin/bash", "tomcat9")), Hand::Server);
        assert_eq!(whose(&process("/usr/sbin/apache2 (deleted)", "root")), Hand::Server);
    }

    #[test]
    fn tools_that_deploy_are_told_from_a_persons_editor() {
        assert_eq!(whose(&process("/usr/bin/rsync", "deploy")), Hand::Deploy);
        assert_eq!(whose(&process("/usr/bin/dpkg (deleted)", "root")), Hand::Deploy);
        assert_eq!(whose(&process("/usr/bin/mv", "root")), Hand::Copy);
        assert_eq!(whose(&process("/usr/bin/vim", "root")), Hand::Other);
        assert_eq!(of(None, systems), Hand::Unknown);
    }

    #[test]
    fn a_program_that_only_is_called_like_a_tool_is_anybodys() {
        for exe in ["/tmp/rsync", "/home/a/bin/git", "/var/www/html/uploads/tar", "/dev/shm/cp", "rsync"] {
            assert_eq!(whose(&process(exe, "deploy")), Hand::Other, "{exe}");
        }
        assert_eq!(
            whose(&running("/tmp/x", "/usr/bin/rsync -a")),
            Hand::Other,
            "its name for itself is no proof"
        );
    }

    #[test]
    fn a_tool_in_mounts_of_its_own_is_anybodys() {
        let own = Process { own_mounts: true, ..process("/usr/bin/rsync", "deploy") };

        assert_eq!(whose(&own), Hand::Other);
    }

    #[test]
    fn an_interpreter_is_the_tool_whose_whole_path_is_its_first_argument() {
        for (exe, command) in [
            ("/usr/bin/php8.2", "php /usr/bin/composer install"),
            ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/unattended-upgrade --debug"),
            ("/usr/libexec/platform-python3.6", "/usr/libexec/platform-python /usr/bin/dnf upgrade"),
        ] {
            assert_eq!(whose(&running(exe, command)), Hand::Deploy, "{command}");
        }
        for (exe, command) in [
            ("/usr/bin/php8.2", "php /tmp/x.php composer"),
            ("/usr/bin/php8.2", "php composer install"),
            ("/usr/bin/php8.2", "php /srv/www/composer install"),
            ("/usr/bin/php8.2", "php -r x(); /usr/bin/composer"),
            ("/usr/bin/bash", "bash /usr/bin/composer"),
            ("/tmp/php", "php /usr/bin/composer"),
            ("/usr/bin/vim", "vim composer.json"),
            ("/usr/bin/python3", "python3 /tmp/unattended-upgrade"),
        ] {
            assert_eq!(whose(&running(exe, command)), Hand::Other, "{command}");
        }
    }

    #[test]
    fn a_process_that_was_gone_before_it_was_asked_is_unknown() {
        let mut gone = process("/x", "root");
        gone.exe = None;
        gone.user = None;

        assert_eq!(whose(&gone), Hand::Unknown);
    }
}
