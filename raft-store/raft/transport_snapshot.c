/* InstallSnapshot in chunks: one request per chunk, a few in flight, so that a gigabyte never stands in a queue and
 * other messages pass between.
 *
 *   raft.part {transfer, offset, size, hash, data, ?head} -> {}      head: the encoded message, with the first chunk
 * What travels is the state itself: the sender reads it from the file that its snapshot refers to, the receiver writes
 * it into a file of its own and hands libraft a reference to that (raft-store/disk/snapfile.h), so neither holds it in
 * memory. A transport without a directory for such files, and a sender whose snapshot has the state inside, use memory
 * instead. The receiver takes chunks of one transfer in order of arrival, each to its offset; it is whole when all
 * bytes are there and their XXH3-64 is `hash`. The chunk that makes it whole is answered when the file is on the disk.
 * A new transfer from the same peer replaces one that is not whole. Any failure ends the transfer: Raft begins
 * again. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "raft-store/disk/snapfile.h"
#include "raft-store/raft/transport_int.h"

#define PARTS_INFLIGHT 4u
#define PART_MS        60000 /* of the last one: a flush of what the disk has not yet of a large state */

/* ---- Sending ---- */

struct snapshot_out {
    struct peer *peer;
    struct raft_message message; /* configuration is libraft's until done; so is data, if not mapped */
    struct snapfile_map map;
    uint64_t transfer, hash;
    size_t offset; /* next to send */
    unsigned inflight;
    bool failed;
    transport_send_done *done;
    void *data;
};

static void out_finish(struct snapshot_out *out)
{
    struct peer *p = out->peer;
    if (out->inflight > 0) {
        return;
    }
    p->sending = NULL;
    p->t->stats.snapshots_sent += !out->failed;
    transport_send_done *done = out->done;
    void *data = out->data;
    int status = out->failed ? RAFT_NOCONNECTION : 0;
    snapfile_unmap(&out->map);
    free(out);
    done(data, status);
}

static void out_continue(struct snapshot_out *out);

static void part_answered(const struct rpc_result *result, void *data)
{
    struct snapshot_out *out = data;
    assert(out->inflight > 0);
    out->inflight--;
    if (result->error != NULL && !out->failed) {
        out->failed = true;
        log_warn(out->peer->t->config.log, "transport", "snapshot to master %" PRIu64 " broke off: %s", out->peer->id,
                 result->error->message);
    }
    out_continue(out);
}

static void out_part(struct snapshot_out *out, struct rpc_session *s)
{
    const struct raft_buffer *data = &out->message.install_snapshot.data;
    size_t n = MIN(data->len - out->offset, (size_t)TRANSPORT_CHUNK);
    bool first = out->offset == 0;
    assert(n > 0 && out->inflight < PARTS_INFLIGHT);
    struct buf b = BUF_INIT;
    buf_reserve(&b, n + 1024);
    mp_write_map(&b, first ? 6 : 5);
    mp_write_cstr(&b, "transfer");
    mp_write_uint(&b, out->transfer);
    mp_write_cstr(&b, "offset");
    mp_write_uint(&b, out->offset);
    mp_write_cstr(&b, "size");
    mp_write_uint(&b, data->len);
    mp_write_cstr(&b, "hash");
    mp_write_uint(&b, out->hash);
    if (first) {
        struct buf head = BUF_INIT;
        raft_codec_write(&head, &out->message);
        mp_write_cstr(&b, "head");
        mp_write_bin(&b, head.data, head.size);
        buf_close(&head);
    }
    mp_write_cstr(&b, "data");
    mp_write_bin(&b, (const uint8_t *)data->base + out->offset, n);
    out->offset += n;
    out->inflight++;
    assert(out->offset <= data->len);
    out->peer->t->stats.bytes_sent += n;
    rpc_call(s, "raft.part", buf_str(&b), PART_MS, part_answered, out);
    buf_close(&b);
}

static void out_continue(struct snapshot_out *out)
{
    size_t size = out->message.install_snapshot.data.len;
    while (!out->failed && out->offset < size && out->inflight < PARTS_INFLIGHT) {
        struct rpc_session *s = peer_session(out->peer);
        if (s == NULL || out->peer->leaving) {
            out->failed = true;
            break;
        }
        out_part(out, s);
        if (out->offset == MIN(size, (size_t)TRANSPORT_CHUNK)) {
            break; /* the head must have arrived before the rest follows: other sessions could overtake */
        }
    }
    out_finish(out);
}

struct late_failure {
    uv_timer_t timer;
    transport_send_done *done;
    void *data;
};

static void late_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_late(uv_timer_t *timer)
{
    struct late_failure *f = timer->data;
    f->done(f->data, RAFT_NOCONNECTION);
    uv_close((uv_handle_t *)timer, late_closed);
}

