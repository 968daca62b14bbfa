//! The judge against simulated services and hostile streams.

mod calibration;
mod demo;
mod hostile;
mod world;
