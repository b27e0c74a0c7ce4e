#include "agent/image_int.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/defer.h"
#include "agent/fsutil.h"
#include "proto/text.h"

/* What is in memory mirrors the disk: `present` holds one image per marker file (the store's own reference), `names` one row per ref file.
 * Jobs (loads and collections) run one after another on a worker thread; only they change blobs and layers. A job's names come into memory
 * in its after-work callback, on the loop.
 *
 * Deleting: image_remove drops the name. An image that has no name left loses its marker and the store's reference, and its blobs and layers go
 * with the next collection, which keeps whatever a live `struct image` (a container) still stands on. */

struct image_live {
    struct image pub; /* first */
    struct list link; /* in store->live */
    struct image_store *store;
    unsigned refs;
    char manifest_hex[IMAGE_HEX_SIZE], config_hex[IMAGE_HEX_SIZE];
    struct arena arena;
};
struct image_named {
    char *ref;
    char manifest_hex[IMAGE_HEX_SIZE];
};
struct image_job {
    struct list link;
    struct image_store *store;
    char *path, *name;
    bool is_dir_of_images, delete_path;
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
    image_cb *cb;
    void *data;
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
    struct list jobs;  /* the first one runs */
    struct list waits; /* ensure calls that wait for the jobs to end, or for the next turn */
    unsigned waits_deferred;
    unsigned loads;
    uint64_t load_number;
    bool running;
    atomic_bool cancel;
    uv_work_t work;
    void (*close_cb)(void *data);
    void *close_data;
};

/* ---- struct image ---- */

static const char *const *string_list(struct arena *a, const struct value *list)
{
    const char **out = arena_alloc(a, (value_count(list) + 1) * sizeof *out);
    unsigned n = 0;
    VALUE_FOR(i, value_is_list(list) ? list : NULL)
    {
        struct str s = value_to_str(value_item(list, i));
        out[n++] = arena_strndup(a, s.p == NULL ? "" : s.p, s.n);
    }
    return out;
}

static const char *string_of(struct arena *a, const struct value *v)
{
    struct str s = value_to_str(v);
    return arena_strndup(a, s.p == NULL ? "" : s.p, s.n);
}

static struct image_live *live_new(struct image_store *s)
{
    struct image_live *l = xcalloc(1, sizeof *l);
    l->store = s;
    l->refs = 1;
    arena_init(&l->arena);
    list_push_back(&s->live, &l->link);
    return l;
}

static void live_free(struct image_live *l)
{
    list_remove(&l->link);
    arena_close(&l->arena);
    free(l);
}

static void live_set_refs(struct image_live *l)
{
    struct image_store *s = l->store;
    const char **refs = arena_alloc(&l->arena, (s->names_count + 1) * sizeof *refs);
    unsigned n = 0;
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].manifest_hex, l->manifest_hex) == 0) {
            refs[n++] = arena_strdup(&l->arena, s->names[i].ref);
        }
    }
    l->pub.refs = refs;
}

