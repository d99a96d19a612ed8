//! Against real sockets.

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use khien_core::{
    time,
    traffic::{Tunnel, TunnelKind},
};

use super::*;

/// Makes a test of this program hold a socket until its standard input ends.
const HOLD: &str = "KHIEN_TEST_HOLDS_A_SOCKET";
const PATIENCE: Duration = Duration::from_secs(20);

fn ends(flow: u64, transport: Transport, client: SocketAddr, server: SocketAddr) -> Ends {
    Ends {
        flow,
        interface: "lo".into(),
        vlan: Vec::new(),
        tunnel: None,
        transport,
        client,
        server,
        saw_syn: false,
    }
}

/// Asks until somebody is known.
fn owner_of(owners: &mut Owners, ends: &Ends) -> Arc<Process> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(process) = owners.owner(ends, Timestamp::now()) {
            return process;
        }
        assert!(Instant::now() < until, "nobody owns {ends:?}");
        std::thread::yield_now();
    }
}

/// Waits until it is known whose a flow is, or that it is nobody's.
fn told(named: &Named, flow: u64) -> Option<Arc<Process>> {
    let until = Instant::now() + PATIENCE;
    loop {
        match named.get(flow) {
            Some(Whose::Of { process, .. }) => return Some(process),
            Some(Whose::Nobodys) => return None,
            Some(Whose::Asked { .. }) | None => std::thread::yield_now(),
        }
        assert!(Instant::now() < until, "nothing is known of flow {flow}");
    }
}

fn connected(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    (listener, client, server)
}

fn of_stream(flow: u64, client: &TcpStream) -> Ends {
    ends(flow, Transport::Tcp, client.local_addr().unwrap(), client.peer_addr().unwrap())
}

#[test]
fn a_connection_belongs_to_the_process_that_opened_it() {
    let mut owners = Owners::new(Stories::default()).unwrap();
    let me = std::env::current_exe().unwrap();
    for (flow, address) in ["127.0.0.1:0", "[::1]:0"].into_iter().enumerate() {
        let (_listener, client, _server) = connected(address);

        let owner = owner_of(&mut owners, &of_stream(flow as u64, &client));

        assert_eq!(owner.pid, std::process::id(), "{address}");
        assert_eq!(owner.exe.as_ref().unwrap().to_string(), me.to_str().unwrap());
        assert!(owner.uid.is_some() && owner.started.is_some());
        assert!(owners.opened(&of_stream(flow as u64, &client)));
    }
}

#[test]
fn whoever_did_not_ask_learns_it_too_and_that_nobody_owns_a_flow() {
    let mut owners = Owners::new(Stories::default()).unwrap();
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let foreign =
        ends(2, Transport::Tcp, "192.0.2.1:5000".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
    let named = owners.named();

    owners.owner(&of_stream(1, &client), Timestamp::now());
    owners.owner(&foreign, Timestamp::now());

    assert_eq!(told(&named, 1).unwrap().pid, std::process::id());
    assert_eq!(told(&named, 2), None);
}

#[test]
fn what_stays_on_the_host_and_who_is_asked_for_names_is_no_story() {
    for (server, tells) in
        [("203.0.113.7:443", true), ("127.0.0.1:3306", false), ("[::1]:80", false), ("10.0.0.2:53", false)]
    {
        assert_eq!(asker::is_telling(server.parse().unwrap()), tells, "{server}");
    }
}

#[test]
fn an_ipv4_connection_to_a_socket_of_ipv6_has_its_owner() {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _server = listener.accept().unwrap();
    // Only the server's end, as on a host that is connected to from outside.
    let [_, server] = Socket::of(&of_stream(1, &client)).unwrap();

    let found = diag::Diag::open().unwrap().find(&server).unwrap().unwrap();

    assert!(found.inode > 0 && !found.waits, "{found:?}");
}

#[test]
fn datagrams_belong_to_the_one_that_sends_also_where_the_socket_is_not_connected() {
    let mut owners = Owners::new(Stories::default()).unwrap();
    for (flow, address) in ["127.0.0.1:0", "[::1]:0"].into_iter().enumerate() {
        let (asks, answers) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
        let [client, server] = [&asks, &answers].map(|socket| socket.local_addr().unwrap());
        if flow == 1 {
            asks.connect(server).unwrap();
        }

        let owner = owner_of(&mut owners, &ends(flow as u64, Transport::Udp, client, server));

        assert_eq!(owner.pid, std::process::id(), "{address}");
    }
}

#[test]
fn a_connection_that_was_not_accepted_when_it_was_asked_for_is_found_a_moment_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let [_, waiting] = Socket::of(&of_stream(1, &client)).unwrap();
    let mut diag = diag::Diag::open().unwrap();

    let before = diag.find(&waiting).unwrap().unwrap();
    let _server = listener.accept().unwrap();
    let after = diag.find(&waiting).unwrap().unwrap();

    assert_eq!(before.inode, 0, "no process has it yet");
    assert!(after.inode > 0);
}

