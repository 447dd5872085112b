//! The two halves of an HTTP/1.1 connection, on readers and writers that give and take as little as a test wants.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tidegate_engine::head::Head;
use tidegate_engine::respond::Failure;
use tidegate_engine::sides::{Filled, Source};
use tidegate_engine::wire::inbound::{Inbound, ReadError};
use tidegate_engine::wire::outbound::{Framing, Outbound};
use tidegate_http1::BodyLength;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives one piece a read, and says `Pending` between two.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    rests: bool,
}

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Self {
        let mut pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        pieces.retain(|piece| !piece.is_empty());
        pieces.reverse();
        Self { pieces, rests: false }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.rests = !self.rests;
        if self.rests {
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop() {
            let count = piece.len().min(into.remaining());
            into.put_slice(&piece[..count]);
            piece.drain(..count);
            if !piece.is_empty() {
                self.pieces.push(piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes that many bytes, then no more until it is granted.
#[derive(Default)]
struct Slow {
    written: Vec<u8>,
    room: usize,
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = self.room.min(bytes.len());
        if count == 0 {
            return Poll::Pending;
        }
        self.room -= count;
        self.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Text(Vec<u8>);

impl Source for Text {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Filled, Failure>> {
        Poll::Ready(Ok(if self.0.is_empty() { Filled::End } else { Filled::Data }))
    }

    fn chunk(&self) -> &[u8] {
        &self.0
    }

    fn consume(&mut self, count: usize) {
        self.0.drain(..count);
    }

    fn is_last(&self) -> bool {
        false
    }

    fn trailers(&self) -> Option<&Head> {
        None
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Reads to the end, taking at most `most` bytes of a chunk at a time.
fn read(inbound: &mut Inbound, from: &mut Pieces, most: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    let mut idle = 0;
    loop {
        match inbound.poll_fill(&mut context(), from) {
            Poll::Ready(Ok(Filled::Data)) => {
                let count = inbound.chunk().len().min(most);
                body.extend_from_slice(&inbound.chunk()[..count]);
                inbound.consume(count);
            }
            Poll::Ready(Ok(Filled::End)) => return Ok(body),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => idle += 1,
        }
        assert!(idle < 1000, "stands still");
    }
}

#[test]
fn a_body_split_at_every_byte_reads_the_same_and_leaves_what_follows() {
    let cases: [(BodyLength, &[u8], &[u8]); 3] = [
        (BodyLength::Length(13), b"hello, world!", b"hello, world!"),
        (BodyLength::Chunked, b"7\r\nhello, \r\n6;x=y\r\nworld!\r\n0\r\nT: u\r\n\r\n", b"hello, world!"),
        (BodyLength::Length(0), b"", b""),
    ];
    for (length, wire, payload) in cases {
        let message = [wire, b"NEXT"].concat();
        for first in 0..=wire.len() {
            for most in [1, 5, usize::MAX] {
                let mut inbound = Inbound::default();
                inbound.buffer.push(&message[..first]);
                inbound.begin(length, 100);
                let mut rest = Pieces::new(&[&message[first..]]);
                assert_eq!(read(&mut inbound, &mut rest, most).unwrap(), payload, "{length:?} at {first}");
                inbound.finish();
                assert!(inbound.is_done());
                let unread: Vec<u8> = rest.pieces.concat();
                assert_eq!([inbound.buffer.data(), &unread].concat(), b"NEXT", "{length:?} at {first}");
            }
        }
    }
}

#[test]
fn trailers_are_there_after_the_end_and_only_then() {
    let mut inbound = Inbound::default();
    inbound.begin(BodyLength::Chunked, 100);
    assert!(inbound.trailers().is_none());
    read(&mut inbound, &mut Pieces::new(&[b"1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"]), 1).unwrap();
    let trailers = inbound.trailers().expect("they came");
    assert_eq!(trailers.get(b"x-sum"), Some(&b"1"[..]));
    assert_eq!(trailers.get(b"content-length"), None, "framing does not belong there");
}

#[test]
fn a_body_that_stops_within_is_cut_and_one_that_ends_by_closing_is_not() {
    for (length, wire) in
        [(BodyLength::Length(5), &b"half"[..]), (BodyLength::Chunked, b"5\r\nhalf"), (BodyLength::Chunked, b"0\r\n")]
    {
        let mut inbound = Inbound::default();
        inbound.begin(length, 100);
        assert!(matches!(read(&mut inbound, &mut Pieces::new(&[wire]), 9), Err(ReadError::Cut)), "{length:?}");
    }
    let mut inbound = Inbound::default();
    inbound.begin(BodyLength::Close, 100);
    assert_eq!(read(&mut inbound, &mut Pieces::new(&[b"all", b" of it"]), 9).unwrap(), b"all of it");
}

#[test]
fn the_limit_counts_payload() {
    for (wire, fits) in
        [(&b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"[..], true), (b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", false)]
    {
        let mut inbound = Inbound::default();
        inbound.begin(BodyLength::Chunked, 5);
        match read(&mut inbound, &mut Pieces::new(&[wire]), 9) {
            Ok(body) => assert!(fits && body == b"abcde"),
            Err(error) => assert!(!fits && matches!(error, ReadError::TooLarge)),
        }
    }
}

#[test]
fn a_body_that_came_with_its_head_is_sent_again_from_its_first_byte() {
    let mut inbound = Inbound::default();
    inbound.buffer.push(b"whole bodyNEXT");
    inbound.begin(BodyLength::Length(10), 100);
    let mut nothing = Pieces::new(&[]);
    for _ in 0..3 {
        assert_eq!(read(&mut inbound, &mut nothing, 4).unwrap(), b"whole body");
        assert!(inbound.rewind());
    }
    inbound.finish();
    assert_eq!(inbound.buffer.data(), b"NEXT");
}

#[test]
fn a_long_body_of_which_a_part_has_gone_is_not_sent_again() {
    let mut inbound = Inbound::default();
    inbound.buffer.push(b"part");
    inbound.begin(BodyLength::Length(1 << 20), 1 << 20);
    let mut rest = Pieces::new(&[b" of it"]);
    assert!(inbound.rewind(), "nothing was taken yet");
    while inbound.poll_fill(&mut context(), &mut rest).is_pending() {}
    assert!(inbound.rewind(), "nothing was taken yet");
    inbound.consume(1);
    assert!(!inbound.rewind());
}

#[test]
fn a_peer_that_never_quite_keeps_up_does_not_make_the_output_grow() {
    // What was written stayed in front of what was gathered, as long as the output never ran empty.
    for framing in [Framing::Raw, Framing::Chunked(0), Framing::Length(u64::MAX)] {
        let mut outbound = Outbound::default();
        outbound.begin(framing);
        let mut peer = Slow::default();
        let mut sent = 0;
        for _ in 0..10_000 {
            let mut piece = Text(vec![b'x'; 100]);
            while !piece.0.is_empty() {
                if outbound.poll_send(&mut context(), &mut peer, &mut piece).is_pending() {
                    peer.room += 64;
                    let _ = outbound.poll_flush(&mut context(), &mut peer);
                }
            }
            sent += 100;
            assert!(outbound.out.len() < 64 * 1024, "{framing:?}: {} bytes after {sent}", outbound.out.len());
        }
        assert_eq!(outbound.bytes, 1_000_000);
    }
}

#[test]
fn chunks_come_out_whole_however_little_the_peer_takes() {
    for room in [1, 2, 3, 7, 100] {
        let mut outbound = Outbound::default();
        outbound.begin(Framing::Chunked(0));
        let mut peer = Slow::default();
        for size in [1, 20_000, 3, 70_000] {
            let mut piece = Text(vec![b'x'; size]);
            while !piece.0.is_empty() {
                if outbound.poll_send(&mut context(), &mut peer, &mut piece).is_pending() {
                    peer.room += room * 100;
                }
            }
        }
        outbound.end(None);
        peer.room = usize::MAX;
        assert!(matches!(outbound.poll_flush(&mut context(), &mut peer), Poll::Ready(Ok(()))));
        let mut inbound = Inbound::default();
        inbound.begin(BodyLength::Chunked, u64::MAX);
        let body = read(&mut inbound, &mut Pieces::new(&[&peer.written]), usize::MAX).unwrap();
        assert_eq!(body.len(), 90_004);
    }
}

#[test]
fn a_body_shorter_or_longer_than_it_says_is_never_whole() {
    let mut outbound = Outbound::default();
    outbound.begin(Framing::Length(5));
    let mut peer = Slow { room: usize::MAX, ..Slow::default() };
    assert!(outbound.poll_send(&mut context(), &mut peer, &mut Text(b"half".to_vec())).is_ready());
    outbound.end(None);
    assert!(!outbound.is_complete());
    outbound.begin(Framing::Length(2));
    let mut text = Text(b"long".to_vec());
    assert!(matches!(outbound.poll_send(&mut context(), &mut peer, &mut text), Poll::Ready(Ok(()))));
    assert!(matches!(outbound.poll_send(&mut context(), &mut peer, &mut text), Poll::Ready(Err(_))));
}
