//! Server-sent events, from bytes as they come.

use std::collections::VecDeque;

/// Longest line or event in bytes; the hub's events are at most 1 MiB of JSON.
const MAX_BYTES: usize = 4 << 20;

/// Something is longer than any event of the hub.
#[derive(Debug, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_BYTES} bytes")]
pub(crate) struct TooLong;

/// Reads the `data` of events out of chunks that may be cut anywhere (WHATWG HTML, "Server-sent events").
/// Names and ids of events are not used by the hub and are passed over.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    data: Option<String>,
    after_cr: bool,
    ready: VecDeque<String>,
}

impl SseParser {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), TooLong> {
        for &byte in chunk {
            let ends_crlf = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                _ if ends_crlf => {}
                b'\r' | b'\n' => self.end_line(),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > MAX_BYTES {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The data of the next complete event.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        if line.is_empty() {
            self.ready.extend(self.data.take());
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field != "data" {
            return;
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            Some(data) => data.extend(["\n", value]),
            None => self.data = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        chunks.iter().for_each(|chunk| parser.push(chunk).unwrap());
        std::iter::from_fn(|| parser.next()).collect()
    }

    const STREAM: &str = "\u{feff}: welcome\n\ndata: {\"a\":1}\n\nevent: x\r\nid: 7\r\ndata:{\"ä\":\"灯\"}\r\n\r\n\
                          data: one\rdata:  two\r\rdata\n\n:keep-alive\n\nretry: 3\ndatax: no\n\ndata: cut off";
    const EVENTS: [&str; 4] = ["{\"a\":1}", "{\"ä\":\"灯\"}", "one\n two", ""];

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        let bytes = STREAM.as_bytes();
        assert_eq!(parse(&[bytes]), EVENTS);
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(parse(&[head, tail]), EVENTS, "cut at {at}");
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(parse(&single), EVENTS);
    }

    #[test]
    fn an_endless_line_or_event_is_refused() {
        let mut parser = SseParser::default();
        assert!(parser.push(&vec![b'x'; MAX_BYTES + 1]).is_err());
        let mut parser = SseParser::default();
        let line = [b"data: ", vec![b'x'; 1 << 20].as_slice(), b"\n"].concat();
        assert!((0..5).any(|_| parser.push(&line).is_err()));
    }
}
