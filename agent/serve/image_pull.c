/* An image that a user asks for from its registry, with the node's own logins. Whoever asked may go away: the pull goes
 * on, as others may wait for it. */
#include <stdlib.h>

#include "agent/registries.h"
#include "agent/serve/serve.h"

#define TELL_MS 1000

struct pull_stream {
    struct agent *agent;
    struct rpc_stream *stream;
    char *ref;
    uv_timer_t timer;
    bool pulling, ended, peer_over, timer_open;
};

static void pull_maybe_free(struct pull_stream *p)
{
    if (p->ended && p->peer_over && !p->pulling && !p->timer_open) {
        free(p->ref);
        free(p);
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    struct pull_stream *p = h->data;
    p->timer_open = false;
    pull_maybe_free(p);
}

static void pull_end(struct pull_stream *p, const struct error *err)
{
    if (!p->ended) {
        p->ended = true;
        rpc_stream_end(p->stream, err);
    }
    if (!uv_is_closing((uv_handle_t *)&p->timer)) {
        uv_close((uv_handle_t *)&p->timer, on_timer_closed);
    }
}

static void tell(uv_timer_t *t)
{
    struct pull_stream *p = t->data;
    struct image_progress at;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (p->ended || !image_pull_progress(p->agent->images, p->ref, &at)) {
        return;
    }
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "state", at.queued ? STR("waiting") : at.unpacking ? STR("unpacking") : STR("pulling"));
    mp_write_key_int(&b, "doneBytes", (int64_t)at.done_bytes);
    mp_write_key_int(&b, "allBytes", (int64_t)at.all_bytes);
    rpc_stream_write(p->stream, buf_str(&b));
}

static void write_pulled(struct pull_stream *p, const struct image *im)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "pulled");
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "digest", str_of(im->digest));
    mp_write_key_int(&b, "sizeBytes", (int64_t)im->size_bytes);
    rpc_stream_write(p->stream, buf_str(&b));
}

static void on_pulled(const struct image_result *r, void *data)
{
    struct pull_stream *p = data;
    p->pulling = false;
    p->agent->pending--;
    if (r->error == NULL && r->image != NULL) {
        if (!p->ended) {
            write_pulled(p, r->image);
        }
        report_node_dirty(p->agent->report);
        pods_images_changed(p->agent);
    }
    image_unref(r->image);
    pull_end(p, r->error);
    pull_maybe_free(p);
}

static void on_peer_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    (void)payload, (void)data;
    rpc_stream_consumed(st, n);
}

static void on_peer_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct pull_stream *p = data;
    (void)st, (void)err;
    p->peer_over = true;
    pull_end(p, NULL);
    pull_maybe_free(p);
}

static const struct rpc_stream_events pull_events = {.on_data = on_peer_data, .on_end = on_peer_end};

void serve_image_pull(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err = {0};
    struct str name = mp_str(mp_get(params, "name"));
    CLEANUP_FREE char *ref = xstrndup(name.n == 0 ? "" : name.p, name.n);
    registries_look(a);
    if (name.n == 0) {
        error_set(&err, ERR_USAGE, "\"name\" is missing");
    } else if (!image_would_pull(a->images, ref, IMAGE_PULL_ALWAYS)) {
        image_pull_refusal(a->images, ref, &err);
    }
    if (err.code != 0) {
        rpc_reply_error(r, &err);
        return;
    }
    struct pull_stream *p = xcalloc(1, sizeof *p);
    p->stream = rpc_stream_accept(r, &pull_events, p);
    if (p->stream == NULL) {
        free(p);
        return;
    }
    p->agent = a;
    p->ref = TAKE_PTR(ref);
    uv_timer_init(a->loop, &p->timer);
    p->timer.data = p;
    p->timer_open = p->pulling = true;
    uv_timer_start(&p->timer, tell, TELL_MS, TELL_MS);
    a->pending++;
    image_ensure(a->images, p->ref, IMAGE_PULL_ALWAYS, on_pulled, p);
}
