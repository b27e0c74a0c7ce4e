#include "agent/image/image_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/defer.h"
#include "agent/util/fsutil.h"

static void close_if_idle(struct image_store *s);
static void job_ended(struct image_store *s);
static void pull_answered(struct image_wait *w, const struct image_pull *p);

/* What is in memory mirrors the disk: `present` holds one image per marker file (the store's own reference), `names`
 * one row per ref file. Jobs (loads and collections) run one after another on a worker thread; only they change blobs
 * and layers. A job's names come into memory in its after-work callback, on the loop.
 *
 * Deleting: image_remove drops the name. An image that has no name left loses its marker and the store's reference, and
 * its blobs and layers go with the next collection, which keeps whatever a live `struct image` (a container) still
 * stands on. */

/* ---- Open ---- */

static void store_init(struct image_store *s, uv_loop_t *loop, const char *dir)
{
    s->loop = loop;
    s->dir = xstrdup(dir);
    list_init(&s->live);
    list_init(&s->jobs);
    list_init(&s->waits);
    list_init(&s->pulls);
    pthread_mutex_init(&s->lock, NULL);
    s->job_ended = job_ended;
    s->has_rubbish = image_jobs_start;
    s->pull_answered = pull_answered;
}

int image_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct image_store **out,
                    struct error *err)
{
    static const char *const parts[] = {"blobs/sha256", "layers", "refs", "images", "tmp"};
    struct image_store *s = xcalloc(1, sizeof *s);
    store_init(s, loop, dir);
    s->log = log;
    CLEANUP_FREE char *tmp = xasprintf("%s/tmp", dir);
    int rc = fs_make_private_dir(dir, err);
    rc = rc != 0 ? rc : fs_remove_tree(tmp, err);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, parts[i]);
        rc = fs_make_dirs(path, 0700, err);
    }
    if (rc != 0) {
        pthread_mutex_destroy(&s->lock);
        free(s->dir);
        free(s);
        return rc;
    }
    image_load_from_disk(s);
    *out = s;
    return 0;
}

struct image_store *image_store_hollow_new(uv_loop_t *loop)
{
    struct image_store *s = xcalloc(1, sizeof *s);
    store_init(s, loop, "");
    s->hollow = true;
    return s;
}

/* ---- Finding ---- */

static struct image *hollow_image(struct image_store *s, const char *ref)
{
    static const char *const none[] = {NULL};
    struct image_live *l = image_live_new(s);
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
        return image_present_find(s, at + 1 + 7);
    }
    struct image_named *n = image_named_find(s, name);
    if (n == NULL && strncmp(name, "docker.io/library/", 18) == 0) {
        /* what other tools built here is called localhost/NAME */
        snprintf(local, sizeof local, "localhost/%s", name + 18);
        n = image_named_find(s, local);
    }
    return n == NULL ? NULL : image_present_find(s, n->manifest_hex);
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

bool image_is_used(const struct image_store *s, const struct image *im)
{
    const struct image_live *of = (const struct image_live *)im;
    unsigned holders = 0;
    LIST_FOR(it, &s->live)
    {
        const struct image_live *l = LIST_ENTRY(it, struct image_live, link);
        holders += strcmp(l->manifest_hex, of->manifest_hex) == 0 ? l->refs : 0;
    }
    return holders > 2; /* the store's, and the one of whoever asks */
}

static int drop_name(struct image_store *s, struct image_named *n, struct error *err)
{
    CLEANUP_FREE char *escaped = image_ref_escape(n->ref);
    CLEANUP_FREE char *path = xasprintf("%s/refs/%s", s->dir, escaped);
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "cannot delete %s", path);
    }
    free(n->ref);
    *n = s->names[--s->names_count];
    s->dirty = true;
    return 0;
}

/* The name that ref is; NULL: it is none here, but perhaps an id. */
static struct image_named *named_by(struct image_store *s, const char *ref)
{
    char name[IMAGE_REF_MAX], local[IMAGE_REF_MAX + 16];
    if (image_name_normalise(str_of(ref), name, NULL) != 0 || strchr(name, '@') != NULL) {
        return NULL;
    }
    struct image_named *n = image_named_find(s, name);
    if (n == NULL && strncmp(name, "docker.io/library/", 18) == 0) {
        snprintf(local, sizeof local, "localhost/%s", name + 18); /* as find_by_name has it */
        n = image_named_find(s, local);
    }
    return n;
}

