//! The whole program from outside: the real binary, real Git, real HTTP.

mod approvals;
mod artifacts;
mod authorization;
mod back;
mod boxes;
mod canary;
mod container_jobs;
mod container_nodes;
mod containers;
mod crashes;
mod daemons;
mod deaths;
mod demo;
mod downstream;
mod examples;
mod hostile;
mod hosts;
mod integration;
mod judge;
mod merge_requests;
mod packages;
mod pipelines;
mod quality;
mod sonarqube;
mod traces;
