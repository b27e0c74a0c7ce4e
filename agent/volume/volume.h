/* Volumes of pods on the node's disk: emptyDir, hostPath, and sets of files (ConfigMap, Secret, downward API).
 *
 *   DIR/UID/volumes/NAME/            what is mounted
 *   DIR/UID/volumes/NAME/..data -> ..TIMESTAMP   file sets: one symlink swap changes all files at once, and containers
 *   that hold the
 *                                    directory see either the old or the new set (Kubernetes' AtomicWriter layout)
 *   DIR/UID/subpaths/N               bind mounts that pin a checked subPath
 *   DIR/UID/shifted/N                the same for a pod with user ids of its own: what a container of it mounts
 * Secrets and emptyDirs with medium Memory are tmpfs. Everything but removal is blocking and short. Loop thread
 * only. */
#ifndef AGENT_VOLUME_VOLUME_H
#define AGENT_VOLUME_VOLUME_H

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
};
/* Writes the set, or replaces it if it changed; *changed (may be NULL) tells. secret: on tmpfs. */
int volume_files(struct volume_store *s, const char *uid, const char *name, bool secret,
                 const struct volume_file *files, unsigned count, int64_t gid, char path[VOLUME_PATH_MAX],
                 bool *changed, struct error *err);
/* New content for a volume that is mounted already. ERR_NOT_FOUND if it is not there. */
int volume_update(struct volume_store *s, const char *uid, const char *name, const struct volume_file *files,
                  unsigned count, int64_t gid, bool *changed, struct error *err);

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

/* uids that have something here, one per call from *cursor = 0. */
bool volume_next(struct volume_store *s, unsigned *cursor, char uid[64]);
/* Unmount and delete all of a pod's volumes, on a worker thread. hostPaths are not touched. Nothing there is fine. */
typedef void volume_done_cb(const struct error *error, void *data);
void volume_remove_pod(struct volume_store *s, const char *uid, volume_done_cb *cb, void *data);

#endif
