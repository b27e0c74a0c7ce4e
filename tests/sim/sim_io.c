#include "tests/sim/sim_io.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- Time ---- */

static int64_t sim_now(void *data)
{
    return ((struct sim *)data)->now_ms;
}
static int64_t sim_wall(void *data)
{
    return 1767225600000 + ((struct sim *)data)->now_ms;
}
static void sim_random(void *data, void *bytes, size_t n)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng_next(&((struct sim *)data)->rng);
    }
}

void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->rng.state = seed;
    s->env = (struct env){s, sim_now, sim_wall, sim_random};
    s->now_ms = 1000;
    s->net_min_ms = 1;
    s->net_max_ms = 3;
    s->disk_min_ms = 1;
    s->disk_max_ms = 3;
    for (unsigned i = 0; i < SIM_SERVERS_MAX; i++) {
        s->disks[i].start = 1;
    }
}

/* ---- Events ---- */

static bool comes_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

void sim_after(struct sim *s, int64_t delay_ms, void (*run)(void *arg), void (*cancel)(void *arg), void *arg)
{
    if (s->events_count == s->events_cap) {
        s->events_cap = s->events_cap == 0 ? 256 : 2 * s->events_cap;
        s->events = xrealloc(s->events, s->events_cap * sizeof *s->events);
    }
    const struct sim_event e = {s->now_ms + delay_ms, s->seq++, run, cancel, arg};
    size_t at = s->events_count++;
    for (; at > 0 && comes_before(&e, &s->events[(at - 1) / 2]); at = (at - 1) / 2) {
        s->events[at] = s->events[(at - 1) / 2];
    }
    s->events[at] = e;
}

static struct sim_event event_take(struct sim *s)
{
    assert(s->events_count > 0);
    const struct sim_event first = s->events[0], last = s->events[--s->events_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < s->events_count; at = child) {
        child += child + 1 < s->events_count && comes_before(&s->events[child + 1], &s->events[child]);
        if (!comes_before(&s->events[child], &last)) {
            break;
        }
        s->events[at] = s->events[child];
    }
    s->events[at] = last;
    return first;
}

bool sim_step(struct sim *s)
{
    if (s->events_count == 0) {
        return false;
    }
    struct sim_event e = event_take(s);
    assert(e.at_ms >= s->now_ms);
    s->now_ms = e.at_ms;
    s->steps++;
    e.run(e.arg);
    return true;
}

static int64_t between(struct sim *s, unsigned min, unsigned max)
{
    return min + (int64_t)rng_below(&s->rng, max - min + 1);
}

void sim_pause(struct sim *s, uint64_t id, bool paused)
{
    s->paused[id] = paused;
}

/* True if the server stands still: then the event comes again. */
static bool put_off(struct sim *s, uint64_t id, void (*run)(void *arg), void (*cancel)(void *arg), void *arg)
{
    if (!s->paused[id] || s->ios[id] == NULL) {
        return false;
    }
    sim_after(s, 1, run, cancel, arg);
    return true;
}

/* ---- Network ---- */

struct envelope {
    struct sim *sim;
    uint64_t from, to;
    void (*run)(void *arg);
    void (*cancel)(void *arg);
    void *arg;
};

static void envelope_lose(void *arg)
{
    struct envelope *e = arg;
    e->sim->dropped++;
    if (e->cancel != NULL) {
        e->cancel(e->arg);
    }
    free(e);
}

static void envelope_arrive(void *arg)
{
    struct envelope *e = arg;
    struct sim_io *to = e->sim->ios[e->to];
    if (put_off(e->sim, e->to, envelope_arrive, envelope_lose, e)) {
        return;
    }
    if (e->sim->cut[e->from][e->to] || to == NULL || to->crashed) {
        envelope_lose(e);
        return;
    }
    e->run(e->arg);
    free(e);
}

void sim_message(struct sim *s, uint64_t from, uint64_t to, void (*run)(void *arg), void (*cancel)(void *arg),
                 void *arg)
{
    struct envelope *e = xmalloc(sizeof *e);
    *e = (struct envelope){s, from, to, run, cancel, arg};
    s->messages++;
    bool lost = to == 0 || to >= SIM_SERVERS_MAX || s->cut[from][to] || rng_below(&s->rng, 1000) < s->drop_permille;
    sim_after(s, between(s, s->net_min_ms, s->net_max_ms), lost ? envelope_lose : envelope_arrive, envelope_lose, e);
}

