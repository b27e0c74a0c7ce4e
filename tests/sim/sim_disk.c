/* The disk under a simulated raft_io: what is durable, what is under way, what fails and what rots.
 *
 *   append, truncate, snapshot_put --> ops, in order --disk_event--> sim_disk (durable) --> callback
 *                                        |
 *                                        +--crash--> a prefix of them reaches the disk, the next may be torn, the
 *                                        rest is lost */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/sim_int.h"

#define FULL_AGAIN_MS 20

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
    bool fails; /* it takes its time, and then the disk says no */
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
            e->buf = sim_buffer_copy(op->entries[i].buf, false);
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
        d->rotten = false;
        d->snapshot_index = op->snapshot.index;
        d->snapshot_term = op->snapshot.term;
        d->snapshot_conf_index = op->snapshot.configuration_index;
        d->snapshot_data = sim_buffer_copy(op->data, false);
        d->snapshot_conf = sim_buffer_copy(op->conf, false);
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

/* The oldest operation of the server is done: one such event was made for each. */
static void disk_event(void *arg)
{
    struct sim_io *me = arg;
    if (sim_put_off(me->sim, me->id, disk_event, NULL, me)) {
        return;
    }
    if (me->disk->full && !me->closed && !me->crashed) {
        sim_after(me->sim, FULL_AGAIN_MS, disk_event, NULL, me);
        return;
    }
    if (!me->closed && !me->crashed && !list_empty(&me->ops)) {
        struct sim_op *op = LIST_ENTRY(me->ops.next, struct sim_op, link);
        list_remove(&op->link);
        me->errored |= op->fails && op->type == OP_APPEND;
        op->fails |= me->errored; /* as raft_uv: nothing is written behind a gap */
        if (op->fails) {
            snprintf(me->io.errmsg, sizeof me->io.errmsg, "simulated disk failure");
        } else {
            op_persist(me->disk, op);
        }
        sim_enter(me->sim, me->id);
        op_call_back(op, op->fails ? RAFT_IOERR : 0);
        op_free(op);
    }
    sim_io_unref(me);
}

static void push_op(struct sim_io *me, struct sim_op *op)
{
    list_push_back(&me->ops, &op->link);
    me->refs++;
    sim_after(me->sim, sim_between(me->sim, me->sim->disk_min_ms, me->sim->disk_max_ms), disk_event, NULL, me);
}

static struct sim_op *op_new(enum op_type type)
{
    struct sim_op *op = xcalloc(1, sizeof *op);
    op->type = type;
    return op;
}

/* The disk says no at once, if it was told to. */
static bool fails(struct sim_io *me, unsigned *times)
{
    if (*times == 0) {
        return false;
    }
    (*times)--;
    snprintf(me->io.errmsg, sizeof me->io.errmsg, "simulated disk failure");
    return true;
}

static int sim_io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
                         raft_io_append_cb cb)
{
    struct sim_io *me = io->impl;
    bool no = fails(me, &me->disk->fail_appends);
    if (no && rng_below(&me->sim->rng, 2) == 0) {
        return RAFT_IOERR;
    }
    struct sim_op *op = op_new(OP_APPEND);
    op->fails = no;
    op->entries = xcalloc(n, sizeof *op->entries);
    op->count = n;
    for (unsigned i = 0; i < n; i++) {
        assert(entries[i].buf.len % 8 == 0);
        op->entries[i] = entries[i];
        op->entries[i].buf = sim_buffer_copy(entries[i].buf, false);
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
    struct sim_io *me = io->impl;
    struct sim_op *op = op_new(OP_SNAPSHOT);
    op->fails = fails(me, &me->disk->fail_snapshots);
    op->trailing = trailing;
    op->snapshot = *snapshot;
    struct raft_buffer conf;
    int rv = raft_configuration_encode(&snapshot->configuration, &conf);
    assert(rv == 0);
    (void)rv;
    op->conf = sim_buffer_copy(conf, false);
    raft_free(conf.base);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        op->data.base = xrealloc(op->data.base, op->data.len + snapshot->bufs[i].len + 1);
        memcpy((char *)op->data.base + op->data.len, snapshot->bufs[i].base, snapshot->bufs[i].len);
        op->data.len += snapshot->bufs[i].len;
    }
    req->cb = cb;
    op->put = req;
    push_op(me, op);
    return 0;
}

struct raft_snapshot *sim_disk_snapshot(const struct sim_disk *d)
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
    s->bufs[0] = sim_buffer_copy(d->snapshot_data, true);
    return s;
}

struct get_event {
    struct sim_io *io;
    struct raft_io_snapshot_get *req;
};

static void get_done(void *arg)
{
    struct get_event *g = arg;
    sim_enter(g->io->sim, g->io->id);
    if (g->io->closed || g->io->crashed) {
        g->req->cb(g->req, NULL, RAFT_CANCELED);
    } else if (fails(g->io, &g->io->disk->fail_reads)) {
        g->req->cb(g->req, NULL, RAFT_IOERR);
    } else {
        g->io->saw_rot |= g->io->disk->rotten;
        g->req->cb(g->req, sim_disk_snapshot(g->io->disk), 0);
    }
    sim_io_unref(g->io);
    free(g);
}