static int read_json_blob(struct image_store *s, const char *hex, struct arena *a, struct value **out,
                          struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char found[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *path = xasprintf("%s/blobs/sha256/%s", s->dir, hex);
    int rc = fs_read_file(path, IMAGE_JSON_MAX, &b, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(b.data, b.size, found);
    if (strcmp(found, hex) != 0) {
        return error_set(err, ERR_CORRUPT, "%s is damaged", path);
    }
    return json_read(a, buf_str(&b), out, err);
}

static int live_fill_config(struct image_live *l, const struct value *config)
{
    const struct value *c = value_get(config, "config"), *diffs = value_path(config, "rootfs.diff_ids");
    struct arena *a = &l->arena;
    l->pub.entrypoint = string_list(a, value_get(c, "Entrypoint"));
    l->pub.cmd = string_list(a, value_get(c, "Cmd"));
    l->pub.env = string_list(a, value_get(c, "Env"));
    l->pub.cwd = string_of(a, value_get(c, "WorkingDir"));
    l->pub.user = string_of(a, value_get(c, "User"));
    l->pub.stop_signal = string_of(a, value_get(c, "StopSignal"));
    const char **layers = arena_alloc(a, (value_count(diffs) + 1) * sizeof *layers);
    VALUE_FOR(i, diffs)
    {
        char hex[IMAGE_HEX_SIZE];
        if (!image_digest_hex(value_to_str(value_item(diffs, i)), hex)) {
            return ERR_CORRUPT;
        }
        layers[i] = arena_printf(a, "%s/layers/%s", l->store->dir, hex);
        if (!fs_exists(layers[i])) {
            return ERR_NOT_FOUND;
        }
    }
    l->pub.layers = layers;
    l->pub.layers_count = value_count(diffs);
    return 0;
}

/* From the blobs on disk. NULL if something is missing. */
static struct image_live *live_read(struct image_store *s, const char *manifest_hex, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *manifest, *config;
    arena_init(&a);
    struct image_live *l = live_new(s);
    strcpy(l->manifest_hex, manifest_hex);
    int rc = read_json_blob(s, manifest_hex, &a, &manifest, err);
    if (rc == 0 && !image_digest_hex(value_path_str(manifest, "config.digest"), l->config_hex)) {
        rc = error_set(err, ERR_CORRUPT, "the manifest names no config");
    }
    rc = rc != 0 ? rc : read_json_blob(s, l->config_hex, &a, &config, err);
    if (rc == 0) {
        rc = live_fill_config(l, config);
        if (rc != 0) {
            error_set(err, rc, "layers of the image are missing");
        }
    }
    if (rc != 0) {
        live_free(l);
        return NULL;
    }
    l->pub.id = arena_printf(&l->arena, "sha256:%s", l->config_hex);
    l->pub.digest = arena_printf(&l->arena, "sha256:%s", manifest_hex);
    const struct value *layers = value_get(manifest, "layers");
    VALUE_FOR(i, layers)
    {
        l->pub.size_bytes += (uint64_t)value_to_int(value_get(value_item(layers, i), "size"), 0);
    }
    live_set_refs(l);
    return l;
}

struct image *image_ref(struct image *im)
{
    ((struct image_live *)im)->refs++;
    return im;
}

static void jobs_start(struct image_store *s);

static bool has_name(const struct image_store *s, const char *manifest_hex)
{
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].manifest_hex, manifest_hex) == 0) {
            return true;
        }
    }
    return false;
}

void image_unref(struct image *im)
{
    struct image_live *l = (struct image_live *)im;
    if (im == NULL) {
        return;
    }
    assert(l->refs > 0);
    l->refs--;
    struct image_store *s = l->store;
    /* Perhaps it was the last one that kept a removed image (the store itself holds one reference). */
    bool leftover = l->refs <= 1 && s != NULL && !s->hollow && !s->closing && !has_name(s, l->manifest_hex);
    if (l->refs == 0) {
        live_free(l);
    }
    if (leftover) {
        s->dirty = true;
        jobs_start(s);
    }
}

/* ---- Memory's mirror of the disk ---- */

static struct image_live *present_find(struct image_store *s, const char *manifest_hex)
{
    for (unsigned i = 0; i < s->present_count; i++) {
        if (strcmp(s->present[i]->manifest_hex, manifest_hex) == 0) {
            return s->present[i];
        }
    }
    return NULL;
}

static void present_add(struct image_store *s, const char *manifest_hex)
{
    struct error err = {0};
    if (present_find(s, manifest_hex) != NULL) {
        return;
    }
    struct image_live *l = live_read(s, manifest_hex, &err);
    if (l == NULL) {
        log_warn(s->log, "image", "image sha256:%.12s is incomplete and left out: %s", manifest_hex, err.message);
        return;
    }
    s->present = xrealloc(s->present, (s->present_count + 1) * sizeof *s->present);
    s->present[s->present_count++] = l;
}

static struct image_named *name_find(struct image_store *s, const char *ref)
{
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].ref, ref) == 0) {
            return &s->names[i];
        }
    }
    return NULL;
}

