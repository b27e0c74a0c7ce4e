/* Files and mounts, blocking: what image store, volumes, sandboxes and the runtime have in common.
 *
 * Functions return 0 or a negative enum err with the path in the message. Paths are absolute. Safe on any thread. */
#ifndef AGENT_UTIL_FSUTIL_H
#define AGENT_UTIL_FSUTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define FS_PATH_MAX 4096
/* Directories that the agent is started with: whatever it makes below them (a pod's log: 360 characters more) fits into
 * its buffers. Checked where they come in. */
#define FS_BASE_MAX 255u

/* Joins with '/' and asserts that it fits into size: of parts that were checked when they came in, FS_BASE_MAX and
 * the limits of names. */
void fs_path(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool fs_exists(const char *path); /* of itself: a dangling symlink exists */

/* Whole file into out (appended), a regular one: a FIFO or device is not waited for. ERR_INVALID, ERR_TOO_LARGE above
 * max_bytes. */
int fs_read_file(const char *path, size_t max_bytes, struct buf *out, struct error *err);
/* The same for one short virtual file: text without the final newline; false if it cannot be read. */
bool fs_read_line(const char *path, char *out, size_t size);
/* A file that has no name until it is written, synced if asked, and then takes the place of what is at path; the
 * directory is synced if asked. A process that is killed in the moment between leaves "PATH.tmp.TID", which no reader
 * of directories takes for a file. */
int fs_write_file(const char *path, struct str content, mode_t mode, bool sync, struct error *err);
bool fs_is_leftover(const char *name); /* is it such a name? */
/* Into an existing (virtual) file with one write(2): cgroups, /proc/sys. */
int fs_write_value(const char *path, const char *text, struct error *err);

int fs_make_dirs(const char *path, mode_t mode, struct error *err); /* with parents; an existing directory is fine */
/* The same, and nobody but the owner may enter the last one, also if it was there before. */
int fs_make_private_dir(const char *path, struct error *err);
/* The same, and what is in it is never written to a disk: a tmpfs of at most size_bytes is mounted there, unless it
 * lies on one already. ERR_BUSY if something lies in it that a mount would hide. */
int fs_make_ram_dir(const char *path, uint64_t size_bytes, struct error *err);
int fs_make_parent(const char *path, mode_t mode, struct error *err);

/* Deletes a tree, however deep. Never follows symbolic links and never goes into a mount: a mounted directory stays and
 * makes it fail (EBUSY, ERR_SYSTEM). Nothing there is fine. Holds at most some 40 descriptors. */
int fs_remove_tree(const char *path, struct error *err);

/* Opens path with every symbolic link and ".." resolved inside root_fd (openat2 RESOLVE_IN_ROOT, no magic links). -1
 * with errno. */
int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode);
/* Reads a file inside root_fd, resolved in the same way, that others may have made: only a regular file of at most
 * max_bytes, and no device, FIFO or socket is even opened for reading. Appended to out. ERR_NOT_FOUND, ERR_INVALID (no
 * file; a link into the void is "not found"), ERR_TOO_LARGE. */
int fs_read_in_root(int root_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err);
/* Makes the directories of path inside root_fd, in the same way, and opens the last one (O_PATH). -1 with errno. */
int fs_make_dirs_in_root(int root_fd, const char *path, mode_t mode);

int fs_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
             struct error *err);
/* Lazily unmounts everything mounted at path or below it, the newest first. */
int fs_unmount_below(const char *path, struct error *err);
/* Deletes a tree (fs_remove_tree) after lazily unmounting what is mounted at path itself and at these names in it, with
 * all below. Only if that fails, the mount table is read, which is as long as the node has pods: what is mounted
 * elsewhere in it is unmounted, too, and the deletion is tried once more. */
int fs_remove_mounted(const char *path, const char *const *names, unsigned count, struct error *err);

/* All that was mounted at path and below it when it was read, for whoever has more than one thing to do with it. The
 * oldest first; path without symbolic links, NULL if it is not there. */
struct fs_mounts {
    char *path;
    struct fs_mounted {
        char *point;
        bool is_tmpfs;
    } * list;
    size_t count;
};
int fs_mounts_read(struct fs_mounts *m, const char *path, struct error *err); /* also after an error: close */
void fs_mounts_close(struct fs_mounts *m);
/* Lazily unmounts what of it is at PATH/NAME or below, the newest first; name "": all of it. What is not mounted any
 * more is no error. */
int fs_mounts_detach(const struct fs_mounts *m, const char *name, struct error *err);
/* Unmounts what of it is right in the directory PATH/NAME and is no tmpfs. ERR_BUSY names the last component of one
 * that is in use; with detach none is. May wait for a server. */
int fs_mounts_unmount_in(const struct fs_mounts *m, const char *name, bool detach, struct error *err);
/* The type of what is mounted at path, which has no symbolic links, from the mount table: no file system is asked, so
 * no server that is away is waited for. False: nothing is. */
bool fs_mount_type(const char *path, char *type, size_t size);
/* Does what is mounted below path, here or by others, appear on both sides? Of the mount that path lies on; links are
 * followed. */
bool fs_is_shared(const char *path);
/* Does path lie on what a server or another program keeps (NFS, CIFS, FUSE, ...), so that looking at it may take for
 * ever? From the mount table and the letters of the path alone: links are not followed. */
bool fs_is_remote(const char *path);
bool fs_is_mount(const char *path); /* the root of a mount, bind mounts of files too (Linux 5.8) */

#endif
