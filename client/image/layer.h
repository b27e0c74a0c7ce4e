/* One layer of an image on its way to a file: a tar through a digest, compressed, and through another digest.
 * The same entries in the same order give the same bytes: no times, no user names. Blocking. */
#ifndef CLIENT_IMAGE_LAYER_H
#define CLIENT_IMAGE_LAYER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define LAYER_HEX_SIZE  65 /* of a sha256: 64 digits and NUL */
#define LAYER_DEPTH_MAX 256u

struct archive;
struct archive_entry;

struct layer_digests {
    char blob_hex[LAYER_HEX_SIZE]; /* of the file */
    char diff_hex[LAYER_HEX_SIZE]; /* of the tar inside */
    uint64_t size_bytes;           /* of the file */
};

struct layer;
/* The file is made at `path`. */
int layer_begin(const char *path, struct layer **out, struct error *err);
/* A directory, file, symbolic or hard link. Its time is set to 0, its owner is the caller's to set. */
int layer_entry(struct layer *l, struct archive_entry *e, struct error *err);
int layer_data(struct layer *l, const void *p, size_t n, struct error *err); /* of the file begun */
int layer_finish(struct layer *l, struct layer_digests *out, struct error *err);
void layer_abort(struct layer *l); /* layer_finish and layer_abort consume l */

/* In short. owner: uid, gid. */
struct layer_owner {
    uid_t uid;
    gid_t gid;
};
int layer_directory(struct layer *l, const char *name, mode_t mode, struct layer_owner owner, struct error *err);
int layer_text(struct layer *l, const char *name, mode_t mode, struct layer_owner owner, struct str text,
               struct error *err);
int layer_link(struct layer *l, const char *name, const char *target, struct error *err);
/* What is at `path` on this machine, under `name` ("" = the root), with all below it in the order of names. Symbolic
 * links stay links; sockets, FIFOs and devices are left out. owner NULL: as they are. mode 0: as they are. */
int layer_tree(struct layer *l, const char *path, const char *name, const struct layer_owner *owner, mode_t mode,
               struct error *err);
/* The content of the entry that `from` stands at, for the file begun. */
int layer_copy_data(struct layer *l, struct archive *from, struct error *err);

void sha256_hex(const void *p, size_t n, char hex[LAYER_HEX_SIZE]);

#endif
