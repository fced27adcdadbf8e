//! Messages as bytes: bincode's encoding with fixed-width integers and u32 tags.

use wincode::{
    ReadResult, SchemaRead, SchemaWrite, WriteResult,
    config::{self, ConfigCore, Configuration},
};

use crate::packet::MAX_PACKET_BYTES;

/// Longest message that travels in a file, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

/// What a length in a packet may make the reader allocate, in bytes: no more than the packet can hold.
type InPacket = Configuration<true, MAX_PACKET_BYTES>;
/// The same for a message in a file.
type InFile = Configuration<true, MAX_FILE_BYTES>;

/// Encodes a message.
pub(crate) fn encode<T: SchemaWrite<InFile, Src = T>>(message: &T) -> WriteResult<Vec<u8>> {
    config::serialize(message, InFile::new())
}

/// Decodes a packet; every byte of it has to belong to the message.
pub(crate) fn decode<'de, T: SchemaRead<'de, InPacket, Dst = T>>(packet: &'de [u8]) -> ReadResult<T> {
    const { assert!(<InPacket as ConfigCore>::PREALLOCATION_SIZE_LIMIT.is_some()) };
    config::deserialize_exact(packet, InPacket::new())
}

/// Decodes a message that came in a file.
pub(crate) fn decode_file<'de, T: SchemaRead<'de, InFile, Dst = T>>(bytes: &'de [u8]) -> ReadResult<T> {
    config::deserialize_exact(bytes, InFile::new())
}
