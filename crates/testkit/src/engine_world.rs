//! A simulated world around the engine: runners, a server that crashes, people who click.