#[test]
fn what_no_socket_of_this_host_belongs_to_has_no_owner_and_is_not_guessed() {
    let mut owners = Owners::new(Stories::default()).unwrap();
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let foreign =
        ends(1, Transport::Tcp, "192.0.2.1:5000".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
    let ping = ends(2, Transport::Icmp, "192.0.2.1:8".parse().unwrap(), "198.51.100.2:0".parse().unwrap());

    assert_eq!(owners.owner(&foreign, Timestamp::now()), None);
    assert_eq!(owners.owner(&ping, Timestamp::now()), None);
    // Answers come in order: when this one is there, that of the first would be there too.
    owner_of(&mut owners, &of_stream(3, &client));

    assert_eq!(owners.owner(&foreign, Timestamp::now()), None);
    assert_eq!(owners.take_shed(), 0);
}

#[test]
fn what_came_out_of_a_tunnel_is_nobodys_here_even_where_the_addresses_are() {
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let plain = of_stream(1, &client);
    let [from, to] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
    let tunnel = Some(Tunnel { kind: TunnelKind::Vxlan, from, to, id: Some(7) });
    let inner = Ends { tunnel, ..plain.clone() };
    let mut owners = Owners::new(Stories::default()).unwrap();

    assert_eq!(owners.owner(&inner, Timestamp::now()), None);
    assert_eq!(
        owners.owner(&plain, Timestamp::now()),
        None,
        "a finding does not say that it was in a tunnel"
    );
    owner_of(&mut owners, &of_stream(2, &client));

    assert_eq!(owners.owner(&plain, time::after(Timestamp::now(), PAUSE)), None);
}

#[test]
fn the_name_of_a_server_is_in_the_story_whether_it_or_the_process_is_known_first() {
    let stories = Stories::default();
    let asker = asker::Asker::new(stories.clone(), Named::new());
    let process = crate::watch::process::Who::default().is(std::process::id(), || true);
    let server: SocketAddr = "203.0.113.7:443".parse().unwrap();
    let flow = ends(1, Transport::Tcp, "192.0.2.1:5000".parse().unwrap(), server);
    let mut owners = Owners { named: asker.names(), ..Owners::new(stories.clone()).unwrap() };
    let question = Question { flow: 1, sockets: Socket::of(&flow).unwrap(), at: Timestamp::now() };

    assert_eq!(owners.called(&flow, &"c2.example".into()), None);
    asker.tell(&question, Arc::clone(&process), true);

    let told = stories.of(&process, question.at);
    assert_eq!(told[0].did, khien_core::event::Did::connected(server, Some(&"c2.example".into())));
    assert_eq!(told.len(), 1);
    owners.known.put(1, Known { asked: question.at, tries: 1, process: None, opened: false });
    assert_eq!(owners.called(&flow, &"c2.example".into()), Some(process), "it need not be heard of first");
    assert!(owners.opened(&flow));
}

#[test]
fn nobody_waits_for_the_owner_of_what_was_in_a_tunnel_or_was_not_asked_for() {
    let mut owners = Owners::new(Stories::default()).unwrap();
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let [from, to] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
    let tunnel = Some(Tunnel { kind: TunnelKind::Vxlan, from, to, id: Some(7) });
    // A thread that never takes a question.
    let (questions, _kept) = mpsc::sync_channel(0);
    let mut busy = Owners { questions, ..Owners::new(Stories::default()).unwrap() };

    owners.owner(&Ends { tunnel, ..of_stream(1, &client) }, Timestamp::now());
    busy.owner(&of_stream(1, &client), Timestamp::now());

    for named in [owners.named(), busy.named()] {
        assert_eq!(told(&named, 1), None);
    }
    assert!(owners.is_nobodys(1) && busy.is_nobodys(1) && busy.take_shed() == 1);
}

#[test]
fn a_flow_between_others_is_not_given_to_a_server_here_that_takes_any_address() {
    let server = TcpListener::bind("0.0.0.0:0").unwrap();
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let other = SocketAddr::new("198.51.100.2".parse().unwrap(), server.local_addr().unwrap().port());
    let passing = ends(1, Transport::Tcp, "192.0.2.1:5000".parse().unwrap(), other);
    let mut owners = Owners::new(Stories::default()).unwrap();

    assert_eq!(owners.owner(&passing, Timestamp::now()), None);
    owner_of(&mut owners, &of_stream(2, &client));

    assert_eq!(owners.owner(&passing, Timestamp::now()), None);
}

#[test]
fn the_lists_in_proc_say_the_same_as_the_kernel() {
    let (_listener, client, _server) = connected("127.0.0.1:0");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let asked = ends(2, Transport::Udp, udp.local_addr().unwrap(), other);
    let (mut diag, table) =
        (diag::Diag::open().unwrap(), table::Table::read(std::path::Path::new("/proc/net")));

    for socket in [Socket::of(&of_stream(1, &client)).unwrap(), Socket::of(&asked).unwrap()].concat() {
        assert_eq!(table.find(&socket), diag.find(&socket).unwrap(), "{socket:?}");
    }
}

#[test]
fn holds_a_socket_when_it_is_started_for_that() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Past the test harness, which keeps what tests print for itself.
    let _ = rustix::io::write(
        rustix::stdio::stdout(),
        format!("\nport {}\n", socket.local_addr().unwrap().port()).as_bytes(),
    );
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_socket_in_the_namespace_of_a_container_has_its_owner() {
    let test = "sockets::tests::holds_a_socket_when_it_is_started_for_that";
    let mut command = Command::new("unshare");
    let address = "ip link set lo up && ip address add 10.88.0.2/32 dev lo && exec \"$@\"";
    command.args(["--net", "sh", "-c", address, "sh"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test]);
    command.env(HOLD, "yes").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let is_let =
        Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|status| status.success());
    if !is_let {
        return cannot_run("namespaces need a right that is not there");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.into_iter().find_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok()).unwrap();
    let client = SocketAddr::new("10.88.0.2".parse().unwrap(), port);
    let asked = ends(1, Transport::Udp, client, "192.0.2.53:53".parse().unwrap());

    let owner = owner_of(&mut Owners::new(Stories::default()).unwrap(), &asked);

    assert_eq!(owner.pid, child.id());
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Says what `tests/run` counts.
#[allow(clippy::print_stdout, reason = "`tests/run` reads it")]
fn cannot_run(why: &str) {
    println!("cannot run here: {}: {why}", std::thread::current().name().unwrap_or("test"));
}