static int sim_io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct sim_io *me = io->impl;
    struct get_event *g = xmalloc(sizeof *g);
    req->cb = cb;
    *g = (struct get_event){me, req};
    me->refs++;
    sim_after(me->sim, sim_between(me->sim, me->sim->disk_min_ms, me->sim->disk_max_ms), get_done, NULL, g);
    return 0;
}

static int sim_io_set_term(struct raft_io *io, raft_term term)
{
    struct sim_io *me = io->impl;
    if (fails(me, &me->disk->fail_metadata)) {
        return RAFT_IOERR;
    }
    me->disk->term = term;
    me->disk->vote = 0;
    return 0;
}

static int sim_io_set_vote(struct raft_io *io, raft_id vote)
{
    struct sim_io *me = io->impl;
    if (fails(me, &me->disk->fail_metadata)) {
        return RAFT_IOERR;
    }
    me->disk->vote = vote;
    return 0;
}

static int sim_io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                       raft_index *start, struct raft_entry *entries[], size_t *n)
{
    struct sim_disk *d = ((struct sim_io *)io->impl)->disk;
    if (d->damage != NULL) {
        snprintf(io->errmsg, sizeof io->errmsg, "%s", d->damage);
        return RAFT_CORRUPT;
    }
    *term = d->term;
    *vote = d->vote;
    *snapshot = d->has_snapshot ? sim_disk_snapshot(d) : NULL;
    *start = d->start;
    *n = d->count;
    *entries = NULL;
    if (d->count > 0) {
        sim_entries_copy(d->entries, d->count, entries);
    }
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
    d->entries[0] = (struct raft_entry){.term = 1, .type = RAFT_CHANGE, .buf = sim_buffer_copy(buf, false)};
    d->count = 1;
    raft_free(buf.base);
    return 0;
}

/* ---- Crashes ---- */

void sim_disk_crash(struct sim_io *me)
{
    unsigned pending = 0;
    LIST_FOR(it, &me->ops)
    {
        pending++;
    }
    unsigned survive = me->disk->full ? 0 : (unsigned)rng_below(&me->sim->rng, pending + 1);
    LIST_FOR(it, &me->ops) /* they stay listed: closing cancels them */
    {
        struct sim_op *op = LIST_ENTRY(it, struct sim_op, link);
        if (op->fails || me->errored || me->disk->full) {
            break;
        }
        if (survive == 0 && op->type == OP_APPEND) { /* torn; what was not written is not there */
            struct sim_op part = *op;
            part.count = (unsigned)rng_below(&me->sim->rng, op->count + 1);
            op_persist(me->disk, &part);
        }
        if (survive-- == 0) {
            break;
        }
        op_persist(me->disk, op);
    }
}

void sim_disk_cancel(struct sim_io *me)
{
    while (!list_empty(&me->ops)) {
        struct sim_op *op = LIST_ENTRY(me->ops.next, struct sim_op, link);
        list_remove(&op->link);
        op_call_back(op, RAFT_CANCELED);
        op_free(op);
    }
}

/* ---- Damage ---- */

void sim_disk_free(struct sim_disk *d)
{
    disk_drop(d, 0);
    free(d->entries);
    free(d->snapshot_conf.base);
    free(d->snapshot_data.base);
    *d = (struct sim_disk){.start = 1};
}

enum sim_damage sim_disk_damage(struct sim *s, uint64_t id, enum sim_damage kind)
{
    struct sim_disk *d = &s->disks[id];
    assert(s->ios[id] == NULL || kind == SIM_DAMAGE_FLIP || kind == SIM_DAMAGE_CUT);
    bool of_snapshot = kind == SIM_DAMAGE_FLIP || kind == SIM_DAMAGE_CUT;
    if (of_snapshot && (!d->has_snapshot || d->snapshot_data.len == 0)) {
        kind = SIM_DAMAGE_ENTRIES;
    }
    size_t at = of_snapshot && d->has_snapshot ? rng_below(&s->rng, d->snapshot_data.len) : 0;
    switch (kind) {
    case SIM_DAMAGE_WIPE:
        sim_disk_free(d);
        break;
    case SIM_DAMAGE_FLIP:
        ((uint8_t *)d->snapshot_data.base)[at] ^= (uint8_t)(1u << rng_below(&s->rng, 8));
        d->rotten = true;
        break;
    case SIM_DAMAGE_CUT:
        d->snapshot_data.len = at;
        d->rotten = true;
        break;
    case SIM_DAMAGE_METADATA:
        d->damage = "load metadata: not readable";
        break;
    default:
        d->damage = "load closed segment: found fewer entries than expected";
        break;
    }
    return kind;
}

/* ---- As libraft sees it ---- */

void sim_disk_methods(struct raft_io *io)
{
    io->load = sim_io_load;
    io->bootstrap = sim_io_bootstrap;
    io->append = sim_io_append;
    io->truncate = sim_io_truncate;
    io->snapshot_put = sim_io_snapshot_put;
    io->snapshot_get = sim_io_snapshot_get;
    io->set_term = sim_io_set_term;
    io->set_vote = sim_io_set_vote;
}
