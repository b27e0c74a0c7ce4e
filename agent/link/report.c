#include "agent/link/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "agent/util/backoff.h"
#include "proto/facts/event.h"

struct waiting_event {
    struct list link;
    size_t size;
    uint8_t bytes[];
};

struct report {
    uv_loop_t *loop;
    const struct env *env;
    const struct log *log;
    char *name;
    struct report_events events;
    void *data;
    struct session *session;
    uv_timer_t timer;
    struct list dirty, sending; /* of report_item */
    struct list waiting;        /* of waiting_event */
    unsigned events_count, events_in_call;
    uint64_t events_dropped, events_seq;
    bool node_dirty, node_sending;
    bool ready, in_flight, events_in_flight, closing;
    unsigned statuses_in_call;
    struct backoff backoff;
    void (*close_cb)(void *data);
    void *close_data;
};

void report_item_init(struct report_item *i, const char *ns, const char *name, const char *uid)
{
    *i = (struct report_item){.ns = ns, .name = name, .uid = uid};
    list_init(&i->link);
}

static void flush(struct report *r);

static void on_timer(uv_timer_t *t)
{
    flush(t->data);
}

static bool has_work(const struct report *r)
{
    return !list_empty(&r->dirty) || r->node_dirty || !list_empty(&r->waiting);
}

static void schedule(struct report *r, int64_t ms)
{
    if (r->ready && !r->closing && has_work(r) && !uv_is_active((uv_handle_t *)&r->timer)) {
        uv_timer_start(&r->timer, on_timer, (uint64_t)ms, 0);
    }
}

struct report *report_new(uv_loop_t *loop, const struct env *env, const struct log *log, const char *name,
                          const struct report_events *events, void *data)
{
    struct report *r = xcalloc(1, sizeof *r);
    r->loop = loop;
    r->env = env;
    r->log = log;
    r->name = xstrdup(name);
    r->events = *events;
    r->data = data;
    list_init(&r->dirty);
    list_init(&r->sending);
    list_init(&r->waiting);
    backoff_init(&r->backoff, BACKOFF_CONNECT_BASE_MS, BACKOFF_CONNECT_MAX_MS);
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    return r;
}

void report_set_session(struct report *r, struct session *s)
{
    r->session = s;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct report *r = h->data;
    void (*cb)(void *data) = r->close_cb;
    void *data = r->close_data;
    LIST_FOR_SAFE(it, &r->waiting)
    {
        list_remove(it);
        free(LIST_ENTRY(it, struct waiting_event, link));
    }
    free(r->name);
    free(r);
    cb(data);
}

static void maybe_free(struct report *r)
{
    if (r->closing && !r->in_flight && !r->events_in_flight && !uv_is_closing((uv_handle_t *)&r->timer)) {
        uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    }
}

void report_close(struct report *r, void (*cb)(void *data), void *data)
{
    r->closing = true;
    r->ready = false;
    r->close_cb = cb;
    r->close_data = data;
    uv_timer_stop(&r->timer);
    maybe_free(r);
}

/* ---- Marking ---- */

void report_dirty(struct report *r, struct report_item *i)
{
    if (i->sending) {
        i->again = true;
    } else if (list_empty(&i->link)) {
        list_push_back(&r->dirty, &i->link);
        schedule(r, REPORT_COALESCE_MS);
    }
}

void report_gone(struct report *r, struct report_item *i)
{
    i->is_gone = true;
    report_dirty(r, i);
}

void report_force(struct report *r, struct report_item *i)
{
    i->acked_hash = 0;
    report_dirty(r, i);
}

void report_node_dirty(struct report *r)
{
    r->node_dirty = true;
    schedule(r, REPORT_COALESCE_MS);
}

void report_forget(struct report *r, struct report_item *i)
{
    (void)r;
    list_remove(&i->link);
    i->sending = false;
}

/* ---- Statuses ---- */

static void write_key(struct buf *b, const struct report_item *i, unsigned members)
{
    mp_write_map(b, members);
    mp_write_key_str(b, "namespace", str_of(i->ns));
    mp_write_key_str(b, "name", str_of(i->name));
    mp_write_key_str(b, "uid", str_of(i->uid));
}

/* An entry for one item into pods or gone. False: there is nothing new to tell. */
static bool write_item(struct report *r, struct report_item *i, struct buf *pods, struct buf *gone)
{
    CLEANUP_BUF struct buf status = BUF_INIT;
    if (i->is_gone) {
        write_key(gone, i, 3);
        return true;
    }
    if (!r->events.write_status(i, &status, r->data)) {
        return false;
    }
    i->sent_hash = XXH3_64bits(status.data, status.size) | 1;
    if (i->sent_hash == i->acked_hash) {
        return false;
    }
    write_key(pods, i, 4);
    mp_write_cstr(pods, "status");
    buf_append(pods, status.data, status.size);
    return true;
}

