//! Devices of the machine that modules can be given: what is plugged in, and what of it a module may have
//! (protocol, section 3, row `devices`).

mod class;
mod node;
mod scan;
mod watching;

pub(crate) use node::{Node, nodes};
pub(crate) use scan::scan;
pub(crate) use watching::follow;
