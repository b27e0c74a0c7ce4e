#include "raft-store/seed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <raft/uv.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"

/* ---- raft_uv wants a transport: never used ---- */

static int stub_init(struct raft_uv_transport *t, raft_id id, const char *address)
{
    (void)t;
    (void)id;
    (void)address;
    return 0;
}

static int stub_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb)
{
    (void)t;
    (void)cb;
    return 0;
}

static int stub_connect(struct raft_uv_transport *t, struct raft_uv_connect *req, raft_id id, const char *address,
                        raft_uv_connect_cb cb)
{
    (void)t;
    (void)req;
    (void)id;
    (void)address;
    (void)cb;
    return RAFT_NOCONNECTION;
}

static void stub_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb)
{
    cb(t);
}

/* ---- The state as buffers ---- */

struct pieces {
    struct raft_buffer *bufs;
    unsigned count;
    uint64_t bytes;
};

static int collect(void *data, const void *p, size_t size)
{
    struct pieces *s = data;
    s->bytes += size;
    if (s->bytes > SEED_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    if (s->count % 64 == 0) {
        s->bufs = xrealloc(s->bufs, (s->count + 64) * sizeof *s->bufs);
    }
    s->bufs[s->count++] = (struct raft_buffer){.base = xmemdup(p, size), .len = size};
    return 0;
}

static void pieces_free(struct pieces *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        free(s->bufs[i].base);
    }
    free(s->bufs);
}

/* ---- Writing ---- */

struct seeding {
    uv_loop_t loop;
    struct raft_io io;
    struct raft_uv_transport transport;
    struct raft_io_snapshot_put put;
    int status;
    bool put_over, closed;
};

static void on_put(struct raft_io_snapshot_put *put, int status)
{
    struct seeding *s = put->data;
    s->status = status;
    s->put_over = true;
}

static void on_closed(struct raft_io *io)
{
    ((struct seeding *)io->data)->closed = true;
}

static int failed(struct seeding *s, int rv, const char *dir, const char *what, struct error *err)
{
    const char *detail = s->io.errmsg[0] != '\0' ? s->io.errmsg : raft_strerror(rv);
    int code = rv == RAFT_NOSPACE || strstr(detail, "no space left") != NULL ? ERR_NO_SPACE : ERR_IO;
    return error_set(err, code, "raft directory %s: %s: %s", dir, what, detail);
}

/* The library looks at a directory before it writes to it; ours must be new. */
static int check_empty(struct seeding *s, const char *dir, struct error *err)
{
    raft_term term;
    raft_id voted_for;
    struct raft_snapshot *snapshot = NULL;
    raft_index start;
    struct raft_entry *entries = NULL;
    size_t count = 0;
    int rv = s->io.load(&s->io, &term, &voted_for, &snapshot, &start, &entries, &count);
    if (rv != 0) {
        return failed(s, rv, dir, "look at it", err);
    }
    if (snapshot != NULL) {
        raft_configuration_close(&snapshot->configuration);
        for (unsigned i = 0; i < snapshot->n_bufs; i++) {
            raft_free(snapshot->bufs[i].base);
        }
        raft_free(snapshot->bufs);
        raft_free(snapshot);
    }
    void *batch = NULL;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].batch != batch) {
            batch = entries[i].batch;
            raft_free(batch);
        }
    }
    raft_free(entries);
    return term == 0 && snapshot == NULL && count == 0
               ? 0
               : error_set(err, ERR_EXISTS, "raft directory %s holds a log already", dir);
}

static int put_snapshot(struct seeding *s, const char *dir, const struct seed *seed, const struct pieces *pieces,
                        struct error *err)
{
    struct raft_snapshot snapshot = {.index = seed->index,
                                     .term = seed->term,
                                     .configuration_index = seed->index,
                                     .bufs = pieces->bufs,
                                     .n_bufs = pieces->count};
    raft_configuration_init(&snapshot.configuration);
    int rv = raft_configuration_add(&snapshot.configuration, seed->id, seed->address, RAFT_VOTER);
    if (rv == 0) {
        s->put.data = s;
        /* Trailing 0: as an installed snapshot, behind which the log begins anew. */
        rv = s->io.snapshot_put(&s->io, 0, &s->put, &snapshot, on_put);
    }
    while (rv == 0 && !s->put_over) {
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    raft_configuration_close(&snapshot.configuration);
    rv = rv == 0 ? s->status : rv;
    return rv == 0 ? 0 : failed(s, rv, dir, "write the state", err);
}

static int sync_dir(const char *dir, struct error *err)
{
    CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        return error_set_errno(err, errno, "raft directory %s: sync", dir);
    }
    return 0;
}

static int write_with(struct seeding *s, const char *dir, const struct seed *seed, const struct pieces *pieces,
                      struct error *err)
{
    int rv = s->io.init(&s->io, seed->id, seed->address);
    if (rv != 0) {
        return failed(s, rv, dir, "open", err);
    }
    int rc = check_empty(s, dir, err);
    if (rc == 0 && (rv = s->io.set_term(&s->io, seed->term)) != 0) {
        rc = failed(s, rv, dir, "write the term", err);
    }
    if (rc == 0) {
        rc = put_snapshot(s, dir, seed, pieces, err);
    }
    s->io.data = s;
    s->io.close(&s->io, on_closed);
    while (!s->closed) {
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    return rc == 0 ? sync_dir(dir, err) : rc;
}

int seed_write(const char *dir, const struct seed *seed, struct error *err)
{
    assert(seed->id != 0 && seed->term > 0 && seed->index > 0 && seed->state != NULL);
    struct pieces pieces = {0};
    if (store_fork_write(seed->state, collect, &pieces) != 0) {
        pieces_free(&pieces);
        return error_set(err, ERR_TOO_LARGE, "the state is larger than %llu MiB, more than a snapshot can be",
                         (unsigned long long)(SEED_BYTES_MAX >> 20));
    }
    struct seeding s = {
        .transport = {
            .version = 1, .init = stub_init, .listen = stub_listen, .connect = stub_connect, .close = stub_close}};
    uv_loop_init(&s.loop);
    int rv = raft_uv_init(&s.io, &s.loop, dir, &s.transport), rc;
    if (rv != 0) {
        rc = failed(&s, rv, dir, "open", err);
    } else {
        raft_uv_set_auto_recovery(&s.io, false);
        rc = write_with(&s, dir, seed, &pieces, err);
        raft_uv_close(&s.io);
    }
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    pieces_free(&pieces);
    return rc;
}
