#include "raft-store/raft/seed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <raft/uv.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/fs.h"
#include "base/mem.h"
#include "proto/net/loop.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/raft/uv_stub.h"

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

static int put_snapshot(struct seeding *s, const char *dir, const struct seed *seed, struct error *err)
{
    uint8_t ref[SNAPFILE_REF_SIZE];
    int rc = snapfile_save(dir, seed->state, NULL, ref, err);
    if (rc != 0) {
        return rc;
    }
    struct raft_buffer buf = {.base = ref, .len = sizeof ref};
    struct raft_snapshot snapshot = {
        .index = seed->index, .term = seed->term, .configuration_index = seed->index, .bufs = &buf, .n_bufs = 1};
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

static int write_with(struct seeding *s, const char *dir, const struct seed *seed, struct error *err)
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
        rc = put_snapshot(s, dir, seed, err);
    }
    s->io.data = s;
    s->io.close(&s->io, on_closed);
    while (!s->closed) {
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    if (rc == 0 && (rv = fs_sync_dir(dir)) != 0) {
        rc = error_set_errno(err, rv, "raft directory %s: sync", dir);
    }
    return rc;
}

int seed_write(const char *dir, const struct seed *seed, struct error *err)
{
    assert(seed->id != 0 && seed->term > 0 && seed->index > 0 && seed->state != NULL);
    struct seeding s = {.transport = uv_stub_transport()};
    if (net_loop_init(&s.loop, err) != 0) {
        return ERR_LIMIT;
    }
    int rv = raft_uv_init(&s.io, &s.loop, dir, &s.transport), rc;
    if (rv != 0) {
        rc = failed(&s, rv, dir, "open", err);
    } else {
        raft_uv_set_auto_recovery(&s.io, false);
        rc = write_with(&s, dir, seed, err);
        raft_uv_close(&s.io);
    }
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    return rc;
}
