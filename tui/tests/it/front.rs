//! TLS before a server that speaks plain HTTP, with an authority that nobody else knows.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// It ends with the test's process.
pub struct Front {
    /// `https://127.0.0.1:port`
    pub url: String,
    folder: tempfile::TempDir,
}

impl Front {
    /// Hands requests over to `http://host:port`.
    pub fn before(url: &str) -> anyhow::Result<Self> {
        let behind = url.trim_start_matches("http://").to_owned();
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key)?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let own = own.signed_by(&key, &issuer)?;
        let secret = PrivateKeyDer::try_from(key.serialize_der());
        let secret = secret.ok().context("a key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], secret)?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("https://{}", listener.local_addr()?);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, behind) = (Arc::clone(&config), behind.clone());
                // Who does not trust it breaks the handshake off: that is what is tested.
                std::thread::spawn(move || hand_over(socket, config, &behind));
            }
        });
        Ok(Self { url, folder })
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

fn hand_over(socket: TcpStream, config: Arc<ServerConfig>, behind: &str) -> anyhow::Result<()> {
    let mut client = StreamOwned::new(ServerConnection::new(config)?, socket);
    let request = request(&mut client)?;
    let mut server = TcpStream::connect(behind)?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    Ok(client.flush()?)
}

/// A head with the body that it announces.
fn request(client: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = client.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let head = text.split_once("\r\n\r\n").map(|(head, _)| head);
        let is_whole = head.is_some_and(|head| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap_or(0));
            bytes.len() >= head.len() + 4 + length
        });
        if n == 0 || is_whole {
            return Ok(bytes);
        }
    }
}
