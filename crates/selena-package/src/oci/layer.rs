//! The bytes of a layer, unpacked and counted: no more of them come out than may.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{
    ImageError, ImageLimits,
    archive::{Archive, Part},
    digest::{Digest, Hasher},
    image::Layer,
    tar_reader::Input,
};
use crate::error::shown;

/// Packed bytes read at once.
const CHUNK: usize = 64 * 1024;

enum Packing<'a> {
    Plain(BufReader<Part<'a>>),
    Gzip(Box<MultiGzDecoder<BufReader<Part<'a>>>>),
}

/// A layer being read.
pub(crate) struct LayerReader<'a> {
    packing: Packing<'a>,
    /// Bytes that may still come out, for the ratio and for the total.
    ratio_left: u64,
    total_left: u64,
    limits: &'a ImageLimits,
    hasher: Option<Hasher>,
}

impl<'a> LayerReader<'a> {
    /// Opens a layer, after its digest was checked: what is damaged does not reach the inflater.
    pub(crate) fn checked(
        archive: &Archive<'a>,
        layer: &Layer,
        limits: &'a ImageLimits,
        total_left: u64,
    ) -> Result<Self, ImageError> {
        if let Some(digest) = layer.digest
            && Digest::of_reader(&mut archive.part(&layer.name)?)? != digest
        {
            return Err(ImageError::Digest(shown(layer.name.as_bytes())));
        }
        let mut reader = Self::again(archive, layer, limits, total_left)?;
        reader.hasher = Some(Hasher::default());
        Ok(reader)
    }

    /// Opens a layer that was checked before.
    pub(crate) fn again(
        archive: &Archive<'a>,
        layer: &Layer,
        limits: &'a ImageLimits,
        total_left: u64,
    ) -> Result<Self, ImageError> {
        let part = archive.part(&layer.name)?;
        let ratio_left = part.left().saturating_mul(limits.ratio).max(limits.ratio_from_bytes);
        let buffered = BufReader::with_capacity(CHUNK, part);
        let packing = if layer.is_gzip {
            Packing::Gzip(Box::new(MultiGzDecoder::new(buffered)))
        } else {
            Packing::Plain(buffered)
        };
        Ok(Self { packing, ratio_left, total_left, limits, hasher: None })
    }

    /// Bytes that the layers behind this one may have.
    pub(crate) fn total_left(&self) -> u64 {
        self.total_left
    }

    /// The digest of all that came out, if it was checked; called when everything was read.
    pub(crate) fn finish(self) -> Option<Digest> {
        self.hasher.map(Hasher::finish)
    }

    fn count(&mut self, read: usize) -> Result<(), ImageError> {
        let read = read as u64;
        let limits = self.limits;
        let too_large = || ImageError::Size { what: "the layers of the image unpack to", limit: limits.total_bytes };
        self.total_left = self.total_left.checked_sub(read).ok_or_else(too_large)?;
        self.ratio_left = self.ratio_left.checked_sub(read).ok_or(ImageError::Ratio(limits.ratio))?;
        Ok(())
    }
}

impl Read for LayerReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.packing {
            Packing::Plain(plain) => plain.read(buffer)?,
            Packing::Gzip(gzip) => gzip.read(buffer).map_err(damaged)?,
        };
        self.count(read)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        Ok(read)
    }
}

impl Input for LayerReader<'_> {}

/// A disk that fails has an error number; what the inflater finds wrong has none.
fn damaged(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => ImageError::corrupt("a layer is not whole gzip").into(),
    }
}

/// What is read through here is read in large steps.
pub(crate) fn buffered<R: Input>(reader: R) -> Buffered<R> {
    Buffered(BufReader::with_capacity(CHUNK, reader))
}

/// A reader with a buffer before it.
#[derive(Debug)]
pub(crate) struct Buffered<R: Read>(BufReader<R>);

impl<R: Read> Buffered<R> {
    /// The reader behind the buffer, which has to be empty.
    pub(crate) fn into_inner(self) -> R {
        self.0.into_inner()
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Input for Buffered<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let there = self.0.fill_buf()?.len();
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let passed = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            self.0.consume(passed);
            left -= passed as u64;
        }
        Ok(())
    }
}