/* Moves what goes into this call to the sending list, statuses first in its order: results come in the same order. */
static void collect(struct report *r, struct buf *pods, unsigned *pods_count, struct buf *gone, unsigned *gone_count)
{
    struct list gone_list;
    list_init(&gone_list);
    assert(list_empty(&r->sending));
    LIST_FOR_SAFE(it, &r->dirty)
    {
        struct report_item *i = LIST_ENTRY(it, struct report_item, link);
        if (*pods_count + *gone_count >= REPORT_PODS_MAX || pods->size >= REPORT_BYTES_MAX) {
            break;
        }
        list_remove(it);
        if (!write_item(r, i, pods, gone)) {
            continue;
        }
        i->sending = true;
        i->again = false;
        list_push_back(i->is_gone ? &gone_list : &r->sending, it);
        ++*(i->is_gone ? gone_count : pods_count);
    }
    LIST_FOR_SAFE(it, &gone_list)
    {
        list_remove(it);
        list_push_back(&r->sending, it);
    }
}

static void settle_item(struct report *r, struct report_item *i, const struct error *error, uint64_t revision)
{
    list_remove(&i->link);
    i->sending = false;
    bool settled = error == NULL || error->code == ERR_NOT_FOUND || error->code == ERR_CONFLICT;
    bool is_final = error != NULL && (err_class(error->code) == ERR_CLASS_CALLER); /* the same again would fail again */
    if (is_final && !settled) {
        log_error(r->log, "report", "pod %s/%s: the status was refused: %s", i->ns, i->name, error->message);
    }
    if (!settled && !is_final) {
        list_push_back(&r->dirty, &i->link);
        return;
    }
    if (i->is_gone && !i->again) {
        r->events.on_gone_acked(i, r->data);
        return;
    }
    i->acked_hash = i->sent_hash;
    if (i->again) {
        list_push_back(&r->dirty, &i->link);
    }
    if (error == NULL && !i->is_gone) {
        r->events.on_status_acked(i, revision, r->data);
    }
}

static void on_status_sent(const struct rpc_result *result, void *data)
{
    struct report *r = data;
    r->in_flight = false;
    struct mp_iter results = mp_iter(result->error != NULL ? mp_of(NULL, 0) : mp_get(result->result, "results"));
    bool trouble = result->error != NULL;
    uint64_t revision = trouble ? 0 : (uint64_t)mp_int(mp_get(result->result, "revision"), 0);
    unsigned at = 0;
    while (!list_empty(&r->sending)) {
        struct report_item *i = LIST_ENTRY(r->sending.next, struct report_item, link);
        struct error err = {0};
        const struct error *error = result->error;
        if (error == NULL && at++ < r->statuses_in_call && mp_next(&results) && mp_type(results.value) == MP_MAP) {
            rpc_read_error(results.value, &err);
            error = &err;
            trouble = trouble || err_class(err.code) != ERR_CLASS_CALLER;
        }
        settle_item(r, i, error, revision);
    }
    r->node_dirty = r->node_dirty || (r->node_sending && result->error != NULL);
    r->node_sending = false;
    if (!trouble) {
        backoff_reset(&r->backoff);
    } else if (result->error != NULL && result->error->code != ERR_CLOSED) {
        log_debug(r->log, "report", "node.status: %s", result->error->message);
    }
    int64_t pause = trouble ? backoff_grow(&r->backoff, env_now_ms(r->env)) : 0;
    schedule(r, pause);
    maybe_free(r);
}

static void send_status(struct report *r)
{
    CLEANUP_BUF struct buf pods = BUF_INIT;
    CLEANUP_BUF struct buf gone = BUF_INIT;
    CLEANUP_BUF struct buf node = BUF_INIT;
    CLEANUP_BUF struct buf params = BUF_INIT;
    unsigned pods_count = 0, gone_count = 0;
    collect(r, &pods, &pods_count, &gone, &gone_count);
    bool with_node = r->node_dirty && r->events.write_node_status(&node, r->data);
    r->node_dirty = false;
    if (pods_count + gone_count == 0 && !with_node) {
        return;
    }
    mp_write_map(&params, 2 + with_node + (gone_count > 0));
    mp_write_key_str(&params, "name", str_of(r->name));
    mp_write_cstr(&params, "pods");
    mp_write_array(&params, pods_count);
    buf_append(&params, pods.data, pods.size);
    if (with_node) {
        mp_write_cstr(&params, "node");
        buf_append(&params, node.data, node.size);
    }
    if (gone_count > 0) {
        mp_write_cstr(&params, "gone");
        mp_write_array(&params, gone_count);
        buf_append(&params, gone.data, gone.size);
    }
    r->in_flight = true;
    r->node_sending = with_node;
    r->statuses_in_call = pods_count;
    session_call(r->session, "node.status", buf_str(&params), on_status_sent, r);
}

