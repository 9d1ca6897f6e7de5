//! Tests with real sockets; deadlines run in virtual time.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

use super::*;

const PRODUCE: i16 = 0;
const ECHO: i16 = 3;
const PANIC: i16 = 100;
const NO_RESPONSE: i16 = 101;
const CLOSE: i16 = 102;
const WAIT: i16 = 103;
const SEND_FILE: i16 = 104;
const SHORT_FILE: i16 = 105;
const POLL: i16 = 106;

/// Answers with the body it got, unless the API key says otherwise.
#[derive(Debug, Default)]
struct Echo {
    go_on: Notify,
    waiting: AtomicUsize,
}

impl Dispatch for Echo {
    async fn dispatch(&self, cx: RequestContext, body: Bytes) -> Reply {
        let mut frame = FrameBuilder::new(cx.header.correlation_id, 0);
        match cx.header.api_key {
            PANIC => panic!("as the test asks for"),
            NO_RESPONSE => return Reply::NoResponse,
            CLOSE => return Reply::Close,
            WAIT | POLL => {
                let _waiting = Waiting::new(&self.waiting);
                self.go_on.notified().await;
            }
            SEND_FILE | SHORT_FILE => {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&[b'x'; 10]).unwrap();
                file.write_all(&body).unwrap();
                let extra = usize::from(cx.header.api_key == SHORT_FILE);
                frame.push_bytes(Bytes::from_static(b"before "));
                frame.push_file(Arc::new(file), 10, body.len() + extra);
                frame.push_bytes(Bytes::from(vec![b'.'; 600]));
                return Reply::Frame(frame.finish().unwrap());
            }
            _ => {}
        }
        frame.push_bytes(body);
        Reply::Frame(frame.finish().unwrap())
    }

    fn is_long_poll(&self, api_key: i16) -> bool {
        api_key == POLL
    }
}

/// One more request that waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Server {
    network: Network,
    echo: Arc<Echo>,
    address: SocketAddr,
}

fn start(config: NetworkConfig) -> Server {
    let listener = ListenerConfig {
        name: "PLAINTEXT".into(),
        host: "127.0.0.1".to_owned(),
        port: 0,
        backlog: 50,
    };
    let bound = BoundListener::bind(&listener, &config).unwrap();
    let address = bound.local_addr();
    let echo = Arc::new(Echo::default());
    let network = Network::start(vec![bound], config, Arc::clone(&echo));
    Server {
        network,
        echo,
        address,
    }
}

fn request(api_key: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_i32(i32::try_from(10 + body.len()).unwrap());
    out.put_i16(api_key);
    out.put_i16(0);
    out.put_i32(correlation_id);
    out.put_i16(-1);
    out.put_slice(body);
    out.to_vec()
}

