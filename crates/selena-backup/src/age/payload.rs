//! The content of an encrypted file: chunks of 64 KiB, each sealed with its number and whether it is the last one.

use std::io::{self, BufRead, Read, Write};

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, AeadInOut},
};
use zeroize::Zeroize;

use super::{AgeError, Header, Key, Lock, kdf::FileKey};

const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// Seals or opens chunk after chunk.
struct Chunks {
    cipher: ChaCha20Poly1305,
    number: u64,
}

impl Chunks {
    fn new(file_key: &FileKey, nonce: &[u8; 16]) -> Self {
        let key = file_key.derive(nonce, "payload");
        Self { cipher: ChaCha20Poly1305::new((&*key).into()), number: 0 }
    }

    fn nonce(&self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = last.into();
        nonce
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) {
        let nonce = self.nonce(last);
        self.cipher.encrypt_in_place(&nonce.into(), &[], chunk).expect("a chunk is not too long");
        self.number += 1;
    }

    fn open(&mut self, sealed: &[u8], last: bool) -> Option<Vec<u8>> {
        let opened = self.cipher.decrypt(&self.nonce(last).into(), sealed).ok();
        self.number += 1;
        opened
    }
}

/// Encrypts what is written to it. Without [`Encrypting::finish`] nobody takes the file for whole.
pub struct Encrypting<W> {
    into: W,
    chunks: Chunks,
    chunk: Vec<u8>,
}

impl<W> std::fmt::Debug for Encrypting<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encrypting")
    }
}

impl<W: Write> Encrypting<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// [`AgeError::Io`], [`AgeError::NoRandomness`]; [`AgeError::WrongKey`] for a recipient that protects nothing.
    pub fn new(mut into: W, lock: &Lock) -> Result<Self, AgeError> {
        let (header, file_key) = Header::write(lock)?;
        let nonce = super::random()?;
        into.write_all(header.as_bytes())?;
        into.write_all(&nonce)?;
        Ok(Self { into, chunks: Chunks::new(&file_key, &nonce), chunk: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) })
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// What is written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        self.into.flush()?;
        Ok(self.into)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.chunk, last);
        self.into.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only now it is known that the chunk before is not the last one.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is read through it; what it gives was not changed, and its end is the file's.
pub struct Decrypting<R> {
    from: R,
    chunks: Chunks,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R> std::fmt::Debug for Decrypting<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypting")
    }
}

impl<R: BufRead> Decrypting<R> {
    /// Reads the header, tries the key, and reads nothing further if it is the wrong one.
    ///
    /// # Errors
    /// As [`Header::read`] and [`Header::open`].
    pub fn new(mut from: R, key: &Key) -> Result<Self, AgeError> {
        let file_key = Header::read(&mut from)?.open(key)?;
        let mut nonce = [0; 16];
        match from.read_exact(&mut nonce) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(AgeError::Header("it is cut")),
            read => read?,
        }
        let chunks = Chunks::new(&file_key, &nonce);
        Ok(Self { from, chunks, chunk: Vec::new(), at: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        let full = CHUNK_BYTES + TAG_BYTES;
        Read::take(&mut self.from, full as u64).read_to_end(&mut sealed)?;
        let last = self.from.fill_buf()?.is_empty();
        let is_first = self.chunks.number == 0;
        let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, AgeError::Payload(what));
        let opened = self.chunks.open(&sealed, last);
        let opened = opened.ok_or_else(|| damaged(if last { "cut or damaged" } else { "damaged" }))?;
        if opened.is_empty() && !is_first {
            return Err(damaged("damaged: it ends with an empty piece"));
        }
        self.chunk.zeroize();
        (self.chunk, self.at, self.ended) = (opened, 0, last);
        Ok(())
    }
}

impl<R: BufRead> Read for Decrypting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let taken = into.len().min(self.chunk.len() - self.at);
        into[..taken].copy_from_slice(&self.chunk[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}
