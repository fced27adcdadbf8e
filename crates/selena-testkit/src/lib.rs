//! For tests of modules, in any language: a hub in memory that a module meets as a plain process.
//!
//! Entry point: [`FakeHub`]. It is made of the hub's own parts: its API, its HTTP server, its store in memory and its
//! webhook client, so what it grants and refuses is what a hub grants and refuses. Only the container is missing:
//! the module runs beside it, and what would need a container is refused.
//! For tests of the hub's own crates there are [`memory_api`] and [`NoCalls`].
//! The program `fake-hub` is the same for other languages: it prints the environment and takes orders line by line.
#![warn(missing_docs)]

mod answers;
mod assembly;
mod expectations;
mod fake_hub;
mod loopback;
mod memory_api;
mod port;
mod process;
mod refusing;
mod signed;
mod tap;

pub use answers::ModuleAnswer;
pub use fake_hub::FakeHub;
pub use loopback::LoopbackSandbox;
pub use memory_api::{hub_info, memory_api};
pub use process::ModuleProcess;
pub use refusing::{NoCalls, no_backups};
pub use selena_types::{Device, DeviceId, DeviceKind, Event};
pub use tap::SeenRequest;