/// The next response: its correlation id and body.
async fn response(stream: &mut TcpStream) -> (i32, Vec<u8>) {
    let size = stream.read_i32().await.unwrap();
    let correlation_id = stream.read_i32().await.unwrap();
    let mut body = vec![0; usize::try_from(size - 4).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (correlation_id, body)
}

/// Whether the server has closed the connection without another byte.
async fn is_closed(stream: &mut TcpStream) -> bool {
    stream.read_u8().await.is_err()
}

/// Polls a condition without sleeping: the other tasks of the runtime go on in between.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_however_their_bytes_arrive() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut sent = Vec::new();
    for id in 0..50 {
        sent.extend(request(
            ECHO,
            id,
            &vec![b'a'; usize::try_from(id).unwrap() * 400],
        ));
    }
    for step in [sent.len(), 1000, 7] {
        for piece in sent.chunks(step) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        for id in 0..50 {
            let (correlation_id, body) = response(&mut stream).await;
            assert_eq!(
                (correlation_id, body.len()),
                (id, usize::try_from(id).unwrap() * 400)
            );
        }
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_request_behind_it() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let sent = [
        request(ECHO, 1, b"a"),
        request(ECHO, 2, b"b"),
        request(WAIT, 3, b"c"),
        request(ECHO, 4, b"d"),
    ];
    stream.write_all(&sent.concat()).await.unwrap();
    assert_eq!(response(&mut stream).await, (1, b"a".to_vec()));
    assert_eq!(response(&mut stream).await, (2, b"b".to_vec()));
    eventually("the third is handled", || {
        server.echo.waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    server.echo.go_on.notify_one();
    assert_eq!(response(&mut stream).await, (3, b"c".to_vec()));
    assert_eq!(response(&mut stream).await, (4, b"d".to_vec()));
}

#[tokio::test]
async fn what_was_answered_is_sent_before_the_connection_is_closed() {
    let bad_header = [&[0, 0, 0, 12][..], &[0, 3, 0, 1, 0, 0, 0, 1, 0, 100, 0, 0]].concat();
    let bad_size = vec![0xff; 4];
    for last in [request(CLOSE, 3, b""), bad_header, bad_size] {
        let server = start(NetworkConfig::default());
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let sent = [request(ECHO, 1, b"a"), request(ECHO, 2, b"b"), last];
        stream.write_all(&sent.concat()).await.unwrap();
        assert_eq!(response(&mut stream).await, (1, b"a".to_vec()));
        assert_eq!(response(&mut stream).await, (2, b"b".to_vec()));
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn frames_of_every_size_follow_each_other_on_a_connection() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let sizes = [
        1, 8178, 8179, 16_000, 16_000, 65_522, 65_523, 3, 100_000, 30_000, 9000, 2, 300_000, 8190,
    ];
    let body = |size: usize| -> Vec<u8> { (0..size).map(|i| (i % 249) as u8).collect() };
    let sent: Vec<u8> = (1..)
        .zip(sizes)
        .flat_map(|(id, size)| request(ECHO, id, &body(size)))
        .collect();
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all(&sent).await.unwrap() };
    let read = async {
        for (id, size) in (1..).zip(sizes) {
            let frame = reader.read_i32().await.unwrap();
            assert_eq!(reader.read_i32().await.unwrap(), id);
            let mut received = vec![0; usize::try_from(frame - 4).unwrap()];
            reader.read_exact(&mut received).await.unwrap();
            assert!(received == body(size), "{size}");
        }
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_large_frame_arrives_whole_and_leaves_the_next_one_alone() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut sent = request(ECHO, 1, &body);
    sent.extend(request(ECHO, 2, b"next"));
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all(&sent).await.unwrap() };
    let read = async {
        let size = reader.read_i32().await.unwrap();
        let mut first = vec![0; usize::try_from(size).unwrap()];
        reader.read_exact(&mut first).await.unwrap();
        assert!(first[4..] == body);
    };
    tokio::join!(write, read);
    assert_eq!(response(&mut stream).await, (2, b"next".to_vec()));
}

#[tokio::test]
async fn a_request_without_response_leaves_no_trace_in_the_order() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let sent = [request(NO_RESPONSE, 1, b"a"), request(ECHO, 2, b"b")].concat();
    stream.write_all(&sent).await.unwrap();
    assert_eq!(response(&mut stream).await, (2, b"b".to_vec()));
}

#[tokio::test]
async fn frames_of_impossible_sizes_close_the_connection_before_anything_is_read() {
    let config = NetworkConfig {
        socket_request_max_bytes: 1000,
        other_request_max_bytes: 100,
        ..NetworkConfig::default()
    };
    let server = start(config);
    let head = |size: i32, key: i16| [&size.to_be_bytes()[..], &key.to_be_bytes()].concat();
    for refused in [
        head(-1, PRODUCE),
        head(0, PRODUCE),
        head(7, PRODUCE),
        head(i32::MIN, PRODUCE),
        head(i32::MAX, PRODUCE),
        head(1001, PRODUCE),
        head(101, ECHO),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&refused).await.unwrap();
        assert!(is_closed(&mut stream).await, "{refused:?}");
    }
    for (key, len) in [(PRODUCE, 990), (ECHO, 90)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(&request(key, 1, &vec![1; len]))
            .await
            .unwrap();
        assert_eq!(response(&mut stream).await.1.len(), len);
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_read_closes_the_connection() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // A client id of 100 bytes in a frame that ends after it has begun.
    let mut frame = vec![0, 0, 0, 12];
    frame.extend([0, 3, 0, 1, 0, 0, 0, 1, 0, 100, b'a', b'b']);
    stream.write_all(&frame).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_at_the_first_frame_deadline() {
    let server = start(NetworkConfig::default());
    for sent in [&b""[..], &[0, 0], &[0, 0, 0, 20, 0, 3]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        eventually("accepted", || server.network.connection_count() == 1).await;
        tokio::time::pause();
        let begun = Instant::now();
        assert!(is_closed(&mut stream).await);
        let waited = begun.elapsed().as_secs();
        assert!((9..=11).contains(&waited), "{sent:?}: {waited} s");
        tokio::time::resume();
        eventually("closed", || server.network.connection_count() == 0).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_a_stalled_frame_much_earlier() {
    let server = start(NetworkConfig::default());
    for (sent, seconds) in [(&b""[..], 600), (&[0, 0, 0, 20, 0, 3, 0], 30)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&request(ECHO, 1, b"hello")).await.unwrap();
        response(&mut stream).await;
        tokio::time::pause();
        let begun = Instant::now();
        stream.write_all(sent).await.unwrap();
        assert!(is_closed(&mut stream).await);
        let waited = begun.elapsed().as_secs();
        assert!(
            (seconds - 1..=seconds + 1).contains(&waited),
            "{sent:?}: {waited} s"
        );
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_closes_its_own_connection_only() {
    let server = start(NetworkConfig::default());
    let mut other = TcpStream::connect(server.address).await.unwrap();
    other.write_all(&request(ECHO, 1, b"a")).await.unwrap();
    response(&mut other).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request(PANIC, 1, b"")).await.unwrap();
    assert!(is_closed(&mut stream).await);
    other.write_all(&request(ECHO, 2, b"b")).await.unwrap();
    assert_eq!(response(&mut other).await, (2, b"b".to_vec()));
    eventually("the slot is given back", || {
        server.network.connection_count() == 1
    })
    .await;
}

#[tokio::test]
async fn file_ranges_are_sent_between_bytes_and_a_short_file_closes_the_connection() {
    let server = start(NetworkConfig::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body: Vec<u8> = (0..2_000_000u32).map(|i| (i % 241) as u8).collect();
    let (mut reader, mut writer) = stream.split();
    let sent = request(SEND_FILE, 5, &body);
    let write = async { writer.write_all(&sent).await.unwrap() };
    let read = async {
        let size = usize::try_from(reader.read_i32().await.unwrap()).unwrap();
        let mut all = vec![0; size];
        reader.read_exact(&mut all).await.unwrap();
        let expected = [&5i32.to_be_bytes()[..], b"before ", &body, &[b'.'; 600]].concat();
        assert!(all == expected);
    };
    tokio::join!(write, read);
    stream
        .write_all(&request(SHORT_FILE, 6, b"abc"))
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.ends_with(b"before abc"), "{rest:?}");
}

#[tokio::test]
async fn an_address_gets_no_more_connections_than_its_limit() {
    let config = NetworkConfig {
        max_connections_per_ip: 2,
        ..NetworkConfig::default()
    };
    let server = start(config);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&request(ECHO, 1, b"a")).await.unwrap();
        response(&mut stream).await;
        streams.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(is_closed(&mut third).await);
    drop(streams.pop());
    eventually("one is gone", || server.network.connection_count() == 1).await;
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    fourth.write_all(&request(ECHO, 4, b"a")).await.unwrap();
    assert_eq!(response(&mut fourth).await.0, 4);
}

#[tokio::test]
async fn overrides_and_changed_limits_count_for_new_connections() {
    let ip = "127.0.0.1".parse().unwrap();
    let config = NetworkConfig {
        max_connections_per_ip: 0,
        max_connections_per_ip_overrides: HashMap::from([(ip, 1)]),
        ..NetworkConfig::default()
    };
    let server = start(config.clone());
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&request(ECHO, 1, b"a")).await.unwrap();
    response(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(is_closed(&mut second).await);
    server.network.limits().update(&NetworkConfig {
        max_connections_per_ip_overrides: HashMap::from([(ip, 2)]),
        ..config
    });
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(&request(ECHO, 3, b"a")).await.unwrap();
    assert_eq!(response(&mut third).await.0, 3);
}

#[tokio::test]
async fn at_the_total_limit_a_connection_waits_for_another_to_close() {
    let config = NetworkConfig {
        max_connections: 1,
        ..NetworkConfig::default()
    };
    let server = start(config);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&request(ECHO, 1, b"a")).await.unwrap();
    response(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(&request(ECHO, 2, b"b")).await.unwrap();
    assert_eq!(server.network.connection_count(), 1);
    drop(first);
    assert_eq!(response(&mut second).await.0, 2);
}

#[tokio::test]
async fn announced_frames_that_do_not_come_hold_up_neither_small_ones_nor_large_ones() {
    let config = NetworkConfig {
        queued_max_request_bytes: 12 * 1024 * 1024,
        socket_request_max_bytes: 4 * 1024 * 1024,
        ..NetworkConfig::default()
    };
    let server = start(config);
    // Each announces more than what is left of the memory, and sends none of it.
    let mut idle = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = [0, 0x3f, 0xff, 0xff, 0, 0, 0, 0];
        stream.write_all(&head).await.unwrap();
        idle.push(stream);
    }
    eventually("all are read", || server.network.connection_count() == 8).await;
    let mut small = TcpStream::connect(server.address).await.unwrap();
    small
        .write_all(&request(PRODUCE, 1, &vec![1; 500_000]))
        .await
        .unwrap();
    assert_eq!(response(&mut small).await.0, 1);
    let mut large = TcpStream::connect(server.address).await.unwrap();
    let body = vec![2; 3_000_000];
    let (mut reader, mut writer) = large.split();
    let sent = request(PRODUCE, 2, &body);
    let write = async { writer.write_all(&sent).await.unwrap() };
    let read = async { reader.read_i32().await.unwrap() };
    let (_, size) = tokio::join!(write, read);
    assert_eq!(size, 3_000_004);
}

#[tokio::test]
async fn a_long_poll_ends_with_its_client_and_other_requests_do_not() {
    let server = start(NetworkConfig::default());
    let waiting = || server.echo.waiting.load(Ordering::SeqCst);
    for sent_ahead in [0, 1, 100] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let mut sent = request(POLL, 1, b"");
        for id in 0..sent_ahead {
            sent.extend(request(ECHO, id, b"ahead"));
        }
        stream.write_all(&sent).await.unwrap();
        eventually("the poll waits", || waiting() == 1).await;
        drop(stream);
        eventually("the poll is given up", || waiting() == 0).await;
        eventually("the slot is free", || {
            server.network.connection_count() == 0
        })
        .await;
    }
    // What was sent ahead of the answer is answered after it, however much it is.
    for len in [10, 5_000, 300_000] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let body = vec![3; len];
        let sent = [
            request(POLL, 1, b"poll"),
            request(PRODUCE, 2, &body),
            request(ECHO, 3, b"last"),
        ];
        stream.write_all(&sent.concat()).await.unwrap();
        eventually("the poll waits", || waiting() == 1).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        server.echo.go_on.notify_one();
        assert_eq!(response(&mut stream).await, (1, b"poll".to_vec()));
        assert_eq!(response(&mut stream).await, (2, body));
        assert_eq!(response(&mut stream).await, (3, b"last".to_vec()));
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request(WAIT, 1, b"")).await.unwrap();
    eventually("it waits", || waiting() == 1).await;
    drop(stream);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting(), 1, "a change is carried out to its end");
    server.echo.go_on.notify_one();
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_closes_the_rest() {
    let server = start(NetworkConfig::default());
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(&request(ECHO, 1, b"a")).await.unwrap();
    response(&mut idle).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&[request(WAIT, 2, b"b"), request(ECHO, 3, b"c")].concat())
        .await
        .unwrap();
    eventually("in flight", || {
        server.echo.waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    let stop = server.network.shutdown(Duration::from_secs(60));
    let watch = async {
        assert!(is_closed(&mut idle).await);
        server.echo.go_on.notify_one();
        assert_eq!(response(&mut busy).await, (2, b"b".to_vec()));
        assert!(
            is_closed(&mut busy).await,
            "a request that was not begun is not answered"
        );
    };
    tokio::join!(stop, watch);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_gives_up_on_requests_after_the_grace_period() {
    let server = start(NetworkConfig::default());
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&request(WAIT, 1, b"")).await.unwrap();
    eventually("in flight", || {
        server.echo.waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    tokio::time::pause();
    let begun = Instant::now();
    server.network.shutdown(Duration::from_secs(5)).await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(is_closed(&mut busy).await);
}

#[test]
fn a_frame_says_its_own_size_and_keeps_shared_bytes_shared() {
    for (header_version, head) in [(0, &[0, 0, 0, 9][..]), (1, &[0, 0, 0, 9, 0])] {
        let shared = Bytes::from(vec![7; 5000]);
        let mut builder = FrameBuilder::new(9, header_version);
        builder.buffer().put_u8(1);
        builder.push_bytes(shared.clone());
        builder.push_bytes(Bytes::from_static(b"tail"));
        let frame = builder.finish().unwrap();
        let bytes = frame.to_bytes().unwrap();
        let expected = [head, &[1], &shared, b"tail"].concat();
        assert_eq!(
            bytes[..4],
            u32::try_from(expected.len()).unwrap().to_be_bytes()
        );
        assert_eq!(bytes[4..], expected);
        assert_eq!(frame.size_in_bytes(), expected.len() + 4);
        let is_shared = |segment: &Segment| match segment {
            Segment::Bytes(bytes) => bytes.as_ptr() == shared.as_ptr(),
            Segment::File { .. } => false,
        };
        assert!(frame.segments().iter().any(is_shared));
    }
}

#[test]
fn listeners_bind_to_every_kind_of_host() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let bind = |host: &str, port| {
        let listener = ListenerConfig {
            name: "A".into(),
            host: host.to_owned(),
            port,
            backlog: 5,
        };
        BoundListener::bind(&listener, &NetworkConfig::default())
    };
    for host in ["", "127.0.0.1", "localhost", "0.0.0.0"] {
        assert_ne!(bind(host, 0).unwrap().local_addr().port(), 0, "{host}");
    }
    let taken = bind("127.0.0.1", 0).unwrap();
    let error = bind("127.0.0.1", taken.local_addr().port()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