static void name_set(struct image_store *s, const char *ref, const char *manifest_hex)
{
    struct image_named *n = name_find(s, ref);
    if (n == NULL) {
        s->names = xrealloc(s->names, (s->names_count + 1) * sizeof *s->names);
        n = &s->names[s->names_count++];
        n->ref = xstrdup(ref);
    } else if (strcmp(n->manifest_hex, manifest_hex) != 0) {
        s->dirty = true; /* the image that had the name may have lost its last one */
    }
    strcpy(n->manifest_hex, manifest_hex);
}

/* Images are immutable: those whose names changed are made anew from the disk, holders keep the old ones. */
static void present_refresh(struct image_store *s)
{
    for (unsigned i = 0; i < s->present_count; i++) {
        struct image_live *old = s->present[i];
        struct image_live *now = live_read(s, old->manifest_hex, NULL);
        if (now != NULL) {
            s->present[i] = now;
            image_unref(&old->pub);
        }
    }
}

/* Images without a name leave the store's memory; their marker goes too. */
static void drop_nameless(struct image_store *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < s->present_count; i++) {
        struct image_live *l = s->present[i];
        if (has_name(s, l->manifest_hex) || l->refs > 1) {
            s->present[kept++] = l; /* without a name a container stands on it: stays until that is gone */
        } else {
            CLEANUP_FREE char *marker = xasprintf("%s/images/%s", s->dir, l->manifest_hex);
            unlink(marker);
            l->refs = 0;
            live_free(l);
        }
    }
    s->present_count = kept;
}

static void each_file(const char *dir, void (*fn)(struct image_store *s, const char *name), struct image_store *s)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && strstr(e->d_name, ".tmp.") == NULL) {
            fn(s, e->d_name);
        }
    }
    closedir(d);
}

static void load_ref(struct image_store *s, const char *name)
{
    char text[128], hex[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *path = xasprintf("%s/refs/%s", s->dir, name);
    CLEANUP_FREE char *ref = image_ref_unescape(name);
    if (fs_read_line(path, text, sizeof text) && image_digest_hex(str_of(text), hex)) {
        name_set(s, ref, hex);
    }
}

static void load_marker(struct image_store *s, const char *name)
{
    if (strlen(name) == 64) {
        present_add(s, name);
    }
}

int image_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct image_store **out,
                    struct error *err)
{
    static const char *const parts[] = {"blobs/sha256", "layers", "refs", "images", "tmp"};
    struct image_store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = log;
    s->dir = xstrdup(dir);
    list_init(&s->live);
    list_init(&s->jobs);
    list_init(&s->waits);
    CLEANUP_FREE char *tmp = xasprintf("%s/tmp", dir);
    int rc = fs_remove_tree(tmp, err);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, parts[i]);
        rc = fs_make_dirs(path, 0711, err);
    }
    if (rc != 0) {
        free(s->dir);
        free(s);
        return rc;
    }
    CLEANUP_FREE char *refs = xasprintf("%s/refs", dir);
    CLEANUP_FREE char *images = xasprintf("%s/images", dir);
    each_file(refs, load_ref, s);
    each_file(images, load_marker, s);
    s->dirty = false;
    *out = s;
    return 0;
}

struct image_store *image_store_hollow_new(uv_loop_t *loop)
{
    struct image_store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->hollow = true;
    s->dir = xstrdup("");
    list_init(&s->live);
    list_init(&s->jobs);
    list_init(&s->waits);
    return s;
}

/* ---- Finding ---- */

static struct image *hollow_image(struct image_store *s, const char *ref)
{
    static const char *const none[] = {NULL};
    struct image_live *l = live_new(s);
    image_sha256(ref, strlen(ref), l->config_hex);
    const char **refs = arena_alloc(&l->arena, 2 * sizeof *refs);
    refs[0] = arena_strdup(&l->arena, ref);
    l->pub.id = l->pub.digest = arena_printf(&l->arena, "sha256:%s", l->config_hex);
    l->pub.refs = refs;
    l->pub.entrypoint = l->pub.cmd = l->pub.env = l->pub.layers = none;
    l->pub.cwd = l->pub.user = l->pub.stop_signal = "";
    return &l->pub;
}

#define ID_PREFIX_MIN 12

