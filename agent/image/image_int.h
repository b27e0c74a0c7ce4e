/* Inside of the image store: shared by image.c (what is there), image/live.c (in memory), image/job.c (work on
 * disk), image/load.c (archives and layouts) and image/layer.c (unpacking). */
#ifndef AGENT_IMAGE_IMAGE_INT_H
#define AGENT_IMAGE_IMAGE_INT_H

#include "agent/image/image.h"
#include "agent/image/registry.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

/* Writes the digits of the sha256 of the bytes. */
void image_sha256(const void *p, size_t n, char hex[IMAGE_HEX_SIZE]);
/* A reference as a file name: '/' and '%' escaped. */
char *image_ref_escape(const char *ref);
char *image_ref_unescape(const char *name);

/* ---- The store ---- */

struct image_live {
    struct image pub; /* first */
    struct list link; /* in store->live */
    struct image_store *store;
    unsigned refs;
    char manifest_hex[IMAGE_HEX_SIZE], config_hex[IMAGE_HEX_SIZE];
    bool pulled;                        /* a registry has it; otherwise it was loaded by hand */
    bool was_used;                      /* when it was looked at (gc.h) */
    int64_t used_ms, seen_ms, noted_ms; /* by the calendar; noted: used_ms as it is on the disk */
    struct arena arena;
};
struct image_named {
    char *ref;
    char manifest_hex[IMAGE_HEX_SIZE];
};
/* Which registries may be asked: a pull keeps those that it has begun with. Loop thread; pulls' own threads read the
 * configuration, which never changes. */
struct image_registries {
    struct registry_config config;
    unsigned refs;
};
struct image_job {
    struct list link;
    struct image_store *store;
    char *path, *name;
    bool is_dir_of_images, delete_path;
    bool pulled; /* the layout is what a registry sent */
    bool collect;
    char **keep; /* names in blobs/sha256 and layers that stay; NULL-terminated */
    unsigned keep_count;
    image_loaded_cb *cb;
    void *data;
    struct list found;
    int rc;
    struct error error;
};
struct image_wait {
    struct list link;
    struct image_store *store;
    char *ref;
    enum image_policy policy;
    struct registry_login *logins; /* its own */
    unsigned logins_count;
    uint64_t asked_ms;
    image_cb *cb;
    void *data;
};
/* One image that is being fetched from a registry. */
struct image_pull {
    struct list link; /* in store->pulls */
    struct image_store *store;
    char *ref, *dir;
    struct registry_login *logins;
    unsigned logins_count;
    struct list waits;
    bool begun, ended;
    bool fetched; /* it is being unpacked */
    uint64_t begun_ms;
    struct image_registries *registries; /* of a pull that has begun */
    _Atomic uint64_t done_bytes, all_bytes;
    /* Layers that were there, and must not be collected before the image is in the store: under the store's lock. */
    char (*reserved)[IMAGE_HEX_SIZE];
    unsigned reserved_count;
    uv_thread_t thread; /* its own: a registry that is slow must not hold those that others need */
    uv_async_t fetched_async;
    uv_work_t work; /* for tidying */
    int rc;
    struct error error;
};
struct image_load {
    struct image_store *store;
    char *path, *name;
    int fd;
    uint64_t size_bytes;
};
struct image_store {
    uv_loop_t *loop;
    const struct log *log;
    char *dir;
    bool hollow, closing, dirty;
    struct list live;
    struct image_live **present;
    unsigned present_count;
    struct image_named *names;
    unsigned names_count;
    struct list jobs;          /* in order; the first one runs */
    struct image_job *current; /* for the worker */
    struct list waits;         /* ensure calls that wait for the jobs to end, or for the next turn */
    unsigned waits_deferred;
    struct list pulls; /* in order; changed under the lock */
    unsigned pulling;  /* of them begun */
    pthread_mutex_t lock;
    struct image_registries *registries; /* NULL: none */
    unsigned loads;
    uint64_t load_number;
    bool running;
    atomic_bool cancel;
    uv_work_t work;
    /* Of image.c: a job has ended and is gone; there is something to collect. */
    void (*job_ended)(struct image_store *s);
    void (*has_rubbish)(struct image_store *s);
    /* The pull that w waits for has ended: takes w out of its list and answers it. */
    void (*pull_answered)(struct image_wait *w, const struct image_pull *p);
    void (*close_cb)(void *data);
    void *close_data;
};

/* image/live.c: images in memory, and what is present under which names. */
struct image_live *image_live_new(struct image_store *s);
void image_load_from_disk(struct image_store *s);
struct image_live *image_present_find(struct image_store *s, const char *manifest_hex);
void image_present_add(struct image_store *s, const char *manifest_hex);
void image_present_refresh(struct image_store *s);
void image_drop_nameless(struct image_store *s);
struct image_named *image_named_find(struct image_store *s, const char *ref);
void image_named_set(struct image_store *s, const char *ref, const char *manifest_hex);

/* image/gc.c: what the marker on the disk says of pulled, used_ms and seen_ms. */
void image_marker_read(struct image_live *l);

/* image/job.c */
void image_load_pulled(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb, void *data);
void image_jobs_start(struct image_store *s);
void image_jobs_cancel(struct image_store *s);

/* image/pull.c */
void image_registries_unref(struct image_registries *r); /* NULL is fine */
#define IMAGE_PULLS_MAX      6u                          /* at a time, */
#define IMAGE_PULLS_HOST_MAX 3u /* and of one registry: those of others need not wait for one that is slow */
void image_pull_for(struct image_store *s, const char *ref, struct image_wait *w); /* w waits for it */
bool image_pull_find(struct image_store *s, const char *ref, struct image_progress *out);
void image_pulls_start(struct image_store *s);
void image_pulls_cancel(struct image_store *s);
/* Is it one of those that pulls count on? Any thread, under the lock. */
bool image_layer_reserved(const struct image_store *s, const char *hex);

/* ---- image/layer.c, worker thread ---- */

/* Unpacks the layer blob at path into the new directory dir. Both digests are checked: of the file as it is, and of the
 * tar inside. diff_hex NULL: not known, its value is written to diff_found. Stops with ERR_CANCELED when *cancel is
 * set. */
int image_layer_unpack(const char *path, const char *blob_hex, const char *diff_hex, const char *dir,
                       char diff_found[IMAGE_HEX_SIZE], const atomic_bool *cancel, struct error *err);
/* The ways of packing that libarchive undoes by itself. It has others, for which it runs programs of this machine:
 * whoever makes an image does not choose those. */
struct archive;
void image_support_filters(struct archive *a);
/* Only the digest of the tar inside. */
int image_layer_diff(const char *path, char diff_found[IMAGE_HEX_SIZE], struct error *err);

/* Path of an archive's entry: leading "./" and "/" and trailing "/" off. False if nothing is left or a component is
 * "..". */
bool image_clean_path(const char *in, char *out, size_t size);
/* The directory that holds path below root_fd (O_PATH, made if absent), and the last component. -1 with errno. */
int image_open_parent(int root_fd, char *path, const char **base);

/* ---- image/load.c, worker thread ---- */

struct image_found {
    struct list link;
    char manifest_hex[IMAGE_HEX_SIZE];
    char **refs; /* NULL-terminated */
    unsigned refs_count;
};
/* Everything in one archive or layout goes into the store at root; appends struct image_found to found. pulled: it is
 * what a registry sent, so that it can be had again. */
int image_import(const char *root, const char *path, const char *name, bool pulled, const atomic_bool *cancel,
                 struct list *found, struct error *err);
void image_found_free(struct list *found);

#endif
