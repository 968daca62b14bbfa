//! Secrets: random ones, their hashes, and people's passwords.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{Error, Kind, Result};

/// What every token of Serin begins with, so that scanners find leaked ones.
pub const TOKEN_PREFIX: &str = "serin-";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 24;
/// Bytes of a password that are looked at.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Makes a secret of 192 random bits, safe in addresses and headers.
///
/// # Errors
/// Where the system's random source fails.
pub fn generate() -> Result<String> {
    let bytes = random::<SECRET_BYTES>()?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 in hexadecimal: what is kept of a secret.
#[must_use]
pub fn hash(secret: &str) -> String {
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Argon2id hash of a password.
///
/// # Errors
/// Where it is too short or too long, or the random source fails.
pub fn password_hash(password: &str) -> Result<String> {
    if password.len() < 8 || password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::invalid(format!("a password has 8 to {PASSWORD_BYTES_MAX} bytes")));
    }
    let failed = |error: argon2::password_hash::Error| Error::new(Kind::Internal, format!("password hash: {error}"));
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(failed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

/// Whether the password fits the hash.
#[must_use]
pub fn password_fits(password: &str, hash: &str) -> bool {
    password.len() <= PASSWORD_BYTES_MAX
        && PasswordHash::new(hash)
            .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::new(Kind::Internal, "no random bytes to be had"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{generate, hash, password_fits, password_hash};

    #[test]
    fn secrets_differ_and_hash_stably() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn passwords() {
        let kept = password_hash("correct horse").unwrap();
        assert!(password_fits("correct horse", &kept));
        assert!(!password_fits("correct hors", &kept));
        assert!(!password_fits("x", "no hash"));
        assert!(password_hash("short").is_err());
    }
}
