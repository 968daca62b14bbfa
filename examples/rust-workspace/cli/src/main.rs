//! Prints how many words standard input has.

use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    println!("{}", counter::words(&text));
    Ok(())
}
