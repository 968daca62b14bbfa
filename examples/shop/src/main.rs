//! The shop's service: listens on `PORT` until SIGTERM, then finishes what it has begun.

use shop::app::App;
use shop::log;
use shop::server::Server;
use std::process::ExitCode;
use std::sync::Arc;

const PORT_DEFAULT: u16 = 8080;

fn main() -> ExitCode {
    let port = match std::env::var("PORT").map(|port| port.parse()) {
        Ok(Ok(port)) => port,
        Ok(Err(_)) => {
            log::error("PORT is no port number", &[]);
            return ExitCode::from(2);
        }
        Err(_) => PORT_DEFAULT,
    };
    let app = App::new();
    app.warm_up();
    let server = match Server::bind(port, Arc::new(app)) {
        Ok(server) => server,
        Err(error) => {
            log::error("cannot listen", &[("port", &port), ("error", &error)]);
            return ExitCode::FAILURE;
        }
    };
    log::info(
        "listening",
        &[
            ("port", &server.port()),
            ("version", &env!("CARGO_PKG_VERSION")),
        ],
    );
    server.stop_on_sigterm();
    server.run();
    log::info("stopped", &[]);
    ExitCode::SUCCESS
}
