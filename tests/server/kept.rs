//! Is what a server replied there when another one begins with its directory?

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callboard::server::{Fsync, ServeError};

use super::{Client, LIMIT, builder, on_both};

/// A directory that goes with it.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("callboard-server-{}-{nth}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        TempDir(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn what_was_replied_is_there_when_a_server_begins_again() {
    on_both(async || {
        let dir = TempDir::new();
        let made = dir.0.join("made").join("by it");
        let dir = &made;
        let server = builder().data(dir).fsync(Fsync::Always).serve().await.unwrap();
        let mut client = Client::connect(&server).await;
        client.say("XADD s 1-1 f v\r\n", "$3\r\n1-1\r\n").await;
        client.say("XGROUP CREATE s g 0\r\n", "+OK\r\n").await;
        let entry = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
        let read = format!("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n{entry}");
        client.say("XREADGROUP GROUP g c STREAMS s >\r\n", &read).await;
        client.say("CONFIG GET appendonly\r\n", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n").await;
        // Nobody else may have it meanwhile, and hears so.
        let error = builder().data(dir).serve().await.unwrap_err();
        assert!(
            matches!(error, ServeError::Data { .. }) && error.to_string().contains("is open in another"),
            "{error}"
        );
        client.say("DEBUG LOADAOF\r\n", "+OK\r\n").await;
        client.say("XACK s g 1-1\r\n", ":1\r\n").await;
        client.say("XADD s 1-2 f w\r\n", "$3\r\n1-2\r\n").await;
        server.stop(LIMIT).await;
        let server = builder().data(dir).serve().await.unwrap();
        let mut client = Client::connect(&server).await;
        client.say("XLEN s\r\n", ":2\r\n").await;
        client.say("XPENDING s g\r\n", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n").await;
        // Dropped without a word, it ends all the same, and what was replied is there.
        client.say("XADD s 1-3 f x\r\n", "$3\r\n1-3\r\n").await;
        drop(server);
        client.reads_its_end().await;
        let server = loop {
            match builder().data(dir).serve().await {
                Ok(server) => break server,
                Err(error) => assert!(error.to_string().contains("is open in another"), "{error}"),
            }
        };
        Client::connect(&server).await.say("XLEN s\r\n", ":3\r\n").await;
        server.stop(Duration::from_secs(1)).await;
    });
}

/// A client that waits is handed what comes once that is on the disk, with its reply.
#[test]
fn whoever_waits_is_handed_what_is_there_again() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let (mut writer, mut reader) = (Client::connect(&server).await, Client::connect(&server).await);
        writer.say("XGROUP CREATE s g $ MKSTREAM\r\n", "+OK\r\n").await;
        let entry = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
        let read = format!("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n{entry}");
        let waits = reader.say("XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n", &read);
        futures::future::join(waits, writer.say("XADD s 1-1 f v\r\n", "$3\r\n1-1\r\n")).await;
        server.stop(LIMIT).await;
        let server = builder().data(&dir.0).serve().await.unwrap();
        let mut client = Client::connect(&server).await;
        client
            .say(
                "XPENDING s g\r\n",
                "*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n",
            )
            .await;
        server.stop(LIMIT).await;
    });
}

#[test]
fn what_is_no_data_directory_is_refused_with_its_reason() {
    on_both(async || {
        let dir = TempDir::new();
        let file = dir.0.join("file");
        std::fs::write(&file, "something").unwrap();
        for dir in [&dir.0, &file] {
            let error = builder().data(dir).serve().await.unwrap_err().to_string();
            assert!(error.starts_with("can't serve from") && error.contains("is in the way"), "{error}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"something");
    });
}