static struct image_live *find_by_id(struct image_store *s, const char *ref)
{
    const char *hex = strncmp(ref, "sha256:", 7) == 0 ? ref + 7 : ref;
    size_t n = strlen(hex);
    if (n < ID_PREFIX_MIN || n > 64 || strspn(hex, "0123456789abcdef") != n) {
        return NULL;
    }
    for (unsigned i = 0; i < s->present_count; i++) {
        if (strncmp(s->present[i]->config_hex, hex, n) == 0 || strncmp(s->present[i]->manifest_hex, hex, n) == 0) {
            return s->present[i];
        }
    }
    return NULL;
}

static struct image_live *find_by_name(struct image_store *s, const char *ref)
{
    char name[IMAGE_REF_MAX], local[IMAGE_REF_MAX + 16];
    if (image_name_normalise(str_of(ref), name, NULL) != 0) {
        return NULL;
    }
    const char *at = strchr(name, '@');
    if (at != NULL) {
        return present_find(s, at + 1 + 7);
    }
    struct image_named *n = name_find(s, name);
    if (n == NULL && strncmp(name, "docker.io/library/", 18) == 0) {
        /* what other tools built here is called localhost/NAME */
        snprintf(local, sizeof local, "localhost/%s", name + 18);
        n = name_find(s, local);
    }
    return n == NULL ? NULL : present_find(s, n->manifest_hex);
}

struct image *image_find(struct image_store *s, const char *ref)
{
    if (s->hollow) {
        return hollow_image(s, ref);
    }
    struct image_live *l = find_by_name(s, ref);
    l = l != NULL ? l : find_by_id(s, ref);
    return l == NULL ? NULL : image_ref(&l->pub);
}

static int compare_by_name(const void *a, const void *b)
{
    const struct image *x = *(struct image *const *)a, *y = *(struct image *const *)b;
    const char *p = x->refs[0] != NULL ? x->refs[0] : x->id, *q = y->refs[0] != NULL ? y->refs[0] : y->id;
    return strcmp(p, q);
}

unsigned image_list(struct image_store *s, struct image ***out)
{
    struct image **list = xcalloc(s->present_count + 1, sizeof *list);
    for (unsigned i = 0; i < s->present_count; i++) {
        list[i] = image_ref(&s->present[i]->pub);
    }
    qsort(list, s->present_count, sizeof *list, compare_by_name);
    *out = list;
    return s->present_count;
}

int image_remove(struct image_store *s, const char *ref, struct error *err)
{
    char name[IMAGE_REF_MAX];
    int rc = image_name_normalise(str_of(ref), name, err);
    if (rc != 0) {
        return rc;
    }
    struct image_named *n = name_find(s, name);
    if (n == NULL) {
        return error_set(err, ERR_NOT_FOUND, "there is no image %s on this node", ref);
    }
    CLEANUP_FREE char *escaped = image_ref_escape(name);
    CLEANUP_FREE char *path = xasprintf("%s/refs/%s", s->dir, escaped);
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "cannot delete %s", path);
    }
    free(n->ref);
    *n = s->names[--s->names_count];
    s->dirty = true;
    present_refresh(s);
    jobs_start(s);
    return 0;
}

/* ---- Ensure ---- */

static void wait_answer(struct image_wait *w)
{
    struct image_store *s = w->store;
    struct error err = {0};
    struct image_result r = {.reason = "", .error = &err};
    char name[IMAGE_REF_MAX];
    if (s->closing) {
        error_set(&err, ERR_CANCELED, "the image store is closing");
    } else if (image_name_normalise(str_of(w->ref), name, &err) != 0 && (r.image = image_find(s, w->ref)) == NULL) {
        r.reason = "InvalidImageName";
        error_wrap(&err, "Failed to apply default image tag \"%s\"", w->ref);
    } else if (r.image == NULL && (r.image = image_find(s, w->ref)) == NULL) {
        if (w->policy == IMAGE_PULL_NEVER) {
            r.reason = "ErrImageNeverPull";
            error_set(&err, ERR_NOT_FOUND, "Container image \"%s\" is not present with pull policy of Never", w->ref);
        } else {
            r.reason = "ErrImagePull";
            error_set(&err, ERR_NOT_FOUND,
                      "failed to pull image \"%s\": no registry is configured; load it with `rctl image load`", w->ref);
        }
    }
    if (r.image != NULL) {
        r.error = NULL;
    }
    list_remove(&w->link);
    w->cb(&r, w->data);
    free(w->ref);
    free(w);
}

