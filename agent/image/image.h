/* The image store of a node: OCI images in a directory, unpacked once per layer, shared by all containers.
 *
 *   DIR/blobs/sha256/HEX    manifests and configs (verified by their digest)
 *   DIR/layers/HEX/         unpacked layer, HEX = the diff id (sha256 of the uncompressed tar), ready as an overlay
 *                           lowerdir: whiteouts are 0:0 character devices, opaque directories have
 *                           trusted.overlay.opaque=y
 *   DIR/refs/ESCAPED        one file per name: the digest of the manifest it points to
 *   DIR/tmp/                work in progress, emptied at start
 * Guarantees: a layer or blob is there whole or not at all (unpacked in tmp, synced, renamed); every byte was checked
 * against its sha256 digest; a name moves atomically. Unpacking runs on libuv's worker threads; all functions are for
 * the loop thread and callbacks never run inside the call that registered them. What is not there is pulled from the
 * registries that the node may ask (registry.h). Sources: OCI image-spec 1.0 (layout, manifest, config, layer), `docker
 * save` archives (manifest.json). */
#ifndef AGENT_IMAGE_IMAGE_H
#define AGENT_IMAGE_IMAGE_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"
#include "proto/facts/image_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define IMAGE_ARCHIVE_MAX  (8ull << 30)   /* one loaded archive, as sent */
#define IMAGE_UNPACKED_MAX (32ull << 30)  /* one layer, unpacked */
#define IMAGE_RATIO_MAX    256u           /* unpacked bytes of a layer for each of its own, */
#define IMAGE_RATIO_FROM   (64ull << 20)  /* from so many on */
#define IMAGE_ENTRIES_MAX  1000000u       /* files of a layer */
#define IMAGE_DISK_LEFT    (512ull << 20) /* of the disk, or a twentieth, stays free when layers are unpacked: */
#define IMAGE_LOOK_BYTES   (16ull << 20)  /* looked at every so many bytes */
#define IMAGE_JSON_MAX     (4u << 20)     /* manifest, index, config */
#define IMAGE_LAYERS_MAX   127u
#define IMAGE_LOADS_MAX    8u /* streams open at once */

struct image_store;
struct registry_config;
struct registry_login;

/* An image that is present. Immutable; borrowed from the store until image_unref. */
struct image {
    const char *id;          /* "sha256:HEX": the digest of the config, Kubernetes' imageID */
    const char *digest;      /* "sha256:HEX" of the manifest */
    const char *const *refs; /* normalised names, NULL-terminated; may be empty */
    uint64_t size_bytes;     /* of the layers as they came */
    /* Config, NULL-terminated lists, never NULL. */
    const char *const *entrypoint;
    const char *const *cmd;
    const char *const *env;
    const char *cwd;           /* "" if none */
    const char *user;          /* "" if none: "1000", "www-data", "1000:1000" */
    const char *stop_signal;   /* "" if none: "SIGQUIT" */
    const char *const *layers; /* absolute directories, lowest first, NULL-terminated */
    unsigned layers_count;
};
struct image *image_ref(struct image *im);
void image_unref(struct image *im);

/* Opens or makes the store. Blocking, short (reads the refs). ERR_SYSTEM names the path. */
int image_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct image_store **out,
                    struct error *err);
/* For scale tests: every name is present, nothing is on disk. */
struct image_store *image_store_hollow_new(uv_loop_t *loop);
/* Cancels what has not begun, waits for what runs, then frees. Callbacks still pending get ERR_CANCELED before cb.
 * cb may be NULL. */
void image_store_close(struct image_store *s, void (*cb)(void *data), void *data);

/* ---- What is there ---- */

/* By any spelling of its name, by "sha256:..." or by the hex prefix (12 or more) of its id. NULL if absent. A
 * reference is handed out. */
