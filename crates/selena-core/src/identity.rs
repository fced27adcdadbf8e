//! Who asks.
/// Where a request came in.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The host's listener.
    Host,
}