void sim_cut(struct sim *s, uint64_t a, uint64_t b, bool cut)
{
    s->cut[a][b] = cut;
    s->cut[b][a] = cut;
}

void sim_isolate(struct sim *s, uint64_t id, bool cut)
{
    for (uint64_t other = 1; other < SIM_SERVERS_MAX; other++) {
        if (other != id) {
            sim_cut(s, id, other, cut);
        }
    }
}

/* ---- Raft messages ---- */

static struct raft_buffer buffer_copy(struct raft_buffer from, bool raft)
{
    struct raft_buffer to = {.base = raft ? raft_malloc(from.len + 1) : xmalloc(from.len + 1), .len = from.len};
    if (from.len > 0) {
        memcpy(to.base, from.base, from.len);
    }
    return to;
}

static void configuration_copy(const struct raft_configuration *from, struct raft_configuration *to)
{
    raft_configuration_init(to);
    for (unsigned i = 0; i < from->n; i++) {
        int rv = raft_configuration_add(to, from->servers[i].id, from->servers[i].address, from->servers[i].role);
        assert(rv == 0);
        (void)rv;
    }
}

static void *entries_copy(const struct raft_entry *from, unsigned count, struct raft_entry **to)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        assert(from[i].buf.len % 8 == 0);
        size += from[i].buf.len;
    }
    char *batch = raft_malloc(size + 8);
    *to = raft_calloc(count, sizeof **to);
    size = 0;
    for (unsigned i = 0; i < count; i++) {
        (*to)[i] = from[i];
        (*to)[i].batch = batch;
        (*to)[i].buf.base = batch + size;
        if (from[i].buf.len > 0) {
            memcpy(batch + size, from[i].buf.base, from[i].buf.len);
        }
        size += from[i].buf.len;
    }
    return batch;
}

struct sim_send {
    struct sim *sim;
    uint64_t to;
    struct raft_message message;
    char address[64];
};

static void send_free(void *arg)
{
    struct sim_send *s = arg;
    if (s->message.type == RAFT_APPEND_ENTRIES && s->message.append_entries.n_entries > 0) {
        raft_free(s->message.append_entries.entries[0].batch);
        raft_free(s->message.append_entries.entries);
    } else if (s->message.type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&s->message.install_snapshot.conf);
        raft_free(s->message.install_snapshot.data.base);
    }
    free(s);
}

static void send_arrive(void *arg)
{
    struct sim_send *s = arg;
    struct sim_io *to = s->sim->ios[s->to];
    if (!to->started || to->closed) {
        send_free(s);
        return;
    }
    s->message.server_address = s->address;
    to->recv(&to->io, &s->message); /* its buffers go along */
    free(s);
}

struct send_done {
    struct raft_io_send *req;
    int status;
};

static void send_called_back(void *arg)
{
    struct send_done *d = arg;
    d->req->cb(d->req, d->status);
    free(d);
}

static int sim_io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message,
                       raft_io_send_cb cb)
{
    struct sim_io *me = io->impl;
    if (!me->crashed && !me->closed) {
        struct sim_send *s = xcalloc(1, sizeof *s);
        s->sim = me->sim;
        s->to = message->server_id;
        s->message = *message;
        s->message.server_id = me->id;
        snprintf(s->address, sizeof s->address, "sim:%llu", (unsigned long long)me->id);
        if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
            entries_copy(message->append_entries.entries, message->append_entries.n_entries,
                         &s->message.append_entries.entries);
        } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
            s->message.install_snapshot.data = buffer_copy(message->install_snapshot.data, true);
            configuration_copy(&message->install_snapshot.conf, &s->message.install_snapshot.conf);
        }
        sim_message(me->sim, me->id, s->to, send_arrive, send_free, s);
    }
    struct send_done *d = xmalloc(sizeof *d);
    req->cb = cb;
    *d = (struct send_done){req, 0};
    sim_after(me->sim, 0, send_called_back, send_called_back, d);
    return 0;
}

/* ---- Disk ---- */

enum op_type { OP_APPEND, OP_TRUNCATE, OP_SNAPSHOT };
struct sim_op {
    struct list link;
    enum op_type type;
    raft_index index; /* truncate */
    struct raft_entry *entries;
    unsigned count;
    struct raft_io_append *append;
    struct raft_io_snapshot_put *put;
    unsigned trailing;
    struct raft_snapshot snapshot; /* borrowed configuration and buffers until done */
    struct raft_buffer conf, data;
};

