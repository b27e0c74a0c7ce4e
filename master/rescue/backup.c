/* backup: the whole state at one revision, and the cluster's keys, as a stream (proto/backup/backup.h) to an
 * administrator, while traffic flows. The leader makes it, since it has the CA's key (auth/authority.h); with
 * params.stale the master that is asked, perhaps without that key.
 *
 * After a linearizable read (or at once, with params.stale) the committed state is forked, O(1). A thread of its own
 * serialises the fork, at low priority; not one of libuv's pool, since it waits for the reader and the log's disk must
 * never wait with it. What it has made lies in a queue of at most QUEUE_BYTES_MAX until the loop has written it to the
 * stream, which follows the reader's credit. So a backup holds one fork and a few MiB, whatever the state's size, and a
 * reader that stands still for STALL_MS loses it.
 *
 *   RUNNING --thread done--> DRAINING --queue empty--> ENDED --reader's end--> freed
 *      any of them --stream over, stalled--> CUT: the thread is told, and freed when it has ended
 *
 * The fork belongs to the loop's thread (counts of references); the worker only reads it. Shared between both, under
 * `lock`: queue, bytes, cancel, done, failed. */
#include "master/rescue/backup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "master/auth/authority.h"
#include "master/background.h"
#include "master/front/call.h"
#include "master/master.h"
#include "master/record.h"
#include "proto/backup/backup.h"

#define PIECE_BYTES     (256u << 10)
#define QUEUE_BYTES_MAX (2u << 20)
#define STALL_MS        60000
#define BACKUPS_MAX     2u

struct piece {
    struct list link;
    struct buf payload; /* msgpack bin */
};

struct backup {
    struct list link; /* in m->backups */
    struct master *m;
    struct rpc_stream *stream; /* NULL: over */
    bool ended;                /* our side of it */
    int64_t moved_ms;          /* when the reader last took something */
    uint64_t bytes_sent;
    uv_async_t wake;
    bool wake_closed;
    uv_thread_t thread;
    bool joined;

    struct store_fork *fork;
    struct backup_meta meta;
    char *ca_pem, *ca_key_pem; /* the key: NULL if it is not at hand (stale alone) */

    uv_mutex_t lock;
    uv_cond_t room;
    struct list queue; /* struct piece.link */
    size_t queued;
    bool cancel, done;
    int failed; /* what the writing ended with */
};

/* ---- The worker ---- */

struct making {
    struct backup *b;
    struct backup_writer *writer;
    struct buf out;
};

static int push(struct making *mk)
{
    struct backup *b = mk->b;
    struct piece *p = xcalloc(1, sizeof *p);
    mp_write_bin(&p->payload, mk->out.data, mk->out.size);
    mem_wipe(mk->out.data, mk->out.size);
    buf_reset(&mk->out);
    if (failpoint(FAILPOINT_backup_piece)) {
        buf_close(&p->payload);
        free(p);
        return ERR_IO;
    }
    uv_mutex_lock(&b->lock);
    while (b->queued > QUEUE_BYTES_MAX && !b->cancel) {
        uv_cond_wait(&b->room, &b->lock);
    }
    bool cancel = b->cancel;
    b->queued += p->payload.size;
    list_push_back(&b->queue, &p->link); /* if cancelled: freed with the rest */
    uv_mutex_unlock(&b->lock);
    uv_async_send(&b->wake);
    return cancel ? ERR_CANCELED : 0;
}

static int on_state(void *data, const void *p, size_t n)
{
    struct making *mk = data;
    backup_write_state(mk->writer, p, n, &mk->out);
    return mk->out.size >= PIECE_BYTES ? push(mk) : 0;
}

static void count_all(const struct store_fork *f, struct backup_end *end)
{
    const struct view *v = store_fork_view(f);
    struct view_hash hash = view_state_hash(v);
    *end = (struct backup_end){.objects = view_count(v, NULL),
                               .ids = store_fork_ids(f),
                               .object_bytes = view_bytes(v),
                               .hash_lo = hash.lo,
                               .hash_hi = hash.hi};
    for (const struct kind *k = NULL;
         (k = view_kind_next(v, k)) != NULL && end->kinds_count < ARRAY_SIZE(end->kinds);) {
        struct backup_kind *to = &end->kinds[end->kinds_count++];
        struct str name = view_kind_name(v, k);
        snprintf(to->name, sizeof to->name, "%.*s", STR_ARG(name));
        to->count = view_count(v, k);
    }
}

