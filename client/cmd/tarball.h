/* Files as a tar stream, for cp: packed on the way out; on the way in unpacked so that nothing is written outside of
 * where it was asked for, whatever a container puts into its archive. Both block; they run on a thread of their own
 * beside the stream. */
#ifndef CLIENT_CMD_TARBALL_H
#define CLIENT_CMD_TARBALL_H

#include "base/err.h"

#define TARBALL_DEPTH_MAX 256u

/* Writes path (a file, or a directory with all below it) under `name` to fd. Symbolic links stay links; sockets and
 * devices are left out. */
int tarball_pack(int fd, const char *path, const char *name, struct error *err);

/* Reads an archive whose entries are `name` or lie below it, and puts them at `dest` (which becomes the file, or the
 * directory). Entries with "..", absolute ones, and those outside of `name` end it with ERR_INVALID; links and devices
 * are left out and told to skipped(); a symbolic link that stands in the way here is not followed (ERR_FORBIDDEN).
 * A file of which not all came is not there; what had its name before is.
 * An archive without entries is ERR_NOT_FOUND. Reads fd to its end in any case. */
int tarball_unpack(int fd, const char *dest, const char *name, void (*skipped)(const char *what, void *data),
                   void *data, struct error *err);

#endif
