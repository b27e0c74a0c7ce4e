/* Volumes of pods on the node's disk: emptyDir, hostPath, sets of files (ConfigMap, Secret, downward API), what
 * servers have (NFS), and directories of the node that outlive the pod (claims).
 *
 *   DIR/UID/volumes/NAME/            what is mounted
 *   DIR/UID/notes/NAME               what is to be remembered of it
 *   DIR/UID/volumes/NAME/..data -> ..TIMESTAMP   file sets: one symlink swap changes all files at once, and containers
 *   that hold the
 *                                    directory see either the old or the new set (Kubernetes' AtomicWriter layout)
 *   DIR/UID/subpaths/N               bind mounts that pin a checked subPath
 *   DIR/UID/shifted/N                the same for a pod with user ids of its own: what a container of it mounts
 * Secrets and emptyDirs with medium Memory are tmpfs. What is not said to take time is blocking and short. Loop
 * thread only. */
#ifndef AGENT_VOLUME_VOLUME_H
#define AGENT_VOLUME_VOLUME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define VOLUME_PATH_MAX     1024
#define VOLUME_FILES_MAX    4096u
#define VOLUME_FILE_SET_MAX (4u << 20)

struct volume_store;
int volume_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct volume_store **out,
                     struct error *err);
struct volume_store *volume_store_hollow_new(uv_loop_t *loop); /* paths only, no disk */
void volume_store_close(struct volume_store *s, void (*cb)(void *data), void *data);

/* path receives the directory (or file, for hostPath) to mount. All are idempotent: what exists from before the
 * agent's restart is used. */

/* memory: tmpfs of size_limit bytes (0 = half of the node's memory). On disk the limit is not enforced here. gid:
 * fsGroup, -1 = none (then the directory is 0777; with a group it is 02777 and of that group). */
int volume_empty_dir(struct volume_store *s, const char *uid, const char *name, bool memory, uint64_t size_limit,
                     int64_t gid, char path[VOLUME_PATH_MAX], struct error *err);

/* type as in the API: "", DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice.
 * ERR_INVALID "hostPath type check failed: /x is not a directory". */
int volume_host_path(struct volume_store *s, const char *host_path, const char *type, char path[VOLUME_PATH_MAX],
                     struct error *err);

/* One file of a set. path is relative, may have directories, no "..", must not begin with "..". */
struct volume_file {
    const char *path;
    struct str content; /* borrowed */
    uint32_t mode;      /* 0 = 0644 */
    int64_t user;       /* whose it is; 0 = root */
};
/* Writes the set, or replaces it if it changed; *changed (may be NULL) tells. secret: on tmpfs. */
int volume_files(struct volume_store *s, const char *uid, const char *name, bool secret,
                 const struct volume_file *files, unsigned count, int64_t gid, char path[VOLUME_PATH_MAX],
                 bool *changed, struct error *err);
/* New content for a volume that is mounted already. ERR_NOT_FOUND if it is not there. */
int volume_update(struct volume_store *s, const char *uid, const char *name, const struct volume_file *files,
                  unsigned count, int64_t gid, bool *changed, struct error *err);

/* The content of one file of a volume that is mounted already. ERR_NOT_FOUND, ERR_TOO_LARGE: of more than max bytes. */
int volume_read(struct volume_store *s, const char *uid, const char *name, const char *file, size_t max,
                struct buf *out, struct error *err);

/* A path below a volume for volumeMounts.subPath: made (as a directory) if absent unless read_only_source; symbolic
 * links cannot lead out of the volume, also not while containers write in it (resolved by openat2 RESOLVE_IN_ROOT, then
 * bound to a path of our own through its descriptor). key: unique within the pod for this mount, e.g.
 * "CONTAINER-INDEX". path: what to mount. */
int volume_sub_path(struct volume_store *s, const char *uid, const char *key, const char *volume_path,
                    const char *sub_path, bool read_only_source, char path[VOLUME_PATH_MAX], struct error *err);