static void close_if_idle(struct image_store *s);

static void wait_deferred(void *data)
{
    struct image_wait *w = data;
    struct image_store *s = w->store;
    s->waits_deferred--;
    /* While images are being loaded an absent one may be just about to come. */
    struct image *im = s->closing ? NULL : image_find(s, w->ref);
    if (im == NULL && !s->closing && !list_empty(&s->jobs)) {
        list_push_back(&s->waits, &w->link);
        return;
    }
    image_unref(im);
    wait_answer(w);
    close_if_idle(s);
}

void image_ensure(struct image_store *s, const char *ref, enum image_policy policy, image_cb *cb, void *data)
{
    assert(!s->closing);
    struct image_wait *w = xcalloc(1, sizeof *w);
    w->store = s;
    w->ref = xstrdup(ref);
    w->policy = policy;
    w->cb = cb;
    w->data = data;
    list_init(&w->link);
    s->waits_deferred++;
    defer_call(s->loop, wait_deferred, w);
}

static void answer_waits(struct image_store *s)
{
    LIST_FOR_SAFE(it, &s->waits)
    {
        wait_answer(LIST_ENTRY(it, struct image_wait, link));
    }
}

/* ---- Jobs ---- */

static void job_free(struct image_job *j)
{
    for (unsigned i = 0; i < j->keep_count; i++) {
        free(j->keep[i]);
    }
    free(j->keep);
    image_found_free(&j->found);
    free(j->path);
    free(j->name);
    free(j);
}

static bool is_archive_name(const char *name)
{
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".oci", ".tar.zst", ".tar.xz"};
    for (unsigned i = 0; i < ARRAY_SIZE(endings); i++) {
        if (str_ends(str_of(name), str_of(endings[i]))) {
            return true;
        }
    }
    return false;
}

static int name_filter(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void import_all_in(struct image_job *j)
{
    struct dirent **list = NULL;
    int n = scandir(j->path, &list, name_filter, alphasort);
    if (n < 0) {
        j->rc = error_set_errno(&j->error, errno, "cannot read the directory %s", j->path);
        return;
    }
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", j->path, list[i]->d_name);
        CLEANUP_FREE char *layout = xasprintf("%s/oci-layout", path);
        struct error err = {0};
        if ((is_archive_name(list[i]->d_name) || fs_exists(layout)) && !atomic_load(&j->store->cancel)) {
            int rc = image_import(j->store->dir, path, NULL, &j->store->cancel, &j->found, &err);
            if (rc != 0) {
                log_warn(j->store->log, "image", "%s", err.message);
            }
            if (rc != 0 && j->rc == 0) {
                j->rc = rc;
                j->error = err;
            }
        }
        free(list[i]);
    }
    free(list);
}

/* Deletes what nobody stands on any more. */
static void collect_in(struct image_job *j, const char *part)
{
    CLEANUP_FREE char *dir = xasprintf("%s/%s", j->store->dir, part);
    DIR *d = opendir(dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        bool keep = e->d_name[0] == '.';
        for (unsigned i = 0; i < j->keep_count && !keep; i++) {
            keep = strcmp(j->keep[i], e->d_name) == 0;
        }
        if (keep) {
            continue;
        }
        /* first out of sight, then piece by piece: a crash leaves no half layer under its name */
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
        CLEANUP_FREE char *tmp = xasprintf("%s/tmp/gone-%s", j->store->dir, e->d_name);
        struct error err = {0};
        if (rename(path, tmp) != 0 || fs_remove_tree(tmp, &err) != 0) {
            log_warn(j->store->log, "image", "cannot delete %s: %s", path, err.message);
        }
    }
    closedir(d);
}

