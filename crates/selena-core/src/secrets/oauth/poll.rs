//! Asking after the person's decision until there is one (RFC 8628, section 3.5).

use selena_types::{OAuthProvider, Secret};
use tokio::time::{Instant, sleep_until};

use super::{
    exchange,
    grant::{self, Grant, TokenAnswer},
    pace::Pace,
};
use crate::ports::{Https, HttpsError};

/// What is new of a sign-in.
#[derive(Debug)]
pub(super) enum News {
    /// The provider wants to be asked less often: the polling is not over, but its interval is to be kept over a restart.
    Slower,
    /// The person agreed.
    Granted(Grant),
    /// The person refused.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The provider does not go on with it: why, without a word of the provider's.
    Failed(String),
}

/// Polls until there is news, at most until the deadline.
pub(super) async fn until_news(
    https: &dyn Https,
    provider: &OAuthProvider,
    device_code: &Secret,
    pace: &mut Pace,
    deadline: Instant,
) -> News {
    loop {
        // By the monotonic clock alone: the wall clock of a hub without a battery jumps.
        let next = Instant::now() + pace.wait();
        sleep_until(next.min(deadline)).await;
        if next >= deadline {
            return News::Expired;
        }
        let answer = match exchange::redeem(https, provider, device_code.expose()).await {
            Ok(answer) => grant::read(answer),
            Err(error @ (HttpsError::Refused { .. } | HttpsError::TooLarge { .. })) => {
                return News::Failed(error.to_string());
            }
            Err(error) => {
                tracing::info!(error = &error as &dyn std::error::Error, "a provider cannot be reached; tried again");
                TokenAnswer::Later
            }
        };
        match answer {
            TokenAnswer::Granted(grant) => return News::Granted(grant),
            TokenAnswer::Denied => return News::Denied,
            TokenAnswer::Expired => return News::Expired,
            TokenAnswer::Refused(why) => return News::Failed(why.to_owned()),
            TokenAnswer::InvalidGrant => return News::Failed("it does not know the code any more".to_owned()),
            TokenAnswer::Pending => pace.answered(),
            TokenAnswer::Later => pace.unreachable(),
            TokenAnswer::SlowDown => {
                pace.slow_down();
                return News::Slower;
            }
        }
    }
}

#[cfg(test)]
mod tests;
