/* Inside of the image store: shared by image.c (what is there), image_load.c (archives and layouts) and image_layer.c (unpacking). */
#ifndef AGENT_IMAGE_INT_H
#define AGENT_IMAGE_INT_H

#include "agent/image.h"
#include "base/list.h"
#include "base/mem.h"

#include <stdatomic.h>

#define IMAGE_HEX_SIZE 65 /* 64 digits and NUL */

/* "sha256:" + 64 lower-case hex digits -> the digits. */
bool image_digest_hex(struct str digest, char hex[IMAGE_HEX_SIZE]);
/* Writes the digits of the sha256 of the bytes. */
void image_sha256(const void *p, size_t n, char hex[IMAGE_HEX_SIZE]);
/* A reference as a file name: '/' and '%' escaped. */
char *image_ref_escape(const char *ref);
char *image_ref_unescape(const char *name);

/* ---- image_layer.c, worker thread ---- */

/* Unpacks the layer blob at path into the new directory dir. Both digests are checked: of the file as it is, and of the tar inside. diff_hex NULL:
 * not known, its value is written to diff_found. Stops with ERR_CANCELED when *cancel is set. */
int image_layer_unpack(const char *path, const char *blob_hex, const char *diff_hex, const char *dir,
                       char diff_found[IMAGE_HEX_SIZE], const atomic_bool *cancel, struct error *err);
/* Only the digest of the tar inside. */
int image_layer_diff(const char *path, char diff_found[IMAGE_HEX_SIZE], struct error *err);

/* Path of an archive's entry: leading "./" and "/" and trailing "/" off. False if nothing is left or a component is "..". */
bool image_clean_path(const char *in, char *out, size_t size);
/* The directory that holds path below root_fd (O_PATH, made if absent), and the last component. -1 with errno. */
int image_open_parent(int root_fd, char *path, const char **base);

/* ---- image_load.c, worker thread ---- */

struct image_found {
    struct list link;
    char manifest_hex[IMAGE_HEX_SIZE];
    char **refs; /* NULL-terminated */
    unsigned refs_count;
};
/* Everything in one archive or layout goes into the store at root; appends struct image_found to found. */
int image_import(const char *root, const char *path, const char *name, const atomic_bool *cancel, struct list *found,
                 struct error *err);
void image_found_free(struct list *found);

#endif
