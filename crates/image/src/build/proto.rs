//! The few messages that builds exchange with BuildKit (its `control.proto`, `secrets.proto`, `auth.proto`, and gRPC's
//! `health.proto`), as far as they are read.

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Moment {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// `moby.buildkit.v1.StatusResponse`: what happened since the last one.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(message, repeated, tag = "1")]
    pub(super) vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    pub(super) logs: Vec<Log>,
}

/// `moby.buildkit.v1.Vertex`: a step.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Vertex {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(bool, tag = "4")]
    pub(super) cached: bool,
    #[prost(message, optional, tag = "5")]
    pub(super) started: Option<Moment>,
    #[prost(message, optional, tag = "6")]
    pub(super) completed: Option<Moment>,
    #[prost(string, tag = "7")]
    pub(super) error: String,
}

/// `moby.buildkit.v1.VertexLog`: what a step printed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Log {
    #[prost(string, tag = "1")]
    pub(super) vertex: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) text: Vec<u8>,
}

/// `moby.buildkit.secrets.v1.GetSecretRequest`, `moby.filesync.v1.CredentialsRequest`: something by its name.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `moby.buildkit.secrets.v1.GetSecretResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Data {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) data: Vec<u8>,
}

/// `moby.filesync.v1.CredentialsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Credentials {
    #[prost(string, tag = "1")]
    pub(super) user: String,
    #[prost(string, tag = "2")]
    pub(super) password: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Health {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}
