//! What a built program is protected by, as its file says.

use std::collections::BTreeSet;

use anyhow::Context;
use goblin::elf::{
    Elf, ProgramHeader,
    dynamic::{DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DT_BIND_NOW},
    header::ET_DYN,
    program_header::{PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD},
};
use serde::Deserialize;

/// What guards the stack of C code, of the C library.
const STACK_GUARD: &str = "__stack_chk_fail";

/// How names of loaders begin.
const LOADER: &str = "ld-linux";

/// The protections of one program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Protections {
    /// It is placed anywhere in memory.
    pub(super) position_independent: bool,
    /// What the loader writes is read-only once it is done, and it is done before the program begins.
    pub(super) full_relro: bool,
    /// Neither its stack nor any of its memory is writable and executable.
    pub(super) no_execute: bool,
    /// It names no directory of its own for libraries.
    pub(super) no_run_path: bool,
    /// It needs no library and no loader.
    pub(super) is_static: bool,
    /// Its parts in C end when their stack is overwritten. Rust checks what it writes.
    pub(super) stack_protector: bool,
    /// The libraries it names, at most: which of them are used depends on the optimizer. Not the loader, whose name is
    /// another one on each architecture.
    pub(super) libraries: BTreeSet<String>,
}

impl Protections {
    /// Whether these are all that is expected, and not one library more.
    pub(super) fn meet(&self, expected: &Self) -> bool {
        let libraries = expected.libraries.clone();
        self.libraries.is_subset(&libraries) && Self { libraries, ..self.clone() } == *expected
    }
}

/// Reads the protections from a program's file.
///
/// # Errors
/// If it is no ELF file.
pub(super) fn protections(file: &[u8]) -> anyhow::Result<Protections> {
    let elf = Elf::parse(file).context("it is no ELF file")?;
    let segments = |kind| elf.program_headers.iter().filter(move |segment| segment.p_type == kind);
    let writable_code = |segment: &ProgramHeader| segment.p_flags & (PF_W | PF_X) == PF_W | PF_X;
    let (flags, flags_1) = elf.dynamic.as_ref().map_or((0, 0), |dynamic| (dynamic.info.flags, dynamic.info.flags_1));
    let tagged = elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns).any(|entry| entry.d_tag == DT_BIND_NOW);
    let at_once = tagged || flags & DF_BIND_NOW != 0 || flags_1 & DF_1_NOW != 0;
    Ok(Protections {
        position_independent: elf.header.e_type == ET_DYN && flags_1 & DF_1_PIE != 0,
        full_relro: segments(PT_GNU_RELRO).count() > 0 && at_once,
        // Without the header the stack would be executable.
        no_execute: segments(PT_GNU_STACK).count() > 0
            && !segments(PT_GNU_STACK).chain(segments(PT_LOAD)).any(writable_code),
        no_run_path: elf.rpaths.is_empty() && elf.runpaths.is_empty(),
        is_static: elf.interpreter.is_none() && elf.libraries.is_empty(),
        stack_protector: elf.dynsyms.iter().any(|symbol| elf.dynstrtab.get_at(symbol.st_name) == Some(STACK_GUARD)),
        libraries: elf.libraries.iter().filter(|name| !name.starts_with(LOADER)).map(ToString::to_string).collect(),
    })
}