int image_remove(struct image_store *s, const char *ref, struct error *err)
{
    struct image_named *n = named_by(s, ref);
    struct image *im = n == NULL ? image_find(s, ref) : NULL;
    int rc = n != NULL ? drop_name(s, n, err) : 0;
    if (n == NULL && (im == NULL || s->hollow)) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no image %s on this node", ref);
    } else if (n == NULL) {
        for (unsigned i = s->names_count; rc == 0 && i > 0; i--) {
            if (strcmp(s->names[i - 1].manifest_hex, ((struct image_live *)im)->manifest_hex) == 0) {
                rc = drop_name(s, &s->names[i - 1], err);
            }
        }
        s->dirty = true;
    }
    image_unref(im);
    if (rc == 0) {
        image_present_refresh(s);
        image_jobs_start(s);
    }
    return rc;
}

/* ---- Ensure ---- */

static void wait_end(struct image_wait *w, const struct image_result *r)
{
    list_remove(&w->link);
    w->cb(r, w->data);
    registry_logins_free(w->logins, w->logins_count);
    free(w->ref);
    free(w);
}

int image_pull_refusal(struct image_store *s, const char *ref, struct error *err)
{
    char name[IMAGE_REF_MAX];
    (void)s;
    if (image_name_normalise(str_of(ref), name, err) != 0) {
        char shown[IMAGE_REF_MAX];
        image_name_shown(ref, shown);
        return error_wrap(err, "Failed to apply default image tag \"%s\"", shown);
    }
    return error_set(err, ERR_NOT_FOUND,
                     "this node may ask no registry at %.*s (registries.yaml of its agent); `rctl image load` brings "
                     "the image without one",
                     (int)strcspn(name, "/"), name);
}

/* An image that is present, or why there is none and none comes. */
static void wait_answer(struct image_wait *w)
{
    struct image_store *s = w->store;
    struct error err = {0};
    struct image_result r = {.reason = "", .error = &err};
    char name[IMAGE_REF_MAX], shown[IMAGE_REF_MAX];
    image_name_shown(w->ref, shown);
    if (s->closing) {
        error_set(&err, ERR_CANCELED, "the image store is closing");
    } else if (image_name_normalise(str_of(w->ref), name, &err) != 0 && (r.image = image_find(s, w->ref)) == NULL) {
        r.reason = "InvalidImageName";
        error_wrap(&err, "Failed to apply default image tag \"%s\"", shown);
    } else if (r.image == NULL && (r.image = image_find(s, w->ref)) == NULL) {
        if (w->policy == IMAGE_PULL_NEVER) {
            r.reason = "ErrImageNeverPull";
            error_set(&err, ERR_NOT_FOUND, "Container image \"%s\" is not present with pull policy of Never", shown);
        } else {
            r.reason = "ErrImagePull";
            image_pull_refusal(s, w->ref, &err);
            error_wrap(&err, "failed to pull image \"%s\"", shown);
        }
    }
    if (r.image != NULL) {
        r.error = NULL;
    }
    wait_end(w, &r);
}

static void pull_answered(struct image_wait *w, const struct image_pull *p)
{
    struct error err = p->error;
    struct image_result r = {.reason = "", .error = &err, .pulled = p->rc == 0};
    bool cut_off = p->rc == ERR_CLOSED || p->rc == ERR_TIMEOUT;
    uint64_t now_ms = uv_hrtime() / 1000000;
    r.image = p->rc == 0 || cut_off ? image_find(w->store, w->ref) : NULL;
    r.pull_ms = now_ms - p->begun_ms;
    r.wait_ms = now_ms - w->asked_ms;
    if (r.image != NULL) {
        r.unreachable = cut_off;
        r.error = cut_off ? &err : NULL;
    } else {
        r.reason = p->rc == ERR_CANCELED ? "" : "ErrImagePull";
        error_wrap(&err, "failed to pull image \"%s\"", w->ref);
    }
    wait_end(w, &r);
}