static void job_work(uv_work_t *w)
{
    struct image_store *s = CONTAINER_OF(w, struct image_store, work);
    struct image_job *j = LIST_ENTRY(s->jobs.next, struct image_job, link);
    if (j->collect) {
        collect_in(j, "blobs/sha256");
        collect_in(j, "layers");
    } else if (j->is_dir_of_images) {
        import_all_in(j);
    } else {
        j->rc = image_import(s->dir, j->path, j->name, &s->cancel, &j->found, &j->error);
    }
    if (j->delete_path) {
        unlink(j->path);
    }
}

static void job_answer(struct image_job *j)
{
    const char **refs = NULL;
    unsigned n = 0, images = 0;
    LIST_FOR(it, &j->found)
    {
        struct image_found *f = LIST_ENTRY(it, struct image_found, link);
        images++;
        for (unsigned i = 0; i < f->refs_count; i++) {
            refs = xrealloc(refs, (n + 2) * sizeof *refs);
            refs[n++] = f->refs[i];
        }
    }
    const char *none[] = {NULL};
    if (refs != NULL) {
        refs[n] = NULL;
    }
    struct image_loaded r = {
        .error = j->rc == 0 ? NULL : &j->error, .refs = refs != NULL ? refs : none, .count = images};
    if (j->cb != NULL) {
        j->cb(&r, j->data);
    }
    free(refs);
}

static void job_done(uv_work_t *w, int status)
{
    struct image_store *s = CONTAINER_OF(w, struct image_store, work);
    struct image_job *j = LIST_ENTRY(s->jobs.next, struct image_job, link);
    s->running = false;
    list_remove(&j->link);
    if (status == UV_ECANCELED || s->closing) {
        j->rc = error_set(&j->error, ERR_CANCELED, "the image store is closing");
    }
    LIST_FOR(it, &j->found)
    {
        struct image_found *f = LIST_ENTRY(it, struct image_found, link);
        for (unsigned i = 0; i < f->refs_count; i++) {
            name_set(s, f->refs[i], f->manifest_hex);
        }
        present_add(s, f->manifest_hex);
    }
    if (!list_empty(&j->found)) {
        present_refresh(s);
    }
    job_answer(j);
    job_free(j);
    if (list_empty(&s->jobs) || s->closing) {
        answer_waits(s);
    }
    jobs_start(s);
    close_if_idle(s);
}

static void keep_hex(struct image_job *j, const char *hex)
{
    j->keep = xrealloc(j->keep, (j->keep_count + 1) * sizeof *j->keep);
    j->keep[j->keep_count++] = xstrdup(hex);
}

static void add_collection(struct image_store *s)
{
    struct image_job *j = xcalloc(1, sizeof *j);
    s->dirty = false;
    drop_nameless(s);
    j->store = s;
    j->collect = true;
    list_init(&j->found);
    LIST_FOR(it, &s->live)
    {
        struct image_live *l = LIST_ENTRY(it, struct image_live, link);
        keep_hex(j, l->manifest_hex);
        keep_hex(j, l->config_hex);
        for (unsigned i = 0; i < l->pub.layers_count; i++) {
            keep_hex(j, strrchr(l->pub.layers[i], '/') + 1);
        }
    }
    list_push_back(&s->jobs, &j->link);
}

static void jobs_start(struct image_store *s)
{
    if (s->running || s->closing || s->hollow) {
        return;
    }
    if (list_empty(&s->jobs)) {
        if (!s->dirty) {
            return;
        }
        add_collection(s);
    }
    s->running = true;
    int rc = uv_queue_work(s->loop, &s->work, job_work, job_done);
    assert(rc == 0);
    (void)rc;
}

static struct image_job *add_job(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb,
                                 void *data)
{
    assert(!s->closing && !s->hollow);
    struct image_job *j = xcalloc(1, sizeof *j);
    j->store = s;
    j->path = xstrdup(path);
    j->name = name == NULL ? NULL : xstrdup(name);
    j->cb = cb;
    j->data = data;
    list_init(&j->found);
    list_push_back(&s->jobs, &j->link);
    return j;
}

void image_load_path(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb, void *data)
{
    add_job(s, path, name, cb, data);
    jobs_start(s);
}

void image_load_dir(struct image_store *s, const char *dir, image_loaded_cb *cb, void *data)
{
    add_job(s, dir, NULL, cb, data)->is_dir_of_images = true;
    jobs_start(s);
}

