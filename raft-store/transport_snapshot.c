/* InstallSnapshot in chunks: one request per chunk, a few in flight, so that a gigabyte never stands in a queue and other messages pass between.
 *
 *   raft.part {transfer, offset, size, hash, data, ?head} -> {}      head: the encoded message, with the first chunk
 * The receiver takes chunks of one transfer in order of arrival, each to its offset; it is whole when all bytes are there and their XXH3-64 is
 * `hash`. A new transfer from the same peer replaces one that is not whole. Any failure ends the transfer: Raft begins again. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "raft-store/transport_int.h"

#define PARTS_INFLIGHT 4u
#define PART_MS        20000

/* ---- Sending ---- */

struct snapshot_out {
    struct peer *peer;
    struct raft_message message; /* data and configuration are libraft's until done */
    uint64_t transfer, hash;
    size_t offset; /* next to send */
    unsigned inflight;
    bool failed;
    uv_io_send_done *done;
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
    uv_io_send_done *done = out->done;
    void *data = out->data;
    int status = out->failed ? RAFT_NOCONNECTION : 0;
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
    uv_io_send_done *done;
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

void transport_send_snapshot(struct transport *t, const struct raft_message *m, uv_io_send_done *done, void *data)
{
    struct peer *p = NULL;
    LIST_FOR(it, &t->peers)
    {
        struct peer *candidate = LIST_ENTRY(it, struct peer, list);
        if (candidate->id == m->server_id && !candidate->leaving) {
            p = candidate;
        }
    }
    if (t->closing || p == NULL || peer_session(p) == NULL || p->sending != NULL || m->install_snapshot.data.len == 0) {
        struct late_failure *f = xcalloc(1, sizeof *f);
        *f = (struct late_failure){.done = done, .data = data};
        uv_timer_init(t->config.loop, &f->timer);
        f->timer.data = f;
        uv_timer_start(&f->timer, on_late, 0, 0);
        return;
    }
    const struct raft_buffer *bytes = &m->install_snapshot.data;
    struct snapshot_out *out = xcalloc(1, sizeof *out);
    *out = (struct snapshot_out){
        .peer = p,
        .message = *m,
        .transfer = ++t->stats.snapshots_sent ^ uv_hrtime(),
        .hash = XXH3_64bits(bytes->base, bytes->len),
        .done = done,
        .data = data,
    };
    t->stats.snapshots_sent--;
    p->sending = out;
    log_info(t->config.log, "transport", "sending a snapshot of %zu bytes (index %llu) to master %" PRIu64, bytes->len,
             m->install_snapshot.last_index, p->id);
    out_continue(out);
}

/* ---- Receiving ---- */

struct snapshot_in {
    struct raft_message message; /* data.base is filled up */
    uint64_t transfer, hash;
    size_t received;
};

void snapshot_in_free(struct snapshot_in *in)
{
    if (in != NULL) {
        raft_codec_free(&in->message);
        free(in);
    }
}

static struct snapshot_in *in_begin(struct mp params, uint64_t transfer, uint64_t size, uint64_t hash,
                                    struct error *err)
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
    /* A peer chose this size: below RAFT_CODEC_SNAPSHOT_MAX, and not being able to hold it is its error, not our end. */
    m.install_snapshot.data.base = raft_malloc(size);
    if (m.install_snapshot.data.base == NULL) {
        raft_codec_free(&m);
        error_set(err, ERR_TOO_LARGE, "no memory for a snapshot of %" PRIu64 " bytes", size);
        return NULL;
    }
    struct snapshot_in *in = xcalloc(1, sizeof *in);
    *in = (struct snapshot_in){.message = m, .transfer = transfer, .hash = hash};
    return in;
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
        struct snapshot_in *in = in_begin(params, transfer, (uint64_t)size, hash, err);
        if (in == NULL) {
            return err->code;
        }
        snapshot_in_free(p->receiving);
        p->receiving = in;
    }
    struct snapshot_in *in = p->receiving;
    struct raft_buffer *whole = &in->message.install_snapshot.data;
    if ((uint64_t)offset > whole->len || data.n > whole->len - (uint64_t)offset || in->received + data.n > whole->len) {
        return error_set(err, ERR_PROTOCOL, "a part outside of its snapshot");
    }
    memcpy((uint8_t *)whole->base + offset, data.p, data.n);
    in->received += data.n;
    p->t->stats.bytes_received += data.n;
    return 0;
}

void snapshot_on_part(struct peer *p, struct rpc_request *r, struct mp params)
{
    struct error err = {0};
    if (in_part(p, params, &err) != 0) {
        p->t->stats.bad++;
        rpc_reply_error(r, &err);
        return;
    }
    rpc_reply(r, STR("\x80"));
    struct snapshot_in *in = p->receiving;
    const struct raft_buffer *whole = &in->message.install_snapshot.data;
    if (in->received < whole->len) {
        return;
    }
    p->receiving = NULL;
    if (XXH3_64bits(whole->base, whole->len) != in->hash) {
        p->t->stats.bad++;
        log_error(p->t->config.log, "transport", "snapshot from master %" PRIu64 " arrived damaged; dropped", p->id);
        snapshot_in_free(in);
        return;
    }
    p->t->stats.snapshots_received++;
    struct raft_message m = in->message;
    free(in);
    transport_deliver(p, &m);
}
