//! The shop as it runs: a real process, real connections, a real SIGTERM.

use shop::client::Client;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

struct Shop {
    child: Child,
    url: String,
}

impl Shop {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
        let mut child = command
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let port: String = first
            .split("\"port\":\"")
            .nth(1)
            .unwrap()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    fn terminate(&self) {
        assert!(
            Command::new("kill")
                .arg(self.child.id().to_string())
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_connection_carries_many_requests() {
    let shop = Shop::start();
    let mut client = Client::connect(&shop.url).unwrap();
    for id in 1..=50 {
        let answer = client.get(&format!("/api/products/{id}")).unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(&format!("{{\"id\":{id},")));
    }
}

#[test]
fn many_customers_at_a_time() {
    let shop = Shop::start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(&shop.url).unwrap();
                for _ in 0..25 {
                    assert_eq!(
                        client
                            .post("/api/cart", r#"{"id":3,"pieces":2}"#)
                            .unwrap()
                            .status,
                        200
                    );
                    assert_eq!(client.get("/").unwrap().status, 200);
                }
            });
        }
    });
}

#[test]
fn nonsense_is_answered_and_ends_the_connection() {
    let shop = Shop::start();
    let mut client = Client::connect(&shop.url).unwrap();
    client.send(b"hello\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 400);
    assert!(client.get("/").is_err());
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let mut shop = Shop::start();
    let mut client = Client::connect(&shop.url).unwrap();
    assert_eq!(client.get("/healthz").unwrap().status, 200);
    let body = r#"{"id":1,"pieces":1}"#;
    let head = format!(
        "POST /api/cart HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).unwrap();
    shop.terminate();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::connect(&shop.url).is_ok() {
        assert!(Instant::now() < deadline, "it still takes connections");
        thread::sleep(Duration::from_millis(5));
    }
    client.send(body.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 200);
    assert!(shop.child.wait().unwrap().success());
}
