//! Ids and names as newtypes, so that a job's number cannot be passed for a pipeline's.

use std::fmt;

macro_rules! number_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub String);

        impl $name {
            /// Borrows the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )*};
}

number_id! {
    /// A project's number, unique on the server.
    ProjectId;
    /// A user's number.
    UserId;
    /// A pipeline's number, unique on the server.
    PipelineId;
    /// A job's number, unique on the server; it stays the same over the job's attempts.
    JobId;
    /// A merge request's number, unique on the server (its `iid` is unique in the project).
    MergeRequestId;
    /// An environment's number.
    EnvironmentId;
    /// A rollout's number.
    RolloutId;
}

text_id! {
    /// A Git commit id, 40 hexadecimal digits.
    CommitId;
    /// A Git tree id, 40 hexadecimal digits.
    TreeId;
    /// A release's content address, `sha256:` and 64 hexadecimal digits.
    Digest;
    /// A node's name, unique in its environment, such as `a-1`.
    NodeName;
    /// A pool's name, unique in its environment.
    PoolName;
}

impl CommitId {
    /// The first eight digits, as people read it.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl Digest {
    /// The first twelve digits behind `sha256:`, as people read it.
    #[must_use]
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }
}
