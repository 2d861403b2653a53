//! The `siemgate` binary: one allocator, one command, one exit code.

use std::process::ExitCode;

/// The data path makes and frees many small buffers on several threads, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    siemgate::cli::main()
}
