//! A backup on its way to the hub: a form with what opens it, and then the file, read as it is sent.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request,
    body::Frame,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST},
};
use tokio::{fs::File, io::AsyncReadExt, sync::watch};
use zeroize::Zeroizing;

use super::{Sent, broken};
use crate::error::CallError;

/// Ends each part of the form. Nothing in it has to be looked for in the file: only a line of its own counts, which
/// no encrypted file has but by a chance of 1 in 2^200.
const BOUNDARY: &str = "selena-6f1d0b6f6bb24d5b9a2d0c7f58e4f6a1";
/// How much of the file is read at a time, in bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// What is sent.
#[derive(Debug)]
pub(crate) struct Upload {
    /// `identity` or `passphrase`.
    pub(crate) field: &'static str,
    /// What opens it.
    pub(crate) key: Zeroizing<String>,
    /// The backup.
    pub(crate) file: File,
    /// Told how many percent are sent, whenever that is another number.
    pub(crate) sent: watch::Sender<u64>,
}

impl Upload {
    pub(super) async fn request(self, path: &str) -> Result<Request<Sent>, CallError> {
        let size = self.file.metadata().await.map_err(broken)?.len();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"backup\"; filename=\"backup\"\r\n\
             Content-Type: application/age\r\n\r\n",
            self.field, *self.key
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let length = head.len() as u64 + size + tail.len() as u64;
        let (file, sent) = (self.file.take(size), self.sent);
        let content = stream::unfold((file, sent, 0), move |(mut file, sent, done)| async move {
            let mut piece = vec![0; PIECE_BYTES];
            let read = match file.read(&mut piece).await {
                Ok(0) => return None,
                Ok(read) => read,
                Err(error) => return Some((Err(error), (file, sent, done))),
            };
            piece.truncate(read);
            let done = done + read as u64;
            let percent = done * 100 / size.max(1);
            let _nobody_looks = sent.send_if_modified(|told| std::mem::replace(told, percent) != percent);
            Some((Ok(Bytes::from(piece)), (file, sent, done)))
        });
        let once = |text: String| stream::once(async { io::Result::Ok(Bytes::from(text)) });
        let pieces = once(head).chain(content).chain(once(tail)).map(|piece| piece.map(Frame::data));
        Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1{path}"))
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .header(CONTENT_LENGTH, length)
            .body(BodyExt::boxed_unsync(StreamBody::new(pieces)))
            .map_err(broken)
    }
}