static void disk_drop(struct sim_disk *d, unsigned from)
{
    for (unsigned i = from; i < d->count; i++) {
        free(d->entries[i].buf.base);
    }
    d->count = MIN(d->count, from);
}

static void disk_drop_front(struct sim_disk *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(d->entries[i].buf.base);
    }
    memmove(d->entries, d->entries + n, (d->count - n) * sizeof *d->entries);
    d->count -= n;
    d->start += n;
}

/* The operation reaches the disk. */
static void op_persist(struct sim_disk *d, struct sim_op *op)
{
    if (op->type == OP_APPEND) {
        d->entries = xrealloc(d->entries, (d->count + op->count) * sizeof *d->entries);
        for (unsigned i = 0; i < op->count; i++) {
            struct raft_entry *e = &d->entries[d->count++];
            *e = op->entries[i];
            e->batch = NULL;
            e->buf = buffer_copy(op->entries[i].buf, false);
        }
    } else if (op->type == OP_TRUNCATE) {
        assert(op->index >= d->start);
        if (op->index < d->start + d->count) {
            disk_drop(d, (unsigned)(op->index - d->start));
        }
    } else {
        free(d->snapshot_data.base);
        free(d->snapshot_conf.base);
        d->has_snapshot = true;
        d->snapshot_index = op->snapshot.index;
        d->snapshot_term = op->snapshot.term;
        d->snapshot_conf_index = op->snapshot.configuration_index;
        d->snapshot_data = buffer_copy(op->data, false);
        d->snapshot_conf = buffer_copy(op->conf, false);
        if (op->trailing == 0) {
            disk_drop(d, 0);
            d->start = op->snapshot.index + 1;
        } else if (op->snapshot.index > op->trailing && d->start < op->snapshot.index - op->trailing + 1) {
            disk_drop_front(d, (unsigned)(op->snapshot.index - op->trailing + 1 - d->start));
        }
    }
}

static void op_free(struct sim_op *op)
{
    for (unsigned i = 0; i < op->count; i++) {
        free(op->entries[i].buf.base);
    }
    free(op->entries);
    free(op->conf.base);
    free(op->data.base);
    free(op);
}

static void op_call_back(struct sim_op *op, int status)
{
    if (op->append != NULL) {
        op->append->cb(op->append, status);
    } else if (op->put != NULL) {
        op->put->cb(op->put, status);
    }
}

static void io_unref(struct sim_io *me)
{
    if (--me->refs == 0) {
        free(me);
    }
}

/* The oldest operation of the server is done: one such event was made for each. */
static void disk_event(void *arg)
{
    struct sim_io *me = arg;
    if (put_off(me->sim, me->id, disk_event, NULL, me)) {
        return;
    }
    if (!me->closed && !me->crashed && !list_empty(&me->ops)) {
        struct sim_op *op = LIST_ENTRY(me->ops.next, struct sim_op, link);
        list_remove(&op->link);
        op_persist(me->disk, op);
        op_call_back(op, 0);
        op_free(op);
    }
    io_unref(me);
}

static void push_op(struct sim_io *me, struct sim_op *op)
{
    list_push_back(&me->ops, &op->link);
    me->refs++;
    sim_after(me->sim, between(me->sim, me->sim->disk_min_ms, me->sim->disk_max_ms), disk_event, NULL, me);
}

static struct sim_op *op_new(enum op_type type)
{
    struct sim_op *op = xcalloc(1, sizeof *op);
    op->type = type;
    return op;
}

static int sim_io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
                         raft_io_append_cb cb)
{
    struct sim_io *me = io->impl;
    if (me->disk->fail_appends > 0) {
        me->disk->fail_appends--;
        snprintf(io->errmsg, sizeof io->errmsg, "simulated disk failure");
        return RAFT_IOERR;
    }
    struct sim_op *op = op_new(OP_APPEND);
    op->entries = xcalloc(n, sizeof *op->entries);
    op->count = n;
    for (unsigned i = 0; i < n; i++) {
        assert(entries[i].buf.len % 8 == 0);
        op->entries[i] = entries[i];
        op->entries[i].buf = buffer_copy(entries[i].buf, false);
    }
    req->cb = cb;
    op->append = req;
    push_op(me, op);
    return 0;
}

static int sim_io_truncate(struct raft_io *io, raft_index index)
{
    struct sim_op *op = op_new(OP_TRUNCATE);
    op->index = index;
    push_op(io->impl, op);
    return 0;
}

