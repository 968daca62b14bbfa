//! Flags of the commands about accounts, and about a person's word for a release.

use clap::{Args, Subcommand};

use super::{Of, Server};

/// `serin user`.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Makes an account.
    Create {
        /// Its login name.
        username: String,
        /// The person's address, as it stands in their commits.
        #[arg(long)]
        email: String,
        /// Its name for people; the login name where not given.
        #[arg(long)]
        name: Option<String>,
        /// May do everything.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Lists the accounts.
    List {
        #[command(flatten)]
        server: Server,
    },
}

/// `serin token`.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Makes a token and prints it, this once.
    Create {
        /// Whose it is.
        username: String,
        /// What its owner calls it.
        #[arg(long, default_value = "command line")]
        name: String,
        /// It reads and changes nothing.
        #[arg(long)]
        read_only: bool,
        /// It ends after that many days.
        #[arg(long, value_name = "N")]
        days: Option<i64>,
        #[command(flatten)]
        server: Server,
    },
}

/// `serin approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The environment's name.
    pub name: String,
    /// The version that you looked at; refused where another one is released now.
    #[arg(long)]
    pub digest: Option<String>,
    #[command(flatten)]
    pub of: Of,
}

/// `serin override`.
#[derive(Debug, Args)]
pub struct Override {
    /// The environment's name.
    pub name: String,
    /// Why; it is kept and told to the project.
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub of: Of,
}