static int make(struct making *mk)
{
    struct backup *b = mk->b;
    struct backup_keys keys = {str_of(b->ca_pem), str_of(b->ca_key_pem == NULL ? "" : b->ca_key_pem),
                               store_fork_key(b->fork)};
    backup_write_meta(mk->writer, &b->meta, &mk->out);
    backup_write_keys(mk->writer, &keys, &mk->out);
    int rc = store_fork_write(b->fork, on_state, mk);
    if (rc != 0) {
        return rc;
    }
    struct backup_end *end = xcalloc(1, sizeof *end);
    count_all(b->fork, end);
    backup_write_end(mk->writer, end, &mk->out);
    free(end);
    return push(mk);
}

static void worker(void *arg)
{
    struct backup *b = arg;
    struct making mk = {.b = b, .writer = backup_writer_new()};
    background_step_back();
    int rc = make(&mk);
    backup_writer_free(mk.writer);
    mem_wipe(mk.out.data, mk.out.cap);
    buf_close(&mk.out);
    uv_mutex_lock(&b->lock);
    b->done = true;
    b->failed = rc;
    uv_mutex_unlock(&b->lock);
    uv_async_send(&b->wake);
}

/* ---- The loop's side ---- */

static void free_piece(struct piece *p)
{
    list_remove(&p->link);
    mem_wipe(p->payload.data, p->payload.size);
    buf_close(&p->payload);
    free(p);
}

static void maybe_free(struct backup *b)
{
    if (!b->joined || b->stream != NULL || !b->wake_closed) {
        return;
    }
    LIST_FOR_SAFE(it, &b->queue)
    {
        free_piece(LIST_ENTRY(it, struct piece, link));
    }
    list_remove(&b->link);
    assert(b->m->backups_count > 0);
    b->m->backups_count--;
    uv_mutex_destroy(&b->lock);
    uv_cond_destroy(&b->room);
    free(b->ca_pem);
    pki_free_key(b->ca_key_pem);
    free(b);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct backup *b = handle->data;
    b->wake_closed = true;
    maybe_free(b);
}

static void cancel(struct backup *b)
{
    uv_mutex_lock(&b->lock);
    b->cancel = true;
    uv_cond_signal(&b->room);
    uv_mutex_unlock(&b->lock);
}

static void end_stream(struct backup *b, const struct error *err)
{
    if (b->stream != NULL && !b->ended) {
        b->ended = true;
        if (err != NULL) {
            log_warn(&b->m->log, "backup", "of revision %" PRIu64 " given up: %s", b->meta.revision, err->message);
        } else {
            log_info(&b->m->log, "backup", "of revision %" PRIu64 ": %" PRIu64 " bytes sent", b->meta.revision,
                     b->bytes_sent);
        }
        rpc_stream_end(b->stream, err);
    }
}

/* What has been made goes out as far as there is credit. */
static void pump(struct backup *b)
{
    while (b->stream != NULL && !b->ended) {
        uv_mutex_lock(&b->lock);
        struct piece *p = list_empty(&b->queue) ? NULL : LIST_ENTRY(b->queue.next, struct piece, link);
        bool done = b->done;
        int failed = b->failed;
        uv_mutex_unlock(&b->lock);
        if (done && failed != 0) { /* what is queued is of no use without the rest */
            struct error err = {0};
            error_set(&err, failed, "the state could not be written to its end; nothing has changed here, try again");
            end_stream(b, &err);
            return;
        }
        if (p == NULL) {
            if (done) {
                end_stream(b, NULL);
            }
            return;
        }
        if (rpc_stream_write(b->stream, buf_str(&p->payload)) != 0) {
            return; /* on_writable, or on_end */
        }
        b->moved_ms = env_now_ms(b->m->env);
        b->bytes_sent += p->payload.size;
        uv_mutex_lock(&b->lock);
        b->queued -= p->payload.size;
        list_remove(&p->link);
        uv_cond_signal(&b->room);
        uv_mutex_unlock(&b->lock);
        free_piece(p);
    }
}

static void on_wake(uv_async_t *async)
{
    struct backup *b = async->data;
    uv_mutex_lock(&b->lock);
    bool done = b->done;
    uv_mutex_unlock(&b->lock);
    pump(b);
    if (done && !b->joined) {
        uv_thread_join(&b->thread);
        b->joined = true;
        store_fork_free(b->fork);
        b->fork = NULL;
        uv_close((uv_handle_t *)&b->wake, on_wake_closed);
    }
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    (void)payload;
    (void)data; /* nothing is expected from the reader */
    rpc_stream_consumed(st, payload_bytes);
}

