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
#include "base/strmap.h"
#include "master/master.h"

#define PATH_SIZE 640

/* One of the two, with its former one. */
struct out {
    char path[PATH_SIZE], old_path[PATH_SIZE];
    struct buf waiting, writing;
    unsigned waiting_lines, writing_lines;
    int error;   /* the worker's: negative errno; 0: written */
    bool turned; /* the worker's: it was begun anew */
};
enum { CALM, BUSY, OUTS };

struct counted {
    uint64_t bytes; /* in the present FILE.log */
    size_t waiting;
};

struct audit_file {
    struct master *m;
    struct out outs[OUTS];
    uint64_t file_bytes;    /* of one file */
    struct strmap subjects; /* since FILE.log was begun: user -> struct counted */
    struct counted others;  /* all above AUDIT_SUBJECTS_MAX */
    bool busy;              /* a worker has what is `writing` */
    bool failed;            /* and it was said */
    uv_work_t req;
};

static void name_out(struct out *o, const char *path, const char *word)
{
    size_t n = strlen(path);
    n -= n > 4 && strcmp(path + n - 4, ".log") == 0 ? 4 : 0;
    snprintf(o->path, sizeof o->path, "%.*s%s.log", (int)MIN(n, (size_t)PATH_SIZE - 32), path, word);
    snprintf(o->old_path, sizeof o->old_path, "%.*s%s.log.1", (int)MIN(n, (size_t)PATH_SIZE - 32), path, word);
}

struct audit_file *audit_file_new(struct master *m, const char *path, uint64_t max_bytes)
{
    struct audit_file *f = xcalloc(1, sizeof *f);
    f->m = m;
    f->file_bytes = max_bytes / 4;
    name_out(&f->outs[CALM], path, "");
    name_out(&f->outs[BUSY], path, "-busy");
    strmap_init(&f->subjects);
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
static int write_out(struct out *o, uint64_t file_bytes)
{
    struct stat st;
    if (stat(o->path, &st) == 0 && (uint64_t)st.st_size + o->writing.size > file_bytes) {
        if (rename(o->path, o->old_path) != 0) {
            return -errno;
        }
        o->turned = true;
    }
    int fd = open(o->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    int rv = fstat(fd, &st) != 0 ? -errno : write_all(fd, o->writing.data, o->writing.size);
    if (rv != 0 && ftruncate(fd, st.st_size) != 0) {
        /* the half line stays, and the next one ends it: what was dropped is counted all the same */
    }
    close(fd);
    return rv;
}

static void write_outs(struct audit_file *f)
{
    for (unsigned i = 0; i < OUTS; i++) {
        struct out *o = &f->outs[i];
        o->error = o->writing.size == 0 ? 0 : write_out(o, f->file_bytes);
    }
}

static void work(uv_work_t *req)
{
    write_outs(req->data);
}

/* ---- Subjects ---- */

static void forget_subjects(struct audit_file *f)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->subjects, &cursor)) != NULL) {
        free(e->value);
    }
    strmap_close(&f->subjects);
    strmap_init(&f->subjects);
    f->others = (struct counted){0};
}

static struct counted *subject_of(struct audit_file *f, struct str name)
{
    struct counted *s = strmap_get(&f->subjects, name);
    if (s == NULL && f->subjects.count >= AUDIT_SUBJECTS_MAX) {
        return &f->others;
    }
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        strmap_set(&f->subjects, name, s);
    }
    return s;
}

/* ---- The loop's side ---- */

static bool waits(const struct audit_file *f)
{
    return f->outs[CALM].waiting.size > 0 || f->outs[BUSY].waiting.size > 0;
}

static void drop(struct audit_file *f, unsigned lines, const char *path, const char *why)
{
    f->m->stats.audit_dropped += lines;
    if (!f->failed) {
        f->failed = true;
        log_warn(&f->m->log, "audit", "%s: records are dropped (counter auditDropped): %s", path, why);
    }
}

static void start(struct audit_file *f);

static void account(struct audit_file *f)
{
    bool failed = f->outs[CALM].error != 0 || f->outs[BUSY].error != 0;
    for (unsigned i = 0; i < OUTS; i++) {
        struct out *o = &f->outs[i];
        if (o->error != 0) {
            drop(f, o->writing_lines, o->path, strerror(-o->error));
        } else {
            f->m->stats.audited += o->writing_lines;
        }
        buf_close(&o->writing);
        o->writing_lines = 0;
    }
    if (!failed && f->failed) {
        f->failed = false;
        log_info(&f->m->log, "audit", "%s: records are written again", f->outs[CALM].path);
    }
    if (f->outs[CALM].turned) {
        forget_subjects(f);
    }
    f->outs[CALM].turned = f->outs[BUSY].turned = false;
}

static void done(uv_work_t *req, int status)
{
    struct audit_file *f = req->data;
    (void)status; /* never canceled */
    f->busy = false;
    account(f);
    if (waits(f) && !f->m->stopping) {
        start(f);
    }
}

static void take(struct audit_file *f)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    for (unsigned i = 0; i < OUTS; i++) {
        struct out *o = &f->outs[i];
        o->writing = o->waiting;
        o->writing_lines = o->waiting_lines;
        o->waiting = (struct buf)BUF_INIT;
        o->waiting_lines = 0;
    }
    while ((e = strmap_next(&f->subjects, &cursor)) != NULL) {
        ((struct counted *)e->value)->waiting = 0;
    }
    f->others.waiting = 0;
}

static void start(struct audit_file *f)
{
    take(f);
    f->busy = true;
    int rv = uv_queue_work(&f->m->loop, &f->req, work, done);
    assert(rv == 0); /* only a NULL callback is refused */
    (void)rv;
}

void audit_file_add(struct audit_file *f, struct str subject, struct str line)
{
    struct counted *s = subject_of(f, subject);
    bool calm = s->bytes + line.n <= f->file_bytes / AUDIT_SHARE_PART;
    struct out *o = &f->outs[calm ? CALM : BUSY];
    if (f->outs[CALM].waiting.size + f->outs[BUSY].waiting.size + line.n > AUDIT_QUEUE_BYTES_MAX ||
        s->waiting + line.n > AUDIT_QUEUE_BYTES_MAX / 4) {
        drop(f, 1, o->path, "the disk is too slow for them");
        return;
    }
    s->bytes += calm ? line.n : 0;
    s->waiting += line.n;
    buf_append_str(&o->waiting, line);
    o->waiting_lines++;
    if (!f->busy && !f->m->stopping) {
        start(f);
    }
}

bool audit_file_is_idle(const struct audit_file *f)
{
    return !f->busy && !waits(f);
}

void audit_file_free(struct audit_file *f)
{
    if (f == NULL) {
        return;
    }
    if (waits(f) && !f->busy) {
        take(f);
        write_outs(f);
        account(f);
    }
    for (unsigned i = 0; i < OUTS; i++) {
        buf_close(&f->outs[i].waiting);
        buf_close(&f->outs[i].writing);
    }
    forget_subjects(f);
    strmap_close(&f->subjects);
    free(f);
}
