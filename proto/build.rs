//! Compiles every `.proto` file below `proto/` with a compiler written in Rust, so that building needs no `protoc`.
//!
//! It leaves two files for `src/wire.rs`: `wire.rs`, which nests the generated code by package, and `public.bin`, the
//! descriptors of the public API that gRPC reflection serves.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const ROOT: &str = "proto";
/// Peers speak packages of their own; those are nobody else's to explore.
const PUBLIC_PACKAGE: &str = "siemgate.v1";
/// Messages that carry a secret, a token or a key. `src/wire.rs` gives each a `Debug` that shows nothing of it.
const SECRET: [&str; 6] = [
    ".siemgate.cluster.v1.JoinRequest",
    ".siemgate.cluster.v1.JoinAnswer",
    ".siemgate.v1.InviteResponse",
    ".siemgate.v1.RedeemRequest",
    ".siemgate.v1.RedeemResponse",
    ".siemgate.v1.SecretValue",
];

/// Passed on as it was framed, without decoding a single event; see `src/wire.rs`.
const FRAMED: &str = ".siemgate.v1.EventBatch";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    collect(Path::new(ROOT), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(SECRET)
        .extern_path(FRAMED, "crate::wire::EventBatch")
        .include_file("wire.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;

    let mut public = protox::Compiler::new([ROOT])?;
    public.include_imports(true);
    let folder = Path::new(ROOT).join(PUBLIC_PACKAGE.replace('.', "/"));
    public.open_files(files.iter().filter(|file| file.starts_with(&folder)))?;
    fs::write(out.join("public.bin"), public.encode_file_descriptor_set())?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