/* To whom the message can be sent now. */
static struct peer *find_receiver(struct transport *t, const struct raft_message *m)
{
    struct peer *p = t->closing || m->install_snapshot.data.len == 0 ? NULL : peer_find(t, m->server_id);
    return p == NULL || peer_session(p) == NULL || p->sending != NULL ? NULL : p;
}

/* Where the bytes are: in the file that the snapshot refers to, or in the message. */
static bool find_bytes(struct transport *t, struct snapshot_out *out)
{
    struct raft_buffer *data = &out->message.install_snapshot.data;
    struct error err = {0};
    if (snapfile_open(t->config.snapshot_dir, data->base, data->len, &out->map, &err) != 0) {
        log_error(t->config.log, "transport", "cannot send a snapshot: %s", err.message);
        return false;
    }
    out->hash = out->map.mapped ? snapfile_hash(data->base) : XXH3_64bits(data->base, data->len);
    *data = (struct raft_buffer){.base = (void *)out->map.p, .len = out->map.n};
    return true;
}

void transport_send_snapshot(struct transport *t, const struct raft_message *m, transport_send_done *done, void *data)
{
    struct peer *p = find_receiver(t, m);
    struct snapshot_out *out = xcalloc(1, sizeof *out);
    *out = (struct snapshot_out){.peer = p, .message = *m, .transfer = uv_hrtime(), .done = done, .data = data};
    if (p == NULL || !find_bytes(t, out)) {
        free(out);
        struct late_failure *f = xcalloc(1, sizeof *f);
        *f = (struct late_failure){.done = done, .data = data};
        uv_timer_init(t->config.loop, &f->timer);
        f->timer.data = f;
        uv_timer_start(&f->timer, on_late, 0, 0);
        return;
    }
    p->sending = out;
    log_info(t->config.log, "transport", "sending a snapshot of %zu bytes (index %llu) to master %" PRIu64,
             out->message.install_snapshot.data.len, m->install_snapshot.last_index, p->id);
    out_continue(out);
}

/* ---- Receiving ---- */

struct snapshot_in {
    struct raft_message message; /* data.len is the whole; data.base is filled up, unless it goes to a file */
    struct snapfile_writer *file;
    uint64_t transfer, hash;
    size_t received;
};

void snapshot_in_free(struct snapshot_in *in)
{
    if (in != NULL) {
        snapfile_abort(in->file);
        raft_codec_free(&in->message);
        free(in);
    }
}

/* A peer chose this size: below RAFT_CODEC_SNAPSHOT_MAX, and not being able to hold it is its error, not our end. */
static int in_open(struct transport *t, struct snapshot_in *in, struct error *err)
{
    struct raft_buffer *data = &in->message.install_snapshot.data;
    if (t->config.snapshot_dir != NULL) {
        return snapfile_create(t->config.snapshot_dir, &in->file, err);
    }
    data->base = raft_malloc(data->len);
    return data->base != NULL
               ? 0
               : error_set(err, ERR_TOO_LARGE, "no memory for a snapshot of %zu bytes", (size_t)data->len);
}

static struct snapshot_in *in_begin(struct transport *t, struct mp params, uint64_t transfer, uint64_t size,
                                    uint64_t hash, struct error *err)
{
    struct str head;
    struct mp head_mp = mp_get(params, "head");
    struct raft_message m;
    if (!mp_read_bin(&head_mp, &head)) {
        error_set(err, ERR_PROTOCOL, "a part of an unknown snapshot transfer");
        return NULL;
    }
    if (raft_codec_read(mp_of(head.p, head.n), &m, err) != 0) {
        return NULL;
    }
    if (m.type != RAFT_INSTALL_SNAPSHOT || size == 0 || m.install_snapshot.data.len != size) {
        raft_codec_free(&m);
        error_set(err, ERR_PROTOCOL, "malformed head of a snapshot transfer");
        return NULL;
    }
    struct snapshot_in *in = xcalloc(1, sizeof *in);
    *in = (struct snapshot_in){.message = m, .transfer = transfer, .hash = hash};
    if (in_open(t, in, err) != 0) {
        snapshot_in_free(in);
        return NULL;
    }
    return in;
}

static int in_write(struct snapshot_in *in, uint64_t offset, struct str data, struct error *err)
{
    const struct raft_buffer *whole = &in->message.install_snapshot.data;
    if (offset > whole->len || data.n > whole->len - offset || in->received + data.n > whole->len) {
        return error_set(err, ERR_PROTOCOL, "a part outside of its snapshot");
    }
    if (in->file != NULL) {
        return snapfile_write_at(in->file, offset, data.p, data.n, err);
    }
    memcpy((uint8_t *)whole->base + offset, data.p, data.n);
    return 0;
}