struct image *image_find(struct image_store *s, const char *ref);
/* All images, by name. The array is the caller's to free() after image_unref of each. */
unsigned image_list(struct image_store *s, struct image ***out);
/* Does anybody but the store hold a reference: a container that is there, or is about to start? */
bool image_is_used(const struct image_store *s, const struct image *im);
/* Drop a name, or, by an id, all names of an image; an image without names and its unshared layers are deleted when the
 * last container's reference is gone. */
int image_remove(struct image_store *s, const char *ref, struct error *err);

/* ---- Ensure ---- */

enum image_policy { IMAGE_PULL_IF_NOT_PRESENT, IMAGE_PULL_ALWAYS, IMAGE_PULL_NEVER };
/* "Always", "Never", "IfNotPresent", "" (then by tag: latest or none means Always). Where no registry is configured, or
 * none can be reached, Always is satisfied by a present image. */
enum image_policy image_policy_of(struct str policy, const char *ref);

struct image_result {
    struct image *image; /* present: one reference goes to the callee; NULL on failure */
    const char
        *reason; /* "" or "ErrImagePull", "ErrImageNeverPull", "InvalidImageName": for containerStatuses.waiting */
    const struct error *error; /* NULL: an image is given, and nothing failed */
    bool pulled;               /* it has come from a registry for this */
    bool unreachable; /* Always, and no registry could be reached: the present one is given, error says what failed */
    uint64_t pull_ms, wait_ms; /* pulled: how long it took, and how long since it was asked for */
};
typedef void image_cb(const struct image_result *r, void *data);
void image_ensure(struct image_store *s, const char *ref, enum image_policy policy, image_cb *cb, void *data);
/* The same with logins for registries, which are taken over. */
void image_ensure_as(struct image_store *s, const char *ref, enum image_policy policy, struct registry_login *take,
                     unsigned count, image_cb *cb, void *data);
/* Would it be asked for from a registry? */
bool image_would_pull(struct image_store *s, const char *ref, enum image_policy policy);
/* Why image_would_pull is false for an image that is to be pulled; ERR_NOT_FOUND or ERR_INVALID. */
int image_pull_refusal(struct image_store *s, const char *ref, struct error *err);
/* How far the pull of this image is, in bytes of layers; false if none goes on. all 0: not known yet. */
struct image_progress {
    uint64_t done_bytes, all_bytes;
    bool queued;    /* others come first */
    bool unpacking; /* all has come */
};
bool image_pull_progress(struct image_store *s, const char *ref, struct image_progress *out);
/* Registries that may be asked from now on; taken over. Pulls that have begun go on with the former ones. */
void image_store_set_registries(struct image_store *s, struct registry_config *take);

/* ---- Loading ---- */

struct image_loaded {
    const struct error *error; /* NULL = done */
    const char *const *refs;   /* names that now point to what was loaded, NULL-terminated */
    unsigned count;            /* images found */
};
typedef void image_loaded_cb(const struct image_loaded *r, void *data);

/* An OCI layout directory, or an OCI or docker archive file (tar; gzip or zstd as libarchive reads it). name: the name
 * to give if the archive has none or has one image (may be NULL). */
void image_load_path(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb, void *data);
/* Every layout and archive (*.tar, *.tar.gz, *.tgz, *.oci) directly in dir, one after another. What is present already
 * (same digest) costs no unpacking. A broken one is logged and skipped; error is the first such. */
void image_load_dir(struct image_store *s, const char *dir, image_loaded_cb *cb, void *data);

/* An archive in chunks, as it comes over rpc: begin, write..., finish or abort. */
struct image_load;
int image_load_begin(struct image_store *s, const char *name, struct image_load **out, struct error *err);
/* ERR_TOO_LARGE above IMAGE_ARCHIVE_MAX, ERR_NO_SPACE, ERR_IO: then only abort is left. Blocking on the page cache
 * only. */
int image_load_write(struct image_load *l, const void *p, size_t n, struct error *err);
void image_load_finish(struct image_load *l, image_loaded_cb *cb, void *data); /* consumes l */
void image_load_abort(struct image_load *l);                                   /* consumes l */

#endif
