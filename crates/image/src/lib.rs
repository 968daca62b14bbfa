//! Container images: named, built, pushed and pulled through a Docker Engine; what is in them and how they were made.
//!
//! Invariants: whatever a repository writes (names, arguments, paths, patterns) is checked and sent as data, never as a
//! flag; a secret is in no layer, no history, no message and no `Debug`; what an image holds is read in bounded memory, and
//! never unpacked. Knows no project, no pipeline, no nodes.

mod address;
mod bill;
mod build;
mod context;
mod engine;
mod error;
mod ignore;
mod inventory;
mod login;
pub mod name;
mod provenance;
mod registry;

pub use bill::{Subject, bill_of_materials};
pub use build::ImageBuild;
pub use context::{Context, pack};
pub use engine::{Builder, Found};
pub use error::Error;
pub use inventory::{Component, Details, Ecosystem, Inventory};
pub use login::{Login, Logins, Secret};
pub use name::ImageName;
pub use provenance::{Build, BuildTimes, base_images, statement};