static int sim_io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                               const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct sim_op *op = op_new(OP_SNAPSHOT);
    op->trailing = trailing;
    op->snapshot = *snapshot;
    struct raft_buffer conf;
    int rv = raft_configuration_encode(&snapshot->configuration, &conf);
    assert(rv == 0);
    (void)rv;
    op->conf = buffer_copy(conf, false);
    raft_free(conf.base);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        op->data.base = xrealloc(op->data.base, op->data.len + snapshot->bufs[i].len + 1);
        memcpy((char *)op->data.base + op->data.len, snapshot->bufs[i].base, snapshot->bufs[i].len);
        op->data.len += snapshot->bufs[i].len;
    }
    req->cb = cb;
    op->put = req;
    push_op(io->impl, op);
    return 0;
}

static struct raft_snapshot *disk_snapshot(const struct sim_disk *d)
{
    struct raft_snapshot *s = raft_calloc(1, sizeof *s);
    s->index = d->snapshot_index;
    s->term = d->snapshot_term;
    s->configuration_index = d->snapshot_conf_index;
    raft_configuration_init(&s->configuration);
    int rv = raft_configuration_decode(&d->snapshot_conf, &s->configuration);
    assert(rv == 0);
    (void)rv;
    s->bufs = raft_calloc(1, sizeof *s->bufs);
    s->n_bufs = 1;
    s->bufs[0] = buffer_copy(d->snapshot_data, true);
    return s;
}

struct get_event {
    struct sim_io *io;
    struct raft_io_snapshot_get *req;
};

static void get_done(void *arg)
{
    struct get_event *g = arg;
    if (g->io->closed || g->io->crashed) {
        g->req->cb(g->req, NULL, RAFT_CANCELED);
    } else {
        g->req->cb(g->req, disk_snapshot(g->io->disk), 0);
    }
    io_unref(g->io);
    free(g);
}

static int sim_io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct sim_io *me = io->impl;
    struct get_event *g = xmalloc(sizeof *g);
    req->cb = cb;
    *g = (struct get_event){me, req};
    me->refs++;
    sim_after(me->sim, between(me->sim, me->sim->disk_min_ms, me->sim->disk_max_ms), get_done, NULL, g);
    return 0;
}

static int sim_io_set_term(struct raft_io *io, raft_term term)
{
    struct sim_io *me = io->impl;
    me->disk->term = term;
    me->disk->vote = 0;
    return 0;
}

static int sim_io_set_vote(struct raft_io *io, raft_id vote)
{
    struct sim_io *me = io->impl;
    me->disk->vote = vote;
    return 0;
}

/* ---- Life ---- */

static int sim_io_init(struct raft_io *io, raft_id id, const char *address)
{
    struct sim_io *me = io->impl;
    assert(me->id == id);
    (void)me;
    (void)id;
    (void)address;
    return 0;
}

static int sim_io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                       raft_index *start, struct raft_entry *entries[], size_t *n)
{
    struct sim_disk *d = ((struct sim_io *)io->impl)->disk;
    *term = d->term;
    *vote = d->vote;
    *snapshot = d->has_snapshot ? disk_snapshot(d) : NULL;
    *start = d->start;
    *n = d->count;
    *entries = NULL;
    if (d->count > 0) {
        entries_copy(d->entries, d->count, entries);
    }
    return 0;
}

static void tick_event(void *arg)
{
    struct sim_io *me = arg;
    if (me->closed || me->crashed) {
        io_unref(me);
        return;
    }
    if (put_off(me->sim, me->id, tick_event, NULL, me)) {
        return;
    }
    me->tick(&me->io);
    sim_after(me->sim, me->tick_ms, tick_event, NULL, me);
}

static int sim_io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct sim_io *me = io->impl;
    me->started = true;
    me->tick_ms = msecs;
    me->tick = tick;
    me->recv = recv;
    me->refs++;
    sim_after(me->sim, 1 + (int64_t)rng_below(&me->sim->rng, msecs), tick_event, NULL, me);
    return 0;
}

