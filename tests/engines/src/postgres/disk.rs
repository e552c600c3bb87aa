//! A cluster on a disk that can be full: a tmpfs in a mount namespace of its own, so it goes with the cluster. Who is not root takes a
//! user namespace, too.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Postgres,
    process::Process,
    programs::{group_of, user},
};

impl Postgres {
    /// A cluster whose tables lie on a disk of 80 MiB that only it sees and that can be filled. Its write-ahead log lies elsewhere, as
    /// many keep it. It cannot be started again.
    pub fn on_small_disk() -> Self {
        let mut cluster = Self::prepare();
        cluster.small_disk = true;
        let (data, making, serving) = (cluster.data(), cluster.making(), cluster.serving().join(" "));
        fs::create_dir(&data).expect("a folder");
        let uid = fs::metadata(cluster.folder.join("lock")).expect("the folder").uid();
        let gid = group_of(uid);
        // Whose the disk is, who works on it, and what makes a namespace for mounts.
        let (of, own, namespace): (_, _, &[&str]) = match user() {
            Some(user) => (
                format!(",uid={uid},gid={gid}"),
                format!("setpriv --pdeathsig KILL --reuid {user} --regid {user} --init-groups --"),
                &["--mount"],
            ),
            None => (
                String::new(),
                format!("unshare --user --map-user={uid} --map-group={gid} setpriv --pdeathsig KILL --"),
                &["--mount", "--user", "--map-root-user"],
            ),
        };
        let disk = format!("mount -t tmpfs -o size=80m,mode=0700{of} tmpfs {}", data.display());
        let script = format!("{disk} && {own} sh -c '{making}' && exec {own} {serving}");
        let process = Process::start("postgres", Path::new("/usr/bin/unshare"), &cluster.folder, |command| {
            command.args(namespace).args(["sh", "-c", &script]).current_dir("/");
        });
        cluster.process = Some(process);
        cluster.wait_until_ready();
        cluster.make_role();
        cluster
    }

    /// Fills the small disk to the last byte.
    pub fn fill_disk(&self) {
        let mut file =
            fs::File::options().create(true).append(true).open(self.filler()).expect("the small disk");
        let full = (0..100_000).find_map(|_| file.write_all(&[0; 4096]).err());
        assert_eq!(full.expect("a full disk").kind(), ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub fn free_disk(&self) {
        fs::remove_file(self.filler()).expect("a filled disk");
    }

    /// As its own processes see the disk.
    fn filler(&self) -> PathBuf {
        let id = self.process.as_ref().expect("a started cluster").id().to_string();
        let data = self.data();
        Path::new("/proc")
            .join(id)
            .join("root")
            .join(data.strip_prefix("/").expect("an absolute path"))
            .join("filler")
    }
}