/* The name in full, if a registry is to be asked. */
static bool asks_registry(const struct image_store *s, const char *ref, enum image_policy policy,
                          char name[IMAGE_REF_MAX])
{
    const char *slash;
    if (policy == IMAGE_PULL_NEVER || s->hollow || image_name_normalise(str_of(ref), name, NULL) != 0) {
        return false;
    }
    slash = strchr(name, '/');
    return slash != NULL && s->registries != NULL &&
           registry_host_of(&s->registries->config, (struct str){name, (size_t)(slash - name)}) != NULL;
}

bool image_would_pull(struct image_store *s, const char *ref, enum image_policy policy)
{
    char name[IMAGE_REF_MAX];
    struct image *im = image_find(s, ref);
    image_unref(im);
    return (im == NULL || policy == IMAGE_PULL_ALWAYS) && asks_registry(s, ref, policy, name);
}

bool image_pull_progress(struct image_store *s, const char *ref, struct image_progress *out)
{
    char name[IMAGE_REF_MAX];
    return !s->hollow && image_name_normalise(str_of(ref), name, NULL) == 0 && image_pull_find(s, name, out);
}

static void wait_deferred(void *data)
{
    struct image_wait *w = data;
    struct image_store *s = w->store;
    char name[IMAGE_REF_MAX];
    s->waits_deferred--;
    /* While images are being loaded an absent one may be just about to come. */
    struct image *im = s->closing ? NULL : image_find(s, w->ref);
    bool asks =
        !s->closing && (im == NULL || w->policy == IMAGE_PULL_ALWAYS) && asks_registry(s, w->ref, w->policy, name);
    image_unref(im);
    if (asks) {
        image_pull_for(s, name, w);
        return;
    }
    if (im == NULL && !s->closing && !list_empty(&s->jobs)) {
        list_push_back(&s->waits, &w->link);
        return;
    }
    wait_answer(w);
    close_if_idle(s);
}

void image_ensure_as(struct image_store *s, const char *ref, enum image_policy policy, struct registry_login *take,
                     unsigned count, image_cb *cb, void *data)
{
    assert(!s->closing);
    struct image_wait *w = xcalloc(1, sizeof *w);
    w->store = s;
    w->ref = xstrdup(ref);
    w->policy = policy;
    w->logins = take;
    w->logins_count = count;
    w->cb = cb;
    w->data = data;
    w->asked_ms = uv_hrtime() / 1000000;
    list_init(&w->link);
    s->waits_deferred++;
    defer_call(s->loop, wait_deferred, w);
}

void image_ensure(struct image_store *s, const char *ref, enum image_policy policy, image_cb *cb, void *data)
{
    image_ensure_as(s, ref, policy, NULL, 0, cb, data);
}

void image_store_set_registries(struct image_store *s, struct registry_config *take)
{
    struct image_registries *r = xcalloc(1, sizeof *r);
    *r = (struct image_registries){.config = *take, .refs = 1};
    *take = (struct registry_config){0};
    image_registries_unref(s->registries);
    s->registries = r;
}

static void answer_waits(struct image_store *s)
{
    LIST_FOR_SAFE(it, &s->waits)
    {
        wait_answer(LIST_ENTRY(it, struct image_wait, link));
    }
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
    image_registries_unref(s->registries);
    pthread_mutex_destroy(&s->lock);
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
    if (s->closing && !s->running && list_empty(&s->jobs) && list_empty(&s->waits) && list_empty(&s->pulls) &&
        s->waits_deferred == 0) {
        s->waits_deferred = 1; /* once */
        defer_call(s->loop, close_now, s);
    }
}

static void job_ended(struct image_store *s)
{
    if (list_empty(&s->jobs) || s->closing) {
        answer_waits(s);
    }
    image_jobs_start(s);
    close_if_idle(s);
}

static void close_deferred(void *data)
{
    struct image_store *s = data;
    s->waits_deferred--;
    answer_waits(s);
    image_jobs_cancel(s);
    image_pulls_cancel(s);
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