static int in_part(struct peer *p, struct mp params, struct error *err)
{
    int64_t offset = mp_int(mp_get(params, "offset"), -1), size = mp_int(mp_get(params, "size"), -1);
    struct mp transfer_mp = mp_get(params, "transfer"), hash_mp = mp_get(params, "hash"),
              data_mp = mp_get(params, "data");
    uint64_t transfer, hash;
    struct str data;
    if (offset < 0 || size < 0 || !mp_read_uint(&transfer_mp, &transfer) || !mp_read_uint(&hash_mp, &hash) ||
        !mp_read_bin(&data_mp, &data) || data.n > (size_t)TRANSPORT_CHUNK) {
        return error_set(err, ERR_PROTOCOL, "malformed part of a snapshot transfer");
    }
    if (p->receiving == NULL || p->receiving->transfer != transfer) {
        struct snapshot_in *in = in_begin(p->t, params, transfer, (uint64_t)size, hash, err);
        if (in == NULL) {
            return err->code;
        }
        snapshot_in_free(p->receiving);
        p->receiving = in;
    }
    if (in_write(p->receiving, (uint64_t)offset, data, err) != 0) {
        snapshot_in_free(p->receiving); /* it would never be whole */
        p->receiving = NULL;
        return err->code;
    }
    p->receiving->received += data.n;
    p->t->stats.bytes_received += data.n;
    return 0;
}

/* ---- Whole: to the disk, on a worker, then to libraft ---- */

struct arrival {
    uv_work_t work;
    struct transport *t;
    uint64_t peer_id;
    struct snapshot_in *in;
    struct rpc_request *r; /* of the part that made it whole */
    uint8_t ref[SNAPFILE_REF_SIZE];
    struct error err;
};

static void make_durable(uv_work_t *work)
{
    struct arrival *a = work->data;
    struct snapshot_in *in = a->in;
    const struct raft_buffer *whole = &in->message.install_snapshot.data;
    uint64_t hash;
    if (in->file != NULL) {
        struct snapfile_writer *file = in->file;
        in->file = NULL; /* finish frees it, whatever comes of it */
        if (snapfile_finish(file, a->ref, &a->err) != 0) {
            return;
        }
        hash = snapfile_hash(a->ref);
    } else {
        hash = XXH3_64bits(whole->base, whole->len);
    }
    if (hash != in->hash) {
        error_set(&a->err, ERR_CORRUPT, "the snapshot arrived damaged");
    }
}

/* libraft frees what it is given: the reference takes the place of the bytes. */
static void put_reference(struct arrival *a)
{
    struct raft_buffer *data = &a->in->message.install_snapshot.data;
    if (data->base == NULL) {
        data->base = raft_malloc(sizeof a->ref);
        assert(data->base != NULL);
        memcpy(data->base, a->ref, sizeof a->ref);
        data->len = sizeof a->ref;
    }
}

static void arrived(uv_work_t *work, int status)
{
    struct arrival *a = work->data;
    struct transport *t = a->t;
    struct peer *p = peer_find(t, a->peer_id);
    (void)status;
    assert(t->arrivals > 0 && a->in != NULL && a->r != NULL);
    if (a->err.code != 0) {
        t->stats.bad++;
        log_error(t->config.log, "transport", "snapshot from master %" PRIu64 " dropped: %s", a->peer_id,
                  a->err.message);
        rpc_reply_error(a->r, &a->err);
        snapshot_in_free(a->in);
    } else {
        rpc_reply(a->r, STR("\x80"));
        put_reference(a);
        if (p != NULL) {
            t->stats.snapshots_received++;
            transport_deliver(p, &a->in->message);
        } else {
            raft_codec_free(&a->in->message);
        }
        free(a->in);
    }
    free(a);
    t->arrivals--;
    transport_maybe_closed(t);
}

void snapshot_on_part(struct peer *p, struct rpc_request *r, struct mp params)
{
    struct error err = {0};
    if (in_part(p, params, &err) != 0) {
        p->t->stats.bad++; /* an unfinished transfer that a new connection goes on with is none to hang up for */
        rpc_reply_error(r, &err);
        return;
    }
    struct snapshot_in *in = p->receiving;
    if (in->received < in->message.install_snapshot.data.len) {
        rpc_reply(r, STR("\x80"));
        return;
    }
    p->receiving = NULL;
    struct arrival *a = xcalloc(1, sizeof *a);
    *a = (struct arrival){.t = p->t, .peer_id = p->id, .in = in, .r = r};
    a->work.data = a;
    p->t->arrivals++;
    int rv = uv_queue_work(p->t->config.loop, &a->work, make_durable, arrived);
    assert(rv == 0); /* only for a NULL callback */
    (void)rv;
}
