/* What others delete of the network's rules is made again (tables.h). All of them are written then: it is rare, and
 * each of the texts says what the whole shall be. */
#include <stdlib.h>

#include "agent/network/network_int.h"
#include "agent/network/overlay.h"
#include "agent/network/tables.h"

#define CALM_MS  60000u
#define RETRY_MS 1000u

struct network_watch {
    struct network *n;
    struct tables tables;
    unsigned mends_at_once;
    uv_poll_t poll;
    uv_timer_t calm, mend;
};

static void mend(struct network *n)
{
    if (n->pod_cidr[0] != '\0' && !n->closing) {
        n->rules_dirty = true;
        network_rules_run(n);
    }
    if (!n->closing) {
        network_flows_run(n);
        network_peers_mend_rules(n);
    }
}

static void on_calm(uv_timer_t *t)
{
    ((struct network_watch *)t->data)->mends_at_once = 0;
}

static void on_mend(uv_timer_t *t)
{
    mend(((struct network_watch *)t->data)->n);
}

/* At once, but for who has it broken all the time. */
static void on_poll(uv_poll_t *p, int status, int events)
{
    struct network_watch *w = p->data;
    (void)events;
    if (status < 0) { /* more was told than the socket holds: libuv takes that for its end */
        uv_poll_start(p, UV_READABLE, on_poll);
    }
    if (!tables_touched(&w->tables) || w->n->closing) {
        return;
    }
    log_warn(w->n->log, "network", "another program has changed the rules of the pods' network; they are mended");
    uv_timer_start(&w->calm, on_calm, CALM_MS, 0);
    if (++w->mends_at_once <= NETWORK_MENDS_AT_ONCE) {
        mend(w->n);
    } else if (!uv_is_active((uv_handle_t *)&w->mend)) {
        uv_timer_start(&w->mend, on_mend, RETRY_MS, 0);
    }
}

void network_pause_watch(struct network *n, bool pause)
{
    struct network_watch *w = n->watch;
    if (w == NULL || n->closing || w->tables.paused == pause) {
        return;
    }
    tables_pause(&w->tables, pause);
    if (!pause) {
        mend(n);
    }
}

void network_watch_want(struct network *n, const char *table, bool wanted)
{
    if (n->watch != NULL) {
        tables_want(&n->watch->tables, table, wanted);
    }
}

int network_watch_open(struct network *n, struct error *err)
{
    struct network_watch *w = xcalloc(1, sizeof *w);
    int rc = tables_open(&w->tables, err);
    if (rc != 0) {
        free(w);
        return rc;
    }
    n->watch = w;
    w->n = n;
    tables_add(&w->tables, "reeve-pods", false);
    tables_add(&w->tables, "reeve-flows", true);
    tables_add(&w->tables, OVERLAY_TABLE, false);
    uv_poll_init(n->loop, &w->poll, w->tables.watch.fd);
    uv_timer_init(n->loop, &w->calm);
    uv_timer_init(n->loop, &w->mend);
    w->poll.data = w->calm.data = w->mend.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_poll);
    n->holders += 3;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    network_release(((struct network_watch *)h->data)->n);
}

void network_watch_close(struct network *n)
{
    if (n->watch != NULL) {
        uv_close((uv_handle_t *)&n->watch->poll, on_closed);
        uv_close((uv_handle_t *)&n->watch->calm, on_closed);
        uv_close((uv_handle_t *)&n->watch->mend, on_closed);
    }
}

void network_watch_free(struct network *n)
{
    struct network_watch *w = TAKE_PTR(n->watch);
    if (w != NULL) {
        tables_close(&w->tables);
        free(w);
    }
}
