//! Files over HTTPS.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serin_model::limit::CONFIG_BYTES_MAX;
use ureq::Agent;

/// How long one file may take, redirections and all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Addresses that may lead to one another.
const REDIRECTIONS_MAX: u32 = 5;

/// The body of an address; of one that is too large one byte more than is allowed.
pub fn get(url: &str) -> Result<Vec<u8>> {
    let https = url.starts_with("https://");
    if !https && !is_of_this_machine(url) {
        bail!("only `https` addresses are fetched");
    }
    let agent: Agent = Agent::config_builder()
        .https_only(https)
        .timeout_global(Some(PATIENCE))
        .max_redirects(REDIRECTIONS_MAX)
        .max_redirects_will_error(true)
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut answer = agent.get(url).call().context("it cannot be fetched")?;
    // The cap of the reader is an error of its own; the compiler's words about a file that is too large say more.
    let reader = answer.body_mut().with_config().limit(CONFIG_BYTES_MAX as u64 + 2).reader();
    let mut bytes = Vec::new();
    let mut bounded = std::io::Read::take(reader, CONFIG_BYTES_MAX as u64 + 1);
    std::io::Read::read_to_end(&mut bounded, &mut bytes).context("it cannot be read to its end")?;
    Ok(bytes)
}

/// Whether an address leads to a server on this machine.
fn is_of_this_machine(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::{get, is_of_this_machine};

    #[test]
    fn addresses_of_this_machine() {
        assert!(is_of_this_machine("http://127.0.0.1:8080/a") && is_of_this_machine("http://localhost"));
        assert!(
            !is_of_this_machine("http://127.0.0.1@example.com/") && !is_of_this_machine("http://localhost.example/")
        );
        assert!(get("http://example.com/a.yml").unwrap_err().to_string().contains("https"));
        assert!(get("file:///etc/passwd").is_err());
    }

    fn served(answer: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a.yml", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            // The client may have heard enough.
            let _ = stream.write_all(&answer);
        });
        let got = get(&url);
        server.join().unwrap();
        got
    }

    #[test]
    fn bodies_are_bounded() {
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec();
        assert_eq!(served(ok).unwrap(), b"abc");
        assert!(served(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()).is_err());
        let mut endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        endless.resize(5 << 20, b'x');
        assert_eq!(served(endless).unwrap().len(), (2 << 20) + 1);
    }
}
