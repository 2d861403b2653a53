//! The one call that takes no token: it gives one to whoever shows the code of the first administrator.

use std::path::PathBuf;

use tonic::{Request, Response, Status};

use super::access::Tokens;
use super::first_code::{self, CodeError};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::wire::v1;

pub(super) struct SignIn {
    pub code: PathBuf,
    pub tokens: Tokens,
    pub clock: Clock,
}

#[tonic::async_trait]
impl v1::sign_in_server::SignIn for SignIn {
    async fn redeem(&self, request: Request<v1::RedeemRequest>) -> Result<Response<v1::RedeemResponse>, Status> {
        let shown = Secret::new(request.into_inner().code);
        match first_code::redeem(&self.code, &shown, self.clock.now()) {
            Ok(()) => {
                tracing::info!("the first administrator's code was used: it gave the administrator's token");
                Ok(Response::new(v1::RedeemResponse { token: self.tokens.administrator().expose().to_owned() }))
            }
            Err(error) => {
                tracing::warn!(%error, "a code of the first administrator was refused");
                Err(match error {
                    CodeError::Wrong | CodeError::Expired => Status::unauthenticated(error.to_string()),
                    CodeError::None | CodeError::File { .. } | CodeError::Unwritable(_) => {
                        Status::failed_precondition(error.to_string())
                    }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use v1::sign_in_server::SignIn as _;

    use super::super::access::Role;
    use super::*;

    #[tokio::test]
    async fn the_code_gives_the_administrators_token_once_and_a_wrong_one_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.code");
        let tokens = Tokens::new(Secret::new("a".repeat(64)), Secret::new("m".repeat(64)));
        let sign_in = SignIn { code: path.clone(), tokens: tokens.clone(), clock: Clock::System };
        let show = async |code: &str| sign_in.redeem(Request::new(v1::RedeemRequest { code: code.into() })).await;

        assert_eq!(show("").await.unwrap_err().code(), Code::FailedPrecondition, "nobody waits for a code");
        let code = first_code::draw(&path, Clock::System.now()).unwrap();
        assert_eq!(show("AAAAA-AAAAA-AAAAA-AAAAA").await.unwrap_err().code(), Code::Unauthenticated);
        let token = show(code.expose()).await.unwrap().into_inner().token;
        assert_eq!(tokens.role(Some(format!("Bearer {token}").as_bytes())), Some(Role::Administrator));
        assert_eq!(show(code.expose()).await.unwrap_err().code(), Code::FailedPrecondition, "it was used up");
    }
}
