//! The procedure of a mitigation job as people walk it (S1.02 to S1.22), in a headless browser against the demo: real
//! scripts, real agents. Screenshots stay in `target/tmp/screenshots`, to be looked at.
//!
//! Needs `chromedriver` and Chromium; without them the test says loudly that it was skipped.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "JSON gives null for what is not there"
)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key under which the WebDriver protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The demo, its address and its password.
fn demo() -> (Running, String, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    // The narration goes to standard error where standard output is no terminal; both are read.
    let child = command.args(["demo", "--seed", "1"]).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("quell starts");
    let (send, lines) = std::sync::mpsc::channel();
    let read = |stream: Box<dyn std::io::Read + Send>, send: std::sync::mpsc::Sender<String>| {
        std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| {
                let _ = send.send(line);
            });
        })
    };
    read(Box::new(child.stdout.take().expect("it is piped")), send.clone());
    read(Box::new(child.stderr.take().expect("it is piped")), send);
    let running = Running(child);
    let (mut address, mut password, mut said) = (None, None, String::new());
    let until = Instant::now() + Duration::from_secs(180);
    while address.is_none() || password.is_none() {
        let left = until.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("the demo is not ready:\n{said}"));
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("address"), Some(url)) => address = Some(url.trim_end_matches('/').to_owned()),
            (Some("password"), Some(word)) => password = Some(word.to_owned()),
            _ => {}
        }
        said.push_str(&line);
        said.push('\n');
    }
    (running, address.expect("it was said"), password.expect("it was said"))
}

/// A headless browser behind a driver.
struct Browser {
    http: reqwest::Client,
    session: String,
    shots: PathBuf,
    count: std::cell::Cell<u32>,
    _driver: Running,
}

impl Browser {
    /// `None` where there is no driver.
    async fn start() -> Option<Browser> {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("bound").port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = Running(command.spawn().ok()?);
        testkit::server::provide_tls();
        let http = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}");
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1440,900"];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let until = Instant::now() + PATIENCE;
        let session = loop {
            let reply = http.post(format!("{base}/session")).json(&wanted).send().await;
            match reply {
                Ok(reply) => {
                    let value: Value = reply.json().await.expect("the driver speaks JSON");
                    let Some(id) = value["value"]["sessionId"].as_str() else {
                        eprintln!("no browser: {value}");
                        return None;
                    };
                    break format!("{base}/session/{id}");
                }
                Err(error) if Instant::now() > until => panic!("the driver does not answer: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&shots).expect("the target folder can be written");
        Some(Browser { http, session, shots, count: std::cell::Cell::new(0), _driver: driver })
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = match body {
            Value::Null => self.http.get(format!("{}{path}", self.session)),
            body => self.http.post(format!("{}{path}", self.session)).json(body),
        };
        let reply: Value = request.send().await.expect("the driver answers").json().await.expect("it speaks JSON");
        match reply["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", reply["value"]["message"])),
            None => Ok(reply["value"].clone()),
        }
    }

    async fn go(&self, url: &str) {
        self.call("/url", &json!({ "url": url })).await.expect("the page opens");
    }

    /// What a script gives.
    async fn script(&self, script: &str) -> Value {
        self.call("/execute/sync", &json!({ "script": script, "args": [] })).await.expect("the script runs")
    }