static int sim_io_bootstrap(struct raft_io *io, const struct raft_configuration *conf)
{
    struct sim_disk *d = ((struct sim_io *)io->impl)->disk;
    if (d->term != 0 || d->count > 0 || d->has_snapshot) {
        return RAFT_CANTBOOTSTRAP;
    }
    struct raft_buffer buf;
    int rv = raft_configuration_encode(conf, &buf);
    assert(rv == 0);
    (void)rv;
    d->term = 1;
    d->entries = xcalloc(1, sizeof *d->entries);
    d->entries[0] = (struct raft_entry){.term = 1, .type = RAFT_CHANGE, .buf = buffer_copy(buf, false)};
    d->count = 1;
    raft_free(buf.base);
    return 0;
}

static int sim_io_recover(struct raft_io *io, const struct raft_configuration *conf)
{
    (void)io;
    (void)conf;
    return RAFT_IOERR; /* no test asks for it */
}

static raft_time sim_io_time(struct raft_io *io)
{
    return (raft_time)((struct sim_io *)io->impl)->sim->now_ms;
}

static int sim_io_random(struct raft_io *io, int min, int max)
{
    struct sim_io *me = io->impl;
    return min + (int)rng_below(&me->sim->rng, (uint64_t)max - (uint64_t)min);
}

struct close_event {
    struct sim_io *io;
    raft_io_close_cb cb;
};

static void close_done(void *arg)
{
    struct close_event *c = arg;
    struct sim_io *me = c->io;
    while (!list_empty(&me->ops)) {
        struct sim_op *op = LIST_ENTRY(me->ops.next, struct sim_op, link);
        list_remove(&op->link);
        op_call_back(op, RAFT_CANCELED);
        op_free(op);
    }
    c->cb(&me->io);
    free(c);
}

static void sim_io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct sim_io *me = io->impl;
    me->closed = true;
    if (me->sim->ios[me->id] == me) {
        me->sim->ios[me->id] = NULL;
    }
    struct close_event *c = xmalloc(sizeof *c);
    *c = (struct close_event){me, cb};
    /* Behind every callback that is still due to this server (reads from disk take at most disk_max_ms). */
    sim_after(me->sim, me->sim->disk_max_ms, close_done, NULL, c);
}

struct raft_io *sim_io_open(struct sim *s, uint64_t id)
{
    assert(id > 0 && id < SIM_SERVERS_MAX && s->ios[id] == NULL);
    struct sim_io *me = xcalloc(1, sizeof *me);
    me->sim = s;
    me->disk = &s->disks[id];
    me->id = id;
    me->refs = 1;
    list_init(&me->ops);
    me->io = (struct raft_io){.version = 2,
                              .capacity = 65000,
                              .impl = me,
                              .init = sim_io_init,
                              .close = sim_io_close,
                              .load = sim_io_load,
                              .start = sim_io_start,
                              .bootstrap = sim_io_bootstrap,
                              .recover = sim_io_recover,
                              .set_term = sim_io_set_term,
                              .set_vote = sim_io_set_vote,
                              .send = sim_io_send,
                              .append = sim_io_append,
                              .truncate = sim_io_truncate,
                              .snapshot_put = sim_io_snapshot_put,
                              .snapshot_get = sim_io_snapshot_get,
                              .time = sim_io_time,
                              .random = sim_io_random};
    s->ios[id] = me;
    return &me->io;
}

void sim_io_crash(struct sim *s, uint64_t id)
{
    struct sim_io *me = s->ios[id];
    assert(me != NULL && !me->crashed);
    uint64_t survive = 0, pending = 0;
    LIST_FOR(it, &me->ops)
    {
        pending++;
    }
    survive = rng_below(&s->rng, pending + 1);
    LIST_FOR(it, &me->ops) /* they stay listed: closing cancels them */
    {
        if (survive-- == 0) {
            break;
        }
        op_persist(me->disk, LIST_ENTRY(it, struct sim_op, link));
    }
    me->crashed = true;
    s->ios[id] = NULL;
}

void sim_io_free(struct raft_io *io)
{
    io_unref(io->impl);
}

void sim_close(struct sim *s)
{
    while (s->events_count > 0) {
        struct sim_event e = event_take(s);
        if (e.cancel != NULL) {
            e.cancel(e.arg);
        } else {
            e.run(e.arg); /* ends of closed servers: they only let go */
        }
    }
    free(s->events);
    for (unsigned i = 0; i < SIM_SERVERS_MAX; i++) {
        assert(s->ios[i] == NULL);
        disk_drop(&s->disks[i], 0);
        free(s->disks[i].entries);
        free(s->disks[i].snapshot_conf.base);
        free(s->disks[i].snapshot_data.base);
    }
}
