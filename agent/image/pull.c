#include "agent/image/image_int.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/util/fsutil.h"

/* Pulling: a registry's image is fetched into a layout of its own below tmp on a thread of its own, IMAGE_PULLS_MAX at
 * a time, then imported as any layout is. Whoever asks for the same name as the same user meanwhile waits for the same
 * pull. */

/* ---- The end ---- */

void image_registries_unref(struct image_registries *r)
{
    if (r != NULL && --r->refs == 0) {
        registry_config_close(&r->config);
        free(r);
    }
}

static void pull_free(struct image_pull *p)
{
    image_registries_unref(p->registries);
    registry_logins_free(p->logins, p->logins_count);
    free(p->reserved);
    free(p->ref);
    free(p->dir);
    free(p);
}

/* ---- Layers that are there ---- */

bool image_layer_reserved(const struct image_store *s, const char *hex)
{
    LIST_FOR(it, &s->pulls)
    {
        const struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        for (unsigned i = 0; i < p->reserved_count; i++) {
            if (strcmp(p->reserved[i], hex) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Worker thread: from now on it stays until the pull is over. */
static bool reserve_layer(const char *hex, void *data)
{
    struct image_pull *p = data;
    CLEANUP_FREE char *path = xasprintf("%s/layers/%s", p->store->dir, hex);
    pthread_mutex_lock(&p->store->lock);
    bool there = fs_exists(path);
    if (there && p->reserved_count < IMAGE_LAYERS_MAX * (1 + REGISTRY_MIRRORS_MAX)) {
        p->reserved = xrealloc(p->reserved, (p->reserved_count + 1) * sizeof *p->reserved);
        snprintf(p->reserved[p->reserved_count++], IMAGE_HEX_SIZE, "%s", hex);
    }
    pthread_mutex_unlock(&p->store->lock);
    return there;
}

static void take_from_list(struct image_pull *p)
{
    pthread_mutex_lock(&p->store->lock);
    list_remove(&p->link);
    pthread_mutex_unlock(&p->store->lock);
    if (p->reserved_count > 0) {
        p->store->dirty = true; /* one of them may have nobody else */
    }
}

static void on_tidied(uv_work_t *w, int status)
{
    struct image_pull *p = CONTAINER_OF(w, struct image_pull, work);
    struct image_store *s = p->store;
    (void)status;
    s->pulling--;
    take_from_list(p);
    pull_free(p);
    image_pulls_start(s);
    s->job_ended(s);
}

static void tidy(uv_work_t *w)
{
    fs_remove_tree(CONTAINER_OF(w, struct image_pull, work)->dir, NULL);
}

/* Whoever waits is answered; later ones begin another pull. */
static void pull_end(struct image_pull *p)
{
    p->ended = true;
    while (!list_empty(&p->waits)) {
        p->store->pull_answered(LIST_ENTRY(p->waits.next, struct image_wait, link), p);
    }
    uv_queue_work(p->store->loop, &p->work, tidy, on_tidied);
}

static void on_imported(const struct image_loaded *r, void *data)
{
    struct image_pull *p = data;
    if (r->error != NULL) {
        p->rc = r->error->code;
        p->error = *r->error;
    }
    pull_end(p);
}

static void on_async_closed(uv_handle_t *h)
{
    struct image_pull *p = CONTAINER_OF((uv_async_t *)(void *)h, struct image_pull, fetched_async);
    struct image_store *s = p->store;
    if (s->closing) {
        p->rc = error_set(&p->error, ERR_CANCELED, "the image store is closing");
    }
    if (p->rc == 0) {
        p->fetched = true;
        image_load_pulled(s, p->dir, p->ref, on_imported, p);
    } else {
        pull_end(p);
    }
}

static void on_fetched(uv_async_t *h)
{
    struct image_pull *p = CONTAINER_OF(h, struct image_pull, fetched_async);
    uv_thread_join(&p->thread);
    uv_close((uv_handle_t *)h, on_async_closed);
}

/* ---- Work ---- */

static void fetch(void *data)
{
    struct image_pull *p = data;
    struct image_store *s = p->store;
    if (mkdir(p->dir, 0700) != 0) {
        p->rc = error_set_errno(&p->error, errno, "cannot create %s", p->dir);
    } else {
        p->rc = registry_fetch(&(struct registry_fetch){.ref = p->ref,
                                                        .dir = p->dir,
                                                        .has_layer = reserve_layer,
                                                        .has_layer_data = p,
                                                        .config = &p->registries->config,
                                                        .logins = p->logins,
                                                        .logins_count = p->logins_count,
                                                        .cancel = &s->cancel,
                                                        .done_bytes = &p->done_bytes,
                                                        .all_bytes = &p->all_bytes},
                               &p->error);
    }
    uv_async_send(&p->fetched_async);
}

static bool has_same_host(const struct image_pull *a, const struct image_pull *b)
{
    size_t n = strcspn(a->ref, "/");
    return n == strcspn(b->ref, "/") && strncmp(a->ref, b->ref, n) == 0;
}

/* Of those that have begun and are not over. */
static unsigned count_of_host(const struct image_store *s, const struct image_pull *of)
{
    unsigned n = 0;
    LIST_FOR(it, &s->pulls)
    {
        const struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        n += p->begun && has_same_host(p, of);
    }
    return n;
}

static void begin(struct image_pull *p)
{
    struct image_store *s = p->store;
    p->begun = true;
    p->registries = s->registries;
    p->registries->refs++;
    p->begun_ms = uv_hrtime() / 1000000;
    s->pulling++;
    uv_async_init(s->loop, &p->fetched_async, on_fetched);
    int rc = uv_thread_create(&p->thread, fetch, p);
    if (rc != 0) {
        p->rc = error_set(&p->error, ERR_SYSTEM, "no thread for the pull: %s", uv_strerror(rc));
        uv_close((uv_handle_t *)&p->fetched_async, on_async_closed);
    }
}

void image_pulls_start(struct image_store *s)
{
    LIST_FOR(it, &s->pulls)
    {
        struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        if (s->pulling == IMAGE_PULLS_MAX || s->closing) {
            return;
        }
        if (!p->begun && count_of_host(s, p) < IMAGE_PULLS_HOST_MAX) {
            begin(p);
        }
    }
}

static bool same_logins(const struct image_pull *p, const struct image_wait *w)
{
    if (p->logins_count != w->logins_count) {
        return false;
    }
    for (unsigned i = 0; i < p->logins_count; i++) {
        const struct registry_login *a = &p->logins[i], *b = &w->logins[i];
        if (strcmp(a->host, b->host) != 0 || strcmp(a->user, b->user) != 0 || strcmp(a->password, b->password) != 0) {
            return false;
        }
    }
    return true;
}

bool image_pull_find(struct image_store *s, const char *ref, struct image_progress *out)
{
    LIST_FOR(it, &s->pulls)
    {
        struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        if (!p->ended && strcmp(p->ref, ref) == 0) {
            *out = (struct image_progress){.done_bytes = atomic_load(&p->done_bytes),
                                           .all_bytes = atomic_load(&p->all_bytes),
                                           .queued = !p->begun,
                                           .unpacking = p->fetched};
            return true;
        }
    }
    return false;
}

void image_pull_for(struct image_store *s, const char *ref, struct image_wait *w)
{
    LIST_FOR(it, &s->pulls)
    {
        struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        if (!p->ended && strcmp(p->ref, ref) == 0 && same_logins(p, w)) {
            list_push_back(&p->waits, &w->link);
            return;
        }
    }
    struct image_pull *p = xcalloc(1, sizeof *p);
    p->store = s;
    p->ref = xstrdup(ref);
    p->dir = xasprintf("%s/tmp/pull-%llu", s->dir, (unsigned long long)s->load_number++);
    p->logins = TAKE_PTR(w->logins);
    p->logins_count = w->logins_count;
    w->logins_count = 0;
    list_init(&p->waits);
    list_push_back(&p->waits, &w->link);
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->pulls, &p->link);
    pthread_mutex_unlock(&s->lock);
    image_pulls_start(s);
}

/* Those that have not begun are answered; the others end by themselves, as the store's cancel says so. */
void image_pulls_cancel(struct image_store *s)
{
    LIST_FOR_SAFE(it, &s->pulls)
    {
        struct image_pull *p = LIST_ENTRY(it, struct image_pull, link);
        if (p->begun) {
            continue;
        }
        p->rc = error_set(&p->error, ERR_CANCELED, "the image store is closing");
        while (!list_empty(&p->waits)) {
            s->pull_answered(LIST_ENTRY(p->waits.next, struct image_wait, link), p);
        }
        take_from_list(p);
        pull_free(p);
    }
}
