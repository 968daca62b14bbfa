//! SHA-256 as this store names things.

use std::fmt::Write;

use ring::digest::{Context, SHA256};

/// Computes the SHA-256 of what is written to it.
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest as 64 hexadecimal digits.
    #[must_use]
    pub fn finish_hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finish().as_ref() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// The SHA-256 of `bytes` as 64 hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut state = Sha256::default();
    state.update(bytes);
    state.finish_hex()
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_answer() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::sha256_hex(b"abc"), expected);
    }
}
