//! Where a job's scripts run: in a shell of this machine, or in containers of its Docker Engine.
//!
//! Sources, caches and artifacts are the runner's own affair in either case, done on this machine and never in a
//! container. A job's containers never outlive its run; what a killed runner left is removed at the next start.

mod containers;
pub(crate) mod docker;

use std::path::{Path, PathBuf};

use serin_model::plan::Script;

pub use containers::{Choice, ContainerLimits, ContainerSettings, Containers, Missing};
pub(crate) use docker::Room;

use crate::environment::HostEnvironment;
use crate::request::JobRequest;
use crate::script::Shell;
use crate::workspace::Workspace;

/// What carries a job's scripts out.
pub(crate) enum Executor {
    /// A shell of this machine.
    Shell {
        /// The shell.
        shell: Shell,
        /// Why the job's image is not used, where it names one.
        why: &'static str,
    },
    /// Containers.
    Docker(Box<Room>),
}

/// Where a job sees what the runner made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// `CI_BUILDS_DIR`.
    pub(crate) builds: PathBuf,
    /// `CI_PROJECT_DIR`.
    pub(crate) project: PathBuf,
    /// File variables.
    pub(crate) variables: PathBuf,
    /// `TMPDIR`; a container has its own.
    pub(crate) temporary: Option<PathBuf>,
}

impl Executor {
    /// Chooses for a job; an error says why it can have no executor.
    pub(crate) async fn choose(request: &JobRequest, workspace: &Workspace) -> Result<Self, String> {
        let why = match request.containers.choose(&request.script).await? {
            containers::Chosen::Shell(why) => why,
            containers::Chosen::Docker(engine) => {
                return Ok(Self::Docker(Box::new(Room::new(engine, request, workspace))));
            }
        };
        Self::shell(&request.host, why)
    }

    /// The shell executor; `why` tells why the job's image is not used.
    pub(crate) fn shell(host: &HostEnvironment, why: &'static str) -> Result<Self, String> {
        let shell = host.shell().ok_or("no `bash` and no `sh` in the search path")?;
        Ok(Self::Shell { shell, why })
    }

    /// What a job sees, and where.
    pub(crate) fn places(&self, builds: &Path, workspace: &Workspace) -> Places {
        match self {
            Self::Shell { .. } => Places {
                builds: builds.to_owned(),
                project: workspace.project.clone(),
                variables: workspace.variables(),
                temporary: Some(workspace.temporary()),
            },
            Self::Docker(_) => docker::places(),
        }
    }

    /// The part of the machine's environment that the job gets; a container has its image's.
    pub(crate) fn host(&self, host: &HostEnvironment) -> HostEnvironment {
        match self {
            Self::Shell { .. } => host.clone(),
            Self::Docker(_) => HostEnvironment::none(),
        }
    }

    /// Removes what is left of the job in the engine.
    pub(crate) async fn close(&mut self) {
        if let Self::Docker(room) = self {
            room.close().await;
        }
    }
}

/// Whether the job asks for containers at all.
pub(crate) fn wants_containers(script: &Script) -> bool {
    script.image.is_some()
}
