/* Images from the client's disk to this node's store, and what is there. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/serve/serve.h"

struct load_stream {
    struct agent *agent;
    struct rpc_stream *stream;
    struct image_load *load; /* takes bytes; NULL once finished or aborted */
    bool loading;            /* finished, the store is at it */
    bool ended, peer_over;
};

static void load_maybe_free(struct load_stream *l)
{
    if (l->ended && l->peer_over && !l->loading) {
        free(l);
    }
}

static void load_end(struct load_stream *l, const struct error *err)
{
    if (l->load != NULL) {
        image_load_abort(TAKE_PTR(l->load));
    }
    if (!l->ended) {
        l->ended = true;
        rpc_stream_end(l->stream, err);
    }
}

static void write_loaded(struct load_stream *l, const struct image_loaded *r)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned n = 0;
    while (r->refs[n] != NULL) {
        n++;
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "loaded");
    mp_write_array(&b, n);
    for (unsigned i = 0; i < n; i++) {
        mp_write_cstr(&b, r->refs[i]);
    }
    rpc_stream_write(l->stream, buf_str(&b));
}

static void load_on_loaded(const struct image_loaded *r, void *data)
{
    struct load_stream *l = data;
    l->loading = false;
    l->agent->pending--;
    if (r->error == NULL) {
        if (!l->ended) {
            write_loaded(l, r);
        }
        report_node_dirty(l->agent->report);
        pods_images_changed(l->agent);
    }
    load_end(l, r->error);
    load_maybe_free(l);
}

static void load_finish(struct load_stream *l)
{
    l->loading = true;
    l->agent->pending++;
    image_load_finish(TAKE_PTR(l->load), load_on_loaded, l);
}

static void load_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct load_stream *l = data;
    struct mp m = payload;
    struct str bytes;
    struct error err;
    if (l->load != NULL && mp_read_bin(&m, &bytes)) {
        if (image_load_write(l->load, bytes.p, bytes.n, &err) != 0) {
            load_end(l, &err);
            return;
        }
    } else if (l->load != NULL && mp_bool(mp_get(payload, "eof"), false)) {
        load_finish(l);
    }
    rpc_stream_consumed(st, n);
}

/* The client's end finishes the archive; if it went away instead nothing is kept. */
static void load_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct load_stream *l = data;
    (void)st;
    l->peer_over = true;
    if (err == NULL && l->load != NULL) {
        load_finish(l);
        return;
    }
    if (!l->loading) {
        load_end(l, NULL);
    }
    load_maybe_free(l);
}

static const struct rpc_stream_events load_events = {.on_data = load_on_data, .on_end = load_stream_end};

void serve_image_load(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err;
    struct str name = mp_str(mp_get(params, "name"));
    CLEANUP_FREE char *text = str_empty(name) ? NULL : xstrndup(name.p, name.n);
    struct load_stream *l = xcalloc(1, sizeof *l);
    l->agent = a;
    if (image_load_begin(a->images, text, &l->load, &err) != 0) {
        rpc_reply_error(r, &err);
        free(l);
        return;
    }
    l->stream = rpc_stream_accept(r, &load_events, l);
    if (l->stream == NULL) {
        image_load_abort(l->load);
        free(l);
    }
}

/* A container that stands on it, for words. */
static bool find_user(struct agent *a, const struct image *im, char *out, size_t size)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        const struct agent_pod *ap = e->value;
        for (unsigned k = 0; k < ap->pod->spec->count; k++) {
            const struct container *c = ap->pod->containers[k];
            if (c->image == im || (c->image_id != NULL && strcmp(c->image_id, im->id) == 0)) {
                snprintf(out, size, "container %s of pod %s/%s", c->spec->name, ap->ns, ap->name);
                return true;
            }
        }
    }
    snprintf(out, size, "a container that is going away");
    return false;
}

static unsigned names_of(const struct image *im)
{
    unsigned n = 0;
    while (im->refs[n] != NULL) {
        n++;
    }
    return n;
}

/* A name is taken from an image that has others at any time; the last one, and an id, only if nobody uses the image. */
static int remove_image(struct agent *a, const char *ref, bool *deleted, struct error *err)
{
    struct image *im = image_find(a->images, ref);
    char user[400];
    if (im == NULL || a->hollow) {
        image_unref(im);
        return error_set(err, ERR_NOT_FOUND, "there is no image %s on this node", ref);
    }
    bool by_id = strncmp(ref, "sha256:", 7) == 0 || strchr(ref, '@') != NULL;
    *deleted = by_id || names_of(im) == 1;
    int rc = 0;
    if (*deleted && image_is_used(a->images, im)) {
        find_user(a, im, user, sizeof user);
        rc = error_set(err, ERR_CONFLICT, "the image %s is in use by %s", ref, user);
    }
    rc = rc != 0 ? rc : image_remove(a->images, ref, err);
    image_unref(im);
    return rc;
}

void serve_image_remove(struct agent *a, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    struct str name = mp_str(mp_get(params, "name"));
    CLEANUP_FREE char *ref = xstrndup(name.n == 0 ? "" : name.p, name.n);
    bool deleted = false;
    if (name.n == 0) {
        error_set(&err, ERR_USAGE, "\"name\" is missing");
    }
    if (err.code != 0 || remove_image(a, ref, &deleted, &err) != 0) {
        rpc_reply_error(r, &err);
        return;
    }
    report_node_dirty(a->report);
    mp_write_map(&b, 1);
    mp_write_key_bool(&b, "deleted", deleted);
    rpc_reply(r, buf_str(&b));
}

void serve_image_list(struct agent *a, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf items = BUF_INIT;
    struct image **list = NULL;
    unsigned count = image_list(a->images, &list), entries = 0;
    (void)params;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; list[i]->refs[k] != NULL; k++, entries++) {
            mp_write_map(&items, 3);
            mp_write_key_str(&items, "name", str_of(list[i]->refs[k]));
            mp_write_key_str(&items, "digest", str_of(list[i]->digest));
            mp_write_key_int(&items, "sizeBytes", (int64_t)list[i]->size_bytes);
        }
        image_unref(list[i]);
    }
    free(list);
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "images");
    mp_write_array(&b, entries);
    buf_append(&b, items.data, items.size);
    rpc_reply(r, buf_str(&b));
}