    /// Wait until a script gives true.
    async fn wait(&self, what: &str, script: &str) {
        let until = Instant::now() + PATIENCE;
        while self.script(&format!("return Boolean({script})")).await != true {
            assert!(
                Instant::now() < until,
                "{what} does not come: {}",
                self.script("return document.body.innerText").await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn see(&self, text: &str) {
        let script = format!("document.body.innerText.includes({})", json!(text));
        self.wait(text, &script).await;
    }

    /// The element of a selector, once it is there.
    async fn find(&self, css: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.call("/element", &json!({ "using": "css selector", "value": css })).await {
                Ok(found) => return found[ELEMENT].as_str().expect("an element has an id").to_owned(),
                Err(error) => assert!(Instant::now() < until, "{css}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn click(&self, css: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let element = self.find(css).await;
            match self.call(&format!("/element/{element}/click"), &json!({})).await {
                Ok(_) => return,
                // A page that is being replaced has it again in a moment.
                Err(error) => assert!(Instant::now() < until, "{css}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.call(&format!("/element/{element}/clear"), &json!({})).await.expect("a field can be emptied");
        self.call(&format!("/element/{element}/value"), &json!({ "text": text })).await.expect("a field can be filled");
    }

    /// The next step of the wizard, by its heading.
    async fn next(&self, heading: &str) {
        self.click("button[value=next]").await;
        self.wait(heading, &format!("document.querySelector('form .head h2')?.innerText === {}", json!(heading))).await;
    }

    /// A picture of what is shown.
    async fn shot(&self, name: &str) {
        use base64::Engine as _;
        let picture = self.call("/screenshot", &Value::Null).await.expect("the browser can be pictured");
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text")).expect("base64");
        self.count.set(self.count.get() + 1);
        let file = self.shots.join(format!("s1-{:02}-{name}.png", self.count.get()));
        std::fs::write(file, bytes).expect("the picture is kept");
    }

    async fn close(self) {
        let _ = self.http.delete(&self.session).send().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mitigation_job_is_walked_from_the_vulnerability_to_its_end() {
    let Some(browser) = Browser::start().await else {
        let why = "needs chromedriver and chromium (Debian: chromium chromium-driver)";
        testkit::postgres::skipped("browser::a_mitigation_job_is_walked_from_the_vulnerability_to_its_end", why);
        return;
    };
    let (_demo, address, password) = tokio::task::spawn_blocking(demo).await.expect("the demo plays");
    browser.go(&format!("{address}/vulnerabilities?q=is%3Afound+and+is%3Amitigable")).await;
    browser.fill("#f-name", "admin").await;
    browser.fill("#f-password", &password).await;
    browser.shot("sign-in").await;
    browser.click("button[type=submit]").await;

    // Which QID agents can do something about that was not done yet is asked of the list that people see.
    browser
        .go(&format!("{address}/eliminations?q=left%3A%3E0+and+risk%3A%5Blow%2C+medium%5D+and+is%3Areversible"))
        .await;
    browser.find("td.acts button[formaction*='/jobs/new']").await;
    let qid = browser
        .script(
            "return new URL(document.querySelector(\"td.acts button[formaction*='/jobs/new']\").formAction)\
             .searchParams.get('qid').split(',')[0]",
        )
        .await;
    let qid = qid.as_str().expect("a QID").to_owned();

    // S1.02: the vulnerability, Quick Actions, View Risk Elimination, Mitigate Now.
    browser.go(&format!("{address}/vulnerabilities?q=qid%3A{qid}")).await;
    browser.click("tr[data-row] button[popovertarget]").await;
    browser.see("View Risk Elimination").await;
    browser.shot("vulnerabilities").await;
    browser.click("[popover]:popover-open a[href*='/eliminations']").await;
    browser.wait("the eliminations", "location.pathname === '/eliminations'").await;
    assert_eq!(browser.script("return new URL(location).searchParams.get('q')").await, format!("qid:{qid}"));
    browser.shot("eliminations").await;
    browser.click("td.acts button[formaction*='/jobs/new']").await;

    // S1.03, S1.04.
    browser.see("Create: Linux Mitigation Job").await;
    for step in
        ["Basic information", "Select assets", "Select actions", "Schedule", "Options", "Job access", "Confirmation"]
    {
        browser.see(step).await;
    }
    browser.fill("#f-title", "Walked by a browser").await;
    browser.shot("basic").await;
    browser.next("Select assets").await;
    // S1.05 to S1.08.
    browser.wait("manual selection", "document.querySelector('input[value=manual]').checked").await;
    browser.see("They can be removed here, not added.").await;
    browser.shot("assets").await;
    browser.next("Select actions").await;
    // S1.09.
    browser.click("a[aria-label^='Details of']").await;
    browser.wait("the details", "document.querySelector('#q-dialog').open").await;
    browser.see("What it covers").await;
    browser.shot("action-details").await;
    browser.click("#q-dialog [data-close]").await;
    browser.next("Schedule").await;
    // S1.10 to S1.12.
    browser.wait("on demand", "document.querySelector('input[value=demand]').checked").await;
    browser.click("input[value=timed]").await;
    browser.script("document.querySelector('#f-date').value = '2030-12-24'").await;
    browser.shot("schedule").await;
    browser.next("Options").await;
    browser.see("24 Dec 02:00").await;
    // S1.13 to S1.15.
    browser.fill("#f-recipients", "ops@example.org").await;
    browser.click("input[name=on_start]").await;
    browser.click("input[name=on_share]").await;
    browser.shot("options").await;
    browser.next("Job access").await;
    // S1.16.
    browser.see("Co-authors").await;
    browser.shot("access").await;
    browser.next("Confirmation").await;
    // Back to on demand, so that the end of the run can be watched.
    browser.shot("confirmation").await;
    browser.click(".q-review a[href$='/edit/schedule']").await;
    browser.click("input[value=demand]").await;
    browser.next("Options").await;
    browser.next("Job access").await;
    browser.next("Confirmation").await;
    // S1.17, S1.19: Save gives DISABLED.
    browser.click("button[value=save]").await;
    browser.see("is saved, disabled.").await;
    browser.see("Disabled").await;
    browser.shot("saved").await;
    // S1.20: Jobs, Quick Actions, Enable.
    browser.click("tr[data-row] button[popovertarget]").await;
    browser.shot("quick-actions").await;
    browser.click("[popover]:popover-open button[formaction$='/enable']").await;
    browser.wait("the job's page", "location.pathname.startsWith('/jobs/MJ')").await;
    browser.shot("running").await;
    // Live: nobody reloads the page.
    browser.wait("the end", "document.querySelector('#q-live .q-chip').innerText.startsWith('Completed')").await;
    browser
        .wait("actions of a job that is over", "!document.querySelector('.q-top button[formaction$=\"/cancel\"]')")
        .await;
    browser.wait("an honest mark", "!document.querySelector('[data-live=off]')").await;
    browser.shot("completed").await;
    // S1.21: what was saved once is not saved and enabled again.
    assert_eq!(browser.script("return document.querySelectorAll('button[value=enable]').length").await, 0);
    // S1.24, S1.25: the score fell, and a click shows by what.
    browser.go(&format!("{address}/vulnerabilities/{qid}")).await;
    browser.click("#assets td a.q-change:has(svg)").await;
    browser.wait("the drill-down", "document.querySelector('#q-dialog').open").await;
    browser.see("How it is reckoned").await;
    browser.see("effective, verified by the agent").await;
    browser.shot("score").await;
    browser.close().await;
}