/* ---- Events ---- */

static void drop_oldest(struct report *r)
{
    struct waiting_event *w = LIST_ENTRY(r->waiting.next, struct waiting_event, link);
    list_remove(&w->link);
    free(w);
    r->events_count--;
}

static struct value *document_of(struct report *r, const struct report_event *e, struct arena *a)
{
    struct event_words w = {
        .kind = kind_by_id(e->pod != NULL       ? KIND_POD
                           : e->service != NULL ? KIND_SERVICE
                                                : KIND_NODE),
        .ns = str_of(e->ns),
        .name = str_of(e->pod != NULL       ? e->pod
                       : e->service != NULL ? e->service
                                            : r->name),
        .uid = str_of(e->uid),
        .field_path = e->field_path,
        .warning = e->warning,
        .reason = e->reason,
        .component = "reeve-agent",
        .host = r->name,
        .message = str_of(e->message),
    };
    uint64_t salt = 0;
    env_random(r->env, &salt, sizeof salt);
    struct value *doc = event_document(a, &w);
    event_set_name(a, doc, event_namespace(doc), name_of_event(a, w.name, salt + r->events_seq++));
    event_set_first(a, doc, env_wall_ms(r->env), 0, r->name);
    return doc;
}

void report_event(struct report *r, const struct report_event *e)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    arena_init(&a);
    if (r->events_count >= REPORT_EVENTS_MAX && !r->events_in_flight) {
        drop_oldest(r);
        r->events_dropped++;
    } else if (r->events_count >= REPORT_EVENTS_MAX) {
        r->events_dropped++;
        return;
    }
    msgpack_write_value(&b, document_of(r, e, &a));
    struct waiting_event *w = xmalloc(sizeof *w + b.size);
    w->size = b.size;
    memcpy(w->bytes, b.data, b.size);
    list_init(&w->link);
    list_push_back(&r->waiting, &w->link);
    r->events_count++;
    schedule(r, REPORT_COALESCE_MS);
}

static void on_events_sent(const struct rpc_result *result, void *data)
{
    struct report *r = data;
    r->events_in_flight = false;
    /* Events are told once or, if the connection broke just then, twice; a refusal is final. */
    bool again = result->error != NULL && err_class(result->error->code) != ERR_CLASS_CALLER;
    for (; !again && r->events_in_call > 0; r->events_in_call--) {
        drop_oldest(r);
    }
    r->events_in_call = 0;
    if (result->error != NULL && !again) {
        log_warn(r->log, "report", "events were refused: %s", result->error->message);
    }
    schedule(r, again ? backoff_grow(&r->backoff, env_now_ms(r->env)) : REPORT_COALESCE_MS);
    maybe_free(r);
}

static void send_events(struct report *r)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    unsigned count = MIN(r->events_count, REPORT_EVENTS_CALL), i = 0;
    mp_write_map(&params, 2);
    mp_write_key_str(&params, "name", str_of(r->name));
    mp_write_cstr(&params, "events");
    mp_write_array(&params, count);
    LIST_FOR(it, &r->waiting)
    {
        if (i++ == count) {
            break;
        }
        struct waiting_event *w = LIST_ENTRY(it, struct waiting_event, link);
        buf_append(&params, w->bytes, w->size);
    }
    r->events_in_flight = true;
    r->events_in_call = count;
    session_call(r->session, "node.events", buf_str(&params), on_events_sent, r);
}

/* ---- Sending ---- */

static void flush(struct report *r)
{
    if (!r->ready) {
        return;
    }
    if (!r->in_flight && (!list_empty(&r->dirty) || r->node_dirty)) {
        send_status(r);
    }
    if (!r->events_in_flight && !list_empty(&r->waiting)) {
        send_events(r);
    }
}

void report_on_ready(struct report *r)
{
    r->ready = true;
    backoff_reset(&r->backoff);
    schedule(r, 0);
}

void report_on_lost(struct report *r)
{
    r->ready = false;
    uv_timer_stop(&r->timer);
}
