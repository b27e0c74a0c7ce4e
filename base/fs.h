/* What makes a change of names in a directory durable. A rename, a new file or a removed one is on the disk only
 * when its directory is. */
#ifndef BASE_FS_H
#define BASE_FS_H

/* 0 or a negative errno. A file system that cannot sync directories says EINVAL, and nothing better can be had
 * there: that is 0. */
int fs_sync_dir(const char *dir);
/* The same for the directory that `path` stands in. */
int fs_sync_parent(const char *path);

#endif
