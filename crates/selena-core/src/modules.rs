//! Modules.
/// What is stored of a module.
#[derive(Clone, Debug)]
pub struct ModuleRecord {}
