//! Images to and from registries, by the engine: it speaks TLS, and plain HTTP to registries on loopback alone, as far as
//! its own settings say nothing else.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::error::words;
use crate::{Builder, Error, ImageName, Login};

/// Tries, and the time between the first two; it doubles from try to try.
const TRIES_MAX: u32 = 5;
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// What the engine says where another try would end alike.
const FINAL_WORDS: [&str; 9] = [
    "unauthorized",
    "denied",
    "no basic auth credentials",
    "authentication required",
    "incorrect username or password",
    "manifest unknown",
    "not found",
    "invalid",
    "server gave HTTP response to HTTPS client",
];

impl Login {
    /// The login as the engine takes it.
    #[must_use]
    pub fn credentials(&self) -> DockerCredentials {
        DockerCredentials {
            username: Some(self.user.clone()),
            password: Some(self.password.reveal().to_owned()),
            ..DockerCredentials::default()
        }
    }
}

impl Builder {
    /// Pushes an image under a name and gives the digest of its manifest, `sha256:…`; a registry that is away is tried
    /// again.
    ///
    /// # Errors
    /// Where the registry refuses it, or stays away.
    pub async fn push(
        &self,
        image: &str,
        name: &ImageName,
        login: Option<&Login>,
        lines: &mpsc::Sender<String>,
    ) -> Result<String, Error> {
        let options = TagImageOptionsBuilder::default().repo(&name.repository).tag(&name.version).build();
        self.api().tag_image(image, Some(options)).await.map_err(Error::engine("name the image"))?;
        again("push the image", lines, || self.push_once(name, login)).await
    }

    async fn push_once(&self, name: &ImageName, login: Option<&Login>) -> Result<String, String> {
        let options = PushImageOptionsBuilder::default().tag(&name.version).build();
        let credentials = login.map(Login::credentials);
        let mut steps = Box::pin(self.api().push_image(&name.repository, Some(options), credentials));
        let mut digest = None;
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| words(&error))?;
            if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
                return Err(message);
            }
            digest = step.status.as_deref().and_then(digest_in).or(digest);
        }
        digest.ok_or_else(|| "it named no digest at the end".to_owned())
    }

    /// Pulls an image by its name or digest; a registry that is away is tried again.
    ///
    /// # Errors
    /// Where the registry refuses it, or stays away.
    pub async fn pull(
        &self,
        name: &ImageName,
        login: Option<&Login>,
        lines: &mpsc::Sender<String>,
    ) -> Result<(), Error> {
        again("pull the image", lines, || self.pull_once(name, login)).await
    }

    async fn pull_once(&self, name: &ImageName, login: Option<&Login>) -> Result<(), String> {
        let options = CreateImageOptionsBuilder::default().from_image(&name.repository).tag(&name.version).build();
        let mut steps = Box::pin(self.api().create_image(Some(options), None, login.map(Login::credentials)));
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| words(&error))?;
            if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
                return Err(message);
            }
        }
        Ok(())
    }
}

/// Tries until it is done or refused, with growing pauses.
async fn again<T, F: Future<Output = Result<T, String>>>(
    attempt: &'static str,
    lines: &mpsc::Sender<String>,
    mut once: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut wait = WAIT_FIRST;
    for number in 1.. {
        let reason = match once().await {
            Ok(done) => return Ok(done),
            Err(reason) => reason,
        };
        if number >= TRIES_MAX || is_final(&reason) {
            return Err(Error::said(attempt, &reason));
        }
        let shown: String = reason.trim().chars().take(300).collect();
        let line = format!("Try {number} of {TRIES_MAX} failed: {shown}; the next one in {} s", wait.as_secs());
        // Nobody listens any more: the tries go on.
        let _ = lines.send(line).await;
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Err(Error::said(attempt, "it was tried too often"))
}

fn is_final(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    FINAL_WORDS.iter().any(|words| reason.contains(&words.to_lowercase()))
}

/// The digest in the last line of a push, `TAG: digest: sha256:… size: 527`.
fn digest_in(status: &str) -> Option<String> {
    let rest = status.split_once(": digest: ")?.1;
    let digest = rest.split_whitespace().next()?;
    let hex = digest.strip_prefix("sha256:")?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_push_is_read() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(digest_in(&format!("latest: digest: {digest} size: 527")), Some(digest));
        assert_eq!(digest_in("latest: digest: sha256:abc size: 1"), None);
        assert_eq!(digest_in("Pushed"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_a_refusal_is_not() {
        let (sender, mut lines) = mpsc::channel(100);
        let mut tries = 0;
        let done = again("x", &sender, || {
            tries += 1;
            let result = if tries < 3 { Err("connection refused".to_owned()) } else { Ok(tries) };
            std::future::ready(result)
        });
        assert_eq!(done.await.unwrap(), 3);
        assert!(lines.recv().await.unwrap().starts_with("Try 1 of 5 failed: connection refused; the next one in 1 s"));
        assert!(lines.recv().await.unwrap().contains("in 2 s"));
        let mut tries = 0;
        let refused = again("push the image", &sender, || {
            tries += 1;
            std::future::ready(Err::<(), _>("unauthorized: authentication required".to_owned()))
        });
        assert!(refused.await.unwrap_err().to_string().contains("could not push the image: unauthorized"));
        assert_eq!(tries, 1);
    }
}