static void on_writable(struct rpc_stream *st, void *data)
{
    (void)st;
    pump(data);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct backup *b = data;
    b->stream = NULL;
    if (!b->ended) {
        b->ended = true;
        log_warn(&b->m->log, "backup", "of revision %" PRIu64 " was cut by its reader%s%s", b->meta.revision,
                 err == NULL ? "" : ": ", err == NULL ? "" : err->message);
        rpc_stream_end(st, NULL);
    }
    cancel(b);
    maybe_free(b);
}

void backups_expire(struct master *m, int64_t now_ms)
{
    LIST_FOR_SAFE(it, &m->backups)
    {
        struct backup *b = LIST_ENTRY(it, struct backup, link);
        if (b->stream == NULL || now_ms - b->moved_ms < STALL_MS) {
            continue;
        }
        if (!b->ended) {
            struct error err = {0};
            error_set(&err, ERR_TIMEOUT, "the reader has taken nothing for %d s", STALL_MS / 1000);
            b->moved_ms = now_ms;
            cancel(b);
            end_stream(b, &err);
        } else if (rpc_stream_session(b->stream) != NULL) {
            rpc_session_close(rpc_stream_session(b->stream)); /* and it does not hear that either */
        }
    }
}

/* ---- Begin ---- */

static void describe(struct backup *b, bool stale)
{
    struct master *m = b->m;
    struct store *s = replica_store(m->replica);
    const struct view *v = store_fork_view(b->fork);
    b->meta = (struct backup_meta){.revision = view_revision(v),
                                   .term = replica_term(m->replica),
                                   .index = store_applied_index(s),
                                   .next_master_id = MAX(record_next_id_in(v), m->config.id + 1),
                                   .wall_ms = env_wall_ms(m->env),
                                   .stale = stale};
    snprintf(b->meta.cluster, sizeof b->meta.cluster, "%s", m->config.cluster);
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        b->meta.next_master_id = MAX(b->meta.next_master_id, members[i].id + 1);
    }
}

static void start_thread(struct backup *b)
{
    uv_mutex_init(&b->lock);
    uv_cond_init(&b->room);
    uv_async_init(&b->m->loop, &b->wake, on_wake);
    b->wake.data = b;
    int rv = uv_thread_create(&b->thread, worker, b);
    if (rv != 0) { /* no more threads: as if it had run and failed */
        struct error err = {0};
        error_set(&err, ERR_SYSTEM, "no thread can be started: %s", uv_strerror(rv));
        b->done = b->joined = true;
        store_fork_free(b->fork);
        b->fork = NULL;
        end_stream(b, &err);
        uv_close((uv_handle_t *)&b->wake, on_wake_closed);
    }
}

static void begin(struct call *c)
{
    static const struct rpc_stream_events events = {.on_data = on_data, .on_writable = on_writable, .on_end = on_end};
    struct master *m = c->m;
    if (m->stopping || m->backups_count == BACKUPS_MAX) {
        call_failf(c, ERR_BUSY, "%u backups are being made here already; try again when one of them is done",
                   BACKUPS_MAX);
        return;
    }
    struct error err = {0};
    char *ca_key = NULL;
    bool stale = mp_bool(call_param(c, "stale"), false);
    if (c->e.who->role != PKI_ROLE_ADMIN) {
        call_failf(c, ERR_FORBIDDEN, "backup is for administrators");
        return;
    }
    if (authority_copy_key(m, &ca_key, &err) != 0) {
        if (!stale) {
            call_fail(c, &err);
            return;
        }
        log_warn(&m->log, "backup", "the backup that begins is without the CA's key: %s", err.message);
    }
    struct backup *b = xcalloc(1, sizeof *b);
    b->m = m;
    b->ca_key_pem = ca_key;
    list_init(&b->queue);
    char who[PKI_NAME_MAX + 1];
    snprintf(who, sizeof who, "%s", c->e.who->name);
    b->stream = rpc_stream_accept(call_take_request(c), &events, b);
    if (b->stream == NULL) { /* whoever asked has gone */
        pki_free_key(b->ca_key_pem);
        free(b);
        return;
    }
    list_push_back(&m->backups, &b->link);
    m->backups_count++;
    m->stats.backups++;
    b->fork = store_fork_new(replica_store(m->replica));
    b->moved_ms = env_now_ms(m->env);
    b->ca_pem = xstrdup(m->ca_pem);
    describe(b, stale);
    log_info(&m->log, "backup", "of revision %" PRIu64 " for %s begins", b->meta.revision, who);
    start_thread(b);
}

static void method_backup(struct call *c)
{
    call_read(c, begin);
}

const struct method request_backup = {"backup", method_backup, METHOD_STREAM | METHOD_STALE, "stale"};
