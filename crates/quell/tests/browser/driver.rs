//! A headless browser behind a WebDriver, with the few things a walk needs. Everything waits for a condition, nothing
//! for a time.

use serde_json::{Value, json};
use std::cell::Cell;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key under which the WebDriver protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long something may take to appear; long, because the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// What is pictured, and the narrow window that everything has to work in, too.
const WIDE: (u32, u32) = (1440, 900);
const NARROW: (u32, u32) = (900, 900);

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A headless browser behind a driver.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    /// Where the server is, without a slash at the end.
    base: String,
    shots: PathBuf,
    walk: &'static str,
    count: Cell<u32>,
    _driver: Group,
}

/// A process with all that it started; they end with the test, also with one that fails.
struct Group(Running);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Browser {
    /// A browser for this walk; `None`, said loudly, where there is no driver.
    pub async fn start(walk: &'static str, test: &str) -> Option<Browser> {
        let browser = Self::begin(walk).await;
        if browser.is_none() {
            skip::skipped(test, "needs chromedriver and chromium (Debian: chromium chromium-driver)");
        }
        browser
    }

    async fn begin(walk: &'static str) -> Option<Browser> {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("bound").port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = Group(Running(command.process_group(0).spawn().ok()?));
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
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&shots).expect("the target folder can be written");
        let browser = Browser { http, session, base: String::new(), shots, walk, count: Cell::new(0), _driver: driver };
        browser.size(WIDE).await;
        Some(browser)
    }

    /// The window may have borders; what is pictured is what the page has.
    async fn size(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Open the sign-in page of a server, on the way to `path`.
    pub async fn open(&mut self, base: &str, path: &str) {
        base.trim_end_matches('/').clone_into(&mut self.base);
        self.go(path).await;
    }

    /// Sign in on the page that is open.
    pub async fn sign_in(&self, name: &str, password: &str) {
        self.fill("#f-name", name).await;
        self.fill("#f-password", password).await;
        self.click("button[type=submit]").await;
        self.wait("somebody signed in", "document.querySelector('.q-side')").await;
    }

    /// Nobody is signed in any more.
    pub async fn forget(&self) {
        let forgotten = self.http.delete(format!("{}/cookie", self.session)).send().await;
        forgotten.expect("the driver answers");
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

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.call("/goog/cdp/execute", &body).await.expect("the browser takes the command");
    }

    /// Go to a path of the server.
    pub async fn go(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.call("/url", &json!({ "url": url })).await.expect("the page opens");
    }

    /// The path one is on.
    pub async fn path(&self) -> String {
        self.read("location.pathname").await
    }

    /// What a script gives. While a page is being replaced there is none to run it in, so it is tried again.
    pub async fn script(&self, script: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.call("/execute/sync", &json!({ "script": script, "args": [] })).await {
                Ok(value) => return value,
                Err(error) => assert!(Instant::now() < until, "{script}: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The text that an expression gives; empty where it gives none.
    pub async fn read(&self, expression: &str) -> String {
        let value = self.script(&format!("return {expression}")).await;
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Whether an expression holds now.
    pub async fn holds(&self, expression: &str) -> bool {
        self.script(&format!("return Boolean({expression})")).await == true
    }

    /// All that is shown.
    pub async fn shown(&self) -> String {
        self.read("document.body.innerText").await
    }

    /// Check that an expression holds now, of a page that is there.
    pub async fn check(&self, what: &str, expression: &str) {
        assert!(self.holds(expression).await, "not so: {what}\n{}", self.shown().await);
    }

    /// Wait until an expression holds.
    pub async fn wait(&self, what: &str, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.holds(expression).await {
            assert!(Instant::now() < until, "{what} does not come:\n{}", self.shown().await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Wait until a text is shown.
    pub async fn see(&self, text: &str) {
        self.wait(text, &format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Wait until a text is shown within what a selector finds first.
    pub async fn see_in(&self, css: &str, text: &str) {
        let script = format!("document.querySelector({})?.innerText.includes({})", json!(css), json!(text));
        self.wait(&format!("{text} in {css}"), &script).await;
    }

    /// Wait until the path is this one.
    pub async fn at(&self, path: &str) {
        self.wait(path, &format!("location.pathname === {}", json!(path))).await;
    }

    /// The element of a selector, once it is there.
    async fn find(&self, css: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.call("/element", &json!({ "using": "css selector", "value": css })).await {
                Ok(found) => return found[ELEMENT].as_str().expect("an element has an id").to_owned(),
                Err(error) => assert!(Instant::now() < until, "{css} at {}: {error}", self.path().await),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Click as a person does, who scrolls to it first: only what is shown and not covered can be clicked.
    pub async fn click(&self, css: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let element = self.find(css).await;
            let script = "arguments[0].scrollIntoView({ block: 'center' })";
            let scrolled = json!({ "script": script, "args": [{ ELEMENT: element }] });
            let _ = self.call("/execute/sync", &scrolled).await;
            match self.call(&format!("/element/{element}/click"), &json!({})).await {
                Ok(_) => return,
                // A page that is being replaced has it again in a moment.
                Err(error) => assert!(Instant::now() < until, "{css} at {}: {error}", self.path().await),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Replace what a field holds, by typing.
    pub async fn fill(&self, css: &str, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let element = self.find(css).await;
            let cleared = self.call(&format!("/element/{element}/clear"), &json!({})).await;
            let typed = match cleared {
                Ok(_) => self.call(&format!("/element/{element}/value"), &json!({ "text": text })).await,
                Err(error) => Err(error),
            };
            match typed {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < until, "{css} at {}: {error}", self.path().await),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Choose from a list, or set a date or time, as its own pop-up would.
    pub async fn choose(&self, css: &str, value: &str) {
        self.find(css).await;
        let set = format!(
            "const field = document.querySelector({}); field.value = {}; \
             field.dispatchEvent(new Event('change', {{ bubbles: true }})); return field.value",
            json!(css),
            json!(value)
        );
        assert_eq!(self.script(&set).await, value, "{css} does not offer it");
    }

    /// A picture of what is shown, in both themes and in a narrow window, in which nothing may stick out. Where
    /// `QUELL_AXE` names a copy of axe-core (`npm pack axe-core`, file `axe.min.js`), it has to find nothing.
    pub async fn shot(&self, name: &str) {
        self.count.set(self.count.get() + 1);
        let name = format!("{}-{:02}-{name}", self.walk, self.count.get());
        self.picture(&name).await;
        self.accessible(&name).await;
        self.theme("dark").await;
        self.picture(&format!("{name}-dark")).await;
        self.accessible(&format!("{name}, dark")).await;
        self.theme("light").await;
        self.size(NARROW).await;
        self.picture(&format!("{name}-narrow")).await;
        let wide = self.script("return document.documentElement.scrollWidth - innerWidth").await;
        self.size(WIDE).await;
        assert!(wide.as_i64().is_some_and(|pixels| pixels <= 0), "{name} sticks out of a narrow window: {wide}");
    }

    async fn accessible(&self, name: &str) {
        let Some(axe) = std::env::var_os("QUELL_AXE") else { return };
        let axe = std::fs::read_to_string(axe).expect("QUELL_AXE names a file");
        let script = format!(
            "{axe}; const end = arguments[arguments.length - 1]; \
             axe.run(document, {{ resultTypes: ['violations'] }}).then(found => end(found.violations.map(one => \
             one.id + ': ' + one.help + ' ' + one.nodes.map(node => node.html.slice(0, 200) + ' ' + \
             (node.any[0]?.message ?? '')).join(' | '))), error => end([String(error)]))"
        );
        let found = self.call("/execute/async", &json!({ "script": script, "args": [] })).await;
        let found = found.expect("axe runs");
        let lines: Vec<&str> = found.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        if std::env::var_os("QUELL_AXE_GOES_ON").is_some() {
            lines.iter().for_each(|line| eprintln!("axe {name}: {line}"));
        } else {
            assert!(lines.is_empty(), "{name}: {lines:#?}");
        }
    }

    async fn theme(&self, theme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn picture(&self, name: &str) {
        use base64::Engine as _;
        let picture = self.call("/screenshot", &Value::Null).await.expect("the browser can be pictured");
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text")).expect("base64");
        std::fs::write(self.shots.join(format!("{name}.png")), bytes).expect("the picture is kept");
    }

    /// The browser ends.
    pub async fn close(self) {
        let _ = self.http.delete(&self.session).send().await;
    }
}
