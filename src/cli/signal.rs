//! The two signals that end a command in order: Ctrl-C and a service manager's termination.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for either. Where a signal can't be listened for, the other still ends the command.
pub async fn stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
