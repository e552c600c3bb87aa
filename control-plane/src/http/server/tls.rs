//! The server's certificate and key, and the authorities of gateways: read at the start, and again when the files change or somebody
//! asks for it. A pair that is broken, or not good at this time, changes nothing but a gauge and a line of the log.
//!
//! Files are compared by what is in them, every few seconds: a secret that Kubernetes mounts is replaced behind a link, and an editor
//! replaces the file, so a change of either kind is seen without knowing which it was.

mod material;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time;

use self::material::{Contents, Material, Pair, client_authorities};
use crate::config::tls::TlsFiles;
use crate::service::clock::Clock;
use crate::service::metrics::TlsMetrics;

/// TLS of the server's own. Clones share it.
#[derive(Clone)]
pub(super) struct Tls {
    /// What is counted of it.
    pub metrics: TlsMetrics,
    inner: Arc<Inner>,
}

/// What a connection was made with, and whether that has changed since.
pub(super) type Current = watch::Receiver<Arc<Material>>;

struct Inner {
    files: TlsFiles,
    current: watch::Sender<Arc<Material>>,
    asked: Notify,
    clock: Clock,
    metrics: TlsMetrics,
}

/// What was wrong with the files when they were looked at last.
#[derive(Default)]
struct Mistake {
    text: Option<String>,
    is_told: bool,
}

impl Tls {
    /// Reads the files for the first time. What is not good at this time is served all the same, and said: a control plane that does not
    /// start serves nobody.
    pub fn load(files: TlsFiles, clock: Clock, metrics: TlsMetrics) -> Result<Self, String> {
        let contents = Contents { pair: Pair::read(&files)?, client_ca: client_authorities(&files)? };
        let material = contents.material()?;
        if let Some(warning) = &contents.pair.warning {
            tracing::warn!("{warning}");
        }
        if let Some(mistake) = material.validity.mistake(clock.now().as_second()) {
            tracing::warn!("FLAMEGATE_TLS_CERT: {mistake}; nobody who checks it will connect");
        }
        metrics.good_until(material.validity.until);
        let (current, _) = watch::channel(Arc::new(material));
        let inner = Inner { files, current, asked: Notify::new(), clock, metrics: metrics.clone() };
        Ok(Self { metrics, inner: Arc::new(inner) })
    }

    /// What to make handshakes with.
    pub fn current(&self) -> Current {
        self.inner.current.subscribe()
    }

    /// Has the files looked at now, and told what is wrong with them.
    pub fn look_again(&self) {
        self.inner.asked.notify_one();
    }

    /// Looks at the files until the server goes down.
    pub async fn follow(self, every: Duration, mut shutdown: watch::Receiver<bool>) {
        let mut mistake = Mistake::default();
        loop {
            let asked = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                () = self.inner.asked.notified() => true,
                () = time::sleep(every) => false,
            };
            let inner = Arc::clone(&self.inner);
            // Files are slow where disks are.
            let Ok(seen) = tokio::task::spawn_blocking(move || inner.look()).await else { continue };
            self.inner.take(seen, asked, &mut mistake);
        }
    }
}

impl Inner {
    /// What is in the files now, if that is another thing than what is served, and what is wrong with them. The pair and the authorities
    /// are judged apart: who takes an authority out does so whatever state the server's own certificate is in.
    fn look(&self) -> (Option<Material>, Option<String>) {
        let mut contents = self.current.borrow().contents.clone();
        let mut mistake = None;
        match client_authorities(&self.files) {
            Ok(authorities) => contents.client_ca = authorities,
            Err(text) => mistake = Some(text),
        }
        match Pair::read(&self.files) {
            Ok(pair) if pair == contents.pair => {}
            Ok(pair) => match pair.check().map(|validity| validity.mistake(self.clock.now().as_second())) {
                Ok(None) => contents.pair = pair,
                Ok(Some(text)) => mistake = Some(format!("FLAMEGATE_TLS_CERT: {text}")),
                Err(text) => mistake = Some(text),
            },
            Err(text) => mistake = Some(text),
        }
        if contents == self.current.borrow().contents {
            return (None, mistake);
        }
        match contents.material() {
            Ok(material) => (Some(material), mistake),
            Err(text) => (None, Some(text)),
        }
    }

    fn take(&self, (new, seen): (Option<Material>, Option<String>), asked: bool, mistake: &mut Mistake) {
        let is_new = new.is_some();
        if let Some(material) = new {
            self.metrics.good_until(material.validity.until);
            self.current.send_replace(Arc::new(material));
            tracing::info!("the files for TLS were read again: new connections have what is in them");
        }
        let Some(text) = seen else {
            *mistake = Mistake::default();
            self.metrics.files_refused(false);
            if asked && !is_new {
                tracing::info!("the files for TLS are as they were");
            }
            return;
        };
        // Two files are not replaced in one moment: what is wrong once may be right at the next look.
        let is_again = mistake.text.as_ref() == Some(&text);
        let is_told = mistake.is_told && is_again;
        if asked || (is_again && !is_told) {
            self.metrics.files_refused(true);
            tracing::error!("{text}: what was good stays in use");
        }
        *mistake = Mistake { text: Some(text), is_told: is_told || asked || is_again };
    }
}
