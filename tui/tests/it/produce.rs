//! Writing one message over a connection that breaks at the worst moment.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_protocol::messages::ApiKey;
use kafka_shared::protocol::frame::FrameBuffer;
use kafka_shared::protocol::header;
use kafka_shared::task;
use kafka_tui::cluster::ReadMessages;
use kafka_tui::ops::{Action, CreateTopic, ProduceMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers that are lost.
const LOST: usize = 2;

const FRAME_BYTES_MAX: usize = 1 << 20;

/// Between the client and the broker: loses the first answers to Produce, with the connection.
#[derive(Default)]
struct Lossy {
    broker: OnceLock<SocketAddr>,
    produced: AtomicUsize,
}

impl Lossy {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            let lossy = Arc::clone(&self);
            drop(task::spawn("lossy", async move {
                // Whoever goes away ends this connection only.
                let _ = lossy.connection(socket).await;
            }));
        }
    }

    async fn connection(&self, mut client: TcpStream) -> std::io::Result<()> {
        let address = self.broker.get().expect("the broker runs");
        let mut broker = TcpStream::connect(address).await?;
        let mut requests = FrameBuffer::new(FRAME_BYTES_MAX);
        let mut answers = FrameBuffer::new(FRAME_BYTES_MAX);
        loop {
            let Some(request) = next(&mut client, &mut requests).await? else {
                return Ok(());
            };
            send(&mut broker, &request).await?;
            let Some(answer) = next(&mut broker, &mut answers).await? else {
                return Ok(());
            };
            let parsed = header::parse_request_header(&mut request.clone());
            let is_produce = parsed.is_ok_and(|header| header.api() == Some(ApiKey::Produce));
            if is_produce && self.produced.fetch_add(1, Ordering::SeqCst) < LOST {
                return Ok(());
            }
            send(&mut client, &answer).await?;
        }
    }
}

async fn next(
    socket: &mut TcpStream,
    frames: &mut FrameBuffer,
) -> std::io::Result<Option<bytes::Bytes>> {
    loop {
        if let Some(frame) = frames.next_frame().map_err(std::io::Error::other)? {
            return Ok(Some(frame));
        }
        if socket.read_buf(frames.space()).await? == 0 {
            return Ok(None);
        }
    }
}

async fn send(socket: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).expect("it is bounded");
    socket.write_all(&length.to_be_bytes()).await?;
    socket.write_all(frame).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_acknowledgement_is_lost_is_there_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lossy = Arc::new(Lossy::default());
    drop(task::spawn("lossy", Arc::clone(&lossy).serve(listener)));
    let advertised = format!("advertised.listeners=PLAINTEXT://{address}");
    let settings = [&SETTINGS[..], &[&*advertised]].concat();
    let broker = TestBroker::start(&settings).await.unwrap();
    lossy.broker.set(broker.address()).unwrap();

    let client = client(&[address.to_string().parse().unwrap()]);
    let topic = unique("once");
    let create = CreateTopic {
        name: topic.clone(),
        partitions: Some(1),
        ..CreateTopic::default()
    };
    make(&client, Action::CreateTopic(create)).await;
    let message = ProduceMessage {
        topic: topic.clone(),
        value: Some(b"once".to_vec()),
        ..ProduceMessage::default()
    };
    assert_eq!(client.produce(&message).await.unwrap(), (0, 0));
    let sent = lossy.produced.load(Ordering::SeqCst);
    assert_eq!(sent, LOST + 1, "it was sent until it was acknowledged");
    let read = ReadMessages {
        topic,
        ..ReadMessages::default()
    };
    let (messages, _) = client.read_messages(&read).await.unwrap();
    assert_eq!(messages.len(), 1, "and written once");
    broker.stop().await.unwrap();
}