/* What lies at source, a volume or what volume_sub_path gave, with its owners shifted as the pod's user namespace (a
 * file, userns.h) has them. recursive: with what is mounted below. key as above. ERR_UNSUPPORTED: the file system
 * cannot. */
int volume_shift(struct volume_store *s, const char *uid, const char *key, const char *source,
                 const char *user_namespace, bool recursive, char path[VOLUME_PATH_MAX], struct error *err);

/* ---- Volumes that take time (attach.c) ----
 * Servers, and disks with much on them: what is to be done is begun beside the loop. All of these answer at once:
 *   0         path receives what is to be mounted, and stays so for as long as the pod has volumes
 *   ERR_BUSY  it is being done; events.attached comes when that is over, whatever came of it
 *   else      what came of the last try, told once; the next call begins anew */

#define VOLUME_MOUNT_MS  60000 /* then the helper is killed */
#define VOLUME_REMOVE_MS 30000 /* how long a volume may take to be unmounted before that is told */

struct volume_events {
    void (*attached)(const char *uid, void *data);
    void (*removed)(const char *uid, void *data); /* all of the pod's volumes, before the callback of the removal */
};
void volume_set_events(struct volume_store *s, const struct volume_events *events, void *data);
void volume_set_patience(struct volume_store *s, int64_t mount_ms, int64_t remove_ms); /* for tests */

struct volume_nfs {
    struct str server, path;
    const char *options; /* for mount -o, "" = none */
    bool read_only;
};
/* Mounted by the system's mount(8). */
int volume_nfs(struct volume_store *s, const char *uid, const char *name, const struct volume_nfs *n,
               char path[VOLUME_PATH_MAX], struct error *err);

struct volume_directory {
    const char *path;
    const char *made_in, *notes, *volume, *volume_uid; /* of the local provisioner (local.h); NULL = it must be there */
    int64_t gid;                                       /* fsGroup: all that is in it is given to it; -1 = none */
    bool on_mismatch;                                  /* not if the directory itself has it already */
};
/* A directory of the node. */
int volume_directory(struct volume_store *s, const char *uid, const char *name, const struct volume_directory *d,
                     char path[VOLUME_PATH_MAX], struct error *err);

/* volume_host_path where the path lies on a server's file system (fs_is_remote). */
int volume_host_path_aside(struct volume_store *s, const char *uid, const char *name, const char *host_path,
                           const char *type, char path[VOLUME_PATH_MAX], struct error *err);

/* volume_sub_path where the volume is a server's. attempt: of the container; another one looks anew. */
int volume_sub_path_aside(struct volume_store *s, const char *uid, const char *key, unsigned attempt,
                          const char *volume_path, const char *sub_path, char path[VOLUME_PATH_MAX], struct error *err);

/* A few bytes that are kept beside a volume of the pod, and go with it. */
#define VOLUME_NOTE_MAX (2u << 20)
int volume_write_note(struct volume_store *s, const char *uid, const char *name, struct str bytes, struct error *err);
bool volume_next_note(struct volume_store *s, const char *uid, unsigned *cursor, char name[256], struct buf *out);

/* uids that have something here, one per call from *cursor = 0. */
bool volume_next(struct volume_store *s, unsigned *cursor, char uid[64]);
/* Unmount and delete all of a pod's volumes, beside the loop. hostPaths and claims' volumes are not touched. Nothing
 * there is fine. What is being attached is ended first. ERR_BUSY: a mount is still in use, "volume "x" ...";
 * ERR_TIMEOUT: the kernel has not ended it yet, which goes on: ask again. Nothing was lost, and it can be tried
 * again. */
typedef void volume_done_cb(const struct error *error, void *data);
void volume_remove_pod(struct volume_store *s, const char *uid, volume_done_cb *cb, void *data);
/* The same, and what is in use is detached: the kernel ends it when its last user does. */
void volume_force_remove_pod(struct volume_store *s, const char *uid, volume_done_cb *cb, void *data);

#endif
