//! `login`: makes an administrator of whoever has the code that `init` showed.

use std::fs::DirBuilder;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use zeroize::Zeroizing;

use super::args::Connection;
use super::join::text_of;
use super::{client, output};
use crate::admin::token_file;
use crate::secret::Secret;
use crate::wire::v1;
use crate::wire::v1::sign_in_client::SignInClient;

/// Codes have 23 letters; what is much longer is something else.
const CODE_BYTES_MAX: usize = 256;

/// Makes you an administrator of this node, by the code that `siemgate init` showed
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate login                  asks for the code\n  \
    siemgate login < code           takes it from a file\n\n\
    The code works once, within an hour; `siemgate init --new-code` on the node draws another. The token it gives is kept\n\
    in ~/.config/siemgate/admin.token, or where --token-file says, and the other commands find it there.")]
pub struct Login {
    #[command(flatten)]
    connection: Connection,
}

pub async fn login(args: Login) -> anyhow::Result<()> {
    let kept = args.connection.token_file.clone().or_else(own_token_file);
    let kept = kept.ok_or_else(|| anyhow!("there is no home directory to keep the token in: give --token-file"))?;
    let code = asked()?;
    let channel = client::channel(client::address(&args.connection)?).await?;
    let request = client::request(v1::RedeemRequest { code: code.expose().to_owned() });
    let answer = SignInClient::new(channel).redeem(request).await.map_err(client::refusal)?;
    let token = Secret::new(answer.into_inner().token);
    make_folder_of(&kept)?;
    token_file::keep(&kept, &token)
        .with_context(|| "the code is used up now: `siemgate init --new-code` on the node draws another")?;
    Ok(output::print(&format!("You administer this node now. Your token is in {}.\n", kept.display()))?)
}

/// Where a person's own token is kept.
pub(super) fn own_token_file() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")))?;
    Some(base.join("siemgate").join("admin.token"))
}

fn asked() -> anyhow::Result<Secret> {
    let input = std::io::stdin();
    let code = if input.is_terminal() {
        std::io::stderr().write_all(b"Code: ").context("ask for the code")?;
        let mut line = Zeroizing::new(String::with_capacity(CODE_BYTES_MAX));
        input.read_line(&mut line).context("read the code")?;
        Secret::new(line.trim().to_owned())
    } else {
        text_of(input).context("read the code from standard input")?
    };
    if code.expose().is_empty() {
        bail!("no code was given: `siemgate init` shows it when it makes the node");
    }
    Ok(code)
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("make {}", folder.display()))
}
