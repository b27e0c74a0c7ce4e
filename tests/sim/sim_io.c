#include "tests/sim/sim_int.h"

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
    s->env = (struct env){s, sim_now, sim_wall, sim_random, NULL};
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

void sim_enter(struct sim *s, uint64_t id)
{
    s->touched |= UINT64_C(1) << id;
    if (s->on_enter != NULL) {
        s->on_enter(s->on_enter_data, id);
    }
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

int64_t sim_between(struct sim *s, unsigned min, unsigned max)
{
    return min + (int64_t)rng_below(&s->rng, max - min + 1);
}

void sim_pause(struct sim *s, uint64_t id, bool paused)
{
    s->paused[id] = paused;
}

/* True if the server stands still: then the event comes again. */
bool sim_put_off(struct sim *s, uint64_t id, void (*run)(void *arg), void (*cancel)(void *arg), void *arg)
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
    if (sim_put_off(e->sim, e->to, envelope_arrive, envelope_lose, e)) {
        return;
    }
    bool cut = e->sim->cut[e->from][e->to] && !e->sim->flight_spared;
    if (cut || to == NULL || to->crashed) {
        envelope_lose(e);
        return;
    }
    sim_enter(e->sim, e->to);
    e->run(e->arg);
    free(e);
}

static int64_t delay_ms(struct sim *s, uint64_t from, uint64_t to, unsigned late_permille)
{
    int64_t ms = sim_between(s, s->net_min_ms, s->net_max_ms);
    if (s->slow_ms[from][to] > 0) {
        ms += (int64_t)rng_below(&s->rng, s->slow_ms[from][to]);
    }
    if (late_permille > 0 && rng_below(&s->rng, 1000) < late_permille) {
        ms += (int64_t)rng_below(&s->rng, s->late_ms);
    }
    return ms;
}

static void deliver(struct sim *s, uint64_t from, uint64_t to, unsigned late_permille, void (*run)(void *arg),
                    void (*cancel)(void *arg), void *arg)
{
    struct envelope *e = xmalloc(sizeof *e);
    *e = (struct envelope){s, from, to, run, cancel, arg};
    s->messages++;
    bool known = to > 0 && to < SIM_SERVERS_MAX;
    bool lost = !known || s->cut[from][to] || rng_below(&s->rng, 1000) < s->drop_permille;
    sim_after(s, delay_ms(s, from, known ? to : 0, late_permille), lost ? envelope_lose : envelope_arrive,
              envelope_lose, e);
}

void sim_message(struct sim *s, uint64_t from, uint64_t to, void (*run)(void *arg), void (*cancel)(void *arg),
                 void *arg)
{
    deliver(s, from, to, MAX(s->late_permille, s->beside_late_permille), run, cancel, arg);
}

bool sim_doubles(struct sim *s)
{
    bool doubles = s->double_permille > 0 && rng_below(&s->rng, 1000) < s->double_permille;
    s->doubled += doubles;
    return doubles;
}

void sim_cut(struct sim *s, uint64_t from, uint64_t to, bool cut)
{
    s->cut[from][to] = cut;
}

void sim_isolate(struct sim *s, uint64_t id, bool cut)
{
    for (uint64_t other = 1; other < SIM_SERVERS_MAX; other++) {
        if (other != id) {
            sim_cut(s, id, other, cut);
            sim_cut(s, other, id, cut);
        }
    }
}

void sim_whole(struct sim *s)
{
    memset(s->cut, 0, sizeof s->cut);
    memset(s->slow_ms, 0, sizeof s->slow_ms);
}

/* ---- Raft messages ---- */

struct raft_buffer sim_buffer_copy(struct raft_buffer from, bool raft)
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

void sim_entries_copy(const struct raft_entry *from, unsigned count, struct raft_entry **to)
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
    struct sim_io *io;
    struct raft_io_send *req;
    int status;
};

static void send_called_back(void *arg)
{
    struct send_done *d = arg;
    sim_enter(d->io->sim, d->io->id);
    d->req->cb(d->req, d->status);
    sim_io_unref(d->io);
    free(d);
}

/* A copy of its own for the receiver, on its way. */
static void send_copy(struct sim_io *me, const struct raft_message *message)
{
    struct sim_send *s = xcalloc(1, sizeof *s);
    s->sim = me->sim;
    s->to = message->server_id;
    s->message = *message;
    s->message.server_id = me->id;
    snprintf(s->address, sizeof s->address, "sim:%llu", (unsigned long long)me->id);
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        sim_entries_copy(message->append_entries.entries, message->append_entries.n_entries,
                         &s->message.append_entries.entries);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        s->message.install_snapshot.data = sim_buffer_copy(message->install_snapshot.data, true);
        configuration_copy(&message->install_snapshot.conf, &s->message.install_snapshot.conf);
    }
    deliver(me->sim, me->id, s->to, me->sim->late_permille, send_arrive, send_free, s);
}

static int sim_io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message,
                       raft_io_send_cb cb)
{
    struct sim_io *me = io->impl;
    if (!me->crashed && !me->closed) {
        if (me->sim->on_send != NULL) {
            me->sim->on_send(me->sim->on_send_data, me->id, message);
        }
        send_copy(me, message);
        if (sim_doubles(me->sim)) {
            send_copy(me, message);
        }
    }
    struct send_done *d = xmalloc(sizeof *d);
    req->cb = cb;
    me->refs++;
    *d = (struct send_done){me, req, 0};
    sim_after(me->sim, 0, send_called_back, send_called_back, d);
    return 0;
}

/* ---- Life ---- */

void sim_io_unref(struct sim_io *me)
{
    if (--me->refs == 0) {
        free(me);
    }
}

static int sim_io_init(struct raft_io *io, raft_id id, const char *address)
{
    struct sim_io *me = io->impl;
    assert(me->id == id);
    (void)me;
    (void)id;
    (void)address;
    return 0;
}

static void tick_event(void *arg)
{
    struct sim_io *me = arg;
    if (me->closed || me->crashed) {
        sim_io_unref(me);
        return;
    }
    if (sim_put_off(me->sim, me->id, tick_event, NULL, me)) {
        return;
    }
    sim_enter(me->sim, me->id);
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
    sim_disk_cancel(me);
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
                              .start = sim_io_start,
                              .recover = sim_io_recover,
                              .send = sim_io_send,
                              .time = sim_io_time,
                              .random = sim_io_random};
    sim_disk_methods(&me->io);
    s->ios[id] = me;
    return &me->io;
}

void sim_io_crash(struct sim *s, uint64_t id)
{
    struct sim_io *me = s->ios[id];
    assert(me != NULL && !me->crashed);
    sim_disk_crash(me);
    me->crashed = true;
    s->ios[id] = NULL;
}

bool sim_saw_rot(const struct sim *s, uint64_t id)
{
    return s->ios[id] != NULL && s->ios[id]->saw_rot;
}

void sim_io_free(struct raft_io *io)
{
    sim_io_unref(io->impl);
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
        sim_disk_free(&s->disks[i]);
    }
}
