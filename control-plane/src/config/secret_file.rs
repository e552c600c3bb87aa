//! Files with secrets. An empty one is a mistake, and so is one of ours that others may read: the rule is that of ssh for its keys. A
//! file that belongs to another user is theirs to protect (a secret that is mounted into a container is often root's, mode 0444), so
//! that everybody may read it is only told.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// What was in the file.
pub(crate) struct Secret {
    /// As it stands there.
    pub text: String,
    /// What whoever runs us should know.
    pub warning: Option<String>,
}

/// Everybody on the machine, beyond the owner and the group: read, write.
const OTHERS_READ: u32 = 0o004;
/// The group and everybody: write.
const ANYBODY_WRITES: u32 = 0o022;
/// More than any list of tokens or key: a file of another kind was named.
const MAX_LEN: u64 = 64 * 1024;

/// Reads a file with secrets. The error is text behind the name of where the path was given, without anything of what is in it.
pub(crate) fn read(path: &str) -> Result<Secret, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if found.is_dir() {
        return Err("cannot be read: it is a directory".to_owned());
    }
    // A pipe, as of `<(command)`, has no mode that says who may read it.
    let warning = if found.is_file() { judge(found.mode(), found.uid() == own_user())? } else { None };
    let mut text = String::new();
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_LEN {
        return Err(format!("has more than {MAX_LEN} bytes, which is no file with a secret"));
    }
    if text.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(Secret { text, warning })
}

/// What is wrong with who may use a file: an error where nothing starts with it.
pub(crate) fn mode_of(path: &str) -> Result<Option<String>, String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => judge(found.mode(), found.uid() == own_user()),
        _ => Ok(None),
    }
}

/// Who may do what with it, by its mode.
fn judge(mode: u32, is_ours: bool) -> Result<Option<String>, String> {
    let told = match (mode & OTHERS_READ != 0, mode & ANYBODY_WRITES != 0) {
        (false, false) => return Ok(None),
        (true, _) => "everybody on this machine may read the file",
        (false, true) => "others than its owner may write the file",
    };
    let shown = format!("{told} (mode {:04o})", mode & 0o7777);
    if is_ours {
        return Err(format!(
            "{shown}: chmod 0600 it; where a secret is mounted, mount it with mode 0400 or run as another user than its owner"
        ));
    }
    Ok(Some(format!("{shown}; its owner is another user, who can change that")))
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn ours_is_refused_when_others_may_read_or_write_it_and_anothers_is_told() {
        for mode in [0o600, 0o400, 0o640, 0o440, 0o100_600] {
            assert_eq!((judge(mode, true), judge(mode, false)), (Ok(None), Ok(None)), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o444, 0o666, 0o620, 0o602, 0o100_644] {
            let (ours, others) = (judge(mode, true).unwrap_err(), judge(mode, false).unwrap().unwrap());
            assert!(
                ours.contains("chmod 0600") && others.contains("another user"),
                "{mode:o}: {ours} {others}"
            );
        }
    }

    #[test]
    fn files_that_hold_no_secret_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let at = path.to_str().unwrap();
        let told = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(at).map(|secret| secret.text)
        };
        assert_eq!(told("a-token\n", 0o600).unwrap(), "a-token\n");
        assert_eq!(told(" \n\n", 0o600).unwrap_err(), "the file is empty");
        assert!(
            told("a-token\n", 0o644)
                .unwrap_err()
                .starts_with("everybody on this machine may read the file (mode 0644)")
        );
        assert!(told(&"x".repeat(70_000), 0o600).unwrap_err().contains("no file with a secret"));
        assert!(read(folder.path().to_str().unwrap()).is_err_and(|told| told.contains("a directory")));
        assert!(read("/nonexistent/token").is_err_and(|told| told.starts_with("cannot be read: ")));
    }
}
