#include "master/auth/audit_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "master/master.h"

struct audit_file {
    struct master *m;
    char path[600], old_path[604];
    uint64_t half_bytes; /* of one file */
    struct buf waiting, writing;
    unsigned waiting_lines, writing_lines;
    bool busy;   /* a worker has `writing` */
    bool failed; /* and it was said */
    int error;   /* the worker's: negative errno; 0: written */
    uv_work_t req;
};

struct audit_file *audit_file_new(struct master *m, const char *path, uint64_t max_bytes)
{
    struct audit_file *f = xcalloc(1, sizeof *f);
    f->m = m;
    f->half_bytes = max_bytes / 2;
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->old_path, sizeof f->old_path, "%s.1", f->path);
    f->req.data = f;
    return f;
}

/* ---- The worker ---- */

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        p += done < 0 ? 0 : done;
        n -= done < 0 ? 0 : (size_t)done;
    }
    return 0;
}

/* A line that was begun and found no room is taken back, so that the file stays lines. */
static int write_out(const struct audit_file *f)
{
    struct stat st;
    if (stat(f->path, &st) == 0 && (uint64_t)st.st_size + f->writing.size > f->half_bytes &&
        rename(f->path, f->old_path) != 0) {
        return -errno;
    }
    int fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    int rv = fstat(fd, &st) != 0 ? -errno : write_all(fd, f->writing.data, f->writing.size);
    if (rv != 0 && ftruncate(fd, st.st_size) != 0) {
        /* the half line stays, and the next one ends it: what was dropped is counted all the same */
    }
    close(fd);
    return rv;
}

static void work(uv_work_t *req)
{
    struct audit_file *f = req->data;
    f->error = write_out(f);
}

/* ---- The loop's side ---- */

static void drop(struct audit_file *f, unsigned lines, const char *why)
{
    f->m->stats.audit_dropped += lines;
    if (!f->failed) {
        f->failed = true;
        log_warn(&f->m->log, "audit", "%s: records are dropped (counter auditDropped): %s", f->path, why);
    }
}

static void start(struct audit_file *f);

static void account(struct audit_file *f)
{
    if (f->error != 0) {
        drop(f, f->writing_lines, strerror(-f->error));
    } else {
        f->m->stats.audited += f->writing_lines;
        if (f->failed) {
            f->failed = false;
            log_info(&f->m->log, "audit", "%s: records are written again", f->path);
        }
    }
    buf_close(&f->writing);
    f->writing_lines = 0;
}

static void done(uv_work_t *req, int status)
{
    struct audit_file *f = req->data;
    (void)status; /* never canceled */
    f->busy = false;
    account(f);
    if (f->waiting.size > 0 && !f->m->stopping) {
        start(f);
    }
}

static void take(struct audit_file *f)
{
    f->writing = f->waiting;
    f->writing_lines = f->waiting_lines;
    f->waiting = (struct buf)BUF_INIT;
    f->waiting_lines = 0;
}

static void start(struct audit_file *f)
{
    take(f);
    f->busy = true;
    int rv = uv_queue_work(&f->m->loop, &f->req, work, done);
    assert(rv == 0); /* only a NULL callback is refused */
    (void)rv;
}

void audit_file_add(struct audit_file *f, struct str line)
{
    if (f->waiting.size + line.n > AUDIT_QUEUE_BYTES_MAX) {
        drop(f, 1, "the disk is too slow for them");
        return;
    }
    buf_append_str(&f->waiting, line);
    f->waiting_lines++;
    if (!f->busy && !f->m->stopping) {
        start(f);
    }
}

bool audit_file_is_idle(const struct audit_file *f)
{
    return !f->busy && f->waiting.size == 0;
}

void audit_file_free(struct audit_file *f)
{
    if (f == NULL) {
        return;
    }
    if (f->waiting.size > 0 && !f->busy) {
        take(f);
        f->error = write_out(f);
        account(f);
    }
    buf_close(&f->waiting);
    buf_close(&f->writing);
    free(f);
}