/* ---- Chunks ---- */

int image_load_begin(struct image_store *s, const char *name, struct image_load **out, struct error *err)
{
    char ref[IMAGE_REF_MAX];
    if (s->hollow || s->closing) {
        return error_set(err, ERR_UNSUPPORTED, "this node takes no images");
    }
    if (s->loads == IMAGE_LOADS_MAX) {
        return error_set(err, ERR_LIMIT, "%u images are being loaded already", s->loads);
    }
    if (name != NULL && name[0] != '\0' && image_name_normalise(str_of(name), ref, err) != 0) {
        return ERR_INVALID;
    }
    struct image_load *l = xcalloc(1, sizeof *l);
    l->path = xasprintf("%s/tmp/upload-%llu", s->dir, (unsigned long long)s->load_number++);
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (l->fd < 0) {
        int rc = error_set_errno(err, errno, "cannot create %s", l->path);
        free(l->path);
        free(l);
        return rc;
    }
    l->store = s;
    l->name = name == NULL ? NULL : xstrdup(name);
    s->loads++;
    *out = l;
    return 0;
}

int image_load_write(struct image_load *l, const void *p, size_t n, struct error *err)
{
    const char *at = p;
    if (l->size_bytes + n > IMAGE_ARCHIVE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the archive is larger than %llu bytes", IMAGE_ARCHIVE_MAX);
    }
    l->size_bytes += n;
    while (n > 0) {
        ssize_t put = write(l->fd, at, n);
        if (put < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "cannot write %s", l->path);
        }
        if (put > 0) {
            at += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static void load_free(struct image_load *l)
{
    close(l->fd);
    l->store->loads--;
    free(l->path);
    free(l->name);
    free(l);
}

void image_load_finish(struct image_load *l, image_loaded_cb *cb, void *data)
{
    struct image_store *s = l->store;
    add_job(s, l->path, l->name, cb, data)->delete_path = true;
    load_free(l);
    jobs_start(s);
}

void image_load_abort(struct image_load *l)
{
    unlink(l->path);
    load_free(l);
}

/* ---- Close ---- */

static void store_free(struct image_store *s)
{
    void (*cb)(void *data) = s->close_cb;
    void *data = s->close_data;
    for (unsigned i = 0; i < s->present_count; i++) {
        image_unref(&s->present[i]->pub);
    }
    LIST_FOR_SAFE(it, &s->live) /* those that others still hold live on without us */
    {
        list_remove(it);
        LIST_ENTRY(it, struct image_live, link)->store = NULL;
    }
    for (unsigned i = 0; i < s->names_count; i++) {
        free(s->names[i].ref);
    }
    free(s->names);
    free(s->present);
    free(s->dir);
    free(s);
    if (cb != NULL) {
        cb(data);
    }
}

static void close_now(void *data)
{
    store_free(data);
}

static void close_if_idle(struct image_store *s)
{
    if (s->closing && !s->running && list_empty(&s->jobs) && list_empty(&s->waits) && s->waits_deferred == 0) {
        s->waits_deferred = 1; /* once */
        defer_call(s->loop, close_now, s);
    }
}

static void close_deferred(void *data)
{
    struct image_store *s = data;
    s->waits_deferred--;
    answer_waits(s);
    LIST_FOR_SAFE(it, &s->jobs)
    {
        struct image_job *j = LIST_ENTRY(it, struct image_job, link);
        if (s->running && it == s->jobs.next) {
            continue; /* its own end comes */
        }
        list_remove(it);
        j->rc = error_set(&j->error, ERR_CANCELED, "the image store is closing");
        if (j->delete_path) {
            unlink(j->path);
        }
        job_answer(j);
        job_free(j);
    }
    close_if_idle(s);
}

void image_store_close(struct image_store *s, void (*cb)(void *data), void *data)
{
    assert(!s->closing);
    s->closing = true;
    s->close_cb = cb;
    s->close_data = data;
    atomic_store(&s->cancel, true);
    s->waits_deferred++;
    defer_call(s->loop, close_deferred, s);
}
